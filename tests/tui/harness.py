"""The app under test with a fake engine: no model is in this process."""

import asyncio
import functools
import queue
import time

from textual import events
from textual.keys import _character_to_key
from textual.widgets import Static

from playground.events.answers import Answer
from playground.events.engine import AdapterInfo, Choices, EngineReady, Fed, Spoken
from playground.tui.app import PlaygroundApp
from playground.tui.state.session import Session
from playground.tui.widgets.pane import Pane
from playground.tui.widgets.prompt import PromptBar

READY = EngineReady("Tiny model", "my-run", "chat", True, 1.0, "demo")
SEVERAL = EngineReady("Tiny model", "my-run, older", "chat", True, 1.0, "demo", ("sft:my-run", "sft:older"))
BARE = EngineReady("Tiny model", "", "chat", True, 1.0)
HOSTILE = "\x1b]52;c;aGk=\x07[bold]x[/bold] [@click=app.quit]q[/] [/foo] \u202eabc \ud83d " + "a" * 5000
ADAPTERS = (
    AdapterInfo("my-run", "/a/my-run", "yours", "demo", "Gemma", "mini.jsonl", "chat", "2026-11-22T10:00:00", 1.234),
    AdapterInfo("older", "/a/older", "yours", "demo", "Gemma", "pirate.jsonl", "chat", "2026-11-21T10:00:00", 2.0),
    AdapterInfo("other", "/a/other", "shipped", "hf:org/big", "Big", "mini.jsonl", "chat", "2026-11-20T10:00:00", None),
)
CHOICES = Choices(ADAPTERS, ("demo", "hf:org/big", "hf:org/bare"))


class FakeChild:
    """A child that says what a test puts into `said`."""

    def __init__(self):
        self.said, self.closed = queue.Queue(), False

    def events(self):
        while (event := self.said.get()) is not None:
            yield event
            self.said.task_done()  # it was passed on

    def close(self, grace=0.3):
        self.closed = True
        self.said.put(None)
        return True


class FakeEngine(FakeChild):
    """Remembers what it was asked."""

    def __init__(self, adapters=(), model=None, *, bare=False):
        super().__init__()
        self.options = (adapters, model, bare)
        self.asked, self.cancelled, self.used, self.whys = [], [], [], []

    def ask(self, ask):
        self.asked.append(ask)
        return len(self.asked)

    def use(self, adapters=(), style=None):
        self.used.append((adapters, style))

    def why(self, why):
        self.whys.append(why)
        return -1000 - len(self.whys)

    def list(self):
        pass

    def cancel(self, number):
        self.cancelled.append(number)


class Screen:
    """The app with its pilot and its engines, the newest last."""

    def __init__(self, size=(120, 40)):
        self.engines = []
        self.app = PlaygroundApp(self._start, Session(seed=0))
        self._size = size

    def _start(self, adapters=(), model=None, *, bare=False):
        self.engines.append(FakeEngine(adapters, model, bare=bare))
        return self.engines[-1]

    @property
    def engine(self):
        return self.engines[-1]

    @property
    def session(self):
        return self.app._compare.session

    @property
    def prompt(self):
        return self.app._compare.query_one(PromptBar)

    async def say(self, *events):
        for event in events:
            self.engine.said.put(event)
        end = time.monotonic() + 5
        while self.engine.said.unfinished_tasks and not self.engine.closed and time.monotonic() < end:
            await asyncio.sleep(0.01)  # the engine is read in a thread
        await asyncio.sleep(0.03)
        await self.pilot.pause()

    async def press(self, *keys):
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def ask(self, prompt):
        """Type a prompt and send it; return what the engine was asked."""
        await self.press(*["space" if character == " " else character for character in prompt], "enter")
        return self.engine.asked[-1]

    async def answer(self, reason="stop", **texts):
        """End every lane of the last request, with a text of its own or its name."""
        number = len(self.engine.asked)
        names = [lane.name for lane in self.engine.asked[-1].lanes]
        fed = Fed(number, dict.fromkeys(names, "fed"), dict.fromkeys(names, 1), "abc123", "User: q\nAssistant:", " ")
        ends = [
            Spoken(number, name, text := texts.get(name, f"I am {name}."), 4, 0.5, Answer(text, reason, None, 4))
            for name in names
        ]
        await self.say(fed, *ends)

    def text(self, where):
        return str(self.app._compare.query_one(where, Static).content)

    @property
    def panes(self):
        return [pane for pane in self.app._compare.query(Pane) if pane.display]

    def pane(self, lane):
        """Return the pane of a lane, or of a side while nothing was asked."""
        now = self.session.round
        names = [asked.name for asked in now.lanes] if now else list(self.session.sides())
        return self.panes[names.index(lane)]

    def of(self, lane, where):
        return str(self.pane(lane).query_one(where).content)

    async def __aenter__(self):
        self._running = self.app.run_test(size=self._size)
        self.pilot = await self._running.__aenter__()
        return self

    async def __aexit__(self, *error):
        await self._running.__aexit__(*error)


def burst(screen, *keys):
    """Press keys as a terminal does: whether or not the one before has been heard."""
    for key in keys:
        character = key if len(key) == 1 else None
        event = events.Key(_character_to_key(key) if character else key, character)
        event.set_sender(screen.app)
        screen.app._driver.send_message(event)


def screen_test(size=(120, 40), kind=Screen):
    """Run a coroutine test on a fresh screen of a kind."""

    def wrap(test):
        @functools.wraps(test)
        def run(**fixtures):
            async def go():
                async with kind(size) as screen:
                    await test(screen, **fixtures)

            asyncio.run(go())

        # pytest asks the signature for fixtures; the screen is ours.
        import inspect

        signature = inspect.signature(test)
        run.__signature__ = signature.replace(parameters=list(signature.parameters.values())[1:])
        return run

    return wrap

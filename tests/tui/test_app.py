"""The compare screen, driven with a fake engine: no model is in this process."""

import asyncio
import queue
import subprocess
import sys

import pytest
from textual.widgets import Input, Static

from playground.events import Answer, EngineError, EngineReady, EngineStage, Fed, Spoken
from playground.tui.app import EXAMPLES, PlaygroundApp

READY = EngineReady("Tiny model", "my-run", "chat", True, 1.0)
HOSTILE = "\x1b]52;c;aGk=\x07[bold]x[/bold] [@click=app.quit]q[/] [/foo] \u202eabc \ud83d " + "a" * 5000


class FakeEngine:
    """Says what a test puts into it, and remembers what it was asked."""

    def __init__(self):
        self.said, self.asked, self.cancelled, self.closed = queue.Queue(), [], [], False

    def ask(self, prompt, sides, **sampling):
        self.asked.append((prompt, sides, sampling))
        return len(self.asked)

    def cancel(self, number):
        self.cancelled.append(number)

    def events(self):
        while (event := self.said.get()) is not None:
            yield event

    def close(self):
        self.closed = True
        self.said.put(None)


class Screen:
    """The app under test with its pilot and its engines, the newest last."""

    def __init__(self, size):
        self.engines = []
        self.app = PlaygroundApp(self._start)
        self._size = size

    def _start(self):
        self.engines.append(FakeEngine())
        return self.engines[-1]

    @property
    def engine(self):
        return self.engines[-1]

    async def say(self, *events):
        for event in events:
            self.engine.said.put(event)
        for _ in range(100):  # the engine is read in a thread
            await asyncio.sleep(0.01)
            await self.pilot.pause()
            if self.engine.said.empty():
                break
        await asyncio.sleep(0.05)
        await self.pilot.pause()

    def text(self, where):
        return str(self.app.query_one(where, Static).content)

    async def __aenter__(self):
        self._running = self.app.run_test(size=self._size)
        self.pilot = await self._running.__aenter__()
        return self

    async def __aexit__(self, *error):
        await self._running.__aexit__(*error)


def screen_test(size=(120, 40)):
    """Run a coroutine test on a fresh screen."""

    def wrap(test):
        def run():
            async def go():
                async with Screen(size) as screen:
                    await test(screen)

            asyncio.run(go())

        run.__name__ = test.__name__
        return run

    return wrap


@screen_test()
async def test_a_prompt_typed_before_the_model_is_ready_waits_and_is_asked(screen):
    assert screen.app.focused is screen.app.query_one(Input)
    await screen.say(EngineStage("loading the model", 0.63))
    assert screen.text("#top") == "loading the model 63 % …"
    await screen.pilot.press(*"Hi you", "enter")
    assert screen.engine.asked == []
    assert "waiting for the model: Hi you" in screen.text("#hint")
    await screen.say(READY)
    assert [(prompt, sides) for prompt, sides, _ in screen.engine.asked] == [("Hi you", ["base", "sft"])]
    assert "Tiny model · adapter my-run" in screen.text("#top")


@screen_test()
async def test_both_panes_stream_and_say_how_they_ended(screen):
    await screen.say(READY)
    await screen.pilot.press(*"Why?", "enter")
    await screen.say(
        Fed(1, {"base": "Why?", "sft": "User: Why?\nAssistant:"}, {"base": 2, "sft": 7}, "abc123"),
        Spoken(1, "base", "Because", 1, 0.1),
        Spoken(1, "sft", "It", 1, 0.1),
    )
    assert (screen.text("#base .text"), screen.text("#sft .text")) == ("Because", "It")
    assert "base proven abc123" in screen.text("#top")
    assert "7 tokens: User: Why?↵Assistant:" in screen.text("#sft .fed")
    await screen.say(
        Spoken(1, "base", "Because" * 9, 128, 4.0, Answer("Because because", "length", None, 128), True),
        Spoken(1, "sft", "It is.", 3, 0.3, Answer("It is.", "stop", None, 3)),
    )
    assert "repeating itself" in screen.text("#base .state") and "32 tokens/s" in screen.text("#base .state")
    assert "stopped by itself · 3 tokens" in screen.text("#sft .state")
    await screen.pilot.press("f4")
    assert "User: Why?\nAssistant:" in screen.text("#sft .fed")


@screen_test()
async def test_escape_stops_what_streams_and_else_leaves_the_prompt(screen):
    await screen.say(READY)
    await screen.pilot.press("a", "enter", "escape")
    assert screen.engine.cancelled == [1]
    for side in ("base", "sft"):
        await screen.say(Spoken(1, side, "x", 1, 0.1, Answer("x", "cancelled", None, 1)))
    assert "stopped by you" in screen.text("#base .state")
    await screen.pilot.press("escape")
    assert screen.engine.cancelled == [1]
    assert screen.app.focused is not screen.app.query_one(Input)
    await screen.pilot.press("escape")
    assert screen.app.focused is screen.app.query_one(Input)


@screen_test()
async def test_a_new_prompt_replaces_the_one_that_streams_and_late_words_are_dropped(screen):
    await screen.say(READY)
    await screen.pilot.press("a", "enter", "b", "enter")
    assert screen.engine.cancelled == [1]
    await screen.say(Spoken(1, "base", "late", 1, 0.1), Spoken(2, "base", "new", 1, 0.1))
    assert screen.text("#base .text") == "new"


@screen_test()
async def test_example_control_strength_and_again(screen):
    await screen.say(READY)
    await screen.pilot.press("f2")
    assert screen.app.query_one(Input).value == EXAMPLES[0]
    await screen.pilot.press("enter")
    for side in ("base", "sft"):
        await screen.say(Spoken(1, side, "x", 1, 0.1, Answer("x", "stop", None, 1)))
    await screen.pilot.press("f3")
    assert screen.engine.asked[-1][1] == ["base", "control", "sft"]
    await screen.pilot.press("f6", "f5")
    assert screen.engine.asked[-1][2]["strength"] == 1.5
    assert "λ 1.5" in screen.text("#top")


@screen_test()
async def test_the_arrows_go_through_earlier_prompts_and_back_to_what_was_typed(screen):
    await screen.say(READY)
    await screen.pilot.press("a", "enter", "b", "enter", "b", "enter", "c")
    prompt = screen.app.query_one(Input)
    seen = []
    for key in ("up", "up", "up", "down", "down", "down"):
        await screen.pilot.press(key)
        seen.append(prompt.value)
    assert seen == ["b", "a", "a", "b", "c", "c"]


@screen_test((80, 24))
async def test_help_opens_and_closes_without_taking_the_keys(screen):
    await screen.pilot.press("f1", "x")
    assert "continues your text" in screen.text("#hint")
    assert screen.app.query_one(Input).value == "x"
    assert screen.app.query_one("#prompt").region.bottom <= 24
    await screen.pilot.press("f1")
    assert "Type a prompt" in screen.text("#hint")


@screen_test()
async def test_a_crash_is_said_and_f5_starts_again_with_the_last_prompt(screen):
    await screen.say(READY)
    await screen.pilot.press("a", "enter")
    await screen.say(EngineError(-1, "The engine ended with -9. Killed", "Start it again with F5."))
    assert "ended with -9" in screen.text("#hint") and "ended with -9" in screen.text("#base .state")
    await screen.pilot.press("f5")
    assert len(screen.engines) == 2 and screen.engines[0].closed
    await screen.say(READY)
    assert screen.engine.asked[0][0] == "a"


@screen_test()
async def test_an_answer_that_fails_says_why_and_the_app_goes_on(screen):
    await screen.say(READY)
    await screen.pilot.press("a", "enter")
    await screen.say(EngineError(1, "The base lane is not the base.", "Report it."))
    assert "not the base" in screen.text("#base .state")
    await screen.pilot.press("b", "enter")
    assert screen.engine.asked[-1][0] == "b"


@screen_test()
async def test_hostile_text_is_shown_harmlessly_everywhere(screen):
    await screen.say(EngineStage(HOSTILE, 0.5), EngineReady(HOSTILE, HOSTILE, "chat", False, 1.0))
    screen.app.query_one(Input).value = HOSTILE.replace("\ud83d", "")
    await screen.pilot.press("enter")
    await screen.say(
        Fed(1, {"base": HOSTILE, "sft": HOSTILE}, {"base": 1, "sft": 1}, "x"),
        Spoken(1, "base", HOSTILE, 1, 0.1),
        Spoken(1, "sft", HOSTILE, 1, 0.1, Answer(HOSTILE, "stop", None, 1)),
        EngineError(1, HOSTILE, HOSTILE),
    )
    shown = "".join(str(widget.content) for widget in screen.app.query(Static))
    assert "␛]52" in shown and "[@click=app.quit]q[/]" in shown
    assert not {"\x1b", "\x07", "\u202e", "\ud83d"} & set(shown)


@screen_test((80, 24))
async def test_a_narrow_terminal_stacks_the_panes_and_both_states_stay_visible(screen):
    base, sft = (screen.app.query_one(f"#{side}") for side in ("base", "sft"))
    assert base.region.y < sft.region.y and base.region.x == sft.region.x
    for side in ("base", "sft"):
        state = screen.app.query_one(f"#{side} .state").region
        assert state.height == 1 and state.bottom <= 24
    await screen.pilot.resize_terminal(120, 40)
    await screen.pilot.pause()
    assert base.region.y == sft.region.y


def test_closing_the_app_ends_the_engine():
    async def go():
        async with Screen((80, 24)) as screen:
            await screen.pilot.press("ctrl+q")
        assert screen.engine.closed

    asyncio.run(go())


def test_the_app_imports_nothing_heavy():
    code = (
        "import sys, playground.tui.app, playground.tui.run, playground.jobs\n"
        "heavy = {'torch', 'transformers', 'peft', 'bitsandbytes', 'datasets', 'pyarrow', 'pandas'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("size", [(1, 1), (20, 5), (36, 10), (200, 60)])
def test_no_size_breaks_the_screen(size):
    async def go():
        async with Screen(size) as screen:
            await screen.say(READY)
            await screen.pilot.press("a", "enter")
            await screen.say(Spoken(1, "base", "word " * 500, 1, 0.1))
            await screen.pilot.resize_terminal(120, 40)

    asyncio.run(go())

"""Thousands of random actions. SFT_PLAYGROUND_SEED repeats a run; a failure says which seed it had."""

import asyncio
import inspect
import os
import random
from collections import deque
from dataclasses import replace

import pytest
from harness import ADAPTERS, BARE, CHOICES, HOSTILE, READY, SEVERAL, Screen
from textual import events
from textual.command import CommandPalette
from textual.screen import ModalScreen
from textual.widgets import Footer, Input, OptionList, Select

from playground.events.answers import Answer
from playground.events.engine import AdapterInfo, Choices, EngineError, EngineReady, EngineStage, Fed, Spoken
from playground.events.exchanges import BOTH_BAD, TIE
from playground.tui.dialogs.answer_settings import SettingsDialog
from playground.tui.dialogs.picker import Picker
from playground.tui.dialogs.save import SaveDialog
from playground.tui.state.engine import EngineSaid
from playground.tui.widgets.judge import JudgeBar
from playground.tui.widgets.prompt import PromptBar
from playground.tui.widgets.slider import Slider

CHECKED_EVERY = 200
LANES = ("base", "control", "sft", "1", "2", "3", "4")
STRANGERS = (*LANES, "nobody", "", HOSTILE)
TEXTS = (
    "", " ", "\n\n", "a", "word " * 60, "line\n" * 9, HOSTILE[:200],
    "日本語 é́ 👩‍👩‍👧 العربية", "\t|\r\n|",
    "[/bold] [@click=app.quit]q[/]", "# Title\n\n- one\n  - two\n\n| a | b |\n|---|---|\n| 1 |\n\n```python\nx = '",
    "![i](x) [l](https://example.org) <b>\n> q\n1. ",
)  # fmt: skip
NUMBERS = (*"012457", "0.5", "128", "1234567", "2147483647", "-1", "nan", "1e400", "٣", "", "hot", "9" * 5000)
FILES = ("s.md", "s.jsonl", "s.txt", "", ".", "~", "~nobody-here/x.md", "absent/x.md", "\0.md", "x" * 300 + ".md")
KEYS = [
    *("escape", "enter", "space", "tab", "shift+tab", "up", "down", "left", "right"),
    *("home", "end", "pageup", "pagedown", "alt+up", "alt+down"),
    *(f"f{n}" for n in range(1, 10)),
    *(f"ctrl+{letter}" for letter in "agjknostyz"),
    *"abcdfmtuxzTXU013",
]
DEEDS = ("stop", "example", "help", "control", "judge", "again", "strength", "turns", "fed", "view", "forget")
DIALOGS = ("settings", "adapter", "model", "save", "export_sides", "export_duels")
# What costs a layout of the whole screen is rare.
WEIGHTS = {"hear": 65, "finish": 5, "begin": 3, "load": 2, "deed": 6, "dialog": 0.5, "post": 5, "key": 4, "vote": 4}
WEIGHTS |= {"click": 0.15, "command": 0.15, "resize": 0.15, "theme": 0.05}
NOT_OURS = {"Quit", "Screenshot"}  # the one ends the app, the other writes a file where it likes


class Monkey:
    """Does something random, remembers what, and says what must hold."""

    def __init__(self, screen, seed):
        self.screen, self.app, self.compare = screen, screen.app, screen.app._compare
        self.random = random.Random(seed)
        self.done, self.kept = deque(maxlen=15), []
        self.pick = self.random.choice

    def text(self):
        # Long ones cost a layout of thousands of lines each time.
        return self.pick(TEXTS) if self.random.random() < 0.99 else self.pick((HOSTILE, "long " * 6_000))

    async def act(self):
        top = self.app.screen
        if isinstance(top, CommandPalette) or (isinstance(top, ModalScreen) and self.random.random() < 0.5):
            deed = self.in_dialog
        else:
            (deed,) = self.random.choices([getattr(self, name) for name in WEIGHTS], list(WEIGHTS.values()))
        self.done.append(deed.__name__)
        result = deed()
        if inspect.isawaitable(result):
            await result
        await asyncio.sleep(0)

    def note(self, *what):
        self.done[-1] += f" {str(what)[:150]}"

    def post(self):
        message = self.pick(
            (
                PromptBar.Cut(),
                Slider.Changed(self.random.randrange(31) * 0.05),
                events.Paste(self.text().replace("\ud83d", "")),
            )
        )
        self.note(message)
        self.compare.post_message(message) if not isinstance(message, events.Paste) else self.app.post_message(message)

    def begin(self):
        # What a person types comes decoded: no half surrogate pairs.
        self.compare.post_message(PromptBar.Submitted(self.text().replace("\ud83d", "") or "a"))

    def vote(self):
        choice = self.pick(("0", "1", "2", "3", TIE, BOTH_BAD, ""))
        self.note(choice)
        if choice:
            self.compare.post_message(JudgeBar.Voted(choice))
        elif not isinstance(self.app.screen, ModalScreen):
            self.compare.take_vote_back()

    async def deed(self, deeds=DEEDS):
        if not isinstance(self.app.screen, ModalScreen):
            self.note(deed := self.pick(deeds))
            await self.app.run_action(deed, default_namespace=self.compare)

    async def dialog(self):
        await self.deed(DIALOGS)

    def key(self):
        self.note(key := self.pick(KEYS))
        character = " " if key == "space" else key if len(key) == 1 else None
        self.app.post_message(events.Key(key, character))

    async def click(self):
        self.note(offset := tuple(map(self.random.randrange, self.app.size)))
        await self.screen.pilot.click(offset=offset)

    async def command(self):
        await self.screen.pilot.pause()  # the palette of Textual 8.2 fails on keys that come before its list
        commands = [c for c in self.app.get_system_commands(self.app.screen) if c.title not in NOT_OURS]
        self.note((command := self.pick(commands)).title)
        result = command.callback()
        if inspect.isawaitable(result):
            await result
        await self.screen.pilot.pause()

    async def resize(self):
        size = self.pick(((100, 30), (80, 24), (120, 40), (1, 1), (37, 9), (200, 60), (99, 2)))
        self.note(size)
        await self.screen.pilot.resize_terminal(*size)

    def theme(self):
        self.app.theme = self.pick(list(self.app.available_themes))

    def in_dialog(self):
        dialog = self.app.screen
        self.note(type(dialog).__name__)
        if not all(node.is_mounted for node in dialog.walk_children(with_self=True)):
            return  # nobody is as fast
        if self.random.random() < 0.3 or not isinstance(dialog, Picker | SaveDialog | SettingsDialog):
            self.app.post_message(events.Key("escape", None))
            return
        for choices in dialog.query(OptionList):
            choices.highlighted = self.random.randrange(choices.option_count) if choices.option_count else None
            choices.action_select()
        for select in dialog.query("SettingsDialog Select"):
            select.value = self.pick((Select.NULL, "chat", "alpaca"))
        for field in dialog.query(Input):
            field.value = self.pick(NUMBERS[:10] if self.random.random() < 0.8 else NUMBERS)
            if field.id == "file":
                field.value = self.pick(FILES)
            self.note(field.value[:20])
        if isinstance(dialog, SettingsDialog):
            dialog.action_keep()
        elif field := next(iter(dialog.query(Input)), None):
            field.post_message(Input.Submitted(field, field.value))

    def say(self, event, engine=None):
        self.note(event)
        self.compare.post_message(EngineSaid(event, engine or self.screen.engine))

    def asked(self):
        """Return the names of the lanes that the engine was asked for last."""
        return [lane.name for ask in self.screen.engine.asked[-1:] for lane in ask.lanes]

    def number(self):
        now = len(self.screen.engine.asked)
        return self.pick((now, now, now, now, now - 1, now + 1, 0))

    def load(self):
        if not self.compare.engine.alive:
            self.compare.action_again()
        self.say(self.pick((READY, READY, SEVERAL, BARE, EngineReady(HOSTILE, HOSTILE, "chat", False, 1.0))))

    def hear(self):
        engine = self.pick(self.screen.engines) if self.random.random() < 0.1 else None
        number, lane, text = self.number(), self.pick(STRANGERS), self.text()
        if self.random.random() < 0.7 and self.screen.session.round:
            lane = self.pick(self.screen.session.round.lanes).name
        match self.random.randrange(12):
            case 0:
                event = EngineStage(text, self.random.random() * 1.2 - 0.1, self.text())
            case 1:
                hostile = AdapterInfo(HOSTILE, "/x", "yours", HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, 1.0)
                event = self.pick((CHOICES, Choices((), ()), Choices((hostile, *ADAPTERS), (HOSTILE, "demo"))))
            case 2:
                number = -1 if self.random.random() < 0.1 else number
                event = EngineError(number, text, self.text())
            case 3 | 4:
                lanes = [lane, *self.asked()]
                event = Fed(number, dict.fromkeys(lanes, text), dict.fromkeys(lanes, 3), "abc123", "q", " ", {lane: 2})
            case 5 | 6:
                event = Spoken(number, lane, text, 3, 0.1, self.answer(text), self.random.random() < 0.5)
            case _:
                event = Spoken(number, lane, text, self.random.randrange(200), self.random.random())
        self.say(event, engine)

    def answer(self, text):
        ending = self.random.choices(("stop", "length", "cancelled", "error"), (8, 4, 1, 1))[0]
        return Answer(text, ending, self.pick((None, None, "\nUser:")), self.random.randrange(200))

    def finish(self):
        """End every lane of the last request, some twice."""
        for lane in self.asked():
            for _ in range(self.pick((1, 1, 2))):
                text = self.text()
                self.say(Spoken(len(self.screen.engine.asked), lane, text, 3, 0.1, self.answer(text)))
        if self.random.random() < 0.5:
            self.vote()

    def check(self):
        """Say what must hold whatever was done."""
        session, now, compare = self.screen.session, self.screen.session.round, self.compare
        assert self.app.is_running and self.app._exception is None
        kinds = [pane.kind for pane in self.screen.panes]
        if (shown := session.shown) is None:
            assert 2 <= len(kinds) <= 4
        else:
            assert kinds == ["hidden" if shown.hidden else lane.side.partition(":")[0] for lane in shown.lanes]
        if now is not None:
            assert not now.going or compare.engine.loaded, "what streams comes from an engine that is there"
            assert now.going or replace(session.exchanges[-1], vote="").answers == now.answers
            assert now.going or session.exchanges[-1].vote == now.vote
        assert compare.engine.alive or not compare.engine.loaded
        if compare.query_one(JudgeBar).display:
            assert now is not None and session.past is None and not now.why_no_vote(), (
                "the bar stands where a vote would count"
            )
        for exchange in session.exchanges:
            assert exchange.histories.keys() == exchange.answers.keys() == exchange.repeats.keys()
            assert exchange.vote in ("", TIE, BOTH_BAD, *exchange.answers)
            assert not exchange.vote or exchange.mode != "open"
        unjudged = [replace(exchange, vote="") for exchange in session.exchanges]
        assert unjudged[: len(self.kept)] == self.kept, "a vote changes nothing but the vote"
        self.kept = unjudged
        focused = self.app.screen.focused
        assert focused is not None or isinstance(self.app.screen, ModalScreen)
        assert focused is None or (focused.is_attached and focused.focusable), f"{focused} has the focus"


@pytest.fixture(autouse=True)
def _quick(home, monkeypatch):
    monkeypatch.setenv("HOME", str(home))  # a name of a file may begin with ~
    monkeypatch.setattr("textual.screen.UPDATE_PERIOD", 0.2)  # painting takes most of the time


@pytest.mark.parametrize("actions", [2_000, pytest.param(10_000, marks=pytest.mark.long)])
def test_random_actions_break_nothing(actions):
    seed = int(os.environ.get("SFT_PLAYGROUND_SEED") or random.SystemRandom().randrange(2**32))
    print(f"SFT_PLAYGROUND_SEED={seed}")

    async def go():
        async with Screen((100, 30)) as screen:
            await screen.app.query_one(Footer).remove()  # it is built anew at each change of focus: half the time
            monkey = Monkey(screen, seed)
            try:
                for number in range(1, actions + 1):
                    await monkey.act()
                    if number % CHECKED_EVERY == 0:
                        await screen.pilot.pause()
                        monkey.check()
            except BaseException as error:
                last = "\n".join(monkey.done)
                error.add_note(f"SFT_PLAYGROUND_SEED={seed}, action {number}; the last ones:\n{last}")
                raise

    asyncio.run(go())

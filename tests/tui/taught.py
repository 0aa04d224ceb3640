"""Recorded events of the five steps, a teacher that says them, and the app with a teacher."""

import math
from dataclasses import replace

from harness import FakeChild
from test_training_screens import FakeInspector, Training, open_training
from textual.widgets import Static

from playground.events.contrast import Candidate, Expectation, Position
from playground.events.five_steps import Backward, Forward, Probe, RowOpened, Served, Updated
from playground.events.inspector import MaskedRow
from playground.tui.app import PlaygroundApp
from playground.tui.screens.losses import LossesScreen

TEXTS = ("<bos>", "User: Hi\n", "Assistant:", " Hello", ".", "<eos>")
MASK = (False, False, False, True, True, True)
P = {0: (0.3, 0.6, 0.0003), 1: (0.1, 0.9, 0.49), 2: (0.99, 0.95, 0.98)}  # of the trained tokens, by step
OPENED = RowOpened(
    "Hi", MaskedRow(1, TEXTS, MASK, ""), True, "Tiny model", "", "chat", 16, 5e-4, 1.0
)  # fmt: skip


def expects(p, *top):
    candidates = tuple(Candidate(n, text, share, text == "") for n, (text, share) in enumerate(top))
    return Expectation(p, math.log(p), 1 if p > 0.5 else 69, 1.0, 0.0, candidates)


def forward(step, *, masked=True):
    texts = TEXTS[3:] if masked else TEXTS[1:]
    ps = P.get(step, P[2]) if masked else (0.001, 0.002, *P.get(step, P[2]))
    top = (("Hello", 0.346), ("Porto", 0.092), ("", 0.001))
    positions = tuple(
        Position(n, "" if text == "<eos>" else text, text == "<eos>", expects(p, *top), expects(p, *top), 0.1)
        for n, (text, p) in enumerate(zip(texts, ps, strict=True))
    )
    places = tuple(range(6 - len(texts), 6))
    elsewhere = (
        Probe("Spain?", "It is Madrid.", 0.0001, (0.0001, 0.54, 0.998)[min(step, 2)], ()),
        Probe("Explain gravity.", "", 0.0, 0.0, (Candidate(1, "The", 0.17, False),)),
    )
    loss = -sum(position.sft.log_p for position in positions) / len(positions)
    return Forward(step, places, positions, loss, elsewhere)


def apart():
    """Return what base and an adapter expect, which is not the same."""
    base, sft = forward(0), forward(1)
    pairs = zip(base.positions, sft.positions, strict=True)
    return replace(base, positions=tuple(replace(old, sft=new.sft) for old, new in pairs))


class Serving(FakeChild):
    """Serves every request at once, unless `slow`; remembers them."""

    def __init__(self):
        super().__init__()
        self.asked, self.slow = [], False

    def serve(self, *events):
        for event in events:
            self.said.put(event)
        self.said.put(Served(len(self.asked)))

    def _ask(self, do, what, *events):
        self.asked.append((do, what))
        if not self.slow:
            self.serve(*events)
        return len(self.asked)


class FakeTeacher(Serving):
    """A teacher of one row."""

    def __init__(self, adapters_dir=None):
        super().__init__()
        self.step_number, self.opened = 0, OPENED

    def _forward(self):
        return forward(self.step_number, masked=self.opened.masked)

    def _set(self, **changes):
        self.opened = replace(self.opened, **changes)
        return self.opened

    def open(self, lesson):
        return self._ask("open", lesson, self._set(adapter=lesson.adapter), self._forward())

    def row(self, lesson):
        return self._ask("row", lesson, self.opened, self._forward())

    def step(self):
        self.step_number += not self.slow
        n = self.step_number
        a = {"q": 0.0, "down": 0.0} if n == 1 else {"q": 0.1, "down": 0.2}
        backward = Backward(n, a, {"q": 3.0, "down": 7.7}, 6, 13.07, 1.0)
        return self._ask("step", None, backward, Updated(n, 5e-4, 1.6, True), self._forward())

    def undo(self):
        self.step_number -= 1
        return self._ask("undo", None, self._forward())

    def mask(self, *, masked):
        return self._ask("mask", masked, self._set(masked=masked), self._forward())

    def rate(self, learning_rate):
        return self._ask("rate", learning_rate, self._set(learning_rate=learning_rate))

    def ask(self, prompt, sampling, *, draws, base):
        return self._ask("ask", prompt)

    def restart(self, adapter):
        self.step_number = 0
        return self._ask("restart", adapter, self._set(adapter=adapter), self._forward())


class FakeLooker(FakeTeacher):
    """A teacher that is asked about one row after the other, whose line it repeats."""

    def _of(self, lesson):
        return self._set(adapter=lesson.adapter.rpartition("/")[2], row=replace(self.opened.row, line=lesson.line))

    def open(self, lesson):
        return self._ask("open", lesson, self._of(lesson), apart())

    def row(self, lesson):
        return self._ask("row", lesson, self._of(lesson), apart())


class Taking(Training):
    """The app with a fake teacher."""

    at_once = False  # whether it opens on the lesson

    def __init__(self, size=(120, 40)):
        super().__init__(size)
        self.teachers = []
        self.inspector = FakeInspector()
        self.engines.clear()
        self.app = PlaygroundApp(
            self._start,
            self.app._compare.session,
            inspector=lambda: self.inspector,
            teacher=self._teach,
            learn=self.at_once,
        )

    def make_teacher(self):
        return FakeTeacher()

    def _teach(self, adapters_dir):
        self.teachers.append(self.make_teacher())
        return self.teachers[-1]

    @property
    def teacher(self):
        return self.teachers[-1]

    async def heard(self):
        await self.settle(self.teacher.said.empty)

    async def key(self, *keys):
        for key in keys:
            await self.press(key)
            await self.heard()

    async def tell(self, *events):
        for event in events:
            self.teacher.said.put(event)
        await self.heard()

    def all(self):
        return "\n".join(str(widget.content) for widget in self.app.screen.query(Static) if widget.display)


class Looking(Taking):
    """The app with a teacher that looks at rows, of which there are thirty."""

    def __init__(self, size=(120, 40)):
        super().__init__(size)
        self.inspector.rows = tuple(MaskedRow(n, TEXTS, MASK, "", held_out=n == 2) for n in range(1, 31))

    def make_teacher(self):
        return FakeLooker()

    async def on_losses(self):
        """Open the losses of the row that is read on the training screen."""
        await open_training(self)
        await self.press("ctrl+l")
        await self.settle(lambda: isinstance(self.app.screen, LossesScreen) and "starting" not in self.shown("#hint"))

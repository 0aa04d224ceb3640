"""The loss of each trained token of a row, under the base and the adapter of the compare screen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from playground.events.contrast import AnalysisEvent
from playground.events.five_steps import Forward, Lesson, RowOpened, TeacherError
from playground.events.inspector import MaskedRow
from playground.report.five_steps import losses
from playground.tui import glossary
from playground.tui.content.dataset import begins_to_learn
from playground.tui.content.pieces import coloured
from playground.tui.screens.teacher import TeacherScreen
from playground.tui.widgets.footer import Keys
from playground.tui.widgets.line import Line, put

NO_ADAPTER = "Base only: no adapter is chosen. F6 on the compare screen chooses one."


class LossesScreen(TeacherScreen):
    """A row's mask, and below it what each trained token costs. Nothing is trained.

    Args:
        lesson: The data set of the rows, and the adapter; without one, the loss is the base's alone.
        rows: The rows that can be looked at, as they are trained on.
        at: The index of the first that is.
        start: Starts a teacher.
    """

    HELP = glossary.LOSSES
    AUTO_FOCUS = "#taught"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "go(-1)", "row", key_display="←→", tooltip="The row before"),
        Binding("right,l", "go(1)", "next row", show=False, tooltip="The next row"),
        Binding("escape,q", "dismiss", "back", tooltip="Back to the data set"),
    ]

    def __init__(self, lesson: Lesson, rows: Sequence[MaskedRow], at: int, start: Callable[[], Any]) -> None:
        super().__init__(start)
        self._lesson, self._rows, self._at = lesson, rows, at
        self._opened: RowOpened | None = None

    def compose(self) -> ComposeResult:
        yield Line("losses", id="top")
        with VerticalScroll(id="taught"):
            yield Static(id="taught-row", markup=False)
            yield Static(id="taught-table", markup=False)
        yield Line("starting …", id="hint")
        yield Keys()

    def on_mount(self) -> None:
        """Open the row."""
        self.teaching.listen()
        self.teaching.ask("open", self._lesson_at(self._at))

    def _lesson_at(self, at: int) -> Lesson:
        return replace(self._lesson, line=self._rows[at].line)

    def hear(self, event: AnalysisEvent) -> None:
        """Show a row with its mask, then its losses."""
        match event:
            case RowOpened():
                self._opened = event
                sides = f"base and {event.adapter}" if event.adapter else "base only"
                self.query_one("#top", Line).say(f"losses · {sides} · style {event.style} · {event.model}")
                row = replace(event.row, held_out=self._rows[self._at].held_out)
                self._show(begins_to_learn(row))
            case Forward() if self._opened is not None:
                put(self, "#taught-table", coloured(losses(self._opened, event)))
            case TeacherError():
                self._show(Content(""))  # what is there is of another row

    def _show(self, row: Content) -> None:
        put(self, "#taught-row", row)
        put(self, "#taught-table", Content(""))
        self.query_one("#taught", VerticalScroll).scroll_home(animate=False)

    def next_words(self) -> str:
        """Return which row this is, and what is missing."""
        alone = len(self._rows) == 1
        place = "" if alone else f"row {self._at + 1} of the first {len(self._rows)} · ← → show another"
        missing = "" if self._opened is None or self._opened.adapter else NO_ADAPTER
        return f"{place}\n{missing}".strip()

    def action_go(self, by: int) -> None:
        """Look at a row before or after."""
        to = min(max(0, self._at + by), len(self._rows) - 1)
        what = "open" if self._opened is None else "row"
        if to != self._at and self.request(what, self._lesson_at(to)):
            self._at = to

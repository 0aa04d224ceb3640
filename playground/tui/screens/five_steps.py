"""The five steps on one row, live: a scratch adapter learns it with one key, and nothing is saved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from playground import paths
from playground.data.lessons import keep
from playground.errors import PlaygroundError
from playground.events.contrast import AnalysisEvent
from playground.events.five_steps import Forward, Lesson, RowOpened
from playground.report import five_steps as report
from playground.report.pieces import Piece
from playground.text import count, one_line
from playground.tui import glossary
from playground.tui.content.dataset import learned_tokens
from playground.tui.content.pieces import coloured
from playground.tui.dialogs.teach import TeachDialog
from playground.tui.screens.teacher import TeacherScreen
from playground.tui.state.taught import Taught
from playground.tui.widgets.footer import Keys
from playground.tui.widgets.line import Line, put

SIDES = 4  # columns: padding, and the scrollbar
FIRST = "Space takes one optimiser step on this row, U takes it back."
PARTS = ("row", "table", "findings", "backward", "update")  # from top to bottom


class FiveStepsScreen(TeacherScreen):
    """Forward, compare, loss, backward, update: on a row, with a scratch adapter that is never saved.

    Args:
        lesson: The row, and where the scratch adapter starts.
        start: Starts a teacher.
        copy: The adapter that a scratch adapter from nothing can be exchanged for a copy of; empty if there is none.
    """

    HELP = glossary.FIVE_STEPS
    AUTO_FOCUS = "#taught"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "step", "step", tooltip="Take one optimiser step on this row"),
        Binding("u", "undo", "undo", tooltip="Take the last step back"),
        Binding("m", "mask", "mask", tooltip="Let every token carry loss, as in pre-training, or only the answer"),
        Binding("r", "rate", "rate", tooltip="The learning rate of the next step"),
        Binding("n", "start", "start", tooltip="Begin again: from nothing, or from a copy of the adapter"),
        Binding("e", "edit", "edit", tooltip="Type another row, or another answer"),
        Binding(
            "k",
            "keep",
            "keep",
            tooltip="Keep the row that you typed in lessons.jsonl, a data set that the training screen lists",
        ),
        Binding("escape,q", "dismiss", "back", tooltip="Back; the scratch adapter is discarded"),
    ]

    def __init__(self, lesson: Lesson, start: Callable[[], Any], copy: str = "") -> None:
        super().__init__(start)
        self._lesson, self._copy = lesson, lesson.adapter or copy
        self._taught = Taught()
        self._kept: tuple[str, str] | None = None  # the row that was kept last

    def compose(self) -> ComposeResult:
        yield Line("five steps on one row · nothing is saved", id="top")
        with VerticalScroll(id="taught"):
            for part in PARTS:
                yield Static(id=f"taught-{part}", markup=False)
        yield Line("starting …", id="hint")
        yield Keys()

    def on_mount(self) -> None:
        """Open the row."""
        self.teaching.listen()
        self.teaching.ask("open", self._lesson)

    def on_resize(self) -> None:
        """Show as many columns as fit now."""
        self._draw()

    # ---------------------------------------------------------------- the teacher, and what it says

    def why_not(self, what: str) -> str:
        """Return why a request cannot be made now; only steps and undos wait for others."""
        waits = what in ("step", "undo") and self.teaching.alive and not self.teaching.full
        none = "" if what == "open" or self._taught.row is not None else "No row is open. E opens one."
        return ("" if waits else super().why_not(what)) or none

    def hear(self, event: AnalysisEvent) -> None:
        """Keep and show what was computed."""
        self._taught.hear(event)
        if isinstance(event, Forward | RowOpened):
            self._draw()

    def next_words(self) -> str:
        """Return what the keys do, before the first step."""
        return "" if self._taught.step else FIRST

    # ---------------------------------------------------------------- what is shown

    def _draw(self) -> None:
        row, history = self._taught.row, self._taught.history
        if row is None:
            return
        start = f"a copy of {row.adapter}" if row.adapter else "from nothing"
        said = (f"step {self._taught.step}", "nothing is saved", f"learning rate {row.learning_rate:g}", start)
        self.query_one("#top", Line).say(" · ".join(("five steps", *said)))
        shown = learned_tokens(replace(row.row, trained=report.learned(row)))
        about: list[Piece] = [(f"{report.loss_words(row)}\n", "faint")]
        if row.row.cut:
            about.append((f"too long: {one_line(row.row.cut, 200)}\n", "warning"))
        put(self, "#taught-row", coloured(about) + shown)
        if not history:
            for part in PARTS[1:]:
                put(self, f"#taught-{part}", Content(""))  # what is there is of another row
            return
        width = self.size.width - SIDES
        columns = report.MOST_STEPS if width >= report.WIDE else 1
        put(self, "#taught-table", coloured(report.table([history[0], *history[1:][-columns:]], width)))
        put(self, "#taught-findings", coloured(report.findings(row, history)))
        backward, update = report.gradients(self._taught.backwards), report.updates(self._taught.updates, history)
        put(self, "#taught-backward", coloured(backward if self._taught.backwards else []))
        put(self, "#taught-update", coloured(update))

    # ---------------------------------------------------------------- keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what can be done: another start if there is an adapter, keeping a row that was typed."""
        if action == "start":
            return bool(self._copy)
        return action != "keep" or not self._lesson.line

    def action_step(self) -> None:
        """Take one optimiser step."""
        self.request("step")

    def action_undo(self) -> None:
        """Take the last step back."""
        self.request("undo")

    def action_mask(self) -> None:
        """Let every token carry loss, or only the answer."""
        self.request("mask", masked=not (self._taught.row is None or self._taught.row.masked))

    def action_rate(self) -> None:
        """Take the next steps with another learning rate."""
        self.request("rate", self._taught.next_rate)

    def action_start(self) -> None:
        """Begin again: from nothing, or from a copy of the adapter."""
        row = self._taught.row
        self.request("restart", self._copy if row is not None and not row.adapter else "")

    def action_edit(self) -> None:
        """Type another row."""
        row = self._taught.row
        prompt = self._lesson.prompt or (row.prompt if row is not None else "")

        def teach(said: tuple[str, str] | None) -> None:
            if said is None or said == (self._lesson.prompt, self._lesson.answer):
                return
            if self.teaching.busy:
                self.hint("Still computing: press E again when it is done.")
                return
            self._lesson = replace(self._lesson, prompt=said[0], answer=said[1], line=0)
            self.request("open" if self._taught.row is None else "row", self._lesson)
            self.refresh_bindings()

        self.app.push_screen(TeachDialog(prompt, self._lesson.answer), teach)

    def action_keep(self) -> None:
        """Keep the row that was typed."""
        row = (self._lesson.prompt, self._lesson.answer)
        if row == self._kept:
            self.hint(f"This row is already the last one in {paths.lessons_file()}.")
            return
        try:
            num_rows = keep(paths.lessons_file(), *row)
        except PlaygroundError as error:
            self.hint(f"{error.message} {error.hint}", error=True)
            return
        self._kept = row
        self.hint(f"Kept: {count(num_rows, 'row')} in {paths.lessons_file()}")

"""The list of runs, newest first: open, resume, rename or remove them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from rich.cells import cell_len, set_cell_size
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from playground.config import TrainConfig
from playground.errors import PlaygroundError
from playground.events.runs import RunRecord
from playground.runs import library
from playground.runs.folder import is_busy, size, state_of
from playground.text import count, one_line
from playground.tui import glossary
from playground.tui.dialogs.base import ListDialog
from playground.tui.widgets.footer import Keys
from playground.tui.widgets.line import Line

COLUMNS = ("run", "state", "steps", "loss", "eval", "data set", "started")
WIDEST = 24
NEWEST = 4  # runs whose curves are shown if none is marked
KEYS = "Enter opens · Space marks, C shows curves · / filters · Esc back"
NONE = "No runs yet. In a shell, one starts with  sft-playground train --data mini.jsonl"


@dataclass(frozen=True, slots=True)
class Chosen:
    """A run to watch; with the config to resume it with, if it is to be resumed first."""

    folder: Path
    resume: dict[str, Any] | None = None


class RunsDialog(ListDialog[Chosen | None]):
    """All runs of a folder.

    Args:
        home: The folder.
    """

    HELP = glossary.RUNS
    TYPED_INTO = "#name"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "back", tooltip="Back"),
        Binding("r", "resume", "resume", tooltip="Resume a run that was stopped"),
        Binding("n", "rename", "rename", tooltip="Rename the run"),
        Binding("d", "remove", "remove", tooltip="Remove the run and its folder, when pressed twice"),
        Binding("space", "mark", "mark", tooltip="Mark the run, to chart several together"),
        Binding("c", "curves", "curves", tooltip="Chart the losses of the marked runs, or of the newest"),
        Binding("slash", "filter", "filter", key_display="/", tooltip="Show only runs with this in their line"),
    ]

    def __init__(self, home: Path) -> None:
        super().__init__()
        self._home = home
        self._runs: list[tuple[Path, RunRecord]] = []  # that match the filter
        self._sure_of = ""
        self._marked: list[Path] = []  # for the shared chart

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(classes="heading", markup=False)
            yield Static(classes="columns", markup=False)
            yield OptionList(compact=True)
            yield Input(placeholder="name, state or data set", id="filter", compact=True)
            yield Input(placeholder="new name", id="name", compact=True)
            yield Line(id="problems")
            yield Static(classes="keys", markup=False)
        yield Keys()

    def on_mount(self) -> None:
        for field in self.query(Input):
            field.display = False
        self._fill()
        self.query_one(OptionList).focus()

    def _fill(self, at: int = 0) -> None:
        found = library.list_runs(self._home)
        wanted = self.query_one("#filter", Input).value.strip().lower()
        self._runs = [run for run in found if wanted in " ".join(_cells(*run)).lower()]
        rows = [[one_line(cell, WIDEST) for cell in _cells(*run)] for run in self._runs]
        widths = [max(map(cell_len, column)) for column in zip(COLUMNS, *rows, strict=True)]
        self.query_one(".columns", Static).update(Content("  " + _line(COLUMNS, widths)))
        options = self.query_one(OptionList)
        options.clear_options()
        marks = ["● " if folder in self._marked else "  " for folder, _ in self._runs]
        options.add_options([Option(Content(mark + _line(row, widths))) for mark, row in zip(marks, rows, strict=True)])
        if rows:
            options.highlighted = min(at, len(rows) - 1)
        if not found:
            options.add_option(Option("Choose a data set, and F5 trains on it"))
            options.highlighted = 0
        self.query_one(".heading", Static).update("Runs, newest first" if found else NONE)
        self.query_one(".keys", Static).update(KEYS if found else "Enter chooses · Esc back")
        self.query_one(".columns").display = bool(found)
        if wanted:
            self._say(f"{len(rows)} of {count(len(found), 'run')}")
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what is done to a run only if there is one."""
        on_a_run = action in ("resume", "rename", "remove", "mark", "curves", "filter", "move")
        return bool(self._runs) or not on_a_run or (action == "filter" and bool(self.query_one("#filter", Input).value))

    def _here(self) -> tuple[Path, RunRecord] | None:
        at = self.query_one(OptionList).highlighted
        return self._runs[at] if at is not None and at < len(self._runs) else None

    @on(OptionList.OptionSelected)
    def open_run(self, event: OptionList.OptionSelected) -> None:
        """Watch the chosen run; without runs, go back to the data sets."""
        self.dismiss(Chosen(self._runs[event.option_index][0]) if self._runs else None)

    def action_resume(self) -> None:
        """Resume a stopped run."""
        if (here := self._here()) is None:
            return
        folder, record = here
        if is_busy(folder):
            self._say("It is still training; Enter shows it.")
        elif record.step >= record.num_steps and record.state == "finished":
            self._say("It has already finished.")
        else:
            try:
                library.require_idle(self._home)
                config = TrainConfig.from_dict(record.config).to_dict()
            except PlaygroundError as error:
                self._say(f"{error.message} {error.hint}")
                return
            self.dismiss(Chosen(folder, config))

    def action_rename(self) -> None:
        """Ask for a new name."""
        if here := self._here():
            field = self.query_one("#name", Input)
            field.display, field.value = True, here[0].name
            field.focus()

    def action_filter(self) -> None:
        """Ask for what a run's name, state or data set contains."""
        field = self.query_one("#filter", Input)
        field.display = True
        field.focus()

    @on(Input.Changed, "#filter")
    def filter_runs(self) -> None:
        """Show the runs that contain it."""
        self._fill()

    @on(Input.Submitted, "#filter")
    def keep_filter(self) -> None:
        """Go to the runs that were found."""
        self.query_one(OptionList).focus()

    @on(Input.Submitted, "#name")
    def take_name(self, event: Input.Submitted) -> None:
        """Rename the run."""
        if here := self._here():
            try:
                library.rename(here[0].name, event.value.strip(), self._home)
            except PlaygroundError as error:
                self._say(f"{error.message} {error.hint}")
                return
        self._put_name_away()
        self._fill(self.query_one(OptionList).highlighted or 0)

    def action_remove(self) -> None:
        """Remove a run when pressed twice."""
        if (here := self._here()) is None:
            return
        name = here[0].name
        if self._sure_of != name:
            self._sure_of = name
            self._say(f"D again removes {name} ({size(here[0]) / 1e6:.0f} MB) permanently.")
            return
        try:
            library.remove(name, self._home)
        except PlaygroundError as error:
            self._say(f"{error.message} {error.hint}")
            return
        self._say(f"{name} was removed.")
        self._fill(self.query_one(OptionList).highlighted or 0)

    def action_mark(self) -> None:
        """Mark or unmark the run."""
        if here := self._here():
            self._marked = [folder for folder in self._marked if folder != here[0]] + (
                [] if here[0] in self._marked else [here[0]]
            )
            self._fill(self.query_one(OptionList).highlighted or 0)

    def action_curves(self) -> None:
        """Chart the losses of the marked runs, or of the newest if none is marked."""
        from playground.tui.dialogs.curves import CurvesDialog

        if self._runs:
            self.app.push_screen(CurvesDialog(self._marked or [folder for folder, _ in self._runs[:NEWEST]]))

    def action_leave(self) -> None:
        """Close the name field, or the filter, or leave the dialog."""
        wanted = self.query_one("#filter", Input)
        if self.query_one("#name").display:
            self._put_name_away()
        elif wanted.display:
            wanted.display, wanted.value = False, ""
            self._say("")
            self.query_one(OptionList).focus()
        else:
            self.dismiss(None)

    def _put_name_away(self) -> None:
        self.query_one("#name").display = False
        self.query_one(OptionList).focus()

    def _say(self, words: str) -> None:
        self.query_one("#problems", Line).say(words)


def _cells(folder: Path, record: RunRecord) -> tuple[str, ...]:
    loss = f"{record.loss:.2f}" if isinstance(record.loss, float) else ""
    held_out = f"{record.eval_loss:.2f}" if isinstance(record.eval_loss, float) else ""
    when = str(record.created_at)[5:16].replace("T", " ")
    steps = f"{record.step}/{record.num_steps}"
    return (folder.name, state_of(folder, record), steps, loss, held_out, str(record.data_name), when)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(set_cell_size(cell, width) for cell, width in zip(cells, widths, strict=True))

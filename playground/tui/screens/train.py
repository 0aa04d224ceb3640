"""The training screen: choose a data set, see which tokens are trained, start."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input, OptionList, Static

from playground import paths
from playground.config import TrainConfig
from playground.data.columns import renamings
from playground.errors import PlaygroundError
from playground.events.inspector import (
    DataSetInfo,
    DataSets,
    InspectorError,
    InspectorStage,
    Looked,
    MaskedRow,
    PlanMade,
    RowsShown,
    TableFound,
)
from playground.runs import library
from playground.text import clean, one_line
from playground.tui import glossary
from playground.tui.content.advice import in_app
from playground.tui.content.dataset import plan_short, plan_words
from playground.tui.dialogs.base import Leavable
from playground.tui.dialogs.columns import ColumnsDialog
from playground.tui.dialogs.files import FilesDialog, PathSuggester
from playground.tui.dialogs.training_options import FormDialog
from playground.tui.state.opened import InspectorSaid, OpenedData, problem
from playground.tui.widgets.data_set_view import DataSetView
from playground.tui.widgets.data_sets import READ_AT_ONCE, DataSetList, what
from playground.tui.widgets.footer import Keys
from playground.tui.widgets.line import Line
from playground.tui.widgets.panes import NARROW

RESTS = 0.2  # seconds after which the highlighted data set is read
READY = "Enter or F5 starts training on the bright, underlined tokens. PgDn: more"


class TrainScreen(Leavable[None]):
    """Data sets on the left; on the right, the chosen one's rows with their loss masks, and the plan.

    Args:
        inspector: Starts the inspector.
    """

    HELP = glossary.TRAIN
    TYPED_INTO = "#path"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "back", priority=True, tooltip="Back"),
        Binding("f5", "start", "train", priority=True, tooltip="Start training on this data set"),
        Binding("f4", "columns", "column", priority=True, tooltip="Choose the columns of a table"),
        Binding("f9", "options", "options", priority=True, tooltip="Training options"),
        Binding("f3", "files", "file", priority=True, tooltip="Choose a file"),
        Binding("f6", "runs", "runs", priority=True, tooltip="All runs: open, resume, compare their losses"),
        Binding("f10", "teach", "teach", priority=True, tooltip="The five steps on the first row, with one key"),
        Binding("ctrl+l", "losses", "loss", priority=True, tooltip="The loss of each trained token, base and adapter"),
        Binding("ctrl+y", "copy", "copy", priority=True, tooltip="Copy the equivalent command"),
        Binding("pagedown", "page(1)", "more", show=False, tooltip="Further down in the data set"),
        Binding("pageup", "page(-1)", "back", show=False, tooltip="Further up"),
    ]

    class StartRequested(Message):
        """Request to start a run of this config, as stored in a record, in `folder`."""

        def __init__(self, config: dict[str, Any], folder: Path) -> None:
            super().__init__()
            self.config = config
            self.folder = folder

    class TeachRequested(Message):
        """Request to take the five steps on the row in this line of the config's data set."""

        def __init__(self, config: TrainConfig, line: int) -> None:
            super().__init__()
            self.config = config
            self.line = line

    class LossesRequested(Message):
        """Request to show what the tokens of `rows` cost, of the row at this index first."""

        def __init__(self, config: TrainConfig, rows: Sequence[MaskedRow], at: int) -> None:
            super().__init__()
            self.config = config
            self.rows = rows
            self.at = at

    class RunsRequested(Message):
        """Request to show the runs."""

    def __init__(
        self, inspector: Callable[[], Any], adapters_dir: str | None = None, held: Callable[[], int] = lambda: 0
    ) -> None:
        super().__init__()
        self._opened = OpenedData(inspector, self, held)
        self._home = paths.adapters_dir(adapters_dir)
        self._asks = False  # whether the columns are asked for as soon as it turns out that they are needed
        self._rest: Timer | None = None
        self._folder = Path.cwd()  # in which a file is picked

    def compose(self) -> ComposeResult:
        yield Line("train", id="top")
        with Horizontal(id="train"):
            with Vertical(id="choose"):
                yield Static("data sets", classes="title", markup=False)
                yield DataSetList(id="sets")
                yield Input(placeholder="a file, or hf:org/name", id="path", compact=True, suggester=PathSuggester())
                yield Static(id="plan", markup=False)
                yield Static(id="short-plan", markup=False)
            yield DataSetView(id="look")
        yield Line("↑ ↓ shows a data set; F5 starts training on it.", id="hint")
        yield Keys()

    def on_mount(self) -> None:
        """Ask for the available data sets, and for the one of the settings."""
        self.query_one(DataSetList).focus()
        self.on_resize()
        self._opened.listen()
        self._opened.list()
        self._look()

    def on_unmount(self) -> None:
        self._opened.close()

    def on_resize(self) -> None:
        """Stack both halves when the window is too narrow."""
        self.query_one("#train").set_class(self.size.width < NARROW, "stacked")

    @property
    def _list(self) -> DataSetList:
        return self.query_one(DataSetList)

    @property
    def _view(self) -> DataSetView:
        return self.query_one(DataSetView)

    def _config(self) -> TrainConfig | None:
        """Return the config that F5 would train, or show why the settings are invalid."""
        try:
            return self._opened.config()
        except PlaygroundError as error:
            self.hint(problem(error))
            return None

    def _open(self, data: str, *, asks: bool) -> None:
        """Open a data set: read it and plan the training. If its columns are needed, ask for them if `asks`."""
        self._opened.change(data)
        self._asks = asks
        if self._list.hold(data):
            self.query_one("#path", Input).value = ""
        self._look()

    def _look(self) -> None:
        """Read the open data set with the current options, and plan."""
        self._clear()
        try:
            self._opened.look()
        except PlaygroundError as error:
            self.hint(problem(error))

    def _clear(self) -> None:
        """Show nothing of the data set that was open before."""
        if self._rest is not None:
            self._rest.stop()
        self._view.clear()
        for where in ("#plan", "#short-plan"):
            self.query_one(where, Static).update("")
        if config := self._config():
            held = self._list.current if self._list.is_held(config.data) else None
            self.query_one("#top", Line).say(f"train · {held.name if held else config.data} · model {config.model}")
        self.refresh_bindings()

    @on(InspectorSaid)
    def _said(self, message: InspectorSaid) -> None:
        match self._opened.heard(message):
            case DataSets() as event:
                self._list.put(event.sets)
                self._list.hold(self._opened.data)
            case InspectorError():
                self.hint(self._opened.why_no_plan)
            case InspectorStage() as event:
                share = f" {100 * event.share:.0f} %" if 0 < event.share < 1 else ""
                self.hint(f"{event.stage}{share} …{' Esc cancels.' if self._opened.on_the_hub else ''}")
            case TableFound() as event:
                self.refresh_bindings()
                if event.needed:
                    self._ask(event)
            case Looked() as event:
                self._show_check(event)
            case RowsShown() as event:
                self._view.show_rows(event)
            case PlanMade() as event:
                self._view.show_plan(event.plan)
                self.query_one("#plan", Static).update(plan_words(event.plan))
                self.query_one("#short-plan", Static).update(plan_short(event.plan))
                self.hint(READY)

    def _ask(self, found: TableFound) -> None:
        """Say that nothing can be read before the columns are chosen, and let them be chosen."""
        table = found.table
        self._keep_in_list(DataSetInfo(table.name, "", "opened", table.num_rows, "", columns=renamings(table.roles)))
        self.hint(self._opened.why_no_plan)
        if self._asks:
            self.action_columns()

    def _show_check(self, looked: Looked) -> None:
        check, config = looked.check, self._config()
        self._view.show_check(check, config.columns if config else ())
        if check.num_sound:
            num_bad = check.num_rows - check.num_sound
            self._keep_in_list(DataSetInfo(check.name, "", "opened", check.num_rows, check.shape, num_bad))

    def _keep_in_list(self, about: DataSetInfo) -> None:
        """Show in the list what was read, and that it is open."""
        self._list.update_about(replace(about, path=self._opened.data))
        self.query_one("#path", Input).value = ""

    @on(OptionList.OptionHighlighted)
    def rest(self) -> None:
        """Open the highlighted data set; read it once the highlight rests, if that is quick and nothing is missing."""
        info = self._list.current
        if info is None or self._list.is_held(self._opened.data):
            return
        self.query_one("#path", Input).value = ""
        self._asks = False
        self._opened.change(info.path)
        self._clear()
        unnamed = bool(info.columns) and not self._opened.knows_columns_of(info.path)
        if unnamed or info.num_rows is None or info.num_rows > READ_AT_ONCE:
            enter = "Enter chooses them." if unnamed else "Enter reads it."
            self._opened.forget(f"{one_line(info.name, 40)}: {what(info)}. {enter}")
            self._view.say(self._opened.why_no_plan)
            self.hint(self._opened.why_no_plan)
        else:
            self._rest = self.set_timer(RESTS, self._look)

    @on(OptionList.OptionSelected)
    def choose(self) -> None:
        """Open the data set; if it is open and planned, start training."""
        info = self._list.current
        if info is None or self._opened.reading:
            return
        if self._opened.plan is not None:
            self.action_start()
        else:
            self._open(info.path, asks=True)

    @on(Input.Submitted)
    def type_path(self, event: Input.Submitted) -> None:
        """Open the data set whose path was typed."""
        if event.value.strip():
            self._open(event.value.strip(), asks=True)

    def action_files(self) -> None:
        """Pick a file."""

        def choose(path: Path | None) -> None:
            if path is not None:
                self._folder = path.parent
                self._open(str(path), asks=True)

        self.app.push_screen(FilesDialog(self._folder), choose)

    def action_columns(self) -> None:
        """Choose which column is the prompt and which the answer."""
        if self._opened.table is None:
            return
        data = self._opened.data

        def choose(roles: Mapping[str, str] | None) -> None:
            if roles is not None:
                self._opened.choose(data, roles)
                self._look()

        self.app.push_screen(ColumnsDialog(self._opened.table, self._opened.roles), choose)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the columns only where there are some to choose from."""
        return action != "columns" or self._opened.table is not None

    def action_options(self) -> None:
        """Change the training options."""

        def keep(changed: Mapping[str, Any] | None) -> None:
            if changed is not None:
                self._opened.change(**changed)
                self._look()

        if (config := self._config()) is not None:
            chosen = self._opened.plan.plan.choices if self._opened.plan else ()
            self.app.push_screen(FormDialog(config, chosen), keep)

    def action_start(self) -> None:
        """Start, unless the plan does not fit in memory."""
        if self._opened.plan is None:
            self.hint(self._opened.why_no_plan)
            return
        plan = self._opened.plan.plan
        if not plan.fits and self._opened.outdated:
            self._look()
            return
        if not plan.fits:
            way = in_app(f"This would fit: {plan.nearest}") if plan.nearest else "No setting would fit here."
            self.hint(f"There is not enough memory. {way}")
            return
        if (config := self._config()) is None:
            return
        folder = self._home / paths.new_run_name(Path(config.data), self._home, datetime.now())
        try:
            library.require_idle(self._home)
        except PlaygroundError as error:
            self.hint(problem(error))
            return
        self.post_message(self.StartRequested(config.to_dict(), folder))

    def action_runs(self) -> None:
        """Show the runs."""
        self.post_message(self.RunsRequested())

    def action_teach(self) -> None:
        """Take the five steps on the first row."""
        if not self._opened.first:
            self.hint(self._opened.why_no_plan)
        elif (config := self._config()) is not None:
            self.post_message(self.TeachRequested(config, self._opened.first))

    def action_losses(self) -> None:
        """Show the loss of each trained token of the row that is being read."""
        if not self._view.rows:
            self.hint(self._opened.why_no_plan)
        elif (config := self._config()) is not None:
            self.post_message(self.LossesRequested(config, self._view.rows, self._view.read()))

    def action_copy(self) -> None:
        """Copy the equivalent command."""
        if self._opened.plan is not None:
            command = self._opened.plan.command
            self.app.copy_to_clipboard(clean(command))
            self.hint(f"Copied: {command}")
        else:
            self.hint(self._opened.why_no_plan)

    def action_page(self, by: int) -> None:
        """Page forward or back in the data set, wherever the focus is."""
        self._view.page(by)

    def action_leave(self) -> None:
        """Stop reading from the hub, or go back to the compare screen."""
        if self._opened.on_the_hub:
            self._opened.cancel()
            self.hint(self._opened.why_no_plan)
        else:
            self.dismiss()

    def hint(self, text: str) -> None:
        """Show a message below."""
        self.query_one("#hint", Line).say(text)

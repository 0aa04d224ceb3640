"""The training screen: choose a data set, see which tokens are trained, start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Footer, Input, OptionList, Static
from textual.widgets.option_list import Option

from playground import paths, settings
from playground.config import TrainConfig
from playground.errors import PlaygroundError
from playground.events.inspector import (
    DataSets,
    InspectorError,
    InspectorEvent,
    InspectorStage,
    Looked,
    PlanMade,
    RowsShown,
)
from playground.jobs.training import start_training
from playground.runs import library
from playground.text import clean, one_line
from playground.tui.content.dataset import (
    SHORT,
    begins_to_learn,
    look_title,
    look_words,
    masked,
    plan_short,
    plan_words,
)
from playground.tui.dialogs.base import Leavable
from playground.tui.dialogs.files import FilesDialog, PathSuggester
from playground.tui.dialogs.training_options import FormDialog
from playground.tui.widgets.line import Line
from playground.tui.widgets.panes import NARROW

WAIT = "The plan is not ready yet."
MOST_SHOWN = 40  # rows whose masks are on screen
LOOK = ("about", "first", "findings", "whole-plan", "rows")  # the parts of a data set's view, from top to bottom


class TrainScreen(Leavable[None]):
    """Data sets on the left; on the right, the chosen one's rows with their loss masks, and the plan.

    Args:
        inspector: Starts the inspector.
    """

    TYPED_INTO = "#path"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "back", priority=True),
        Binding("f5", "start", "start training", priority=True),
        Binding("f9", "options", "options", priority=True),
        Binding("f3", "files", "files", priority=True),
        Binding("f6", "runs", "runs", priority=True),
        Binding("ctrl+y", "copy", "copy the command", priority=True),
        Binding("pagedown", "page(1)", show=False, priority=True),
        Binding("pageup", "page(-1)", show=False, priority=True),
    ]

    class Started(Message):
        """A run was started in `folder`."""

        def __init__(self, folder: Path) -> None:
            super().__init__()
            self.folder = folder

    class RunsRequested(Message):
        """Request to show the runs."""

    class InspectorSaid(Message):
        """An event from the inspector."""

        def __init__(self, event: InspectorEvent) -> None:
            super().__init__()
            self.event = event

    def __init__(self, inspector: Callable[[], Any], adapters_dir: str | None = None) -> None:
        super().__init__()
        self._inspector = inspector()
        self._home = paths.adapters_dir(adapters_dir)
        self._options: dict[str, Any] = {}  # overrides of the saved settings
        self._sets: tuple[Any, ...] = ()
        self._request = 0
        self._plan: PlanMade | None = None
        self._why_no_plan = WAIT

    def compose(self) -> ComposeResult:
        yield Line("train", id="top")
        with Horizontal(id="train"):
            with Vertical(id="choose"):
                yield Static("data sets", classes="title", markup=False)
                yield OptionList(id="sets", compact=True)
                yield Input(placeholder="a file, or hf:org/name", id="path", compact=True, suggester=PathSuggester())
                yield Static(id="plan", markup=False)
                yield Static(id="short-plan", markup=False)
            with VerticalScroll(id="look"):
                for part in LOOK:
                    yield Static(id=part, markup=False)
        yield Line("↑ ↓ Enter shows a data set; F5 starts training on it.", id="hint")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Ask for the available data sets."""
        self.query_one(OptionList).focus()
        self.on_resize()
        self._listen()
        self._inspector.list()
        self._look()

    def on_unmount(self) -> None:
        self._inspector.close()

    def on_resize(self) -> None:
        """Stack both halves when the window is too narrow."""
        self.query_one("#train").set_class(self.size.width < NARROW, "stacked")

    @work(thread=True)
    def _listen(self) -> None:
        for event in self._inspector.events():
            if not self.app.is_running:
                return
            self.post_message(self.InspectorSaid(event))

    def config(self) -> TrainConfig | None:
        """Return the config that F5 would train, or show why the settings are invalid."""
        try:
            return TrainConfig(**settings.options(self._options, None))
        except PlaygroundError as error:
            self.hint(f"{error.message} {error.hint}")
            return None

    def _look(self) -> None:
        if (config := self.config()) is None:
            return
        self._plan, self._why_no_plan = None, WAIT
        self._request = self._inspector.look(config.to_dict())
        self.query_one("#top", Line).say(f"train · {config.data} · model {config.model}")
        for where in ("plan", "short-plan", *LOOK):
            self.query_one(f"#{where}", Static).update("")

    @on(InspectorSaid)
    def _said(self, message: InspectorSaid) -> None:
        match message.event:
            case DataSets() as event:
                self._list(event)
            case InspectorError(request=number) as error if number in (self._request, -1):
                first, *more = error.message.splitlines() or [""]
                others = f" (and {len(more)} more)" if more else ""
                self._why_no_plan = f"{first.rstrip('.')}{others}. {error.hint}"
                self.hint(self._why_no_plan)
            case event if event.request != self._request:
                pass  # about a data set that is no longer selected
            case InspectorStage() as event:
                share = f" {100 * event.share:.0f} %" if 0 < event.share < 1 else ""
                self.hint(f"{event.stage}{share} …")
            case Looked() as event:
                self.query_one("#about", Static).update(look_title(event.check))
                self.query_one("#findings", Static).update(look_words(event.check))
            case RowsShown() as event:
                shown, whole = event.rows[:MOST_SHOWN], 0
                if shown:
                    self.query_one("#first", Static).update(begins_to_learn(shown[0]))
                    whole = int(len(shown[0].texts) <= SHORT)  # and is not repeated below
                self.query_one("#rows", Static).update(masked(shown[whole:], event.total - whole))
            case PlanMade() as event:
                self._plan = event
                for where in ("#plan", "#whole-plan"):
                    self.query_one(where, Static).update(plan_words(event.plan))
                self.query_one("#short-plan", Static).update(plan_short(event.plan))
                self.hint("F5 starts training on the bright, underlined tokens. PageDown: more.")

    def _list(self, event: DataSets) -> None:
        self._sets = event.sets
        options = self.query_one(OptionList)
        options.clear_options()
        for info in event.sets:
            rows = f"{info.num_rows:,}" if info.num_rows is not None else "large"
            options.add_option(Option(Content(f"{one_line(info.name, 20):<20} {rows:>7}  {info.where}")))
        config = self.config()
        here = Path(config.data).name if config else ""
        options.highlighted = next((n for n, info in enumerate(event.sets) if info.name == here), 0)

    @on(OptionList.OptionSelected)
    def choose(self, event: OptionList.OptionSelected) -> None:
        """Show the chosen data set."""
        self._options["data"] = self._sets[event.option_index].path
        self._look()

    @on(Input.Submitted)
    def type_path(self, event: Input.Submitted) -> None:
        """Show the data set whose path was typed."""
        if event.value.strip():
            self._options["data"] = event.value.strip()
            self._look()

    def action_files(self) -> None:
        """Pick a file."""

        def choose(path: Path | None) -> None:
            if path is not None:
                self._options["data"] = str(path)
                self._look()

        self.app.push_screen(FilesDialog(), choose)

    def action_options(self) -> None:
        """Change the training options."""

        def keep(changed: Mapping[str, Any] | None) -> None:
            if changed is not None:
                self._options |= changed
                self._look()

        if (config := self.config()) is not None:
            self.app.push_screen(FormDialog(config), keep)

    def action_start(self) -> None:
        """Start, unless the plan does not fit in memory."""
        if self._plan is None:
            self.hint(self._why_no_plan)
            return
        plan = self._plan.plan
        if not plan.fits:
            way = f"This would fit: {plan.nearest}" if plan.nearest else "No setting would fit here."
            self.hint(f"There is not enough memory. {way}")
            return
        if (config := self.config()) is None:
            return
        folder = self._home / paths.new_run_name(Path(config.data), self._home, datetime.now())
        try:
            library.require_idle(self._home)
            start_training(config.to_dict(), folder)
        except PlaygroundError as error:
            self.hint(f"{error.message} {error.hint}")
            return
        self.post_message(self.Started(folder))

    def action_runs(self) -> None:
        """Show the runs."""
        self.post_message(self.RunsRequested())

    def action_copy(self) -> None:
        """Copy the equivalent command."""
        if self._plan is not None:
            self.app.copy_to_clipboard(clean(self._plan.command))
            self.hint(f"Copied: {self._plan.command}")

    def action_page(self, by: int) -> None:
        """Page forward or back in the data set, wherever the focus is."""
        look = self.query_one("#look")
        look.scroll_relative(y=by * max(1, look.size.height - 1), animate=False)

    def action_leave(self) -> None:
        """Go back to the compare screen."""
        self.dismiss()

    def hint(self, text: str) -> None:
        """Show a message below."""
        self.query_one("#hint", Line).say(text)

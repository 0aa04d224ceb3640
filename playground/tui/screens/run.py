"""The run screen: the loss curve, and next to it the changing answers."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Footer, Static

from playground.events.answers import Sampling
from playground.events.engine import Ask, EngineError, EngineEvent, LaneRequest, Spoken
from playground.events.runs import Event, RunEnded, RunStage, RunStarted
from playground.jobs.training import RunLink
from playground.tui.content.samples import answers_at, timeline
from playground.tui.dialogs.base import Leavable
from playground.tui.state.run_history import RunHistory
from playground.tui.widgets.chart import Chart
from playground.tui.widgets.line import Line
from playground.tui.widgets.panes import NARROW
from playground.tui.widgets.prompt import PromptBar

BEAT = 0.5  # seconds between redraws when no key is pressed
TOLD = {
    "pause": "Pausing after this step; the model stays in memory.",
    "continue": "The run continues, exactly as if it had not paused.",
    "sample_now": "Sampling the fixed prompts after this step.",
    "stop": "The run finishes its step, saves everything and ends.",
    "cancel": "The run ends and nothing is kept.",
}


class RunScreen(Leavable[None]):
    """A run, live or finished: losses, samples, and a timeline to step through.

    Args:
        folder: The run's folder.
        starting: Whether its process was just started.
    """

    TYPED_INTO = "#prompt"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "back", priority=True),
        Binding("space", "pause", "pause"),
        Binding("a", "ask", "ask"),
        Binding("s", "tell('sample_now')", "sample now"),
        Binding("left", "scrub(-1)", "earlier"),
        Binding("right", "scrub(1)", "later"),
        Binding("ctrl+s", "tell('stop')", "stop and keep", priority=True),
        Binding("x", "cancel", "cancel"),
        Binding("f6", "compare", "compare", priority=True),
        Binding("d", "data", "data sets"),
    ]

    class Happened(Message):
        """An event from the run."""

        def __init__(self, event: Event) -> None:
            super().__init__()
            self.event = event

    class Replied(Message):
        """An answer from the paused run."""

        def __init__(self, event: EngineEvent) -> None:
            super().__init__()
            self.event = event

    class CompareRequested(Message):
        """Request to compare the run's adapter with its base."""

        def __init__(self, folder: Path) -> None:
            super().__init__()
            self.folder = folder

    class CheckpointsRequested(Message):
        """Request to prompt the ended run's adapters from several steps."""

        def __init__(self, folder: Path) -> None:
            super().__init__()
            self.folder = folder

    class DataRequested(Message):
        """Request to show data sets while the run continues."""

    def __init__(self, folder: Path, *, starting: bool = False) -> None:
        super().__init__()
        self.folder = folder
        self.history = RunHistory()
        self._link = RunLink(folder)
        self._starting = starting
        self._at: int | None = None  # the sampling step shown; None follows the run
        self._sure = False
        self._stale = True

    def compose(self) -> ComposeResult:
        yield Line(id="top")
        with Horizontal(id="run"):
            with Vertical(id="curve"):
                yield Static(id="numbers", markup=False)
                yield Chart("loss")
            with VerticalScroll(id="samples", can_focus=True):
                yield Static(id="timeline", markup=False)
                yield Static(id="answers", markup=False)
        yield Line(id="hint")
        yield PromptBar()
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Follow the run."""
        self.query_one(PromptBar).display = False
        self.query_one("#samples").focus()
        self.query_one("#run").set_class(self.size.width < NARROW, "stacked")
        self.set_interval(BEAT, self._beat)
        self._follow()

    def on_unmount(self) -> None:
        """Stop watching; the run continues."""
        self._link.close()

    def on_resize(self) -> None:
        """Stack chart and samples when the window is too narrow."""
        self.query_one("#run").set_class(self.size.width < NARROW, "stacked")

    @work(thread=True)
    def _follow(self) -> None:
        for event in self._link.follow(self._starting):
            if not self.app.is_running:
                return
            self.post_message(self.Happened(event))

    @on(Happened)
    def _happened(self, message: Happened) -> None:
        self.history.add(message.event)
        self._stale = True
        if isinstance(message.event, RunStage | RunStarted | RunEnded):
            self.refresh_bindings()  # the available actions have changed
        if isinstance(message.event, RunEnded):
            self._beat()

    def _beat(self) -> None:
        if self._stale:
            self._stale = False
            self.draw()

    def draw(self) -> None:
        """Show the run's current state, or its state at the selected step."""
        history = self.history
        started = history.started
        about = f" · {started.plan.data.split(' (')[0]} · {started.model}" if started else ""
        self.query_one("#top", Line).say(f"{history.state()} · run {self.folder.name}{about}")
        numbers = self.query_one("#numbers", Static)
        numbers.update(Content(history.numbers(numbers.size.width or self.size.width)))
        steps = sorted(history.samplings)
        shown = self._at if self._at in history.samplings else (steps[-1] if steps else None)
        cursor = shown if self._at is not None else None
        self.query_one(Chart).show(history.losses(), history.smoothed(), history.num_steps, cursor, history.held_out())
        self.query_one("#timeline", Static).update(timeline(history, shown, looking_back=self._at is not None))
        self.query_one("#answers", Static).update(answers_at(history, shown))
        if history.note or history.ended:
            ended = (
                "F6 compares it with its base; A asks its adapters from several steps."
                if history.ended and history.step
                else ""
            )
            self.hint(f"{history.note} {ended}".strip())

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide the actions that an ended run does not support."""
        return self.history.live or action not in ("pause", "tell", "cancel")

    def action_scrub(self, by: int) -> None:
        """Show the previous or next sampling; after the last one, follow the run again."""
        steps = sorted(self.history.samplings)
        if not steps:
            return
        at = (steps.index(self._at) if self._at in steps else len(steps) - (1 if by < 0 else 0)) + by
        self._at = steps[max(0, at)] if at < len(steps) - (1 if self.history.live else 0) else None
        self.draw()

    def action_pause(self) -> None:
        """Pause or continue."""
        self.action_tell("continue" if self.history.paused else "pause")

    @work(thread=True)
    def action_tell(self, do: str) -> None:
        """Send the run a command."""
        words = (
            TOLD[do]
            if self._link.tell(do)
            else "The run cannot be reached: it is finishing, or was started from the command line."
        )
        self.app.call_from_thread(self.hint, words)

    def action_cancel(self) -> None:
        """Discard the run when pressed twice."""
        if not self._sure:
            self._sure = True
            self.hint("X again discards this run and everything in its folder; Ctrl+S stops it and keeps everything.")
            return
        self._sure = False
        self.action_tell("cancel")

    def action_ask(self) -> None:
        """Prompt base and sft at this step; for an ended run, its adapters from several steps."""
        if not self.history.live:
            self.post_message(self.CheckpointsRequested(self.folder))
            return
        if not self.history.paused:
            self.hint("Press Space to pause the run first: the model answers while it is paused.")
            return
        prompt = self.query_one(PromptBar)
        prompt.display = True
        self.set_focus(prompt)

    @on(PromptBar.Submitted)
    def send(self, event: PromptBar.Submitted) -> None:
        """Ask the paused run."""
        prompt = self.query_one(PromptBar)
        prompt.put("")
        prompt.remember(event.prompt)
        lanes = tuple(LaneRequest(side, side, (event.prompt,)) for side in ("base", "sft"))
        self._ask(Ask(lanes, 1.0, Sampling()))

    @work(thread=True)
    def _ask(self, ask: Ask) -> None:
        def hear(event: EngineEvent) -> None:
            self.post_message(self.Replied(event))

        self._link.ask(ask, hear)

    @on(Replied)
    def _replied(self, message: Replied) -> None:
        event = message.event
        if isinstance(event, Spoken) and event.answer is None:
            self.hint(f"{event.lane}: {event.text[-300:]}")
        elif isinstance(event, EngineError):
            self.hint(f"{event.message} {event.hint}")

    def action_leave(self) -> None:
        """Close the prompt, or leave; the run continues."""
        prompt = self.query_one(PromptBar)
        if prompt.display:
            prompt.display = False
            self.set_focus(self.query_one("#samples"))
        else:
            self.dismiss()

    def action_data(self) -> None:
        """Show data sets; this needs no model."""
        self.post_message(self.DataRequested())

    def action_compare(self) -> None:
        """Compare the run's adapter with its base."""
        if self.history.live:
            self.hint("The run is still training. Ctrl+S stops it and keeps everything; then compare.")
        elif not self.history.step:
            self.hint("There is nothing to compare: the run took no steps.")
        else:
            self.post_message(self.CompareRequested(self.folder))

    def hint(self, text: str) -> None:
        """Show a message below the chart."""
        self.query_one("#hint", Line).say(text)

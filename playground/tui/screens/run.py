"""The run screen: the loss curve, and next to it the filmstrip of a prompt's changing answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Static

from playground.events.answers import Sampling
from playground.events.engine import Ask, EngineError, EngineEvent, LaneRequest, Spoken
from playground.events.runs import Event, RunEnded, RunStage, RunStarted
from playground.jobs.training import RunLink
from playground.text import one_line
from playground.tui import glossary
from playground.tui.content.samples import answers_at
from playground.tui.dialogs.base import Leavable
from playground.tui.state.film import Film
from playground.tui.state.run_history import RunHistory
from playground.tui.widgets.chart import Chart
from playground.tui.widgets.filmstrip import Filmstrip
from playground.tui.widgets.footer import Keys
from playground.tui.widgets.line import Line
from playground.tui.widgets.panes import NARROW
from playground.tui.widgets.prompt import PromptBar

BEAT = 0.5  # seconds between redraws when no key is pressed
FRAME_SECONDS, PLAY_SECONDS = 0.8, 10.0  # a step is shown while playing, and the most for all steps
LOW = 24  # rows of a window; a lower one has no chart
TOLD = {
    "pause": "Pausing after this step; the model stays in memory.",
    "continue": "The run continues, exactly as if it had not paused.",
    "sample_now": "Answering the sample prompts after this step.",
    "stop": "The run finishes its step, saves everything and ends.",
    "cancel": "The run ends and nothing is kept.",
}


class RunScreen(Leavable[None]):
    """A run, live or finished: its losses, and the filmstrip of each sample prompt, to step through or to play.

    Args:
        folder: The run's folder.
        is_there: Says whether its process is there, if it was just started.
    """

    HELP = glossary.RUN
    AUTO_FOCUS = ""  # keys go to the screen, unless a paused run is asked
    TYPED_INTO = "#prompt"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "scrub(-1)", "step", key_display="←→", tooltip="The sampling before"),
        Binding("right", "scrub(1)", "later step", show=False, tooltip="The next sampling"),
        Binding("up,k", "prompt(-1)", "prompt", key_display="↑↓", tooltip="The prompt before"),
        Binding("down,j", "prompt(1)", "next prompt", show=False, tooltip="The next prompt"),
        Binding("home,g", "first", "first step", show=False, tooltip="The first sampling"),
        Binding("end,G", "last", "last step", show=False, tooltip="The last sampling; follows a live run again"),
        Binding("pageup", "page(-1)", "scroll up", show=False, tooltip="Scroll the whole answer up"),
        Binding("pagedown", "page(1)", "scroll down", show=False, tooltip="Scroll the whole answer down"),
        Binding("p", "play", "play", tooltip="Play the steps one after the other"),
        Binding("space", "pause", "pause", tooltip="Pause after this step, or continue"),
        Binding(
            "a", "ask", "ask", tooltip="Ask base and sft at this step; of an ended run, its adapters from several steps"
        ),
        Binding("s", "tell('sample_now')", "sample", tooltip="Answer the sample prompts after this step"),
        Binding("ctrl+s", "tell('stop')", "stop", priority=True, tooltip="Finish the step, save and end"),
        Binding("x", "cancel", "cancel", tooltip="End the run and discard it, when pressed twice"),
        Binding("escape", "leave", "back", priority=True, tooltip="Back; the run goes on"),
        Binding("f6", "compare", "compare", priority=True, tooltip="Compare its adapter with the base"),
        Binding("d", "data", "data", tooltip="Look at data sets; the run goes on"),
        Binding("q", "leave", "leave", show=False, tooltip="Back; the run goes on"),
    ]

    class Happened(Message):
        """An event from the run; news if it happened while the run was watched."""

        def __init__(self, event: Event, *, news: bool) -> None:
            super().__init__()
            self.event = event
            self.news = news

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

    def __init__(self, folder: Path, is_there: Callable[[], bool] | None = None) -> None:
        super().__init__()
        self.folder = folder
        self.history = RunHistory()
        self._link = RunLink(folder)
        self._is_there = is_there
        self._film = Film(self.history)
        self._has_to_play = False  # the run has just ended
        self._player: Timer | None = None
        self._sure = False
        self._stale = True
        self._said: dict[str, str] = {}  # what a paused run has answered so far to its newest prompt, by side
        self._answering = 0  # the number of that request

    def compose(self) -> ComposeResult:
        yield Line(id="top")
        with Horizontal(id="run"):
            with Vertical(id="curve"):
                yield Static(id="numbers", markup=False)
                yield Chart("loss")
            with Vertical(id="samples"):
                yield Filmstrip()
                with VerticalScroll(id="detail", can_focus=False):
                    yield Static(id="answers", markup=False)
        yield Line(id="hint")
        yield PromptBar()
        yield Keys()

    def on_mount(self) -> None:
        """Follow the run."""
        self.query_one(PromptBar).display = False
        self._fit_window()
        self.set_interval(BEAT, self._beat)
        self._follow()

    def on_unmount(self) -> None:
        """Stop watching; the run continues."""
        self._link.close()

    def on_resize(self) -> None:
        """Fit chart and answers into the window."""
        self._fit_window()
        self.call_after_refresh(self.draw)  # texts are cut to the new width

    def _fit_window(self) -> None:
        run = self.query_one("#run")
        run.set_class(self.size.width < NARROW, "stacked")
        run.set_class(self.size.height < LOW, "low")

    @work(thread=True)
    def _follow(self) -> None:
        for event in self._link.follow(self._is_there):
            if not self.app.is_running:
                return
            self.post_message(self.Happened(event, news=self._link.caught_up))

    @on(Happened)
    def _happened(self, message: Happened) -> None:
        self.history.add(message.event)
        self._stale = True
        if isinstance(message.event, RunStage | RunStarted | RunEnded):
            self.refresh_bindings()  # the available actions have changed
        if isinstance(message.event, RunEnded):
            self._has_to_play = message.news and message.event.state in ("finished", "stopped")
            self.draw()

    def _beat(self) -> None:
        if self._stale:
            self._stale = False
            self.draw()
        if self._has_to_play and self.is_current and not self.query_one(PromptBar).display:
            self._has_to_play = False
            if self._film.at is None and self.app.animation_level != "none":  # else the user is looking back
                self.action_play()

    def draw(self) -> None:
        """Show the run's current state, or its state at the selected step."""
        history = self.history
        started = history.started
        about = f" · {started.plan.data.split(' (')[0]} · {started.model}" if started else ""
        film = self._film
        back = " · looking back, End follows it" if history.live and film.at is not None else ""
        self.query_one("#top", Line).say(f"{history.state()}{back} · run {self.folder.name}{about}")
        numbers = self.query_one("#numbers", Static)
        numbers.update(Content(history.numbers(numbers.size.width or self.size.width, film.at)))
        self.query_one(Chart).show(
            history.losses(), history.smoothed(), history.num_steps,
            cursor=film.at, marks=history.held_out(), lowest=history.lowest(),
        )  # fmt: skip
        self.query_one(Filmstrip).show(film, history.prompts(), live=history.live)
        self.query_one("#answers", Static).update(answers_at(history, film.prompt, film.shown))
        if history.note or history.ended:
            ended = (
                "F6 compares it with its base; A asks its adapters from several steps."
                if history.ended and history.step and not history.cancelled
                else ""
            )
            self.hint(f"{history.note} {ended}".strip())

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide the actions that an ended run does not support; of a cancelled one nothing is left."""
        if self.history.cancelled and action in ("ask", "compare"):
            return False
        return self.history.live or action not in ("pause", "tell", "cancel")

    def action_scrub(self, by: int) -> None:
        """Show the previous or next sampling; after the last one, follow the run again."""
        self._film.scrub(by)
        self._turned()

    def action_first(self) -> None:
        """Show the first sampling."""
        self._film.rewind()
        self._turned()

    def action_last(self) -> None:
        """Show the last sampling, and follow a live run again."""
        self._film.at = None
        self._turned()

    def action_prompt(self, by: int) -> None:
        """Show the previous or next sample prompt."""
        self._film.turn(by)
        self._turned()

    def action_page(self, by: int) -> None:
        """Scroll the whole answer."""
        detail = self.query_one("#detail", VerticalScroll)
        detail.scroll_relative(y=by * max(1, detail.size.height - 1), animate=False)

    @on(Filmstrip.StepChosen)
    def _choose(self, message: Filmstrip.StepChosen) -> None:
        self._stop_playing()
        self._film.at = message.step
        self._turned()

    def _turned(self) -> None:
        """Show another answer, from its beginning."""
        self.query_one("#detail").scroll_home(animate=False)
        self.draw()

    def action_play(self) -> None:
        """Show one step after the other, once."""
        self._stop_playing()
        if self._film.rewind():
            self._player = self.set_interval(min(FRAME_SECONDS, PLAY_SECONDS / len(self._film.steps)), self._play_next)
        self._turned()

    def _play_next(self) -> None:
        if not self._film.advance():
            self._stop_playing()
        self._turned()

    def _stop_playing(self) -> bool:
        """Stop at the step that is shown; return whether steps were playing."""
        player, self._player = self._player, None
        if player is not None:
            player.stop()
        return player is not None

    def on_key(self, event: events.Key) -> None:
        """Stop playing on any key; keys with an action then act."""
        self._has_to_play = False
        if self._stop_playing() and event.key == "p":
            event.stop()  # it would start again

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
        if isinstance(event, Spoken):
            if event.request < self._answering:
                return  # to a prompt before
            if event.request > self._answering:
                self._answering, self._said = event.request, {}
            self._said[event.lane] = event.text
            said = ((lane, self._said[lane].strip()) for lane in ("sft", "base") if lane in self._said)
            self.hint("\n".join(f"{lane}: {one_line(text, max(20, self.size.width - 10))}" for lane, text in said))
        elif isinstance(event, EngineError):
            self.hint(f"{event.message} {event.hint}")

    def action_leave(self) -> None:
        """Close the prompt, or leave; the run continues."""
        prompt = self.query_one(PromptBar)
        if prompt.display:
            prompt.display = False
            self.set_focus(None)
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

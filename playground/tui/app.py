"""The app: its screens, themes and commands, and how it ends."""

from __future__ import annotations

import asyncio
import gc
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Input, TextArea

from playground import paths
from playground.errors import PlaygroundError
from playground.jobs.engine import EngineProcess
from playground.text import clean
from playground.tui.screens.compare import CompareScreen
from playground.tui.state.engine import Engine, Start
from playground.tui.state.session import Session
from playground.tui.strings import COMMANDS
from playground.tui.themes import THEMES
from playground.tui.widgets.prompt import MOST

if TYPE_CHECKING:  # imported when they are opened: the first paint does not wait for them
    from playground.tui.screens.run import RunScreen
    from playground.tui.screens.train import TrainScreen

IN_TRAINING = "a training run is using the device · Ctrl+R shows it"
TWICE_SECONDS = 3.0  # a second Ctrl+C within this time quits
END_SECONDS = 3


def _inspector() -> Any:
    from playground.jobs.inspector import InspectorProcess

    return InspectorProcess()


def _end_anyway(number: int, frame: object) -> None:
    """End the app; if its terminal is gone and Textual waits for it forever, the system ends the process.

    This uses an alarm, which needs no thread or lock: a signal may arrive while the main thread holds one. Children
    exit when their input ends.
    """
    signal.alarm(END_SECONDS)
    # A terminal that hangs up also sends SIGCONT; Textual would then read from and draw on a dead terminal.
    signal.signal(signal.SIGCONT, _stay)


def _stay(number: int, frame: object) -> None:
    """Do nothing: a signal set to be ignored while Python is still handling it would print a warning."""


class PlaygroundApp(App[None]):
    """Base and fine-tuned model, side by side.

    Args:
        start: Starts an engine; called immediately, and again after a crash or for another model.
        session: The prompts and their answers.
        inspector: Starts the inspector when data sets are opened.
        engine: Starts an engine with several adapters.
        adapters_dir: The folder of the runs, or None for the default.
    """

    TITLE = "sft-playground"
    # A default screen's own CSS_PATH would not be read.
    CSS_PATH: ClassVar[list[str]] = ["app.tcss", "screens/compare.tcss", "screens/train.tcss"]  # type: ignore[assignment]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q", "quit", show=False, priority=True),
        Binding("ctrl+c", "copy_or_stop", show=False, priority=True),
    ]

    def __init__(
        self,
        start: Start,
        session: Session | None = None,
        *,
        inspector: Callable[[], Any] = _inspector,
        engine: Callable[..., Any] = EngineProcess,
        adapters_dir: str | None = None,
    ) -> None:
        super().__init__()
        self._inspector = inspector
        self._engine = engine
        self._adapters_dir = adapters_dir
        self._home = paths.adapters_dir(adapters_dir)
        self._start = start
        self._compare = CompareScreen(self._start_engine, session)
        self._asked_to_quit = 0.0
        for theme in THEMES:
            self.register_theme(theme)

    def get_default_screen(self) -> Screen[None]:
        """Start with the compare screen."""
        return self._compare

    def _start_engine(self, adapters: Sequence[str] = (), model: str | None = None, *, bare: bool = False) -> Engine:
        if self.is_running:  # the first engine starts before anything is on screen; `on_ready` handles that case
            from playground.runs import library

            library.require_idle(self._home)
        return self._start(adapters, model, bare=bare)

    def on_mount(self) -> None:
        """Restore the terminal when a signal ends the app."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            with suppress(NotImplementedError, RuntimeError):  # not in the main thread, as in some tests
                loop.add_signal_handler(number, self.exit, None, 128 + number)
                signal.signal(number, _end_anyway)  # in addition to the event loop's own handler

    def on_ready(self) -> None:
        """Turn garbage collection, disabled by `playground.tui.launch`, back on; freeze the objects that stay."""
        if not gc.isenabled():
            gc.freeze()
            gc.enable()
        from playground.runs import library

        if library.busy_run(self._home) is not None:  # a run that outlived the previous app is using the device
            self._compare.release(IN_TRAINING)

    async def on_event(self, event: events.Event) -> None:
        """Clean pasted text, and route typing and pastes to the right widget on the screen."""
        if isinstance(event, events.InputEvent | events.Paste) and not self.screen_stack:
            return  # typed while the app closes: its screens are gone, and Textual would look for one
        if isinstance(event, events.Paste):
            text = event.text[: MOST + 1]  # cleaning megabytes takes seconds; one extra character shows it was longer
            event.text = clean(text.replace("\r\n", "\n").replace("\r", "\n"))
        if isinstance(event, events.Key | events.Paste) and not event.is_forwarded:
            self._aim(event)
        await super().on_event(event)

    def _aim(self, event: events.Key | events.Paste) -> None:
        """Focus the widget that takes typed text before the key is delivered to the focused widget.

        A screen names this widget in `TYPED_INTO`; nothing else there takes letters. It is done here, where keys arrive
        one by one, because changing the focus while a key is in flight lets the next key overtake it.
        """
        where = getattr(self.screen, "TYPED_INTO", "")
        if not where or isinstance(self.focused, TextArea | Input) or not self.screen.query(where):
            return
        place = self.screen.query_one(where)
        if isinstance(event, events.Paste):
            typed = True
        else:  # Enter and backspace are part of typing a prompt; in a list, Enter chooses
            typed = event.is_printable or (isinstance(place, TextArea) and event.key in ("enter", "backspace"))
        if typed and place.display and place.focusable:
            self.screen.set_focus(place)

    def get_system_commands(self, screen: Screen[None]) -> Iterable[SystemCommand]:
        """Yield the palette's commands: every action of the screen, then Textual's own."""
        if screen is self._compare:
            for title, help, action in COMMANDS:
                yield SystemCommand(title, help, getattr(self._compare, f"action_{action}"))
        yield from super().get_system_commands(screen)

    def action_train(self) -> None:
        """Open the training screen, or the active run if there is one."""
        if self.screen is not self._compare:
            return
        from playground.runs import library
        from playground.tui.screens.train import TrainScreen

        busy = library.busy_run(self._home)
        if busy is not None:
            self._compare.release(IN_TRAINING)
            self._watch(busy)
        else:
            self.push_screen(TrainScreen(self._inspector, self._adapters_dir))

    def on_train_screen_started(self, event: TrainScreen.Started) -> None:
        """Watch the run that was started."""
        # Two processes with a model would compete for the device's memory and compute.
        self._compare.release(IN_TRAINING)
        self._leave()
        self._watch(event.folder, starting=True)

    def on_train_screen_runs_requested(self) -> None:
        """Show the list of runs and watch the chosen one."""
        from playground.tui.dialogs.runs import Chosen, RunsDialog

        def choose(chosen: Chosen | None) -> None:
            if chosen is None:
                return
            if chosen.starting:
                self._compare.release(IN_TRAINING)
            self._leave()
            self._watch(chosen.folder, starting=chosen.starting)

        self.push_screen(RunsDialog(self._home), choose)

    def _leave(self) -> None:
        """Go back to the compare screen, wherever the user has gone since."""
        while len(self.screen_stack) > 1:
            self.pop_screen()

    def _watch(self, folder: Path, *, starting: bool = False) -> None:
        from playground.tui.screens.run import RunScreen

        self.push_screen(RunScreen(folder, starting=starting))

    def on_run_screen_data_requested(self) -> None:
        """Show data sets while a run continues."""
        from playground.tui.screens.train import TrainScreen

        self.push_screen(TrainScreen(self._inspector, self._adapters_dir))

    def on_run_screen_checkpoints_requested(self, event: RunScreen.CheckpointsRequested) -> None:
        """Open a screen that prompts a run's adapters from several steps."""
        from playground.runs import library
        from playground.runs.folder import kept_steps
        from playground.tui.screens.ask import AskScreen

        if not kept_steps(event.folder):
            self.notify("This run kept no adapter from any step.", markup=False)
            return
        try:
            library.require_idle(self._home)
        except PlaygroundError as error:
            self.notify(f"{error.message} {error.hint}", markup=False)
            return
        self._compare.release("asking a run · F5 brings the model back")

        def start(adapters: Sequence[str]) -> Any:
            return self._engine(adapters=adapters, adapters_dir=self._adapters_dir)

        self.push_screen(AskScreen(event.folder, start))

    def on_run_screen_compare_requested(self, event: RunScreen.CompareRequested) -> None:
        """Compare a run's adapter with its base."""
        self._leave()
        self._compare.use(str(event.folder))

    def action_copy_or_stop(self) -> None:
        """Copy the selection, or stop generating, or quit when pressed twice."""
        focused = self.focused
        selected = self.screen.get_selected_text() or (focused.selected_text if isinstance(focused, TextArea) else "")
        if selected:
            self.copy_to_clipboard(clean(selected))
        elif self.screen is self._compare and self._compare.streaming:
            self._compare.action_stop()
        elif time.monotonic() - self._asked_to_quit < TWICE_SECONDS:
            self.exit()
        else:
            self._asked_to_quit = time.monotonic()
            self.notify("Press Ctrl+C again to quit.", markup=False)

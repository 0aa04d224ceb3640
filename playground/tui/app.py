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
from playground.tui.link import Engine, Start
from playground.tui.screens.compare import CompareScreen
from playground.tui.state.session import Session
from playground.tui.strings import COMMANDS
from playground.tui.themes import THEMES
from playground.tui.widgets.prompt import MOST

if TYPE_CHECKING:  # imported when they are opened: the first paint does not wait for them
    from playground.tui.screens.run import RunScreen
    from playground.tui.screens.train import TrainScreen

IN_TRAINING = "the model is in training · Ctrl+R shows it"
TWICE_SECONDS = 3.0  # a second Ctrl+C within this time quits
END_SECONDS = 3


def _inspector() -> Any:
    from playground.jobs.inspector import InspectorProcess

    return InspectorProcess()


def _end_anyway(number: int, frame: object) -> None:
    """Let the app end; if its terminal is gone and Textual waits for it for ever, the system ends the process.

    An alarm, since it needs no thread and no lock: a signal may come while the main thread holds one. Children end
    with their input.
    """
    signal.alarm(END_SECONDS)
    # A terminal that hangs up sends it as well, and Textual would begin to read from and draw on what is gone.
    signal.signal(signal.SIGCONT, _stay)


def _stay(number: int, frame: object) -> None:
    """Heed no signal; one that is ignored by the system while Python has it in hand would print a complaint."""


class PlaygroundApp(App[None]):
    """Base and fine-tuned model, side by side.

    Args:
        start: Starts an engine; called once at once, and again after a crash or for another model.
        session: What is asked and what came of it.
        inspector: Starts the inspector, when data sets are looked at.
        engine: Starts an engine with several adapters.
        adapters_dir: Where runs are, or None for the usual place.
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
        """Begin with the compare screen."""
        return self._compare

    def _start_engine(self, adapter: str | None = None, model: str | None = None, *, bare: bool = False) -> Engine:
        if self.is_running:  # the first one, before anything is on screen, is looked after when the app is ready
            from playground.runs import library

            library.require_idle(self._home)
        return self._start(adapter, model, bare=bare)

    def on_mount(self) -> None:
        """Leave the terminal as it was when a signal ends the app."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            with suppress(NotImplementedError, RuntimeError):  # not in the main thread, as in some tests
                loop.add_signal_handler(number, self.exit, None, 128 + number)
                signal.signal(number, _end_anyway)  # beside the loop's, which hears of signals in its own way

    def on_ready(self) -> None:
        """Collect garbage again, which `playground.tui.launch` put off, but never look through what is here to stay."""
        if not gc.isenabled():
            gc.freeze()
            gc.enable()
        from playground.runs import library

        if library.busy_run(self._home) is not None:  # a training that outlived the app before this one has the device
            self._compare.release(IN_TRAINING)

    async def on_event(self, event: events.Event) -> None:
        """Clean what is pasted, and let what is typed or pasted reach the place for it on the screen."""
        if isinstance(event, events.InputEvent | events.Paste) and not self.screen_stack:
            return  # typed while the app closes: its screens are gone, and Textual would look for one
        if isinstance(event, events.Paste):
            text = event.text[: MOST + 1]  # cleaning megabytes would take seconds; one more says that it was longer
            event.text = clean(text.replace("\r\n", "\n").replace("\r", "\n"))
        if isinstance(event, events.Key | events.Paste) and not event.is_forwarded:
            self._aim(event)
        await super().on_event(event)

    def _aim(self, event: events.Key | events.Paste) -> None:
        """Give the focus to where a key is typed, before the key is handed to what has the focus.

        A screen names the place in `TYPED_INTO`; nothing else there takes letters. It is done here, where keys come
        one by one, because a focus that changes while a key is on its way lets the next key overtake it.
        """
        where = getattr(self.screen, "TYPED_INTO", "")
        if not where or isinstance(self.focused, TextArea | Input) or not self.screen.query(where):
            return
        place = self.screen.query_one(where)
        if isinstance(event, events.Paste):
            typed = True
        else:  # what ends or mends a prompt is a part of typing it; where there is a list, Enter chooses
            typed = event.is_printable or (isinstance(place, TextArea) and event.key in ("enter", "backspace"))
        if typed and place.display and place.focusable:
            self.screen.set_focus(place)

    def get_system_commands(self, screen: Screen[None]) -> Iterable[SystemCommand]:
        """Yield what the palette offers: every action of the screen, then Textual's own."""
        if screen is self._compare:
            for title, help, action in COMMANDS:
                yield SystemCommand(title, help, getattr(self._compare, f"action_{action}"))
        yield from super().get_system_commands(screen)

    def action_train(self) -> None:
        """Open the training screen, on top of the run that is on if there is one."""
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
        # Two processes with a model would share the device's memory and its arithmetic.
        self._compare.release(IN_TRAINING)
        self._leave()
        self._watch(event.folder, starting=True)

    def on_train_screen_runs_asked(self) -> None:
        """Show what was trained, and watch what is chosen."""
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

    def on_run_screen_data_asked(self) -> None:
        """Look at data sets while a run goes on."""
        from playground.tui.screens.train import TrainScreen

        self.push_screen(TrainScreen(self._inspector, self._adapters_dir))

    def on_run_screen_checkpoints_asked(self, event: RunScreen.CheckpointsAsked) -> None:
        """Ask a run as it was at several steps."""
        from playground.runs import library
        from playground.runs.folder import kept_steps
        from playground.tui.screens.ask import AskScreen

        if not kept_steps(event.folder):
            self.notify("This run kept no adapter at a step.", markup=False)
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

    def on_run_screen_compare_asked(self, event: RunScreen.CompareAsked) -> None:
        """Compare what a run has made with its base."""
        self._leave()
        self._compare.use(str(event.folder))

    def action_copy_or_stop(self) -> None:
        """Copy what is selected; else stop what streams; else quit, when pressed twice."""
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
            self.notify("Ctrl+C again quits.", markup=False)

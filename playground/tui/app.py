"""The app: its screens, themes and commands, and how it ends."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events, on
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.filter import DimFilter
from textual.screen import Screen
from textual.widgets import Input, TextArea

from playground import paths
from playground.errors import PlaygroundError
from playground.jobs.engine import EngineProcess
from playground.text import clean
from playground.tui.commands import commands, keys, title
from playground.tui.screens.compare import CompareScreen
from playground.tui.state.beginning import Beginning, TrainingNotStarted, TrainingStarted
from playground.tui.state.engine import NOTHING, Engine, NoEngine, Start, Started
from playground.tui.state.memory import Memory
from playground.tui.state.session import Session
from playground.tui.themes import THEMES, fading, readable
from playground.tui.widgets.examples import Examples
from playground.tui.widgets.prompt import MOST, PromptBar

if TYPE_CHECKING:  # imported when they are opened: the first paint does not wait for them
    from playground.events.five_steps import Lesson
    from playground.tui.screens.run import RunScreen
    from playground.tui.screens.train import TrainScreen

IN_TRAINING = "a training run is using the device · Ctrl+R shows it"
FREEING = "Waiting until the model of the compare screen has left the memory …"
TRAINED = "no training run is using the device any longer · F5 loads the model"
TWICE_SECONDS = 3.0  # a second Ctrl+C within this time quits
END_SECONDS = 3


def _inspector() -> Any:
    from playground.jobs.inspector import InspectorProcess

    return InspectorProcess()


def _teacher(adapters_dir: str | None) -> Any:
    from playground.jobs.teacher import TeacherProcess

    return TeacherProcess(adapters_dir)


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
        teacher: Starts the teacher of one row, with the folder of the adapters.
        adapters_dir: The folder of the runs, or None for the default.
        memory: What to remember from one start to the next.
        first: The adapters and the model to begin with, as they were chosen last time.
        learn: Whether to open the lesson at once; then no engine starts before it ends.
    """

    TITLE = "sft-playground"
    # A default screen's own CSS_PATH would not be read.
    CSS_PATH: ClassVar[list[str]] = [
        "app.tcss",
        "screens/compare.tcss",
        "screens/train.tcss",
        "screens/five_steps.tcss",
        "screens/learn.tcss",
    ]  # type: ignore[assignment]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1", "help", "help", priority=True, tooltip="What the words on this screen mean, and its keys"),
        Binding("question_mark", "question", "help", show=False, tooltip="Help, where nothing can be typed"),
        Binding("ctrl+p", "command_palette", "palette", show=False, priority=True, tooltip="Every command, and themes"),
        Binding(
            "ctrl+c",
            "copy_or_stop",
            "copy or stop",
            show=False,
            priority=True,
            tooltip="Copy the selection, or stop; twice: quit",
        ),
        Binding("ctrl+q", "quit", "quit", show=False, priority=True, tooltip="Quit"),
    ]

    def __init__(
        self,
        start: Start,
        session: Session | None = None,
        *,
        inspector: Callable[[], Any] = _inspector,
        engine: Callable[..., Any] = EngineProcess,
        teacher: Callable[[str | None], Any] = _teacher,
        adapters_dir: str | None = None,
        memory: Memory | None = None,
        first: Started = NOTHING,
        learn: bool = False,
    ) -> None:
        super().__init__()
        self._inspector = inspector
        self._engine = engine
        self._teacher = teacher
        self._adapters_dir = adapters_dir
        self._home = paths.adapters_dir(adapters_dir)
        self._start = start
        self._memory = memory or Memory()
        self._learn = learn
        self._compare = CompareScreen(self._start_engine, session, first, is_new=self._memory.is_new)
        self._asked_to_quit = 0.0
        self._beginning = Beginning(self, partial(self._compare.release, IN_TRAINING))
        for theme in THEMES:
            self.register_theme(theme)
        if self._memory.now.theme in self.available_themes and "TEXTUAL_THEME" not in os.environ:
            self.theme = self._memory.now.theme

    def watch_theme(self, theme: str) -> None:
        """Fade dim text only as far as it can be read on this theme, and remember a theme that was chosen."""
        for line_filter in self.get_line_filters():
            if isinstance(line_filter, DimFilter):
                line_filter.dim_factor = fading(theme, self.theme_variables)
        if self.is_running and theme != self._memory.now.theme:
            self._memory.keep_theme(theme)

    def on_compare_screen_loaded(self, event: CompareScreen.Loaded) -> None:
        """Remember what was chosen, if anything was."""
        if (event.adapters, event.model) != NOTHING:
            self._memory.keep_engine(event.adapters, event.model)

    def on_prompt_bar_opened(self, event: PromptBar.Opened) -> None:
        """Give a prompt its history."""
        event.bar.recall(self._memory.now.prompts)

    @on(PromptBar.Submitted)
    @on(Examples.Chosen)
    def remember(self, event: PromptBar.Submitted | Examples.Chosen) -> None:
        """Keep a prompt for the next start."""
        self._memory.keep_prompt(event.prompt)

    def get_css_variables(self) -> dict[str, str]:
        """Return the theme's colours, with text that can be read."""
        variables = super().get_css_variables()
        variables |= readable(self.theme, variables)
        self.theme_variables = variables
        return variables

    def get_default_screen(self) -> Screen[None]:
        """Start with the compare screen."""
        return self._compare

    def _start_engine(self, adapters: Sequence[str] = (), model: str | None = None, *, bare: bool = False) -> Engine:
        if self.is_running:  # the first engine starts before anything is on screen; `on_ready` handles that case
            from playground.runs import library

            self._beginning.require_none()
            library.require_idle(self._home)
        elif self._learn:
            return NoEngine()
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
        if self._learn:
            self.action_learn()
            if self.screen is self._compare and self._compare.engine.alive:  # it could not open, and said why
                self._compare.resume()

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
        else:  # Enter and backspace are part of typing a prompt, unless what has the focus takes them
            edits = isinstance(place, TextArea) and event.key in ("enter", "backspace")
            typed = event.is_printable or (edits and event.key not in self.screen.active_bindings)
        if typed and place.display and place.focusable:
            self.screen.set_focus(place)

    def get_system_commands(self, screen: Screen[None]) -> Iterable[SystemCommand]:
        """Yield the palette's commands: every action of the screen, then those of Textual that have no key here."""
        for binding in commands(screen):
            if binding.action not in ("command_palette", "question"):
                yield SystemCommand(title(binding), keys(binding), partial(self.run_action, binding.action, screen))
        for words, action in getattr(screen, "UNBOUND", ()):
            yield SystemCommand(words, "", partial(self.run_action, action, screen))
        for command in super().get_system_commands(screen):
            if command.title not in ("Keys", "Quit"):  # F1 shows our keys; Textual's panel begins with the text area's
                yield command

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Let a question mark ask for help only where there is no text to type it into."""
        return action != "question" or not any(field.display for field in self.screen.query("Input, TextArea"))

    def action_question(self) -> None:
        """Open the help."""
        self.action_help()

    def action_help(self) -> None:
        """Open the help of this screen, or close it."""
        from playground.tui.dialogs.help import HelpDialog

        if isinstance(self.screen, HelpDialog):
            self.screen.dismiss()
        elif self.screen.HELP:
            self.push_screen(HelpDialog(self.screen))

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
            self.push_screen(TrainScreen(self._inspector, self._adapters_dir, self._held))

    def _held(self) -> int:
        """Return the bytes that the engine gives back when a training starts, which ends it."""
        return self._compare.engine.held

    def on_train_screen_start_requested(self, event: TrainScreen.StartRequested) -> None:
        """Start a run and watch it."""
        if self._on_data:
            self._begin(event.config, event.folder)

    def _begin(self, config: dict[str, Any], folder: Path, *, resume: bool = False) -> None:
        """Start a run when the engine is gone, and say that this is waited for."""
        from playground.tui.screens.train import TrainScreen

        if isinstance(self.screen, TrainScreen):
            self.screen.hint(FREEING)
        self._beginning.start(config, folder, resume=resume)

    def on_training_started(self, event: TrainingStarted) -> None:
        """Watch the run that was started."""
        self._leave()
        self._watch(event.folder, event.is_there)
        self._beginning.done()

    def on_training_not_started(self, event: TrainingNotStarted) -> None:
        """Say why no run was started."""
        from playground.tui.screens.train import TrainScreen
        from playground.tui.state.opened import problem

        self._beginning.done()
        self._watched(None)
        if isinstance(self.screen, TrainScreen):
            self.screen.hint(problem(event.error))
        else:
            self.notify(problem(event.error), severity="error", markup=False)

    def on_train_screen_runs_requested(self) -> None:
        """Show the list of runs and watch the chosen one."""
        from playground.tui.dialogs.runs import Chosen, RunsDialog

        def choose(chosen: Chosen | None) -> None:
            if chosen is None:
                return
            if chosen.resume is not None:
                self._begin(chosen.resume, chosen.folder, resume=True)
                return
            self._leave()
            self._watch(chosen.folder)

        if self._on_data:
            self.push_screen(RunsDialog(self._home), choose)

    def _leave(self) -> None:
        """Go back to the compare screen, wherever the user has gone since."""
        while len(self.screen_stack) > 1:
            self.pop_screen()

    def _watch(self, folder: Path, is_there: Callable[[], bool] | None = None) -> None:
        from playground.tui.screens.run import RunScreen

        self.push_screen(RunScreen(folder, is_there), self._watched)

    def _watched(self, _: None) -> None:
        """Say on the compare screen that its device is free, if the run has ended."""
        from playground.runs import library

        if not self._compare.engine.alive and library.busy_run(self._home) is None:
            self._compare.top(TRAINED)

    def action_teach(self) -> None:
        """Let the last answer be corrected, and teach that row to a copy of the adapter."""
        if self.screen is not self._compare:
            return
        from playground.tui import teaching

        teaching.ask_row(self._compare, self._teach)

    def on_train_screen_teach_requested(self, event: TrainScreen.TeachRequested) -> None:
        """Take the five steps on a row of a data set, from nothing."""
        from playground.events.five_steps import Lesson

        if self._on_data:
            self._teach(Lesson(event.config.to_dict(), line=event.line))

    @property
    def _on_data(self) -> bool:
        """Whether the training screen is on top. A key that is held down asks again before another screen is."""
        from playground.tui.screens.train import TrainScreen

        return isinstance(self.screen, TrainScreen)

    @property
    def _on_run(self) -> bool:
        """Whether the run screen is on top, as `_on_data`."""
        from playground.tui.screens.run import RunScreen

        return isinstance(self.screen, RunScreen)

    def on_train_screen_losses_requested(self, event: TrainScreen.LossesRequested) -> None:
        """Show what the tokens of a row cost, unless a training run is using the device."""
        from playground.tui import teaching
        from playground.tui.screens.losses import LossesScreen

        if not self._on_data:
            return
        lesson = teaching.on_data(self._compare, self._home, event.config)
        if self._released("looking at losses · F5 brings the model back"):
            self.push_screen(LossesScreen(lesson, event.rows, event.at, lambda: self._teacher(self._adapters_dir)))

    def _teach(self, lesson: Lesson) -> None:
        """Take the five steps on a row, unless a training run is using the device."""
        from playground.tui import teaching
        from playground.tui.screens.five_steps import FiveStepsScreen

        if self._released("teaching one row · F5 brings the model back"):
            copy = teaching.adapter_of(self._compare)
            self.push_screen(FiveStepsScreen(lesson, lambda: self._teacher(self._adapters_dir), copy))

    def action_learn(self) -> None:
        """Open the lesson on the adapter of the compare screen, unless a training run is using the device."""
        if self.screen is not self._compare:
            return
        from playground.tui import teaching
        from playground.tui.screens.learn import LearnScreen

        if teaching.busy(self._compare):
            return
        try:
            lesson = teaching.about(self._compare, teaching.adapter_to_come(self._compare, self._home))
        except PlaygroundError as error:
            self.notify(f"{error.message} {error.hint}", markup=False)
            return
        if self._released("the lesson has the model"):
            self._compare.query(".offer").remove()
            screen = LearnScreen(lesson, lambda: self._teacher(self._adapters_dir))
            self.push_screen(screen, lambda prompt: self._compare.resume(prompt or ""))

    def _released(self, why: str) -> bool:
        """End the engine for another process; return False and say so if a training run is using the device."""
        from playground.runs import library

        try:
            self._beginning.require_none()
            library.require_idle(self._home)
        except PlaygroundError as error:
            self.notify(f"{error.message} {error.hint}", markup=False)
            return False
        self._compare.release(why)
        return True

    def on_run_screen_data_requested(self) -> None:
        """Show data sets while a run continues."""
        from playground.tui.screens.train import TrainScreen

        if self._on_run:
            self.push_screen(TrainScreen(self._inspector, self._adapters_dir, self._held))

    def on_run_screen_checkpoints_requested(self, event: RunScreen.CheckpointsRequested) -> None:
        """Open a screen that prompts a run's adapters from several steps."""
        from playground.runs.folder import kept_steps
        from playground.tui.screens.ask import AskScreen

        if not self._on_run:
            return
        if not kept_steps(event.folder):
            self.notify("This run kept no adapter from any step.", markup=False)
            return
        if not self._released("asking a run · F5 brings the model back"):
            return

        def start(adapters: Sequence[str]) -> Any:
            return self._engine(adapters=adapters, adapters_dir=self._adapters_dir)

        self.push_screen(AskScreen(event.folder, start))

    def on_run_screen_compare_requested(self, event: RunScreen.CompareRequested) -> None:
        """Compare a run's adapter with its base."""
        if self._on_run:
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

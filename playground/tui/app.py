"""The app: its screens, themes and commands, and how it ends."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import TextArea

from playground.text import clean
from playground.tui.link import Start
from playground.tui.screens.compare import CompareScreen
from playground.tui.session import Session
from playground.tui.themes import THEMES
from playground.tui.words import COMMANDS

TWICE_SECONDS = 3.0  # a second Ctrl+C within this time quits


class PlaygroundApp(App[None]):
    """Base and fine-tuned model, side by side.

    Args:
        start: Starts an engine; called once at once, and again after a crash or for another model.
        session: What is asked and what came of it.
    """

    TITLE = "sft-playground"
    # A default screen's own CSS_PATH would not be read.
    CSS_PATH: ClassVar[list[str]] = ["app.tcss", "screens/compare.tcss"]  # type: ignore[assignment]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q", "quit", "quit", priority=True),
        Binding("ctrl+c", "copy_or_stop", show=False, priority=True),
    ]

    def __init__(self, start: Start, session: Session | None = None) -> None:
        super().__init__()
        self._compare = CompareScreen(start, session)
        self._asked_to_quit = 0.0
        for theme in THEMES:
            self.register_theme(theme)

    def get_default_screen(self) -> Screen[None]:
        """Begin with the compare screen."""
        return self._compare

    def on_mount(self) -> None:
        """Leave the terminal as it was when a signal ends the app."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            with suppress(NotImplementedError, RuntimeError):  # not in the main thread, as in some tests
                loop.add_signal_handler(number, self.exit, None, 128 + number)

    def get_system_commands(self, screen: Screen[None]) -> Iterable[SystemCommand]:
        """Yield what the palette offers: every action of the screen, then Textual's own."""
        if screen is self._compare:
            for title, help, action in COMMANDS:
                yield SystemCommand(title, help, getattr(self._compare, f"action_{action}"))
        yield from super().get_system_commands(screen)

    def action_copy_or_stop(self) -> None:
        """Copy what is selected; else stop what streams; else quit, when pressed twice."""
        focused = self.focused
        selected = self.screen.get_selected_text() or (focused.selected_text if isinstance(focused, TextArea) else "")
        if selected:
            self.copy_to_clipboard(clean(selected))
        elif self._compare.streaming:
            self._compare.action_stop()
        elif time.monotonic() - self._asked_to_quit < TWICE_SECONDS:
            self.exit()
        else:
            self._asked_to_quit = time.monotonic()
            self._compare.hint("Ctrl+C again quits.")

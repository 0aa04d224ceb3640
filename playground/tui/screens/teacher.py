"""A screen whose figures come from a teacher: its requests, that it is waited for, and what went wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual.timer import Timer

from playground.events.contrast import AnalysisEvent
from playground.events.five_steps import Served, TeacherError, TeacherStage
from playground.tui.content.advice import in_app
from playground.tui.dialogs.base import Leavable
from playground.tui.state.engine import stage_words
from playground.tui.state.taught import TeacherSaid, Teaching
from playground.tui.widgets.line import Line

PATIENCE = 0.3  # seconds, after which it is said that something is computed


class TeacherScreen(Leavable[None]):
    """One that composes a `Line` with the id ``hint``, and says in `hear` what becomes of an event.

    Args:
        start: Starts a teacher, which ends with the screen.
    """

    def __init__(self, start: Callable[[], Any]) -> None:
        super().__init__()
        self.teaching = Teaching(start, self)
        self._wait: Timer | None = None
        self._failed = False  # whether the hint says what went wrong

    def on_unmount(self) -> None:
        self.teaching.close()

    def hint(self, text: str, *, error: bool = False) -> None:
        """Show a message below."""
        self.query_one("#hint", Line).say(text, error=error)

    def hear(self, event: AnalysisEvent) -> None:
        """Keep what the teacher said, and show it."""
        raise NotImplementedError

    def next_words(self) -> str:
        """Return what is said below when everything is computed."""
        raise NotImplementedError

    def why_not(self, what: str) -> str:
        """Return why a request, by its name, cannot be made now, or an empty string."""
        if not self.teaching.alive:
            return "The process that computes this has ended. Esc goes back."
        return "Still computing: press the key again when it is done." if self.teaching.busy else ""

    def request(self, what: str, *args: Any, **named: Any) -> bool:
        """Make a request, by its name, or say why that cannot be; return whether it was made."""
        if why := self.why_not(what):
            self.hint(why, error=not self.teaching.alive)
            return False
        self.teaching.ask(what, *args, **named)
        self._failed = False
        self._stop_waiting()
        self._wait = self.set_timer(PATIENCE, self._say_computing)
        return True

    def _say_computing(self) -> None:
        if self.teaching.busy:
            self.hint("computing …")

    def _stop_waiting(self) -> None:
        if self._wait is not None:
            self._wait.stop()

    def on_teacher_said(self, message: TeacherSaid) -> None:
        """Show what was computed, what is being loaded, or what went wrong."""
        event = message.event
        self.teaching.heard(event)
        self.hear(event)
        match event:
            case TeacherStage():
                self.hint(f"{event.notice}\n{stage_words(event)}".strip())
            case TeacherError():
                self._stop_waiting()
                self._failed = True
                self.hint(in_app(f"{event.message.rstrip('.')}. {event.hint}").strip(), error=True)
            case Served() if not self.teaching.busy:
                self._stop_waiting()
                if not self._failed:
                    self.hint(self.next_words())

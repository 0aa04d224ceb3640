"""Screens that can be left only once."""

from __future__ import annotations

from typing import TypeVar

from textual.await_complete import AwaitComplete
from textual.screen import ModalScreen, Screen

T = TypeVar("T")


class Leavable(Screen[T]):
    """A screen on top of another. Textual's `dismiss` removes whatever is on top, even on a second key press."""

    def dismiss(self, result: T | None = None) -> AwaitComplete:
        """Leave this screen with a result, unless it was already left."""
        return super().dismiss(result) if self.is_active else AwaitComplete()


class Dialog(ModalScreen[T], Leavable[T]):
    """A dialog over a screen. `ModalScreen` comes first, because Textual takes a widget's style from its first base."""

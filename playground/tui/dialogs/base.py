"""Screens that can be left only once, and dialogs."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen, Screen
from textual.widgets import OptionList

T = TypeVar("T")


class Leavable(Screen[T]):
    """A screen on top of another. Textual's `dismiss` removes whatever is on top, even on a second key press."""

    def dismiss(self, result: T | None = None) -> AwaitComplete:
        """Leave this screen with a result, unless it was already left."""
        return super().dismiss(result) if self.is_active else AwaitComplete()


class Dialog(ModalScreen[T], Leavable[T]):
    """A dialog over a screen. `ModalScreen` comes first, because Textual takes a widget's style from its first base."""

    # A dialog hides the app's keys, except those with priority.
    BINDINGS: ClassVar[list[BindingType]] = [Binding("question_mark", "app.question", show=False)]


class ListDialog(Dialog[T]):
    """A dialog with a list, through which letters move as in `less`: nothing is typed here."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "move('cursor_down')", show=False),
        Binding("k", "move('cursor_up')", show=False),
        Binding("g", "move('first')", show=False),
        Binding("G", "move('last')", show=False),
        Binding("q", "dismiss(None)", show=False),
    ]

    async def action_move(self, where: str) -> None:
        """Move the list's highlight."""
        await self.app.run_action(where, self.query_one(OptionList))

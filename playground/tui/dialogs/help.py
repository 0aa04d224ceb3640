"""The help: a screen's words, then its keys."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import Screen
from textual.widgets import Markdown, Static

from playground.tui.commands import commands, keys, title
from playground.tui.dialogs.base import Dialog


class HelpDialog(Dialog[None]):
    """A page that scrolls.

    Args:
        screen: The screen that is explained: the words are its `HELP`, the keys its bindings.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter,question_mark", "dismiss", "back", priority=True)]

    def __init__(self, screen: Screen[Any]) -> None:
        super().__init__()
        self._about = screen

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            with VerticalScroll(id="help"):
                yield Markdown(self._about.HELP, id="words", open_links=False)
                yield Static("Keys", classes="heading", markup=False)
                for binding in commands(self._about):
                    with Horizontal(classes="entry"):
                        yield Static(keys(binding), classes="word", markup=False)
                        yield Static(title(binding), classes="meaning", markup=False)
            yield Static("↑ ↓ scroll · Esc back", classes="keys", markup=False)

"""The help: terms and keys."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Static

from playground.tui.dialogs.base import Dialog
from playground.tui.strings import HELP


class HelpDialog(Dialog[None]):
    """A page that scrolls."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,f1,q,enter", "dismiss", "back", priority=True)]

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static("What you see, and the keys", classes="heading", markup=False)
            with VerticalScroll(id="help"):
                for word, meaning in HELP:
                    with Horizontal(classes="entry"):
                        yield Static(word, classes="word", markup=False)
                        yield Static(meaning, classes="meaning", markup=False)
            yield Static("↑ ↓ scroll · Esc back", classes="keys", markup=False)

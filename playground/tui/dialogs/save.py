"""The dialog for the name of a file to save."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, Static

from playground.text import one_line
from playground.tui import glossary
from playground.tui.dialogs.base import Dialog


class SaveDialog(Dialog[Path | None]):
    """One line; returns a path whose suffix sets the format, or None.

    Args:
        title: The heading.
        name: The suggested file name.
        suffixes: The available formats.
    """

    HELP = glossary.SAVE
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "cancel", tooltip="Back, and change nothing")
    ]

    def __init__(self, title: str, name: str, suffixes: tuple[str, ...]) -> None:
        super().__init__()
        self._title, self._name, self._suffixes = title, name, suffixes
        self._sure_of = ""

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(self._title, classes="heading", markup=False)
            yield Input(self._name, id="file", compact=True)
            yield Static(f"in {one_line(os.getcwd(), 200)}, unless the name includes a path", id="folder", markup=False)
            yield Static("", id="problems", markup=False)
            endings = " or ".join(self._suffixes)
            yield Static(f"Enter saves; the name must end in {endings} · Esc back", classes="keys", markup=False)

    @on(Input.Submitted)
    def save(self, event: Input.Submitted) -> None:
        """Return the path, unless its suffix is wrong or it would overwrite a file without confirmation."""
        try:
            path = Path(event.value.strip()).expanduser()
            exists = path.exists()
        except (OSError, RuntimeError):  # a name that is too long, an unknown home folder
            self._say("That cannot be the name of a file.")
            return
        if "\0" in event.value or path.is_dir():
            self._say("That cannot be the name of a file.")
        elif path.suffix not in self._suffixes:
            self._say(f"The name must end in {' or '.join(self._suffixes)}.")
        elif exists and self._sure_of != event.value:
            self._sure_of = event.value
            self._say("This file already exists. Enter again overwrites it.")
        else:
            self.dismiss(path)

    def _say(self, words: str) -> None:
        self.query_one("#problems", Static).update(f"\n{words}")

"""One line of plain text from anywhere: a state, a hint, an error."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from playground.text import clean

MOST = 2000  # characters; more would cost a layout of many lines


class Line(Static):
    """Shows text that may be hostile: without control characters or markup, and cut where it is too long."""

    def __init__(self, text: str = "", *, id: str, classes: str | None = None) -> None:
        super().__init__(text, id=id, classes=classes, markup=False)

    def say(self, text: str, *, error: bool = False) -> None:
        """Show this text, marked as an error or not."""
        self.set_class(error, "error")
        self.update(Content(clean(text[:MOST])))

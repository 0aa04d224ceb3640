"""Plain text from anywhere on a line or a few: a state, a hint, an error, a question."""

from __future__ import annotations

from textual.content import Content
from textual.dom import DOMNode
from textual.widgets import Static

from playground.text import clean, count

MOST = 2000  # characters; more would cost a layout of many lines
ROWS = 3  # of a question


def put(place: DOMNode, where: str, content: Content) -> None:
    """Show `content` in the `Static` that `where` selects below `place`; without any it takes no room."""
    widget = place.query_one(where, Static)
    widget.set_class(not content.plain, "empty")
    widget.update(content.rstrip())


class Line(Static):
    """Shows text that may be hostile: without control characters or markup, and cut where it is too long."""

    def __init__(self, text: str = "", *, id: str, classes: str = "") -> None:
        super().__init__(text, id=id, classes=f"{classes}{'' if text else ' empty'}".strip(), markup=False)

    def say(self, text: str, *, error: bool = False) -> None:
        """Show this text, marked as an error or not."""
        self.set_class(error, "error")
        self.set_class(not text, "empty")
        self.update(Content(clean(text[:MOST])))


class Question(Line):
    """The prompt that is answered: its beginning, and how much there is besides."""

    def __init__(self) -> None:
        super().__init__(id="question")
        self._text = ""

    def ask(self, prompt: str) -> None:
        """Show a prompt, or nothing."""
        self._text = f"› {prompt}" if prompt else ""
        self._fit()

    def on_resize(self) -> None:
        """Cut it anew."""
        self._fit()

    def _fit(self) -> None:
        self.say(self._text)
        if not (width := self.content_size.width):
            return
        rows = Content(clean(self._text[:MOST])).wrap(width)
        if len(rows) > ROWS:
            more = "and more" if len(self._text) > MOST else f"and {count(len(rows) - ROWS + 1, 'more line')}"
            self.update(Content("\n").join([*rows[: ROWS - 1], Content(f"  … {more}")]))

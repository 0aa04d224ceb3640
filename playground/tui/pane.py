"""A pane: what one side was fed, what it says, and how it ended."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from playground.events import Answer
from playground.report.words import how_it_ended
from playground.text import clean, count, one_line

FED = {
    "base": "the base model, fed the text as typed",
    "control": "the base model, fed the template",
    "sft": "with the adapter, fed the template",
}


class Pane(Vertical):
    """One side of the comparison. Nothing it shows is ever markup."""

    can_focus = False

    def __init__(self, side: str) -> None:
        super().__init__(id=side, classes="pane")
        self.side = side
        self.text = ""
        self._fed = ""
        self._opened = False

    def compose(self) -> ComposeResult:
        """Lay out title, text and state."""
        yield Static(Content.assemble((f" {self.side} ", "bold"), (f" {FED[self.side]}", "dim")), classes="title")
        yield Static(classes="fed", markup=False)
        with VerticalScroll(classes="said") as scroll:
            scroll.can_focus = True
            yield Static(classes="text", markup=False)
        yield Static(classes="state", markup=False)

    def begin(self) -> None:
        """Clear the pane for a new answer."""
        self.text = ""
        self._put(".text", "")
        self._put(".state", "…")

    def fed(self, text: str, num_tokens: int) -> None:
        """Say what the side was fed; `opened` shows all of it."""
        self._fed = text
        self._tokens = num_tokens
        self._show_fed()

    def toggle_fed(self) -> None:
        """Open or close the exact text that the side was fed."""
        self._opened = not self._opened
        self._show_fed()

    def _show_fed(self) -> None:
        if not self._fed:
            return
        about = f"{count(self._tokens, 'token')}: "
        shown = clean(self._fed) if self._opened else one_line(self._fed, max(10, self.size.width - len(about) - 4))
        self._put(".fed", about + shown)

    def say(self, text: str, num_tokens: int, seconds: float) -> None:
        """Show the text so far."""
        self.text = text
        self._put(".text", clean(text))
        self.query_one(VerticalScroll).scroll_end(animate=False)
        pace = f" · {num_tokens / seconds:.0f} tokens/s" if seconds > 0 else ""
        self._put(".state", f"▶ {count(num_tokens, 'token')}{pace}")

    def end(self, answer: Answer, *, repeats: bool, seconds: float) -> None:
        """Show how the answer ended."""
        self.text = answer.text
        self._put(".text", clean(answer.text).strip("\n") or "(nothing)")
        length = f" · {count(answer.num_tokens, 'token')}" if answer.finish_reason == "stop" else ""
        pace = f" · {answer.num_tokens / seconds:.0f} tokens/s" if seconds > 0 else ""
        self._put(".state", how_it_ended(answer, repeats) + length + pace)

    def fail(self, message: str) -> None:
        """Say why there is no text."""
        self._put(".state", f"✗ {one_line(message, 300)}")

    def _put(self, where: str, text: str) -> None:
        self.query_one(where, Static).update(Content(text))

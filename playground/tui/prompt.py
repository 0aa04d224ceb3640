"""The prompt line, with what was asked before on the arrow keys."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Input


class PromptBar(Input):
    """A line of text; up and down go through the prompts of this session, and what was half typed is kept."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "older", show=False),
        Binding("down", "newer", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(placeholder="Your prompt", id="prompt")
        self._asked: list[str] = []
        self._at = 0  # behind the last: what is being typed
        self._typed = ""

    def remember(self, prompt: str) -> None:
        """Add a prompt; one that was just asked is not added again."""
        if self._asked[-1:] != [prompt]:
            self._asked.append(prompt)
        self._at = len(self._asked)
        self._typed = ""

    def action_older(self) -> None:
        """Show the prompt before."""
        if self._at == len(self._asked):
            self._typed = self.value
        self._go(max(0, self._at - 1))

    def action_newer(self) -> None:
        """Show the prompt after, in the end what was being typed."""
        self._go(min(len(self._asked), self._at + 1))

    def _go(self, at: int) -> None:
        self._at = at
        self.value = self._asked[at] if at < len(self._asked) else self._typed
        self.cursor_position = len(self.value)

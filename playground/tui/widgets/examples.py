"""Prompts to begin with, on an empty screen: a click or Enter asks one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Static


class _Example(Static, can_focus=True):
    """One of them."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "choose", show=False)]

    DEFAULT_CLASSES = "example"

    def __init__(self, prompt: str) -> None:
        super().__init__(f"› {prompt}", markup=False)
        self._prompt = prompt

    async def on_click(self) -> None:
        await self.action_choose()

    async def action_choose(self) -> None:
        """Ask it."""
        self.post_message(Examples.Chosen(self._prompt))


class _Offer(_Example):
    """The lesson."""

    DEFAULT_CLASSES = "example offer"

    async def action_choose(self) -> None:
        """Open it."""
        await self.run_action("app.learn")


class Examples(Vertical):
    """They are what Tab reaches first from the prompt.

    Args:
        prompts: The examples.
        offer: What is said of the lesson, which this opens too; empty if it is not offered.
    """

    can_focus = False

    class Chosen(Message):
        """A prompt was chosen."""

        def __init__(self, prompt: str) -> None:
            super().__init__()
            self.prompt = prompt

    def __init__(self, prompts: Sequence[str], offer: str = "") -> None:
        super().__init__(id="examples")
        self._prompts, self._offer = prompts, offer

    def compose(self) -> ComposeResult:
        yield Static("Try one: click it, or Tab and Enter", classes="keys", markup=False)
        yield from map(_Example, self._prompts)
        if self._offer:
            yield _Offer(self._offer)

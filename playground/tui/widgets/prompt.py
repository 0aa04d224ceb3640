"""The prompt: Enter sends it, and the arrow keys recall earlier ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import TextArea

MOST = 100_000  # characters; longer pastes are cut off: they fit no context, and laying them out takes seconds


TAKEN = {"f6", "f7", "up", "down"}  # keys of the text area that have another meaning here


class PromptBar(TextArea, inherit_bindings=False):
    """Text on one or more lines. Up and down, at its ends, recall earlier prompts."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(b for b in TextArea.BINDINGS if isinstance(b, Binding) and b.key not in TAKEN),
        Binding("ctrl+j,shift+enter,alt+enter", "newline", show=False),
        Binding("up", "older", show=False),
        Binding("down", "newer", show=False),
    ]

    class Submitted(Message):
        """A prompt was submitted."""

        def __init__(self, prompt: str) -> None:
            super().__init__()
            self.prompt = prompt

    class Blank(Message):
        """Enter was pressed on an empty prompt."""

    class Opened(Message):
        """A prompt is on the screen, without a history yet."""

        def __init__(self, bar: PromptBar) -> None:
            super().__init__()
            self.bar = bar

    class Cut(Message):
        """A paste was too long."""

    def __init__(self) -> None:
        super().__init__(
            id="prompt", compact=True, highlight_cursor_line=False, placeholder="Your prompt", tab_behavior="focus"
        )
        self.cursor_blink = False  # each blink redoes the layout, a fifth of the work of all streaming
        self._asked: list[str] = []
        self._at = 0  # after the last: the text being typed
        self._typed = ""

    def on_mount(self) -> None:
        """Ask for earlier prompts."""
        self.post_message(self.Opened(self))

    def recall(self, prompts: Sequence[str]) -> None:
        """Put the prompts of earlier starts before those of this one."""
        self._asked[:0] = prompts
        self._at += len(prompts)

    def remember(self, prompt: str) -> None:
        """Add a prompt to the history, unless it is the same as the last one."""
        if self._asked[-1:] != [prompt]:
            self._asked.append(prompt)
        self._at = len(self._asked)
        self._typed = ""

    def put(self, text: str) -> None:
        """Replace the text and move the cursor to its end."""
        self.text = text
        self.move_cursor(self.document.end)

    def action_submit(self) -> None:
        """Submit the prompt, or say that it is blank."""
        prompt = self.text.strip()
        self.post_message(self.Submitted(prompt) if prompt else self.Blank())

    def action_newline(self) -> None:
        """Start a new line."""
        self.insert("\n")

    def action_older(self) -> None:
        """Go up a line, or from the first line to the previous prompt."""
        if self.cursor_location[0] > 0:
            self.action_cursor_up()
            return
        if self._at == len(self._asked):
            self._typed = self.text
        self._go(max(0, self._at - 1))

    def action_newer(self) -> None:
        """Go down a line, or from the last line to the next prompt, and finally to the text being typed."""
        if self.cursor_location[0] < self.document.line_count - 1:
            self.action_cursor_down()
            return
        self._go(min(len(self._asked), self._at + 1))

    async def _on_key(self, event: events.Key) -> None:
        # No priority binding: it would overtake earlier letters that are still queued.
        if event.key == "enter":
            event.stop()
            event.prevent_default()
            self.action_submit()

    async def _on_paste(self, event: events.Paste) -> None:
        # Textual calls the text area's own handler after this one, with the same event.
        if len(event.text) > MOST:
            event.text = event.text[:MOST]
            self.post_message(self.Cut())

    def _go(self, at: int) -> None:
        if at == self._at:
            return
        self._at = at
        self.put(self._asked[at] if at < len(self._asked) else self._typed)

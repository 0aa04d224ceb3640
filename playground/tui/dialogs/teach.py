"""The dialog for a row that is typed: a prompt, and what should have been answered."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static, TextArea

from playground.tui import glossary
from playground.tui.dialogs.base import Dialog
from playground.tui.widgets.prompt import MOST


class _Field(TextArea, inherit_bindings=True):
    """Text on one or more lines; Enter accepts the dialog."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+j,shift+enter,alt+enter", "newline", show=False)]

    def __init__(self, text: str, id: str) -> None:
        super().__init__(text, id=id, compact=True, highlight_cursor_line=False, tab_behavior="focus")
        self.cursor_blink = False

    def on_mount(self) -> None:
        """Begin at the end."""
        self.move_cursor(self.document.end)

    def action_newline(self) -> None:
        """Start a new line."""
        self.insert("\n")

    async def _on_key(self, event: events.Key) -> None:
        # No priority binding: it would overtake earlier letters that are still queued.
        if event.key == "enter":
            event.stop()
            event.prevent_default()
            await self.screen.run_action("teach")

    async def _on_paste(self, event: events.Paste) -> None:
        event.text = event.text[:MOST]


class TeachDialog(Dialog[tuple[str, str] | None]):
    """Returns prompt and answer, or None.

    Args:
        prompt: The prompt to begin with.
        answer: The answer to begin with.
    """

    HELP = glossary.TEACH
    AUTO_FOCUS = "#taught-answer"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "teach", "teach", priority=True, tooltip="Take the five steps on this row"),
        Binding("escape", "dismiss(None)", "cancel", priority=True, tooltip="Back, and change nothing"),
    ]

    def __init__(self, prompt: str, answer: str) -> None:
        super().__init__()
        self._prompt, self._answer = prompt, answer

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog", id="teach"):
            yield Static("Teach one row", classes="heading", markup=False)
            yield Static("prompt", classes="title", markup=False)
            yield _Field(self._prompt, "taught-prompt")
            yield Static("what it should have answered", classes="title", markup=False)
            yield _Field(self._answer, "taught-answer")
            yield Static("", id="problems", markup=False)
            keys = "Enter goes on · Ctrl+J new line · Tab prompt or answer · Esc back"
            yield Static(keys, classes="keys", markup=False)

    def action_teach(self) -> None:
        """Return the row, unless a part of it is blank."""
        prompt, answer = (self.query_one(f"#taught-{part}", _Field).text.strip() for part in ("prompt", "answer"))
        if prompt and answer:
            self.dismiss((prompt, answer))
        else:
            self.query_one("#problems", Static).update(f"\nThe {'answer' if prompt else 'prompt'} is empty: type one.")

"""The judge bar: which answer is better?"""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Static

from playground.events.exchanges import BOTH_BAD, TIE

LETTERS = "ABCD"


class _Choice(Static):
    """Something to click on."""

    def __init__(self, words: str, choice: str) -> None:
        super().__init__(words, markup=False, classes="choice")
        self._choice = choice

    def on_click(self) -> None:
        self.post_message(JudgeBar.Voted(self._choice))


class JudgeBar(Horizontal, can_focus=True):
    """Shown when answers stand to be judged. Any other key than its own goes to the prompt."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(f"{key},{key.lower()},{n + 1}", f"vote('{n}')", show=False) for n, key in enumerate(LETTERS)),
        Binding("t,0", f"vote('{TIE}')", show=False),
        Binding("x", f"vote('{BOTH_BAD}')", show=False),
    ]

    class Voted(Message):
        """The pane of this number won, or `TIE`, or `BOTH_BAD`."""

        def __init__(self, choice: str) -> None:
            super().__init__()
            self.choice = choice

    class Typed(Message):
        """A key was meant for the prompt."""

        def __init__(self, character: str) -> None:
            super().__init__()
            self.character = character

    def __init__(self) -> None:
        super().__init__(id="judge")
        self._count = 2

    def compose(self) -> ComposeResult:
        """Lay out a choice for each pane there may be."""
        yield Static("Which is better?", markup=False)
        for n, letter in enumerate(LETTERS):
            yield _Choice(f"{letter}", str(n))
        yield _Choice("T tie", TIE)
        yield _Choice("X both bad", BOTH_BAD)

    def offer(self, count: int) -> None:
        """Show the bar for so many panes."""
        self._count = count
        for n, choice in enumerate(self.query(_Choice)):
            choice.display = n >= len(LETTERS) or n < count
        self.display = True

    def action_vote(self, choice: str) -> None:
        """Vote with a key."""
        if not choice.isdigit() or int(choice) < self._count:
            self.post_message(self.Voted(choice))

    def on_key(self, event: events.Key) -> None:
        """Pass on what is no vote."""
        mine = {"0", "t", "x", "T", "X", *LETTERS[: self._count], *LETTERS[: self._count].lower()}
        mine |= {str(n + 1) for n in range(self._count)}
        if event.is_printable and event.character and event.character not in mine:
            event.stop()
            self.post_message(self.Typed(event.character))

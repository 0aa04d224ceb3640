"""The judge bar: which answer is better? It takes clicks; keys vote only in the dialog that F4 opens."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Static

from playground.events.exchanges import BOTH_BAD, TIE
from playground.tui.state.session import LETTERS


class _Choice(Static):
    """A clickable choice."""

    def __init__(self, words: str, choice: str) -> None:
        super().__init__(words, markup=False, classes="choice")
        self._choice = choice

    def on_click(self) -> None:
        self.post_message(JudgeBar.Voted(self._choice))


class JudgeBar(Horizontal):
    """Shown when answers can be judged. It never takes the focus: anything typed goes to the next prompt."""

    can_focus = False

    class Voted(Message):
        """The winning pane's number, `TIE` or `BOTH_BAD`."""

        def __init__(self, choice: str) -> None:
            super().__init__()
            self.choice = choice

    def __init__(self) -> None:
        super().__init__(id="judge")

    def compose(self) -> ComposeResult:
        yield Static("Which is better? F4, or click:", markup=False)
        for n, letter in enumerate(LETTERS):
            yield _Choice(letter, str(n))
        yield _Choice("tie", TIE)
        yield _Choice("both bad", BOTH_BAD)

    def offer(self, count: int) -> None:
        """Show the bar with `count` panes to choose from."""
        for n, choice in enumerate(self.query(_Choice)):
            choice.display = n >= len(LETTERS) or n < count
        self.display = True

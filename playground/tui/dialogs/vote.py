"""The dialog for voting with keys and for undoing the last vote."""

from __future__ import annotations

from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from playground.events.exchanges import BOTH_BAD, TIE
from playground.tui import glossary
from playground.tui.dialogs.base import Dialog
from playground.tui.state.session import LETTERS

Decision = tuple[Literal["vote", "take back", "mode"], str]


def _key(keys: str, action: str, words: str = "") -> Binding:
    return Binding(keys, action, words, show=False, priority=True)


class VoteDialog(Dialog[Decision | None]):
    """Letters vote, in either case. It sits below the answers, so that they stay readable; Esc only closes it.

    Args:
        count: The number of answers to choose from; 0 if there are none to vote on.
        last: The last vote, in words; empty if there is none to undo.
    """

    HELP = glossary.VOTE
    BINDINGS: ClassVar[list[BindingType]] = [
        # Priority: the app handles these before the next key, so text typed after a vote goes to the prompt.
        *(
            _key(f"{letter},{letter.lower()}", f"vote('{n}')", f"{letter} is the better answer")
            for n, letter in enumerate(LETTERS)
        ),
        _key("T,t", f"vote('{TIE}')", "both are equally good"),
        _key("X,x", f"vote('{BOTH_BAD}')", "both are bad"),
        _key("U,u", "take_back", "undo the last vote"),
        _key("f4", "mode", "judging mode for the next answers"),
        _key("escape", "dismiss(None)", "vote later"),
    ]

    def __init__(self, count: int, last: str) -> None:
        super().__init__()
        self._count, self._last = count, last

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            if self._count:
                yield Static("Which answer is better?", classes="heading", markup=False)
                letters = "   ".join(LETTERS[: self._count])
                yield Static(f"{letters}   T tie   X both bad", markup=False)
            else:
                yield Static("No answers to vote on.", classes="heading", markup=False)
            if self._last:
                yield Static(f"U undoes the last vote: {self._last}", markup=False)
            later = "Esc later" if self._count else "Esc back"
            yield Static(f"F4 next judging mode · {later}", classes="keys", markup=False)

    def action_vote(self, choice: str) -> None:
        """Vote, if that answer exists."""
        if self._count and (not choice.isdigit() or int(choice) < self._count):
            self.dismiss(("vote", choice))

    def action_take_back(self) -> None:
        """Undo the last vote, if there is one."""
        if self._last:
            self.dismiss(("take back", ""))

    def action_mode(self) -> None:
        """Switch to another judging mode for the next answers."""
        self.dismiss(("mode", ""))

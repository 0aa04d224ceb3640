"""What a session saves: votes immediately, files on request, copies to the clipboard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from textual import on

from playground import paths
from playground.errors import PlaygroundError
from playground.events.exchanges import BOTH_BAD, TIE, Exchange
from playground.report import exchanges as report
from playground.report import votes
from playground.text import clean, count
from playground.tui.screens.engine import EngineScreen
from playground.tui.widgets.judge import LETTERS, JudgeBar
from playground.tui.widgets.pane import Pane
from playground.tui.widgets.panes import Panes

T = TypeVar("T")


def chosen(judged: Exchange) -> str:
    """Return a vote in words."""
    if judged.vote in (TIE, BOTH_BAD):
        return {TIE: "a tie", BOTH_BAD: "both bad"}[judged.vote]
    letter = LETTERS[list(judged.answers).index(judged.vote)]
    return letter if judged.mode == "duel" else f"{judged.vote} ({letter})"


class KeepingScreen(EngineScreen):
    """Votes, saving and copying."""

    @on(JudgeBar.Voted)
    def _clicked(self, event: JudgeBar.Voted) -> None:
        self.vote(event.choice)

    def vote(self, answer: str) -> None:
        """Record a vote for a pane's number, `TIE` or `BOTH_BAD`; reveal the sides and save the vote."""
        now = self.session.round
        if now is None:
            return
        if why := now.why_no_vote():
            self.hint(why)
            return
        if answer.isdigit() and int(answer) >= len(now.lanes):
            return  # there is no such pane
        choice = now.lanes[int(answer)].name if answer.isdigit() else answer
        judged = self.session.vote(choice)
        self.query_one(JudgeBar).display = False
        self.query_one(Panes).dress()
        said = chosen(judged)
        try:
            votes.append(paths.votes_file(), judged)
        except PlaygroundError as error:
            self.hint(f"You chose {said}. {error.message} {error.hint}")
            return
        both = self.session.several_turns and choice not in (TIE, BOTH_BAD)
        going_on = " Both sides continue from that answer." if both else ""
        self.hint(f"You chose {said}.{going_on} The vote is saved: F4 U undoes it, Ctrl+P exports votes for DPO.")

    def take_vote_back(self) -> None:
        """Undo the last vote of this session: it no longer counts and is not saved with the session."""
        judged = self.session.last_vote
        if judged is None:
            self.hint("There is no vote to undo.")
            return
        try:
            votes.append(paths.votes_file(), replace(judged, vote=""))
        except PlaygroundError as error:
            self.hint(f"{error.message} {error.hint}")
            return
        self.session.take_vote_back()
        self.query_one(Panes).dress()
        now = self.session.round
        why = now.why_no_vote() if now is not None else ""
        if now is not None and not why:
            self.query_one(JudgeBar).offer(len(now.lanes))
        self.hint(f"The vote for {chosen(judged)} was undone. {why or 'F4 votes on these answers.'}")

    def action_save(self) -> None:
        """Save the exchanges of this session."""
        kept = self.session.exchanges
        if not kept:
            self.hint("There is nothing to save yet: send a prompt first.")
            return

        def write(path: Path, chosen: Sequence[Exchange]) -> str:
            path.write_text(report.WRITERS[path.suffix](chosen), "utf-8")
            return count(len(chosen), "exchange")

        self._to_file(f"Save {count(len(kept), 'exchange')}", "session", tuple(report.WRITERS), kept, write)

    def action_export_sides(self) -> None:
        """Export preferences between base and sft."""
        self._export("sides")

    def action_export_duels(self) -> None:
        """Export preferences from duels."""
        self._export("duels")

    def _export(self, kind: votes.Kind) -> None:
        try:
            pairs = votes.preferences(votes.read(paths.votes_file()), kind)
        except PlaygroundError as error:
            self.hint(f"{error.message} {error.hint}")
            return
        if not pairs:
            self.hint("There are no such votes yet. F4 hides the sides or starts a duel.")
            return

        def write(path: Path, chosen: Sequence[votes.Preference]) -> str:
            path.write_text("".join(pair.to_json() + "\n" for pair in chosen), "utf-8")
            return count(len(chosen), "preference")

        self._to_file(f"Export {count(len(pairs), 'preference')} for DPO", kind, (".jsonl",), pairs, write)

    def _to_file(
        self,
        title: str,
        stem: str,
        suffixes: tuple[str, ...],
        what: Sequence[T],
        write: Callable[[Path, Sequence[T]], str],
    ) -> None:
        from playground.tui.dialogs.save import SaveDialog

        def save(path: Path | None) -> None:
            if path is None:
                return
            try:
                words = write(path, what)
            except OSError as error:
                self.hint(f"{path} cannot be written: {error.strerror or error}. Nothing was saved.")
                return
            self.hint(f"{words} in {path}")

        name = f"{stem}-{datetime.now(UTC):%m%d-%H%M}{suffixes[0]}"
        self.app.push_screen(SaveDialog(title, name, suffixes), save)

    def action_copy(self) -> None:
        """Copy the text of the focused pane, or of the last one."""
        shown = self.query_one(Panes).shown
        focused = self.focused
        chosen = next((pane for pane in shown if focused is not None and pane in focused.ancestors), shown[-1])
        self.copy(chosen)

    def copy(self, pane: Pane) -> None:
        """Copy a pane's text to the terminal's clipboard, and to a file for terminals without one."""
        text = clean(pane.text)  # text pasted into a shell must not contain control characters
        if not text:
            self.hint("There is nothing to copy yet.")
            return
        self.app.copy_to_clipboard(text)
        file = paths.cache_dir() / "copied.txt"
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
        except OSError:
            self.hint(f"Copied {count(len(text), 'character')} (OSC 52).")
            return
        self.hint(f"Copied {count(len(text), 'character')} (OSC 52); also in {file}")

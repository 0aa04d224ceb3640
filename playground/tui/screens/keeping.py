"""What is kept of a session: votes at once, files when asked, copies in the clipboard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from playground.tui.widgets.prompt import PromptBar

T = TypeVar("T")


class KeepingScreen(EngineScreen):
    """Votes, saving and copying."""

    @on(JudgeBar.Typed)
    def _type(self, event: JudgeBar.Typed) -> None:
        """Take a key that was meant for the prompt."""
        prompt = self.query_one(PromptBar)
        prompt.focus()
        prompt.insert(event.character)

    @on(JudgeBar.Voted)
    def _vote(self, event: JudgeBar.Voted) -> None:
        """Take a vote, show which side was which, and write it down."""
        now = self.session.round
        if now is None:
            return
        if why := now.why_no_vote():
            self.hint(why)
            return
        if event.choice.isdigit() and int(event.choice) >= len(now.lanes):
            return  # there is no such pane
        choice = now.lanes[int(event.choice)].name if event.choice.isdigit() else event.choice
        judged = self.session.vote(choice)
        self.query_one(JudgeBar).display = False
        self.query_one(PromptBar).focus()
        self.query_one(Panes).dress()
        words = {TIE: "A tie.", BOTH_BAD: "Both bad."}
        said = words.get(choice) or f"{LETTERS[[lane.name for lane in now.lanes].index(choice)]} it is."
        try:
            votes.append(paths.votes_file(), judged)
        except PlaygroundError as error:
            self.hint(f"{said} {error.message} {error.hint}")
            return
        going_on = " It is what both sides go on from." if self.session.several_turns and choice not in words else ""
        self.hint(f"{said}{going_on} The vote is kept; Ctrl+P exports votes for DPO.")

    def action_save(self) -> None:
        """Save the exchanges of this session."""
        kept = self.session.exchanges
        if not kept:
            self.hint("There is nothing to save yet: ask something first.")
            return

        def write(path: Path, chosen: Sequence[Exchange]) -> str:
            path.write_text(report.WRITERS[path.suffix](chosen), "utf-8")
            return count(len(chosen), "exchange")

        self._to_file(f"Save {count(len(kept), 'exchange')}", "session", tuple(report.WRITERS), kept, write)

    def action_export_sides(self) -> None:
        """Export what was preferred of base and sft."""
        self._export("sides")

    def action_export_duels(self) -> None:
        """Export what was preferred in duels."""
        self._export("duels")

    def _export(self, kind: votes.Kind) -> None:
        try:
            pairs = votes.preferences(votes.read(paths.votes_file()), kind)
        except PlaygroundError as error:
            self.hint(f"{error.message} {error.hint}")
            return
        if not pairs:
            self.hint("There are no such votes yet. F4 hides the sides, or begins a duel.")
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
        from playground.tui.screens.save import SaveDialog

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
        """Copy the text of the focused pane, else of the last one."""
        shown = self.query_one(Panes).shown
        focused = self.focused
        chosen = next((pane for pane in shown if focused is not None and pane in focused.ancestors), shown[-1])
        self.copy(chosen)

    @on(Pane.CopyAsked)
    def _copy_asked(self, event: Pane.CopyAsked) -> None:
        self.copy(event.pane)

    def copy(self, pane: Pane) -> None:
        """Copy a pane's text: to the terminal's clipboard, and to a file for terminals that have none."""
        text = clean(pane.text)  # what is pasted into a shell must not act on it
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

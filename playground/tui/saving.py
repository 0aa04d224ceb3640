"""What leaves a session on request: exchanges and votes in files, answers in the clipboard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from textual.app import App

from playground import paths
from playground.errors import PlaygroundError
from playground.events.exchanges import Exchange
from playground.report import exchanges as report
from playground.report import votes
from playground.text import clean, count

T = TypeVar("T")
Say = Callable[[str], None]  # shows one line


def save_session(app: App[Any], exchanges: Sequence[Exchange], say: Say) -> None:
    """Ask for a file name and save the exchanges as Markdown or JSON Lines."""
    if not exchanges:
        say("There is nothing to save yet: send a prompt first.")
        return

    def write(path: Path, chosen: Sequence[Exchange]) -> str:
        path.write_text(report.WRITERS[path.suffix](chosen), "utf-8")
        return count(len(chosen), "exchange")

    title = f"Save {count(len(exchanges), 'exchange')}"
    _to_file(app, say, exchanges, write, title=title, stem="session", suffixes=tuple(report.WRITERS))


def export_votes(app: App[Any], kind: votes.Kind, say: Say) -> None:
    """Ask for a file name and export the preferences in all saved votes of a kind, for DPO."""
    try:
        pairs = votes.preferences(votes.read(paths.votes_file()), kind)
    except PlaygroundError as error:
        say(f"{error.message} {error.hint}")
        return
    if not pairs:
        say("There are no such votes yet. F4 hides the sides or starts a duel.")
        return

    def write(path: Path, chosen: Sequence[votes.Preference]) -> str:
        path.write_text("".join(pair.to_json() + "\n" for pair in chosen), "utf-8")
        return count(len(chosen), "preference")

    title = f"Export {count(len(pairs), 'preference')} for DPO"
    _to_file(app, say, pairs, write, title=title, stem=kind, suffixes=(".jsonl",))


def _to_file(
    app: App[Any],
    say: Say,
    what: Sequence[T],
    write: Callable[[Path, Sequence[T]], str],
    *,
    title: str,
    stem: str,
    suffixes: tuple[str, ...],
) -> None:
    from playground.tui.dialogs.save import SaveDialog

    def save(path: Path | None) -> None:
        if path is None:
            return
        try:
            words = write(path, what)
        except OSError as error:
            say(f"{path} cannot be written: {error.strerror or error}. Nothing was saved.")
            return
        say(f"{words} in {path}")

    name = f"{stem}-{datetime.now(UTC):%m%d-%H%M}{suffixes[0]}"
    app.push_screen(SaveDialog(title, name, suffixes), save)


def copy(app: App[Any], text: str, say: Say) -> None:
    """Copy text to the terminal's clipboard, and to a file for terminals without one."""
    text = clean(text)  # text pasted into a shell must not contain control characters
    if not text:
        say("There is nothing to copy yet.")
        return
    app.copy_to_clipboard(text)
    file = paths.cache_dir() / "copied.txt"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    except OSError:
        say(f"Copied {count(len(text), 'character')}.")
        return
    say(f"Copied {count(len(text), 'character')} ; also in {file}")

"""Standard output and standard error, whose reader may go away while a command runs."""

from __future__ import annotations

import codecs
import io
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console


# How our own signs are written where a terminal or a file cannot hold them.
_SPELLED = {
    "⟦": "[[", "⟧": "]]", "≤": "<=", "≥": ">=", "█": "#", "…": "...", "·": "-", "•": "*", "–": "-", "—": "-", "×": "x",
    "→": "->", "←": "<-", "↵": "\\n", "λ": "lambda", "✂": "|", "✓": "ok", "“": '"', "”": '"', "‘": "'", "’": "'",
    "│": "|", "─": "-", "┼": "+", "━": "=", "Δ": "delta", "σ": "sigma", "∞": "inf",
}  # fmt: skip


def spell_out() -> None:
    """Let standard output and error write what their encoding cannot hold: our own signs in ASCII, else JSON's escapes.

    So no text from data or models ends a command, and JSON stays what it is.
    """
    codecs.register_error("spell", _spelled)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="spell")


def _spelled(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    spelled = {} if error.object.startswith("{") else _SPELLED  # a line of JSON has escapes for everything
    text = error.object[error.start : error.end]
    return "".join(spelled.get(character) or _escaped(character) for character in text), error.end


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def output(width: int | None = None) -> Console:
    """Return the console for results: standard output, `width` columns wide if it is not a terminal.

    A reader that goes away, as ``head`` does, raises BrokenPipeError here, as for everything else that is printed.
    """
    from rich.console import Console

    class Output(Console):
        def on_broken_pipe(self) -> None:  # Rich itself would exit with 1
            raise BrokenPipeError

    return Output(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else width)


class Lasting:
    """A stream for output that may be lost: once its reader is gone, everything written is discarded."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write `text`, or discard it."""
        try:
            return self._stream.write(text)
        except OSError:
            silence(self._stream.fileno())
            return len(text)

    def flush(self) -> None:
        """Write what is buffered, or discard it."""
        try:
            self._stream.flush()
        except OSError:
            silence(self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def silence(descriptor: int) -> None:
    """Discard everything still written to a file descriptor, because its reader is gone."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)

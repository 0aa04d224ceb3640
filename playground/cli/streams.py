"""Standard output and standard error, whose other end may go away while a command works."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console


def output(width: int | None = None) -> Console:
    """Return the console of results: standard output, `width` columns wide where that is no terminal.

    A reader that goes away, as ``head`` does, is a BrokenPipeError here as with everything else that is printed.
    """
    from rich.console import Console

    class Output(Console):
        def on_broken_pipe(self) -> None:  # Rich itself would end the process with 1
            raise BrokenPipeError

    return Output(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else width)


class Lasting:
    """A stream for output that may be lost: when its other end is gone, it is silent from then on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write `text`, or nothing."""
        try:
            return self._stream.write(text)
        except OSError:
            silence(self._stream.fileno())
            return len(text)

    def flush(self) -> None:
        """Write what is buffered, or nothing."""
        try:
            self._stream.flush()
        except OSError:
            silence(self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def silence(descriptor: int) -> None:
    """Discard whatever is still written to a file descriptor, because its other end is gone."""
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)

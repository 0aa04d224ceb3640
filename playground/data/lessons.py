"""The user's own rows, typed one at a time: an ordinary data set that only grows."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path

from playground.errors import EnvironmentFault
from playground.events.values import Json


@dataclass(frozen=True, slots=True)
class _Row(Json):
    """A row, with the column names that every trainer reads."""

    prompt: str
    completion: str


def keep(path: Path, prompt: str, answer: str) -> int:
    """Append a row to a file that only its owner can read; return the number of its rows.

    It is one write, so that of two apps both rows are kept; if it fails, nothing of it stays.

    Raises:
        EnvironmentFault: If the file cannot be written.
    """
    row = _Row(prompt, answer).to_json().encode() + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a+b", buffering=0, opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.seek(0)
            before = file.readall()
            data = row if not before or before.endswith(b"\n") else b"\n" + row
            try:
                if file.write(data) != len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file.fileno())
            except OSError:
                file.truncate(len(before))
                raise
    except OSError as error:
        raise EnvironmentFault(
            f"{path} cannot be written: {error.strerror or error}.", "Check disk space and permissions."
        ) from None
    return sum(bool(line.strip()) for line in (before + data).split(b"\n"))

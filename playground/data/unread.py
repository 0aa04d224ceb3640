"""Columns that are not read: refused where they would change what a row means, else reported with their rows."""

from __future__ import annotations

import reprlib
import shlex
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from playground.data.jsonl import shown
from playground.data.names import IN_PROMPT, MEANINGFUL, fold, is_empty, not_read
from playground.data.talk import Note, bad_text, leaves_out
from playground.events.data import Finding
from playground.text import count

NAMED = 10  # columns; any others are only counted
_PATHS = reprlib.Repr()
_PATHS.maxstring = 80  # characters: the key of a part is named with the way to it
_LABELS = {True: True, False: False, "true": True, "false": False}


def refusal(
    row: dict[str, Any], read: Collection[str], takes_context: Callable[[dict[str, Any]], bool] = lambda row: False
) -> str:
    """Return why a row is refused: a column outside `read` would change what it means. Empty if it is accepted.

    Args:
        row: The row.
        read: The columns that are read.
        takes_context: Says of a row whether a text in it can be read as the context of its prompt.
    """
    for column, value in row.items():
        if column in read or is_empty(value) or not (why := MEANINGFUL.get(fold(column))):
            continue
        readable = why == IN_PROMPT and takes_context(row) and not bad_text(value)
        way = f"; --map {shlex.quote(f'context={column}')} reads it" if readable else ""
        return f"it has {shown(column)}, which is not read here: {why}{way}; {leaves_out(column)}"
    return ""


def judged(row: dict[str, Any], read: Collection[str]) -> bool | None:
    """Return whether the answer of a row without a rival was judged good; None if the row does not say."""
    column = next((column for column in row if fold(column) == "label" and column not in read), "")
    label = row.get(column)
    if isinstance(label, str):
        label = label.strip().casefold()
    return _LABELS.get(label) if isinstance(label, bool | str) else None


def unread(row: dict[str, Any], read: Collection[str]) -> dict[str, Any]:
    """Return the columns that are neither `read`, nor known to be metadata, nor empty, as ``{name: value}``."""
    label = judged(row, read) is not None
    return {name: value for name, value in not_read(row, read).items() if not (label and fold(name) == "label")}


@dataclass
class Remarks:
    """What is to be said about the rows of a data set, once for all that have it, with the first of them.

    Attributes:
        columns: The columns that are not read: ``{name: (line, value there, rows)}``.
        notes: Whatever else was found or done: ``{kind: (line, message there, rows)}``.
    """

    columns: dict[str, tuple[int, Any, int]] = field(default_factory=dict)
    notes: dict[str, tuple[int, Any, int]] = field(default_factory=dict)

    def add(self, line: int, found: dict[str, Any], notes: Iterable[Note] = ()) -> None:
        """Add what was found in the row on `line`."""
        for known, more in ((self.columns, found.items()), (self.notes, notes)):
            for name, value in more:
                first, sample, rows = known.get(name, (line, value, 0))
                known[name] = (first, sample, rows + 1)

    def findings(self) -> list[Finding]:
        """Return a finding for each column and note, the most frequent first; if many, the rarest columns share one."""
        ordered = _by_rows(self.columns)
        found = [
            Finding(line, "warning", f"{_PATHS.repr(name)} is not read", shown(value), rows)
            for name, (line, value, rows) in ordered[:NAMED]
        ]
        if rest := ordered[NAMED:]:
            kind = f"{count(len(rest), 'other column is', 'other columns are')} not read"
            line, _, rows = rest[0][1]
            found.append(Finding(line, "warning", kind, ", ".join(shown(name) for name, _ in rest[:NAMED]), rows))
        return found + [Finding(line, "warning", kind, text, rows) for kind, (line, text, rows) in _by_rows(self.notes)]

    def words(self, of: str = "") -> tuple[str, ...]:
        """Return a sentence about each; `of` says which rows were checked, if not all were."""
        return tuple(
            f"{finding.kind} ({count(finding.rows, 'row')}{of})"
            + (f": {finding.message}" if finding.kind in self.notes else "")
            for finding in self.findings()
        )


def _by_rows(found: dict[str, tuple[int, Any, int]]) -> list[tuple[str, tuple[int, Any, int]]]:
    return sorted(found.items(), key=lambda item: (-item[1][2], item[0]))

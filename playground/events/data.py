"""A data set's contents, and the problems found in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from playground.events.values import Json

BINS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)  # upper bounds of the length bins


@dataclass(frozen=True, slots=True)
class Finding(Json):
    """A finding about the row on `line`, or about `rows` rows of which it is the first."""

    line: int
    level: Literal["error", "warning"]
    kind: str
    message: str
    rows: int = 1


@dataclass(frozen=True, slots=True)
class DataCheck(Json):
    """A checked data set.

    `lengths` counts rows by length: entry n those of at most ``BINS[n]`` units, the last one longer rows. The
    unit is tokens if there was a tokenizer, else words.
    """

    name: str
    container: str
    shape: str
    num_rows: int
    num_sound: int
    num_turns: int
    findings: tuple[Finding, ...]
    unit: str
    num_units: int
    num_trained: int
    longest: int
    lengths: tuple[int, ...]

    @property
    def num_errors(self) -> int:
        """The number of rows that cannot be trained on."""
        return sum(finding.level == "error" for finding in self.findings)


def by_kind(findings: Sequence[Finding]) -> list[tuple[str, str, int, dict[str, list[Finding]]]]:
    """Return ``(level, kind, number of rows, {message: its findings})`` for each kind, errors first."""
    tally: Counter[tuple[str, str]] = Counter()
    said: dict[tuple[str, str], dict[str, list[Finding]]] = {}
    for finding in findings:
        key = finding.level, finding.kind
        tally[key] += finding.rows
        said.setdefault(key, {}).setdefault(finding.message, []).append(finding)
    return [
        (level, kind, count, said[level, kind])
        for (level, kind), count in sorted(tally.items(), key=lambda item: (item[0][0] != "error", -item[1]))
    ]

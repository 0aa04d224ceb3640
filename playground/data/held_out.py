"""Held-out rows: never trained, so that the loss on them tells what was learned from what was memorised."""

from __future__ import annotations

import hashlib
import random
from array import array
from collections.abc import Sequence
from typing import Any, TypeVar

from playground.data.encode import Encoded

SHARE, LEAST, MOST = 0.05, 4, 200
T = TypeVar("T")
TOO_FEW = 40  # a smaller data set is trained as a whole, unless held-out rows are requested


def how_many(num_rows: int) -> int:
    """Return how many rows of a data set are held out by default."""
    return 0 if num_rows < TOO_FEW else min(MOST, max(LEAST, round(SHARE * num_rows)))


def hold_out(rows: Sequence[Encoded], number: int, sha256: str, *, whole: bool) -> tuple[int, ...]:
    """Return the indices of the held-out rows, in order; sometimes fewer than `number`.

    Rows are chosen by their own hash, regardless of order, and equal rows stay on one side: a held-out row whose twin
    is trained would measure what was memorised. If rows are only read when needed, indices are drawn with a seed from
    the hash of the data.

    Args:
        rows: All rows.
        number: The most rows to hold out; fewer than there are.
        sha256: The hash of the data.
        whole: Whether the rows have been read.
    """
    places = range(len(rows))
    if not whole:
        return tuple(sorted(random.Random(sha256).sample(places, number)))  # noqa: S311 - a choice, not a secret
    twins: dict[bytes, list[int]] = {}
    for at in places if number else ():
        twins.setdefault(_key(rows[at]), []).append(at)
    chosen: list[int] = []
    for key in sorted(twins):
        if len(chosen) + len(twins[key]) <= number:
            chosen += twins[key]
    return tuple(sorted(chosen))


def _key(row: Encoded) -> bytes:
    return hashlib.sha256(repr((row.input_ids, row.labels)).encode()).digest()


class Without(Sequence[T]):
    """The trained rows: all but those at the given indices."""

    def __init__(self, rows: Sequence[T], places: Sequence[int]) -> None:
        left_out = set(places)
        self._rows = rows
        self._places = array("Q", (at for at in range(len(rows)) if at not in left_out))

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: Any) -> Any:
        return self._rows[self._places[index]]

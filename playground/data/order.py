"""The order of rows: a pure function of the data's sha256, the seed, the epoch and the batch size.

A resumed run therefore sees exactly the rows an uninterrupted one would have seen. Rows are shuffled
over the whole epoch; then each group of 32 batches is sorted by length, cut and shuffled by itself, so
that only the rows of one group need to be read and encoded at a time.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field

# Large enough that a batch has almost no padding, small enough to be read before the first step.
GROUP = 32


@dataclass
class Order:
    """The rows of each optimiser step; every row once an epoch, and one batch may be smaller."""

    num_rows: int
    sha256: str
    seed: int
    batch_size: int
    _known: tuple[int, int] = field(default=(-1, -1), init=False)
    _batches: list[list[int]] = field(default_factory=list, init=False)
    _epoch: int = field(default=-1, init=False)
    _rows: array[int] = field(default_factory=lambda: array("Q"), init=False)

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in which each row is seen once."""
        return -(-self.num_rows // self.batch_size)

    def batch(self, step: int, length: Callable[[int], int]) -> list[int]:
        """Return the rows of optimiser step `step`, counted from 0 over all epochs.

        Args:
            step: The step.
            length: Returns the number of tokens of a row; called only for the rows of the step's group.
        """
        epoch, at = divmod(step, self.steps_per_epoch)
        group, at = divmod(at, GROUP)
        if self._known != (epoch, group):
            self._batches, self._known = self._group(epoch, group, length), (epoch, group)
        return self._batches[at]

    def _group(self, epoch: int, group: int, length: Callable[[int], int]) -> list[list[int]]:
        if epoch != self._epoch:
            rows = array("Q", range(self.num_rows))
            self._random(epoch).shuffle(rows)
            self._epoch, self._rows = epoch, rows
        size = GROUP * self.batch_size
        members = sorted(self._rows[group * size : (group + 1) * size], key=lambda row: -length(row))
        batches = [members[at : at + self.batch_size] for at in range(0, len(members), self.batch_size)]
        self._random(epoch, group).shuffle(batches)
        return batches

    def _random(self, *parts: int) -> random.Random:
        key = ":".join(map(str, (self.sha256, self.seed, self.batch_size, *parts)))
        return random.Random(key)  # noqa: S311 - an order, not a secret

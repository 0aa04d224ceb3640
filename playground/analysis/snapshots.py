"""Earlier states of a training, kept in memory, so that steps can be taken back bit for bit."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch

from playground.training.setup import Training

UNDO_BYTES = 512 << 20  # of earlier states that are kept; one of the demo model's adapter takes 46 MB


@dataclass(frozen=True)
class Snapshot:
    """The adapter and the moments of its optimiser before a step."""

    weights: list[torch.Tensor]
    optimizer: dict[str, Any]

    @classmethod
    def of(cls, training: Training) -> Snapshot:
        """Return copies of what a step changes."""
        weights = [parameter.detach().clone() for parameter in training.parameters]
        return cls(weights, copy.deepcopy(training.optimizer.state_dict()))

    @torch.no_grad()
    def restore(self, training: Training) -> None:
        """Make a training what it was, also one whose step was broken off."""
        training.optimizer.zero_grad(set_to_none=True)
        for parameter, weights in zip(training.parameters, self.weights, strict=True):
            parameter.copy_(weights)
        training.optimizer.load_state_dict(self.optimizer)
        training.torn = False

    @property
    def num_bytes(self) -> int:
        """Its size."""
        moments = [value for state in self.optimizer["state"].values() for value in state.values()]
        return sum(tensor.nbytes for tensor in [*self.weights, *moments] if isinstance(tensor, torch.Tensor))


class Snapshots:
    """The last states of a training: as many as there is room for, and at least one."""

    def __init__(self) -> None:
        self._kept: list[Snapshot] = []

    def keep(self, snapshot: Snapshot) -> None:
        """Keep another one, and drop the oldest if they take too much."""
        self._kept.append(snapshot)
        while len(self._kept) > 1 and sum(kept.num_bytes for kept in self._kept) > UNDO_BYTES:
            del self._kept[0]

    def take(self) -> Snapshot | None:
        """Return the last one, which is then no longer kept; None if there is none."""
        return self._kept.pop() if self._kept else None

"""One process or many: the few places where ranks must agree. In one process it is the identity.

Started by ``torchrun`` or ``accelerate launch``; there is no launcher and no transport of our own. The
gradients of an adapter are a few million numbers, so they are summed once a step in one piece instead
of being overlapped with the backward pass: any number of micro-batches per rank is fine then, and so
is repeating a step after one rank ran out of memory.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch
from torch import distributed

from playground.errors import EnvironmentFault
from playground.models.memory import is_out_of_memory


class Ranks:
    """This process's place among `world` processes."""

    def __init__(self, device: torch.device) -> None:
        self.world = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        self._device = device
        if self.world > 1 and not distributed.is_initialized():
            if device.type == "cuda":
                torch.cuda.set_device(device)
            distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")

    @property
    def is_main(self) -> bool:
        """Whether this rank writes files and events."""
        return self.rank == 0

    def sum(self, *values: float) -> list[float]:
        """Return each value summed over all ranks."""
        if self.world == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64, device=self._device)
        _reduce(tensor)
        return tensor.tolist()

    def least(self, value: int) -> int:
        """Return the smallest `value` of all ranks, so that all decide alike."""
        if self.world == 1:
            return value
        tensor = torch.tensor(value, dtype=torch.int64, device=self._device)
        _reduce(tensor, distributed.ReduceOp.MIN)
        return int(tensor)

    def any(self, flag: bool) -> bool:
        """Return whether `flag` is true on any rank; every rank gets the same answer."""
        return self.sum(float(flag))[0] > 0

    def sum_gradients(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Replace each gradient by its sum over all ranks; a rank without one counts as zero."""
        if self.world == 1:
            return
        flat = torch.cat([_gradient(parameter).reshape(-1) for parameter in parameters])
        _reduce(flat)
        at = 0
        for parameter in parameters:
            parameter.grad = flat[at : at + parameter.numel()].view_as(parameter)
            at += parameter.numel()

    def close(self) -> None:
        """Leave the process group."""
        if self.world > 1 and distributed.is_initialized():
            distributed.destroy_process_group()


def _reduce(tensor: torch.Tensor, how: distributed.ReduceOp.RedOpType = distributed.ReduceOp.SUM) -> None:
    """Combine a tensor over all ranks, in place.

    Raises:
        EnvironmentFault: If another process is gone; its own output says why.
    """
    try:
        distributed.all_reduce(tensor, op=how)
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        raise EnvironmentFault(
            f"Another process of this training is gone: {str(error).strip().splitlines()[-1][:200]}.",
            "See what it wrote, then continue with --resume.",
        ) from error


def _gradient(parameter: torch.nn.Parameter) -> torch.Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad

"""The greedy token of a big head without reading the whole head in float32: exact, by proof.

An int8 copy of the head, a quarter of the bytes, gives each logit up to an error that Cauchy-Schwarz
bounds. Every token that could still be the maximum is scored again with the reference rows. Where the
bound excludes too few, the whole head decides. The result is always the reference's greedy token;
only ties within float32 rounding can fall differently, as between any two kernels.
"""

from __future__ import annotations

import torch

from playground.models.head import Head
from playground.models.linear import frozen_matmul

_ROWS_AT_ONCE = 1024  # a few megabytes, which stay in the cache from one pass over them to the next
MAX_ROWS = 8  # beyond this the int8 kernel is slower than the float32 head (docs/decisions)
_MAX_CANDIDATES = 8192
_BF16_EPS = 2.0**-8  # of rounding a result to bfloat16, with a factor two to spare
_FLOAT_EPS = 2.0**-23


class Shortlist:
    """An int8 copy of `head` (rows scaled by their largest value) and the norms that bound its error."""

    def __init__(self, head: Head) -> None:
        self._weight = head.weight
        vocab, hidden = head.weight.shape
        self._int8 = torch.empty((vocab, hidden), dtype=torch.int8)
        self._scale = torch.empty(vocab, dtype=torch.bfloat16)
        self._residual = torch.empty(vocab)  # norm of what the int8 row leaves out
        self._norm = torch.empty(vocab)  # norm of the int8 row
        for at in range(0, vocab, _ROWS_AT_ONCE):
            block = slice(at, at + _ROWS_AT_ONCE)
            rows = head.weight[block]
            scale = (rows.abs().amax(1) / 127).clamp_min(1e-12).bfloat16()
            whole = (rows / scale.float()[:, None]).round_().clamp_(-127, 127)
            self._int8[block] = whole
            self._scale[block] = scale
            whole.mul_(scale.float()[:, None])
            self._norm[block] = whole.norm(dim=1)
            self._residual[block] = whole.sub_(rows).norm(dim=1)
        # Float32 sums of `hidden` products are off by at most about hidden * eps of the norms' product.
        self._sum_eps = hidden * _FLOAT_EPS

    @staticmethod
    def serves(head: Head) -> bool:
        """Return whether `head` can be shortlisted: float32 on a CPU, no bias, large enough to be worth it."""
        weight = head.weight
        return (
            weight.device.type == "cpu"
            and weight.dtype == torch.float32
            and head.bias is None
            and head.scale > 0  # a cap and a positive scale keep the order of logits
            and weight.shape[0] >= 32768
            and weight.shape[1] % 8 == 0
        )

    def argmax(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the greedy tokens ``(rows,)`` of float32 hidden states ``(rows, hidden)``."""
        short = hidden.bfloat16()
        length = hidden.norm(dim=1, keepdim=True)
        rounding = (hidden - short.float()).norm(dim=1, keepdim=True)
        about = torch._weight_int8pack_mm(short, self._int8, self._scale).float()  # (rows, vocab)
        # |w.x - q.s| <= |w - q||x| + |q||x - s| + the kernel's own rounding
        error = self._residual * length + self._norm * (rounding + self._sum_eps * length)
        error += about.abs() * _BF16_EPS
        floor = (about - error).amax(1, keepdim=True)
        candidates = ((about + error) >= floor).any(0).nonzero()[:, 0]
        if len(candidates) > _MAX_CANDIDATES:
            return frozen_matmul(hidden, self._weight).argmax(1)
        exact = frozen_matmul(hidden, self._weight.index_select(0, candidates))
        best: torch.Tensor = candidates[exact.argmax(1)]
        return best

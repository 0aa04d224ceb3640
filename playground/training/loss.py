"""Forward, compare, loss: one module from a batch to the sum of its token losses.

Only the trained positions reach the head, in chunks, and each chunk's gradient is computed while its
logits are still there. Full logits never exist: for 1,000 tokens of the demo model they would take
1 GB, four times over.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from playground.data.batches import Batch
from playground.models.head import Head
from playground.models.linear import frozen_matmul

# Room for one chunk of float32 logits. Larger chunks were not faster (docs/decisions.md).
CHUNK_BYTES = 128 << 20


class SupervisedLoss(nn.Module):
    """The summed cross-entropy, in nats, of a batch's trained tokens.

    Args:
        decoder: The model below its head, with the adapter in it.
        head: The frozen head.
    """

    def __init__(self, decoder: nn.Module, head: Head) -> None:
        super().__init__()
        self.decoder = decoder
        self.head = head

    def forward(self, batch: Batch) -> torch.Tensor:
        """Return the loss sum as a float32 scalar; divide it by the step's number of trained tokens."""
        hidden = self.decoder(
            input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False
        ).last_hidden_state  # (rows, seq, hidden)
        trained = hidden.reshape(-1, hidden.shape[-1]).index_select(0, batch.positions)
        return _ChunkedCrossEntropy.apply(trained, self.head, batch.targets)  # type: ignore[no-any-return, no-untyped-call]


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Cross-entropy of ``head(hidden)`` against targets, summed; the head is frozen.

    The gradient with respect to `hidden`, ``(softmax - onehot) @ weight``, is formed in the forward
    pass, so that each chunk of logits is made once: two products with the head instead of three.
    """

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, head: Head, targets: torch.Tensor) -> torch.Tensor:
        wanted = ctx.needs_input_grad[0]
        gradient = torch.empty_like(hidden) if wanted else None
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        rows = max(1, CHUNK_BYTES // (4 * head.weight.shape[0]))
        for at in range(0, len(hidden), rows):
            logits = head.logits(hidden[at : at + rows])
            for part, target in _blocks(logits, targets[at : at + rows]):
                total += _to_slope(part, target, head)
            if gradient is not None:
                gradient[at : at + rows] = frozen_matmul(logits.to(head.weight.dtype), head.weight.t())
        if gradient is not None:
            ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * grads[0].to(gradient.dtype), None, None


def _blocks(logits: torch.Tensor, targets: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield the rows of a chunk, on a CPU a few at a time, so that the five passes below stay in its cache."""
    rows = 8 if logits.device.type == "cpu" else max(1, len(logits))
    return zip(logits.split(rows), targets.split(rows), strict=True)


def _to_slope(logits: torch.Tensor, targets: torch.Tensor, head: Head) -> torch.Tensor:
    """Return the loss sum of `logits` ``(rows, vocab)`` and turn them, in place, into its derivative.

    The derivative is with respect to ``hidden @ weight.T``: through the cap and the scale as well.
    """
    target = targets[:, None]
    slope = None if head.softcap is None else 1 - (logits / head.softcap).square()
    wanted = logits.gather(1, target)
    top = logits.amax(1, keepdim=True)
    total = logits.sub_(top).exp_().sum(1, keepdim=True)
    logits.div_(total)  # probabilities
    logits.scatter_add_(1, target, torch.full_like(wanted, -1.0))
    if slope is not None:
        logits.mul_(slope)
    if head.scale != 1.0:
        logits.mul_(head.scale)
    return (top + total.log() - wanted).sum()

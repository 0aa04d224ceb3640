"""Forward, compare, loss: one module from a batch to the sum of its token losses.

Only the trained positions reach the head, which goes through the vocabulary a tile at a time, as tiled attention
through its keys: the gradient of each tile is added up while its logits are still in the cache. Full
logits never exist: for 1,000 tokens of the demo model they would take 1 GB, four times over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from playground.data.batches import Batch
from playground.models.head import Head, tile_width
from playground.models.linear import frozen_matmul


def plain_cross_entropy(hidden: torch.Tensor, head: Head, targets: torch.Tensor) -> torch.Tensor:
    """Return what this module computes, in one equivalent line: the sum of -log p of the `targets`, in nats.

    Everything below gives the same number and the same gradient without ever holding all logits; a test checks this.

    Args:
        hidden: ``(trained, hidden)``, where a token of an answer comes next.
        head: From a hidden state to a logit for each token of the vocabulary.
        targets: ``(trained,)``, the tokens that should come next.
    """
    return cross_entropy(head.logits(hidden), targets, reduction="sum")


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
        return self.compare(self.hidden_states(batch), batch.targets)

    def hidden_states(self, batch: Batch) -> torch.Tensor:
        """Return ``(trained, hidden)``: the positions followed by a trained token; the head gets no others."""
        hidden = self.decoder(input_ids=batch.input_ids, use_cache=False).last_hidden_state  # (rows, seq, hidden)
        trained: torch.Tensor = hidden.reshape(-1, hidden.shape[-1]).index_select(0, batch.positions)
        return trained

    def compare(self, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return `plain_cross_entropy`, without ever holding all logits."""
        return _tiled_cross_entropy(hidden, self.head, targets)


class _TiledCrossEntropy(torch.autograd.Function):
    """Cross-entropy of ``head(hidden)`` against targets, summed; the head is frozen.

    The gradient with respect to `hidden`, ``(softmax - onehot) @ weight``, is formed in the forward pass:
    two products with the head instead of three. A tile's share of the softmax is weighed against the
    highest logit so far, and what was added up before is scaled down when a higher one comes (online
    softmax: Milakov & Gimelshein, arXiv 1805.02867; the same sum as in FlashAttention, arXiv 2205.14135).
    """

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, head: Head, targets: torch.Tensor) -> torch.Tensor:
        wanted = ctx.needs_input_grad[0]
        vocabulary, target = len(head.weight), targets[:, None]
        width = tile_width(len(hidden), vocabulary, hidden.device)
        top = torch.full(target.shape, -torch.inf, device=hidden.device)  # (rows, 1), as are the next two
        total, right = torch.zeros_like(top), torch.zeros_like(top)
        pull = torch.zeros_like(hidden, dtype=torch.float32)  # sum of exp(logit - top) * slope * weight
        for at in range(0, vocabulary, width):
            tile = replace(
                head,
                weight=head.weight[at : at + width],
                bias=None if head.bias is None else head.bias[at : at + width],
            )
            logits = tile.logits(hidden)  # (rows, width)
            inside = (target >= at) & (target < at + width)
            right = torch.where(inside, logits.gather(1, (target - at).clamp(0, logits.shape[1] - 1)), right)
            slope = head.slope(logits) if wanted else None
            highest = torch.maximum(top, logits.amax(1, keepdim=True))
            shrink = (top - highest).exp_()
            weighed = logits.sub_(highest).exp_()
            total = total.mul_(shrink).add_(weighed.sum(1, keepdim=True))
            if wanted:
                weighed = weighed if slope is None else weighed.mul_(slope)
                pull.mul_(shrink).add_(frozen_matmul(weighed.to(tile.weight.dtype), tile.weight.t()))
            top = highest
        if wanted:
            towards = head.weight.index_select(0, targets).float()  # (rows, hidden)
            slope = head.slope(right)
            towards = towards if slope is None else towards.mul_(slope)
            ctx.save_for_backward(pull.div_(total).sub_(towards).mul_(head.scale).to(hidden.dtype))
        return (top + total.log() - right).sum()

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * grads[0].to(gradient.dtype), None, None


# `apply` has no types in some releases of torch.
_tiled_cross_entropy: Callable[[torch.Tensor, Head, torch.Tensor], torch.Tensor] = _TiledCrossEntropy.apply

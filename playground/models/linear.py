"""The frozen matrix products, which take nearly all the time on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D


def _onednn_available() -> bool:
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


_ONEDNN = _onednn_available()


def frozen_matmul(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """Return ``x @ weight.T + bias`` for a weight that is not trained.

    On a CPU the float32 product goes to oneDNN rather than to MKL: the same float32 arithmetic, but it
    uses AVX-512 on every vendor's processors, and two rows cost little more than one (see
    docs/decisions). Elsewhere it is ``torch.nn.functional.linear``.

    Args:
        x: ``(..., in)``.
        weight: ``(out, in)``, contiguous or a transposed view.
        bias: ``(out,)`` or None.
    """
    if not (_ONEDNN and x.device.type == "cpu" and x.dtype == weight.dtype == torch.float32):
        return functional.linear(x, weight, bias)
    if torch.is_grad_enabled() and x.requires_grad:
        return _differentiable(x, weight, bias)
    return _onednn(x, weight, bias)


def _onednn(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    rows = x.reshape(-1, x.shape[-1])
    y = torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")
    return as_shape(y, (*x.shape[:-1], weight.shape[0]))


def as_shape(y: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Return a fresh `y` in another shape, as a tensor of its own rather than a view.

    The result of our autograd functions must not be a view: some models change a layer's output in place (OLMo
    clips it, Gemma 3n scales it), and autograd refuses that for a view. PyTorch's own ``matmul`` uses the same operator
    for the same reason; it is safe because nothing else holds `y`.
    """
    return torch.ops.aten._unsafe_view(y, list(shape))  # type: ignore[no-any-return]


class _FrozenMatmul(torch.autograd.Function):
    """oneDNN's product has no derivative in PyTorch; this is the one with respect to `x`."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        ctx.save_for_backward(weight)
        return _onednn(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (weight,) = ctx.saved_tensors
        return _onednn(grads[0].contiguous(), weight.t(), None), None, None


# `apply` has no types in some releases of torch.
_differentiable: Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None], torch.Tensor] = _FrozenMatmul.apply


def plain_weight(layer: nn.Linear | Conv1D) -> torch.Tensor:
    """Return the weight of a layer, dequantised if the model's files have it in NF4."""
    state: Any = getattr(layer.weight, "quant_state", None)
    if state is None:
        return layer.weight.detach()
    from bitsandbytes.functional import dequantize_4bit

    return dequantize_4bit(layer.weight.detach(), state)  # type: ignore[no-any-return]


class FrozenLinear(nn.Linear):
    """A linear layer of the frozen base on a CPU. PEFT sees an ordinary ``nn.Linear`` and wraps it.

    Attributes:
        stored_transposed: Whether the model's files have its weight as ``(in, out)``, as GPT-2's have.
    """

    stored_transposed = False

    @classmethod
    def take(cls, linear: nn.Linear | Conv1D, weight: torch.Tensor) -> FrozenLinear:
        """Return a frozen layer with `weight` ``(out, in)`` and the bias of `linear`."""
        frozen = cls(1, 1, bias=False, device="meta")
        frozen.out_features, frozen.in_features = weight.shape
        frozen.stored_transposed = isinstance(linear, Conv1D)
        frozen.weight = nn.Parameter(weight, requires_grad=False)
        if linear.bias is not None:
            frozen.bias = nn.Parameter(linear.bias.detach().to(weight.dtype), requires_grad=False)
        return frozen

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Return ``input @ weight.T + bias``; see `frozen_matmul`."""
        return frozen_matmul(input, self.weight, self.bias)

"""A LoRA layer as one autograd function, for training on a CPU."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.lora import Linear

from playground.models.linear import FrozenLinear, as_shape, frozen_matmul


def fuse_lora(model: PeftModel) -> None:
    """Compute the LoRA layers on frozen float32 layers as one function while gradients are recorded.

    PEFT's own layer is unchanged, and is used when no gradients are recorded, above all in `lanes`.
    """
    for layer in model.modules():
        if isinstance(layer, Linear) and isinstance(layer.base_layer, FrozenLinear):
            # An instance's `forward` takes precedence over that of its class.
            layer.forward = partial(_forward, layer, layer.forward)


def _forward(layer: Linear, plain: Callable[..., torch.Tensor], x: torch.Tensor, *args: Any, **kw: Any) -> torch.Tensor:
    if not torch.is_grad_enabled():
        return plain(x, *args, **kw)
    (name,) = layer.active_adapters
    a, b = layer.lora_A[name].weight, layer.lora_B[name].weight
    return _lora_matmul(x, layer.base_layer.weight, layer.base_layer.bias, a, b, float(layer.scaling[name]))


class _LoraMatmul(torch.autograd.Function):
    """``x W' + bias + scaling x A' B'`` with W frozen (LoRA: Hu et al., arXiv 2106.09685).

    The adapter's share of the output and of the gradient of the input is added in place: PEFT's three
    operations each write a tensor of the layer's size.
    """

    @staticmethod
    def forward(ctx: Any, *given: Any) -> torch.Tensor:
        # (..., in), (out, in), (out,) or None, (r, in), (out, r), a number
        x, weight, bias, a, b, scaling = given
        rows = x.reshape(-1, x.shape[-1])
        low = rows @ a.t()  # (rows, r)
        y = frozen_matmul(rows, weight, bias).addmm_(low, b.t(), alpha=scaling)
        ctx.save_for_backward(rows, weight, a, b, low)
        ctx.scaling = scaling
        return as_shape(y, (*x.shape[:-1], weight.shape[0]))

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        rows, weight, a, b, low = ctx.saved_tensors
        gradient = grads[0].reshape(-1, grads[0].shape[-1])  # (rows, out)
        towards_low = (gradient @ b).mul_(ctx.scaling)
        towards_a = towards_low.t() @ rows
        towards_b = (low.t() @ gradient).t().mul(ctx.scaling)
        towards_x = None
        if ctx.needs_input_grad[0]:
            towards_x = frozen_matmul(gradient, weight.t()).addmm_(towards_low, a)
            towards_x = as_shape(towards_x, (*grads[0].shape[:-1], weight.shape[1]))
        return towards_x, None, None, towards_a, towards_b, None


# `apply` has no types in some releases of torch.
_lora_matmul: Callable[..., torch.Tensor] = _LoraMatmul.apply

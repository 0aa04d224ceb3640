"""A LoRA layer as one autograd function, for training: on dense layers of a CPU, and on NF4 layers of a GPU."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer

from playground.models.linear import FrozenLinear, as_shape, frozen_matmul, plain_weight
from playground.models.memory import is_out_of_memory

PACKED_ON = "cuda"  # the devices on which layers in NF4 are fused
AGREES = 0.02  # of a tensor's norm: bfloat16 rounds each of its values by up to 0.004
_NOT_FUSED = (
    "LoRA is computed as PEFT does it, slower and with more memory than planned, because our own function for layers in"
    " NF4 does not come to the same values on this GPU; please report this"
)


def packed_is_fused(device: torch.device, dtype: torch.dtype) -> bool:
    """Return whether LoRA on layers in NF4 is fused on `device` in the arithmetic `dtype`.

    float16 is left out: its products overflow where PEFT's, in float32, do not.
    """
    return device.type == PACKED_ON and dtype == torch.bfloat16


def fuse_lora(model: PeftModel) -> str:
    """Compute the LoRA layers on frozen layers as one function while gradients are recorded.

    PEFT's own layer is unchanged, and is used when no gradients are recorded, above all in `lanes`.

    Returns:
        What a user should know if a GPU does not compute this function as it should: then nothing is fused.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, LoraLayer)]
    packed = [layer for layer in layers if _is_packed(layer)]
    if packed and not _agrees(packed[0]):
        return _NOT_FUSED
    for layer in layers:
        if layer in packed or isinstance(layer.base_layer, FrozenLinear):
            fuse(layer)
    return ""


def fuse(layer: Any) -> None:
    """Compute one LoRA layer as one function while gradients are recorded."""
    # An instance's `forward` takes precedence over that of its class.
    layer.forward = partial(_forward, layer, layer.forward)


def _is_packed(layer: Any) -> bool:
    base = layer.base_layer
    if getattr(getattr(base, "weight", None), "quant_state", None) is None:
        return False
    return packed_is_fused(base.weight.device, base.compute_dtype)


def _agrees(layer: Any) -> bool:
    """Return whether our function comes to what PyTorch's own come to in float32, on this device and for this layer.

    It is asked once for each training, because its kernels are bitsandbytes' and the device's.

    Raises:
        RuntimeError: If memory runs out, which says nothing of the function.
    """
    base, random = layer.base_layer, torch.Generator(layer.base_layer.weight.device).manual_seed(0)

    def drawn(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.randn(shape, generator=random, device=random.device, dtype=dtype)

    x = drawn(2, 8, base.in_features, dtype=base.compute_dtype).requires_grad_()
    a, b = (
        drawn(*shape).div_(shape[1] ** 0.5).requires_grad_() for shape in ((8, x.shape[-1]), (base.out_features, 8))
    )
    towards = drawn(2, 8, base.out_features, dtype=x.dtype)
    try:
        ours = _lora_matmul(x, a, b, base, 0.5)
        theirs = base(x) + (0.5 * (x.float() @ a.t() @ b.t())).to(x.dtype)
        pairs = zip(*([y, *torch.autograd.grad(y, (x, a, b), towards)] for y in (ours, theirs)), strict=True)
        return all(bool((one - other).float().norm() < AGREES * other.float().norm()) for one, other in pairs)
    except (RuntimeError, NotImplementedError, TypeError, AttributeError) as error:
        if is_out_of_memory(error):
            raise
        return False  # PEFT's way may work


def _forward(layer: Any, plain: Callable[..., torch.Tensor], x: torch.Tensor, *args: Any, **kw: Any) -> torch.Tensor:
    if not torch.is_grad_enabled():
        return plain(x, *args, **kw)
    (name,) = layer.active_adapters
    a, b = layer.lora_A[name].weight, layer.lora_B[name].weight
    return _lora_matmul(x, a, b, layer.base_layer, float(layer.scaling[name]))


class _LoraMatmul(torch.autograd.Function):
    """``x W' + bias + scaling x A' B'`` with W frozen (LoRA: Hu et al., arXiv 2106.09685).

    The adapter's share of the output and of the gradient of the input is added in place: PEFT's three
    operations each write a tensor of the layer's size. Products are in the dtype of `x`, while A, B and their gradients
    are float32: PEFT multiplies in float32, for which it keeps a copy of `x` twice as large.
    """

    @staticmethod
    def forward(ctx: Any, *given: Any) -> torch.Tensor:
        # (..., in), (r, in), (out, r), the layer of W, a number
        x, a, b, base, scaling = given
        rows = x.reshape(-1, x.shape[-1])
        low = rows @ a.to(x.dtype).t()  # (rows, r)
        y = base(rows).addmm_(low, b.to(x.dtype).t(), alpha=scaling)
        ctx.save_for_backward(rows, a, b, low)
        ctx.base, ctx.scaling = base, scaling
        return as_shape(y, (*x.shape[:-1], y.shape[-1]))

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        rows, a, b, low = ctx.saved_tensors
        gradient = grads[0].reshape(-1, grads[0].shape[-1])  # (rows, out)
        towards_low = (gradient @ b.to(gradient.dtype)).mul_(ctx.scaling)
        towards_a = (towards_low.t() @ rows).to(a.dtype)
        towards_b = (low.t() @ gradient).t().mul(ctx.scaling).to(b.dtype)
        towards_x = None
        if ctx.needs_input_grad[0]:
            weight = plain_weight(ctx.base).to(gradient.dtype)  # of a layer in NF4 a tensor for the moment
            towards_x = frozen_matmul(gradient, weight.t()).addmm_(towards_low, a.to(gradient.dtype))
            towards_x = as_shape(towards_x, (*grads[0].shape[:-1], rows.shape[-1]))
        return towards_x, towards_a, towards_b, None, None


# `apply` has no types in some releases of torch.
_lora_matmul: Callable[..., torch.Tensor] = _LoraMatmul.apply

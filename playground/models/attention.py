"""The fused attention that a device has."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from playground.models.device import before_ampere

REPEATED = "sdpa_repeated"


def attention(device: torch.device) -> str:
    """Return the name of the fused attention to load a model with."""
    if not before_ampere(device):
        return "sdpa"
    AttentionInterface.register(REPEATED, _repeated_attention)
    AttentionMaskInterface.register(REPEATED, sdpa_mask)
    return REPEATED


def _repeated_attention(
    module: torch.nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: Any, **options: Any
) -> tuple[torch.Tensor, None]:
    """Attend with a key and a value for each query head, ``(rows, heads, seq, head_dim)``.

    Before Ampere PyTorch has no fused kernel for grouped heads: it would compute all scores, and keep them for the
    backward pass (huggingface/transformers#48633).
    """
    groups = query.shape[1] // key.shape[1]
    alone: Any = SimpleNamespace(is_causal=getattr(module, "is_causal", True))  # a module without groups of heads
    return sdpa_attention_forward(alone, query, repeat_kv(key, groups), repeat_kv(value, groups), mask, **options)

"""The language-model head, separate from the model: training and decoding apply it to chosen positions only."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from playground.errors import InputError
from playground.models.linear import frozen_matmul

CPU_TILE = 4096  # entries of the vocabulary: 10 MB of the demo model's head, which the cache keeps for both products
TILE_BYTES = 128 << 20  # elsewhere: room for the float32 logits of one tile


@dataclass(frozen=True)
class Head:
    """``logits = cap(scale * (hidden @ weight.T + bias))`` with an optional soft cap.

    Attributes:
        weight: ``(vocab, hidden)``; often the embedding itself.
        bias: ``(vocab,)`` or None.
        scale: 1 except for models that scale their logits (Granite, Cohere).
        softcap: The cap ``c`` of ``c * tanh(z / c)`` (Gemma 2), or None.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None
    scale: float
    softcap: float | None

    @classmethod
    def of(cls, model: PreTrainedModel) -> Head:
        """Return the head of a causal language model.

        Raises:
            InputError: If the model has no output embedding.
        """
        output = model.get_output_embeddings()
        if output is None:
            raise InputError(f"{model.name_or_path} is not a causal language model.", "Choose a base model.")
        config = model.config.get_text_config()
        scale = float(getattr(config, "logit_scale", None) or 1.0)
        scale /= float(getattr(config, "logits_scaling", None) or 1.0)
        cap = getattr(config, "final_logit_softcapping", None)
        return cls(output.weight.detach(), getattr(output, "bias", None), scale, float(cap) if cap else None)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return float32 logits ``(..., vocab)`` of hidden states ``(..., hidden)``."""
        z = frozen_matmul(hidden.to(self.weight.dtype), self.weight, self.bias).float()
        if self.scale != 1.0:
            z = z * self.scale
        return z if self.softcap is None else self.softcap * torch.tanh(z / self.softcap)

    def slope(self, logits: torch.Tensor) -> torch.Tensor | None:
        """Return the derivative of the soft cap where it gave `logits`, or None without a cap."""
        return None if self.softcap is None else 1 - (logits / self.softcap).square()


def backbone(model: PreTrainedModel) -> torch.nn.Module:
    """Return the part of a causal language model below its head; of a model of text and images its text part."""
    inner: torch.nn.Module = getattr(model, model.base_model_prefix)
    return getattr(inner, "language_model", inner)


def tile_width(rows: int, vocabulary: int, device: torch.device) -> int:
    """Return the number of entries of the vocabulary that `rows` trained positions are compared with at once."""
    width = CPU_TILE if device.type == "cpu" else max(CPU_TILE, TILE_BYTES // (4 * max(rows, 1)))
    return min(width, vocabulary)

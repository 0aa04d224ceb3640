"""Which bases are supported, as their config says before any weight is loaded; and the text part of those with more."""

from __future__ import annotations

from typing import Any

from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from playground.errors import InputError
from playground.text import one_line

DENSE = "Choose a dense model, such as hf:Qwen/Qwen3-0.6B-Base; 'sft-playground models list' has more."


def require_supported(config: PretrainedConfig, name: str) -> None:
    """Refuse a base that cannot be trained or shown here.

    Args:
        config: The model's config.
        name: Its name, for the message.

    Raises:
        InputError: With the reason.
    """
    kind, text = config.model_type, config.get_text_config()
    if type(config) not in AutoModelForCausalLM._model_mapping:
        raise InputError(f"{name} ({kind}) is not a causal language model that transformers supports.", DENSE)
    if any(_number(text, field) > 1 for field in ("num_experts", "num_local_experts", "n_routed_experts")):
        raise InputError(
            f"{name} ({kind}) is a mixture of experts: its experts are not linear layers, so they could be neither"
            " quantised nor adapted.",
            DENSE,
        )
    if "mamba" in kind or any(field.startswith("mamba") for field in text.to_dict()):
        raise InputError(f"{name} ({kind}) has Mamba layers, which PEFT cannot adapt.", DENSE)
    stored_as(config, name)


def attention_of(config: PretrainedConfig, fused: str) -> str:
    """Return the attention to build a model with: `fused`, or the plain one of models that cap or bias their scores."""
    kind: Any = AutoModelForCausalLM._model_mapping.get(type(config), None)
    if kind is None or kind._supports_sdpa:
        return fused if kind is None or kind._supports_attention_backend else "sdpa"
    return "eager"


def stored_as(config: PretrainedConfig, name: str) -> str:
    """Return how the weights are quantised in the model's files: ``nf4`` by bitsandbytes, or ``none``.

    Raises:
        InputError: If they are quantised in another way.
    """
    found: Any = getattr(config, "quantization_config", None)
    if found is None:
        return "none"
    found = found if isinstance(found, dict) else found.to_dict()
    method, kind = found.get("quant_method"), found.get("bnb_4bit_quant_type")
    wide = found.get("load_in_8bit") or found.get("_load_in_8bit")
    if method == "bitsandbytes" and not wide and kind == "nf4":
        return "nf4"
    how = one_line(" ".join(str(part) for part in (method, "in 8 bit" if wide else kind) if part), 60)
    raise InputError(
        f"The files of {name} are quantised by {how}, which cannot be trained on here.",
        "Choose the model without quantisation: it is quantised to NF4 here.",
    )


def keep_text_only(model: PreTrainedModel) -> None:
    """Drop what a model of text and images has besides its text part: it takes memory, and is never adapted."""
    inner: Any = getattr(model, model.base_model_prefix, model)
    if hasattr(inner, "language_model"):
        for name, _ in list(inner.named_children()):
            if name != "language_model":
                setattr(inner, name, None)


def _number(config: PretrainedConfig, field: str) -> int:
    value = getattr(config, field, None)
    return value if isinstance(value, int) else 0

"""The size of a model and what a training step keeps for its backward pass, found without the weights.

The model is built on the ``meta`` device, where tensors have shapes but no content, with a LoRA adapter on
it, and a forward pass is recorded: the tensors that autograd saves are those that a real step will save,
whatever the architecture. It takes half a second.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer
from torch import nn
from torch.utils._pytree import tree_leaves
from transformers import AttentionInterface, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.pytorch_utils import Conv1D

from playground.errors import InputError
from playground.models.architecture import attention_of, keep_text_only
from playground.models.fused import fuse
from playground.models.head import backbone

PROBE = 64  # tokens
_ATTENTION = "shapes_only"
_measured: dict[tuple[str, torch.dtype, int, bool, bool], Footprint] = {}


@dataclass(frozen=True, slots=True)
class Footprint:
    """Sizes of a model with an adapter.

    Attributes:
        linear_parameters: Weights of the linear layers that are quantised and adapted.
        other_parameters: Embedding, head and norms, which keep their dtype.
        largest_linear: Weights of the largest such layer.
        adapter_parameters: Trained parameters.
        saved_bytes: Bytes per token kept for the backward pass, without gradient checkpointing.
        layer_bytes: Bytes per token that a layer takes while no gradients are recorded.
        checkpointed_bytes: The same with gradient checkpointing.
        pair_bytes: Bytes for each pair of tokens of a row kept in addition, where attention is not fused; 0 elsewhere.
        cache_bytes: Bytes per token of the keys and values that an answer keeps.
        state_bytes: Bytes that an answer keeps whatever its length: the state of linear attention; 0 elsewhere.
        layers: Number of layers.
        hidden: Width of the hidden state.
        vocabulary: Rows of the head.
        width: Bytes of a number of the arithmetic.
    """

    linear_parameters: int
    other_parameters: int
    largest_linear: int
    adapter_parameters: int
    saved_bytes: int
    layer_bytes: int
    checkpointed_bytes: int
    pair_bytes: int
    cache_bytes: int
    state_bytes: int
    layers: int
    hidden: int
    vocabulary: int
    width: int

    @property
    def parameters(self) -> int:
        """Parameters of the base."""
        return self.linear_parameters + self.other_parameters


def footprint(
    config: PreTrainedConfig, dtype: torch.dtype, lora_r: int, *, repeated_heads: bool = False, fused: bool = False
) -> Footprint:
    """Measure the model of `config`; cached, because the data inspector plans with the same model again and again.

    Args:
        config: The model's config.
        dtype: The dtype of the arithmetic.
        lora_r: The adapter's rank.
        repeated_heads: Whether attention gets a key and a value for each query head, see `attention`.
        fused: Whether LoRA on packed layers is one function, see `fused.packed_is_fused`.

    Raises:
        InputError: If the architecture cannot be measured this way, or is not a causal language model.
    """
    key = (config.to_json_string(use_diff=False), dtype, lora_r, repeated_heads, fused)
    try:
        if key not in _measured:
            _measured[key] = _footprint(config, dtype, lora_r, repeated_heads, fused)
        return _measured[key]
    except (ValueError, KeyError, RuntimeError, NotImplementedError, AttributeError, TypeError) as error:
        first = str(error).strip().split("\n")[0][:200]
        raise InputError(
            f"{config.model_type} models cannot be trained here: {first}",
            "It must be a causal language model that transformers supports, with attention that it can replace.",
        ) from error


def _footprint(
    config: PreTrainedConfig, dtype: torch.dtype, lora_r: int, repeated_heads: bool, fused: bool
) -> Footprint:
    AttentionInterface.register(_ATTENTION, partial(_attend, repeated=repeated_heads))
    with torch.device("meta"):
        model = _without_weights(config, dtype)
        keep_text_only(model)
        model.requires_grad_(False)
        head = model.get_output_embeddings()
        linear = [m.weight.numel() for m in model.modules() if isinstance(m, nn.Linear | Conv1D) and m is not head]
        whole = sum(parameter.numel() for parameter in model.parameters())
        adapter = LoraConfig(r=lora_r, target_modules="all-linear", task_type="CAUSAL_LM")
        adapted = get_peft_model(model, adapter)
        adapted.train()
        adapters = [layer for layer in adapted.modules() if isinstance(layer, LoraLayer)]
        for layer in adapters:
            layer.register_forward_pre_hook(_require_rows)
        saved = plain = _saved(model, PROBE)
        if fused:
            for layer in adapters:
                fuse(layer)
            saved = _saved(model, PROBE)
        pairs = 0
        if model.config._attn_implementation == "eager":  # it keeps all scores: what is more than twice as much
            pairs = max(0, _saved(model, 2 * PROBE) - 2 * saved) // (2 * PROBE**2)
            saved, plain = saved - pairs * PROBE**2, plain - pairs * PROBE**2
        cache, state = _cached(model)
        checkpoint_activations(model)
        checkpointed = _saved(model, PROBE)
    text: Any = config.get_text_config()
    return Footprint(
        linear_parameters=sum(linear),
        other_parameters=whole - sum(linear),
        largest_linear=max(linear),
        adapter_parameters=sum(p.numel() for p in adapted.parameters() if p.requires_grad),
        saved_bytes=saved // PROBE,
        # PEFT's layers, not the fused ones. Up to three quarters of what they would keep exist at one time (measured).
        layer_bytes=3 * plain // (4 * PROBE * text.num_hidden_layers),
        checkpointed_bytes=checkpointed // PROBE,
        pair_bytes=pairs,
        cache_bytes=cache,
        state_bytes=state,
        layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        vocabulary=head.weight.shape[0],
        width=dtype.itemsize,
    )


def _without_weights(config: PreTrainedConfig, dtype: torch.dtype) -> Any:
    plain = attention_of(config, _ATTENTION) == "eager"
    options = {"dtype": dtype, "trust_remote_code": False}
    if not plain:
        with suppress(KeyError):  # Falcon has a table of its own, with other names
            return AutoModelForCausalLM.from_config(config, attn_implementation=_ATTENTION, **options)
    return AutoModelForCausalLM.from_config(config, attn_implementation="eager", **options)


def _require_rows(layer: nn.Module, inputs: tuple[Any, ...]) -> None:
    """Refuse a model that hands a layer the tokens of all rows in one heap: a row of a batch is a lane."""
    if inputs[0].dim() != 3:
        raise ValueError("its layers get the tokens of all rows in one heap, so rows cannot have their own adapters")


def checkpoint_activations(model: PreTrainedModel) -> None:
    """Recompute each layer in the backward pass instead of keeping its activations (Chen et al. 2016)."""
    if hasattr(model, "activation_checkpointing_enable"):  # the newer name; the other is removed in transformers 6
        model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    else:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})


def _saved(model: PreTrainedModel, length: int) -> int:
    """Return the bytes that a forward pass over one row keeps, not counting parameters."""
    own = {t.untyped_storage()._cdata for t in [*model.parameters(), *model.buffers()]}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if (key := tensor.untyped_storage()._cdata) not in own:
            kept[key] = tensor  # kept alive, so that no other tensor can take its place
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        _read(model, length, use_cache=False)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def _cached(model: PreTrainedModel) -> tuple[int, int]:
    """Return the bytes of the keys and values of a token in all layers, and of the states that do not grow."""
    with torch.no_grad():
        output = _read(model, PROBE, use_cache=True)
    growing = fixed = 0
    for layer in (output.get("cache") or output["past_key_values"]).layers:  # the newer name, and the older
        for name, kept in vars(layer).items():
            if name in ("keys", "values"):
                growing += 0 if kept is None else kept.nbytes // kept.shape[-2]
            else:
                fixed += sum(tensor.nbytes for tensor in tree_leaves(kept) if isinstance(tensor, torch.Tensor))
    return growing, fixed


def _read(model: PreTrainedModel, length: int, *, use_cache: bool) -> Any:
    """Return the output of a forward pass over one row."""
    decoder: Any = backbone(model)
    # Some models look for padding in the ids to warn of it, and ids without content cannot be looked through.
    decoder.warn_if_padding_and_no_attention_mask = lambda *given: None
    ids = torch.zeros((1, length), dtype=torch.long)
    # Plain attention looks for packed rows in the positions, unless there is a mask.
    mask = torch.ones_like(ids) if model.config._attn_implementation == "eager" else None
    return decoder(input_ids=ids, attention_mask=mask, use_cache=use_cache)


class _Attention(torch.autograd.Function):
    """Keeps what a fused attention kernel keeps: its inputs, its output, a number for each query."""

    @staticmethod
    def forward(ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        output = torch.empty_like(query)
        ctx.save_for_backward(query, key, value, output, query.new_empty(query.shape[:-1], dtype=torch.float32))
        return output

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(torch.empty_like(kept) for kept in ctx.saved_tensors[:3])


def _attend(
    module: nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: Any, *,
    repeated: bool, **options: Any,
) -> tuple[torch.Tensor, None]:  # fmt: skip
    groups = query.shape[1] // key.shape[1]
    # Where rows are longer than a window there is a mask, and with a mask keys and values are repeated.
    if groups > 1 and (repeated or options.get("sliding_window") or key.shape[-1] > 256):
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    apply: Callable[..., torch.Tensor] = _Attention.apply  # it has no types in some releases of torch
    return apply(query, key, value).transpose(1, 2).contiguous(), None

"""Merging an adapter into its base a layer at a time, for models that do not fit into memory as a whole."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from safetensors import SafetensorError
from safetensors.torch import save_file
from transformers.pytorch_utils import Conv1D

from playground.errors import EnvironmentFault, InputError
from playground.models.linear import plain_weight
from playground.models.load import Base, nf4_values
from playground.models.merge import require_whole

SHARD_BYTES = 2 << 30


def merge_stream(base: Base, model: PeftModel, folder: Path, dtype: torch.dtype) -> None:
    """Write the merged model to `folder`, whole or not at all.

    Args:
        base: The base as its files have it, see `load_base`; its weights stay on the disk until they are read here.
        model: The base with one adapter.
        folder: Where the model goes; must not exist.
        dtype: The dtype of the written weights.

    Raises:
        InputError: If `folder` already exists, or only a part of the model is loaded.
        EnvironmentFault: If it cannot be written.
    """
    if folder.exists():
        raise InputError(f"{folder} already exists.", "Name another folder.")
    require_whole(base)
    temporary = folder.with_name(f".{folder.name}.writing")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        _write_shards(_merged(base, model, dtype), temporary)
        config = base.model.config
        config.dtype = dtype
        if hasattr(config, "quantization_config"):
            del config.quantization_config
        config.save_pretrained(temporary)
        if base.model.generation_config is not None:
            base.model.generation_config.save_pretrained(temporary)
        base.tokenizer.save_pretrained(temporary)
        os.replace(temporary, folder)
    except (OSError, SafetensorError) as error:
        raise EnvironmentFault(f"{folder} cannot be written: {error}.", "Check the disk.") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _merged(base: Base, model: PeftModel, dtype: torch.dtype) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield each tensor of the merged model with its name; one that is tied to another comes once."""
    layers = dict(base.model.named_modules())
    head, values = base.model.get_output_embeddings(), nf4_values(base)
    (adapter,) = model.peft_config
    seen: set[int] = set()
    for name, tensor in base.model.state_dict(keep_vars=True).items():
        if ".lora_" in name or id(tensor) in seen:
            continue
        seen.add(id(tensor))
        plain = name.replace(".base_layer.", ".")
        if ".weight." in plain:
            continue  # the scales of a weight that is stored in NF4, which `plain_weight` uses
        layer = layers[plain.rpartition(".")[0]]
        own = layer.get_base_layer() if isinstance(layer, LoraLayer) else layer
        if not plain.endswith(".weight") or own is head or not isinstance(own, torch.nn.Linear | Conv1D):
            yield plain, tensor.detach().to(dtype) if tensor.is_floating_point() else tensor.detach()
            continue
        weight = plain_weight(own)
        turned = isinstance(own, Conv1D)  # GPT-2's, whose weight is (in, out)
        weight = weight.t() if turned else weight
        dense = weight.float() if values is None else values.of(plain, weight)
        if isinstance(layer, LoraLayer):
            delta = layer.get_delta_weight(adapter).float()
            dense = dense + (delta.t() if turned else delta)
        yield plain, (dense.t() if turned else dense).to(dtype)


def _write_shards(tensors: Iterator[tuple[str, torch.Tensor]], folder: Path) -> None:
    """Write tensors as they come, in files of about `SHARD_BYTES`, with the index that transformers reads."""
    shards: list[list[str]] = []
    waiting: dict[str, torch.Tensor] = {}
    total = 0

    def write() -> None:
        if waiting:
            save_file(waiting, folder / f"{len(shards)}.part", metadata={"format": "pt"})
            shards.append(list(waiting))
            waiting.clear()

    for name, tensor in tensors:
        waiting[name] = tensor.contiguous()
        total += tensor.nbytes
        if sum(part.nbytes for part in waiting.values()) >= SHARD_BYTES:
            write()
    write()
    names = [f"model-{at:05}-of-{len(shards):05}.safetensors" for at in range(1, len(shards) + 1)]
    names = names if len(names) > 1 else ["model.safetensors"]
    for at, name in enumerate(names):
        os.replace(folder / f"{at}.part", folder / name)
    if len(names) > 1:
        where = {tensor: name for shard, name in zip(shards, names, strict=True) for tensor in shard}
        index = {"metadata": {"total_size": total}, "weight_map": where}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2), "utf-8")

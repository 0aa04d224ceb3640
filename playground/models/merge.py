"""Merging an adapter into its base: a standalone model, and how far it is from the two it was made from."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from peft import PeftModel
from safetensors import SafetensorError

from playground.errors import EnvironmentFault, InputError
from playground.models.linear import FrozenLinear
from playground.models.load import Base


def merge(
    base: Base, model: PeftModel, folder: Path, dtype: torch.dtype, prompts: Sequence[tuple[int, ...]]
) -> tuple[float, float]:
    """Merge the adapter into the dequantised base and write it to `folder`, whole or not at all.

    The base must be dense, as it is on a CPU: there its weights are those that the adapter was trained
    on. Merging into the original weights instead would undo what the adapter learned about NF4's error.

    Args:
        base: The base, on a CPU.
        model: The base with the adapter.
        folder: Where the model goes; must not exist.
        dtype: The dtype of the written weights.
        prompts: Texts on which the two are compared, at every position.

    Returns:
        Mean and largest KL divergence, in nats, from the unmerged to the merged model as written.

    Raises:
        InputError: If `folder` already exists.
        EnvironmentFault: If it cannot be written.
    """
    if folder.exists():
        raise InputError(f"{folder} already exists.", "Name another folder.")
    require_whole(base)
    before = [_log_probabilities(model, ids) for ids in prompts]
    merged = model.merge_and_unload()
    merged.to(dtype)
    merged.config.dtype = dtype
    temporary = folder.with_name(f".{folder.name}.writing")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        merged.save_pretrained(temporary, state_dict=_as_stored(merged))
        base.tokenizer.save_pretrained(temporary)
        os.replace(temporary, folder)
    except (OSError, SafetensorError) as error:
        raise EnvironmentFault(f"{folder} cannot be written: {error}.", "Check the disk.") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    merged.float()  # the same arithmetic as the other side: only the weights differ
    gaps = [_kl(mine, _log_probabilities(merged, ids)) for mine, ids in zip(before, prompts, strict=True)]
    return float(torch.cat(gaps).mean()), float(torch.cat(gaps).max())


def require_whole(base: Base) -> None:
    """Refuse to write a model of which only a part is loaded.

    Raises:
        InputError: If it is a model of text and images.
    """
    if base.model.config is not base.model.config.get_text_config():
        raise InputError(
            f"{base.identity.name} is a model of text and images, of which only the text part is loaded here.",
            "Load the adapter with PEFT on the whole model instead.",
        )


def _as_stored(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return the weights of `model` in the shapes that its files have."""
    weights = model.state_dict()
    for name, module in model.named_modules():
        if isinstance(module, FrozenLinear) and module.stored_transposed:
            weights[f"{name}.weight"] = module.weight.t().contiguous()
    return weights


@torch.inference_mode()
def _log_probabilities(model: Callable[..., object], ids: tuple[int, ...]) -> torch.Tensor:
    output = model(input_ids=torch.tensor([ids]), use_cache=False)
    return torch.log_softmax(output.logits[0].double(), dim=-1)  # type: ignore[attr-defined]


def _kl(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    return (p.exp() * (p - q)).sum(-1)

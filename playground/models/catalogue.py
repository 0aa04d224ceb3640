"""Base models that are known to work with this program, and whether they would fit here."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import torch
from transformers import AutoConfig

from playground.events.models import KnownModel
from playground.models.budget import memory_by_part
from playground.models.device import before_ampere, compute_dtype, planned_dtype
from playground.models.footprint import Footprint, footprint
from playground.models.fused import packed_is_fused

LONGEST = 1024  # tokens per row, for which a model is said to fit
LORA_R = 16


def known_models() -> list[tuple[KnownModel, dict[str, Any]]]:
    """Return the models of ``known.toml``, the smallest first, each with its type and shape."""
    table = tomllib.loads((files("playground.models") / "known.toml").read_text("utf-8"))
    return [
        (
            KnownModel(
                id=row["id"],
                parameters=row["parameters"],
                licence=row["licence"],
                gated=row["gated"],
                download=row["download"],
                end_token=row["end_token"],
            ),
            {"model_type": row["type"], **row["shape"]},
        )
        for row in sorted(table["model"], key=lambda row: int(row["parameters"]))
    ]


def size_of(shape: dict[str, Any], device: torch.device) -> Footprint:
    """Return the footprint of a model of this `shape` on `device`."""
    config = AutoConfig.for_model(**shape)
    dtype = planned_dtype(compute_dtype(device), config)
    fused = packed_is_fused(device, dtype)
    return footprint(config, dtype, LORA_R, repeated_heads=before_ampere(device), fused=fused)


def needs(size: Footprint, device: torch.device, *, checkpointing: bool) -> int:
    """Return the bytes that QLoRA needs with one row of `LONGEST` tokens at a time."""
    parts = memory_by_part(size, "nf4", device, rows_at_once=1, longest=LONGEST, checkpointing=checkpointing)
    return sum(parts.values())


def judged(device: torch.device, free: int) -> Iterator[KnownModel]:
    """Yield each model with the memory it needs here, smallest first; each takes about a second."""
    for model, shape in known_models():
        size = size_of(shape, device)
        plain, checkpointed = (needs(size, device, checkpointing=mode) for mode in (False, True))
        fit = "fits" if plain <= free else "fits with checkpointing" if checkpointed <= free else "does not fit"
        yield KnownModel.from_dict({**model.to_dict(), "needed": plain if fit == "fits" else checkpointed, "fit": fit})


def largest_fitting(device: torch.device, free: int) -> str:
    """Return the id of the largest model that is not gated and fits, or an empty string."""
    for model, shape in reversed(known_models()):
        if not model.gated and needs(size_of(shape, device), device, checkpointing=True) <= free:
            return str(model.id)
    return ""

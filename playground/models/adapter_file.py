"""Reading an adapter's folder, which may come from anyone.

Its config is parsed as data against an allow-list before PEFT sees any of it, weights are safetensors only, and every
tensor must have finite values: a NaN would reach the base lanes too, because 0 * NaN is NaN.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from playground.data.jsonl import shown
from playground.errors import InputError
from playground.models.memory import free_memory
from playground.report.words import gigabytes
from playground.runs.folder import ADAPTER_CONFIG, WEIGHTS, read_json
from playground.text import one_line

# Some programs save the tensors under the names of PEFT's own modules, in which the adapter is called "default".
_MATRIX = re.compile(r"base_model\.model\.([A-Za-z0-9_.]{1,256})\.lora_([AB])(?:\.default)?\.weight")
# In a pattern of ranks or scales: the name of a layer or its end. As an expression it takes linear time.
_LAYER = re.compile(r"\^?[A-Za-z0-9_.]{1,256}")
_MOST_PATTERNS = 1000
_DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)

# The fields of PEFT's LoraConfig, by what they mean for an adapter that is already trained. A field that is in none of
# these tables, as one of a future PEFT may be, has to be off.
_READ = {"peft_type", "r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora", "init_lora_weights"}
# Where it came from and how it was trained; which layers it is on, because the names of its tensors say that; how the
# base stores their weights, because the base in memory says that; and the settings of features that have to be off
# themselves.
_NEUTRAL = {
    "auto_mapping", "base_model_name_or_path", "revision", "inference_mode", "peft_version", "task_type",
    "lora_dropout", "runtime_config", "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern",
    "fan_in_fan_out", "eva_config", "corda_config", "loftq_config", "lora_ga_config", "qalora_group_size",
    "megatron_core",
}  # fmt: skip
# How A and B were initialised. These leave the base unchanged, so the trained tensors are all there is.
_PLAIN_STARTS = (None, True, False, "gaussian", "eva", "orthogonal", "mica")
# These take a part of each weight out of the base and into A and B. The base in memory is then not the one that the
# adapter was trained on: added to it, the same tensors mean something else.
_CHANGES_BASE = ("pissa", "olora", "corda", "lora_ga", "loftq")
_AGAIN = "Copy or train the adapter again."
_PLAIN_NEEDED = "A lane needs a plain LoRA adapter on linear layers; merge other kinds into a model of their own."


@dataclass(frozen=True)
class AdapterFile:
    """An adapter read from `folder` and found valid.

    Attributes:
        folder: Where it is.
        r: The rank of the layers that `rank_pattern` does not name.
        lora_alpha: The same for their scale.
        rank_pattern: Rank by name of a layer or its end, as PEFT matches it.
        alpha_pattern: Scale, likewise.
        modules: The layers it is on, as its tensors name them: a config may use a pattern, with exceptions, or wrongly.
        use_rslora: Whether the scale is divided by the root of the rank.
        base_name: The base that its config names; may be empty.
        tensors: Its matrices under PEFT's names.
    """

    folder: Path
    r: int
    lora_alpha: float
    rank_pattern: dict[str, int]
    alpha_pattern: dict[str, float]
    modules: tuple[str, ...]
    use_rslora: bool
    base_name: str
    tensors: dict[str, torch.Tensor]


def read_adapter(folder: Path) -> AdapterFile:
    """Read and check an adapter folder.

    Raises:
        InputError: Naming what is missing, unknown or invalid.
    """
    config = _read_config(folder)
    if not (folder / WEIGHTS).is_file():
        other = next((file.name for file in folder.glob("adapter_model.*") if file.name != WEIGHTS), None)
        raise InputError(
            f"{folder} has {one_line(other, 60)} but no {WEIGHTS}." if other else f"{folder} has no {WEIGHTS}.",
            "Only safetensors are read, because other formats can run code; save the adapter again with PEFT.",
        )
    size, free = (folder / WEIGHTS).stat().st_size, free_memory(torch.device("cpu"))
    if size > free:  # every value is looked at; the system would end the process
        raise InputError(
            f"{folder / WEIGHTS} needs {gigabytes(size)}, but {gigabytes(free)} are free.", "Is it an adapter?"
        )
    try:
        tensors = load_file(folder / WEIGHTS)
    except (
        SafetensorError,
        OSError,
        RuntimeError,
        TypeError,
    ) as error:  # the last two: a shape that PyTorch cannot hold
        raise InputError(f"{folder / WEIGHTS} is damaged: {_said(error)}.", _AGAIN) from None
    if not tensors:
        raise InputError(f"{folder / WEIGHTS} has no tensors.", _AGAIN)
    matches = {name: _MATRIX.fullmatch(name) for name in tensors}
    if (other := next((name for name, match in matches.items() if match is None), None)) is not None:
        raise InputError(
            f"{folder} cannot be compared with its base here: {one_line(other, 120)} is not a LoRA matrix of a linear "
            "layer under PEFT's names.",
            _PLAIN_NEEDED,
        )
    names = {name: f"base_model.model.{match[1]}.lora_{match[2]}.weight" for name, match in matches.items() if match}
    if len(set(names.values())) < len(names):
        raise InputError(f"{folder / WEIGHTS} has a matrix under two names.", _AGAIN)
    for name, tensor in tensors.items():
        if tensor.dtype not in _DTYPES:
            kind = str(tensor.dtype).removeprefix("torch.")
            raise InputError(f"{folder / WEIGHTS}: {name} is stored as {kind}.", "Save it in float32 or bfloat16.")
        if tensor.ndim != 2:
            raise InputError(
                f"{folder / WEIGHTS}: {name} has {tensor.ndim} dimensions, where a matrix has two.", _AGAIN
            )
        if not torch.isfinite(tensor.float()).all():  # as it is used: float64 can hold more
            raise InputError(f"{folder / WEIGHTS}: {name} has values that are not finite.", "Train it again.")
    return AdapterFile(
        folder=folder,
        r=config["r"],
        lora_alpha=config["lora_alpha"],
        rank_pattern=config.get("rank_pattern") or {},
        alpha_pattern=config.get("alpha_pattern") or {},
        modules=tuple(sorted({match[1] for match in matches.values() if match})),
        use_rslora=config.get("use_rslora") is True,
        base_name=one_line(str(config.get("base_model_name_or_path") or ""), 200),
        tensors={names[name]: tensor for name, tensor in tensors.items()},
    )


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config = read_json(folder / ADAPTER_CONFIG)
    except FileNotFoundError:
        raise InputError(f"{folder} has no {ADAPTER_CONFIG}.", "Name the folder of a LoRA adapter.") from None
    except RecursionError:
        raise InputError(f"{folder / ADAPTER_CONFIG} is nested too deep.", _AGAIN) from None
    except (OSError, ValueError) as error:
        raise InputError(f"{folder / ADAPTER_CONFIG} cannot be read: {_said(error)}.", _AGAIN) from None
    if not isinstance(config, dict):
        config = {}
    if what := _not_plain(config):
        raise InputError(f"{folder} cannot be compared with its base here: {what}.", _way_out(config))
    return config


def _said(error: Exception) -> str:
    """Return the first line of a library's error, which may quote the file."""
    return one_line(str(error).partition("\n")[0], 200)


def _not_plain(config: dict[str, Any]) -> str:
    """Return why an adapter is not a plain LoRA on the unchanged base; empty if it is."""
    if config.get("peft_type") != "LORA":
        return f"its type is {shown(config.get('peft_type'))}, not LORA"
    if not _is_rank(r := config.get("r")):
        return f"r is {shown(r)}"
    if not _is_scale(alpha := config.get("lora_alpha")):
        return f"lora_alpha is {shown(alpha)}"
    for name, allowed in (("rank_pattern", _is_rank), ("alpha_pattern", _is_scale)):
        if what := _not_a_pattern(name, config.get(name), allowed):
            return what
    if not isinstance(config.get("use_rslora"), bool | None):
        return f"use_rslora is {shown(config['use_rslora'])}"
    if _changes_base(start := config.get("init_lora_weights")):
        return f"it was initialised with {shown(start)}, which also changes the weights of the base"
    if not any(start is plain or (isinstance(start, str) and start == plain) for plain in _PLAIN_STARTS):
        return f"its init_lora_weights is {shown(start)}, which is not supported"
    for key, value in config.items():
        if key not in _READ | _NEUTRAL and value not in (None, False, "none", [], {}):
            return f"it uses {one_line(key, 60)} = {shown(value)}"
    return ""


def _is_rank(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 512


def _is_scale(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 10_000  # false for NaN too


def _not_a_pattern(name: str, pattern: object, allowed: Callable[[object], bool]) -> str:
    """Return why `pattern` does not give layers a value by their names; empty if it does."""
    if pattern is None:
        return ""
    if not isinstance(pattern, dict):
        return f"its {name} is {shown(pattern)}"
    if len(pattern) > _MOST_PATTERNS:
        return f"its {name} has {len(pattern):,} entries"
    for layer, value in pattern.items():
        if not _LAYER.fullmatch(layer):
            return f"its {name} is for {one_line(layer, 60)}, which is not the name of a layer"
        if not allowed(value):
            return f"its {name} is {shown(value)} for {one_line(layer, 60)}"
    return ""


def _changes_base(start: object) -> bool:
    return isinstance(start, str) and start.lower().startswith(_CHANGES_BASE)  # "pissa_niter_16" too


def _way_out(config: dict[str, Any]) -> str:
    start = config.get("init_lora_weights")
    if _changes_base(start) and not str(start).lower().startswith("loftq"):
        return (
            "Where it was trained, save it as plain LoRA: model.save_pretrained(folder, "
            "path_initial_model_for_weight_conversion=…), as PEFT's documentation describes."
        )
    return _PLAIN_NEEDED

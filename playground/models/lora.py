"""LoRA adapters: a fresh one on a base, one read from a folder, one written to it.

Adapter folders are untrusted. Their config is parsed as data against an allow-list before PEFT sees
any of it, weights are safetensors only, and every tensor must have its place, its shape and finite
values: a NaN would reach the base lanes too, because 0 * NaN is NaN.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file

from playground.errors import InputError
from playground.models.load import Base

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_MODULE = re.compile(r"[A-Za-z0-9_.]{1,128}")
# Fields that say nothing about the arithmetic of the adapter.
_IGNORED = {
    "auto_mapping", "base_model_name_or_path", "revision", "inference_mode", "peft_version", "task_type",
    "init_lora_weights", "lora_dropout", "exclude_modules", "ensure_weight_tying", "runtime_config",
    "qalora_group_size", "megatron_core", "loftq_config", "eva_config", "corda_config", "velora_config",
    "lora_ga_config", "layers_pattern", "use_bdlora", "bdlora_config",
}  # fmt: skip


@dataclass(frozen=True)
class AdapterFile:
    """An adapter read from `folder` and found sound; `tensors` carry PEFT's names."""

    folder: Path
    r: int
    lora_alpha: float
    target_modules: tuple[str, ...]
    use_rslora: bool
    base_name: str
    tensors: dict[str, torch.Tensor]


def attach_new(base: Base, r: int, lora_alpha: int, seed: int) -> PeftModel:
    """Put a fresh adapter on every linear layer but the head; A is random from `seed`, B is zero."""
    config = LoraConfig(r=r, lora_alpha=lora_alpha, target_modules="all-linear", task_type="CAUSAL_LM")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return get_peft_model(base.model, config)


def read_adapter(folder: Path) -> AdapterFile:
    """Read and check an adapter folder.

    Raises:
        InputError: Naming what is missing, unknown or unsound.
    """
    config = _read_config(folder)
    if not (folder / WEIGHTS).is_file():
        other = next((file.name for file in folder.glob("adapter_model.*")), None)
        raise InputError(
            f"{folder} holds {other} but no {WEIGHTS}." if other else f"{folder} holds no {WEIGHTS}.",
            "Only safetensors are read, because other formats can run code; save the adapter again with PEFT.",
        )
    try:
        tensors = load_file(folder / WEIGHTS)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{folder / WEIGHTS} is damaged: {error}.", "Copy or train the adapter again.") from None
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or not torch.isfinite(tensor).all():
            raise InputError(f"{folder / WEIGHTS}: {name} holds values that are not finite.", "Train it again.")
    return AdapterFile(
        folder=folder,
        r=config["r"],
        lora_alpha=config["lora_alpha"],
        target_modules=tuple(config["target_modules"]),
        use_rslora=bool(config.get("use_rslora")),
        base_name=str(config.get("base_model_name_or_path") or ""),
        tensors=tensors,
    )


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / CONFIG).read_text("utf-8"))
    except FileNotFoundError:
        raise InputError(f"{folder} holds no {CONFIG}.", "Name the folder of a LoRA adapter.") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{folder / CONFIG} cannot be read: {error}.", "Copy or train the adapter again.") from None

    def refuse(what: str) -> InputError:
        return InputError(
            f"{folder} cannot be shown beside its base: {what}.",
            "A lane needs a plain LoRA adapter on linear layers; merge other kinds into a model of their own.",
        )

    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        kind = config.get("peft_type") if isinstance(config, dict) else None
        raise refuse(f"its type is {kind!r}, not LORA")
    r, alpha, targets = config.get("r"), config.get("lora_alpha"), config.get("target_modules")
    if not isinstance(r, int) or isinstance(r, bool) or not 1 <= r <= 512:
        raise refuse(f"r is {r!r}")
    if not isinstance(alpha, int | float) or not math.isfinite(alpha) or not 0 < alpha <= 10_000:
        raise refuse(f"lora_alpha is {alpha!r}")
    if (
        not isinstance(targets, list)
        or not targets
        or not all(isinstance(name, str) and _MODULE.fullmatch(name) for name in targets)
    ):
        raise refuse("target_modules is not a list of module names")
    known = {"peft_type", "r", "lora_alpha", "target_modules", "use_rslora"} | _IGNORED
    for key, value in config.items():
        if key not in known and value not in (None, False, "none", [], {}) and not (key == "megatron_config"):
            raise refuse(f"it uses {key} = {value!r}")
    return config


def attach(base: Base, model: PeftModel | None, file: AdapterFile, name: str) -> PeftModel:
    """Put an adapter that was read onto `base`, or beside the ones that are already on `model`.

    Raises:
        InputError: If it does not fit this base exactly: a missing, an unknown or a misshapen tensor.
            The base, or `model`, is then as it was.
    """
    alone = model is None
    config = LoraConfig(
        r=file.r,
        lora_alpha=file.lora_alpha,
        target_modules=list(file.target_modules),
        use_rslora=file.use_rslora,
        task_type="CAUSAL_LM",
    )
    try:
        with torch.random.fork_rng():
            if model is None:
                model = get_peft_model(base.model, config, adapter_name=name)
            else:
                model.add_adapter(name, config)
    except ValueError as error:
        raise _misfit(base, file, str(error).splitlines()[0]) from None
    assert model is not None
    # Without save_embedding_layers=False PEFT would ask the hub about the base's vocabulary.
    expected = get_peft_model_state_dict(model, adapter_name=name, save_embedding_layers=False)
    wrong = sorted(set(expected) ^ set(file.tensors)) or sorted(
        key for key, tensor in file.tensors.items() if tensor.shape != expected[key].shape
    )
    if wrong:
        if alone:
            model.unload()
        else:
            model.delete_adapter(name)
        raise _misfit(base, file, f"{wrong[0]} is missing, unknown or of another shape ({len(wrong)} such tensors)")
    set_peft_model_state_dict(model, file.tensors, adapter_name=name)
    model.requires_grad_(False)
    return model.eval()


def _misfit(base: Base, file: AdapterFile, why: str) -> InputError:
    trained_on = f"It names {file.base_name!r} as its base. " if file.base_name else ""
    return InputError(
        f"The adapter {file.folder.name} does not fit {base.identity.name}: {why}.",
        trained_on + "Load it on the model it was trained on, with --model.",
    )


def state(model: PeftModel) -> dict[str, torch.Tensor]:
    """Return the adapter's tensors under PEFT's names, on the CPU, sorted by name."""
    tensors = get_peft_model_state_dict(model, save_embedding_layers=False)
    return {name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)}


def put_state(model: PeftModel, tensors: dict[str, torch.Tensor]) -> None:
    """Put back what `state` returned.

    Raises:
        InputError: If the names are not exactly those of the model's adapter.
    """
    if set(tensors) != set(get_peft_model_state_dict(model, save_embedding_layers=False)):
        raise InputError("The checkpoint belongs to another adapter.", "Start a new run.")
    set_peft_model_state_dict(model, tensors)


def config_json(model: PeftModel) -> str:
    """Return the ``adapter_config.json`` that plain PEFT reads; the same bytes for the same adapter."""
    config = model.peft_config["default"].to_dict()
    config["inference_mode"] = True
    values = {key: sorted(value) if isinstance(value, set) else value for key, value in sorted(config.items())}
    return json.dumps(values, indent=2, default=str)

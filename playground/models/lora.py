"""LoRA adapters: attaching a new one, reading one from a folder, writing one.

Adapter folders are untrusted. Their config is parsed as data against an allow-list before PEFT sees
any of it, weights are safetensors only, and every tensor must have its place, its shape and finite
values: a NaN would reach the base lanes too, because 0 * NaN is NaN.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from safetensors import SafetensorError
from safetensors.torch import load_file

from playground.data.jsonl import shown
from playground.errors import InputError
from playground.models.load import Base
from playground.runs.folder import ADAPTER_CONFIG, WEIGHTS
from playground.text import one_line

_MATRIX = re.compile(r"base_model\.model\.([A-Za-z0-9_.]{1,256})\.lora_[AB]\.weight")
_DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)

# The fields of PEFT's LoraConfig, by what they mean for an adapter that is already trained. A field that is in none of
# these tables, as one of a future PEFT may be, has to be off.
_READ = {"peft_type", "r", "lora_alpha", "use_rslora", "init_lora_weights"}
# Where it came from and how it was trained; which layers it is on, because the names of its tensors say that; and the
# settings of features that have to be off themselves.
_NEUTRAL = {
    "auto_mapping", "base_model_name_or_path", "revision", "inference_mode", "peft_version", "task_type",
    "lora_dropout", "runtime_config", "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern",
    "eva_config", "corda_config", "loftq_config", "lora_ga_config", "qalora_group_size", "megatron_core",
}  # fmt: skip
# How A and B were initialised. These leave the base unchanged, so the trained tensors are all there is.
_PLAIN_STARTS = (None, True, False, "gaussian", "eva", "orthogonal", "mica")
# These take a part of each weight out of the base and into A and B. The base in memory is then not the one that the
# adapter was trained on: added to it, the same tensors mean something else.
_CHANGES_BASE = ("pissa", "olora", "corda", "lora_ga", "loftq")
_PLAIN_NEEDED = "A lane needs a plain LoRA adapter on linear layers; merge other kinds into a model of their own."


@dataclass(frozen=True)
class AdapterFile:
    """An adapter read from `folder` and found valid; `tensors` carry PEFT's names.

    `modules` are the layers it is on, as its tensors name them: a config may use a pattern, with exceptions, or
    wrongly.
    """

    folder: Path
    r: int
    lora_alpha: float
    modules: tuple[str, ...]
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
        InputError: Naming what is missing, unknown or invalid.
    """
    config = _read_config(folder)
    if not (folder / WEIGHTS).is_file():
        other = next((file.name for file in folder.glob("adapter_model.*")), None)
        raise InputError(
            f"{folder} has {other} but no {WEIGHTS}." if other else f"{folder} has no {WEIGHTS}.",
            "Only safetensors are read, because other formats can run code; save the adapter again with PEFT.",
        )
    try:
        tensors = load_file(folder / WEIGHTS)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{folder / WEIGHTS} is damaged: {error}.", "Copy or train the adapter again.") from None
    if not tensors:
        raise InputError(f"{folder / WEIGHTS} has no tensors.", "Copy or train the adapter again.")
    matches = {name: _MATRIX.fullmatch(name) for name in tensors}
    if (other := next((name for name, match in matches.items() if match is None), None)) is not None:
        raise InputError(
            f"{folder} cannot be compared with its base here: {one_line(other, 120)} is not a LoRA matrix of a linear "
            "layer under PEFT's names.",
            _PLAIN_NEEDED,
        )
    for name, tensor in tensors.items():
        if tensor.dtype not in _DTYPES:
            kind = str(tensor.dtype).removeprefix("torch.")
            raise InputError(f"{folder / WEIGHTS}: {name} is stored as {kind}.", "Save it in float32 or bfloat16.")
        if not torch.isfinite(tensor.float()).all():  # as it is used: float64 can hold more
            raise InputError(f"{folder / WEIGHTS}: {name} has values that are not finite.", "Train it again.")
    return AdapterFile(
        folder=folder,
        r=config["r"],
        lora_alpha=config["lora_alpha"],
        modules=tuple(sorted({match[1] for match in matches.values() if match})),
        use_rslora=config.get("use_rslora") is True,
        base_name=str(config.get("base_model_name_or_path") or ""),
        tensors=tensors,
    )


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / ADAPTER_CONFIG).read_text("utf-8"))
    except FileNotFoundError:
        raise InputError(f"{folder} has no {ADAPTER_CONFIG}.", "Name the folder of a LoRA adapter.") from None
    except RecursionError:
        raise InputError(f"{folder / ADAPTER_CONFIG} is nested too deep.", "Copy or train the adapter again.") from None
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder / ADAPTER_CONFIG} cannot be read: {error}.", "Copy or train the adapter again."
        ) from None
    if not isinstance(config, dict):
        config = {}
    if what := _not_plain(config):
        raise InputError(f"{folder} cannot be compared with its base here: {what}.", _way_out(config))
    return config


def _not_plain(config: dict[str, Any]) -> str:
    """Return why an adapter is not a plain LoRA on the unchanged base; empty if it is."""
    if config.get("peft_type") != "LORA":
        return f"its type is {shown(config.get('peft_type'))}, not LORA"
    r, alpha = config.get("r"), config.get("lora_alpha")
    if not isinstance(r, int) or isinstance(r, bool) or not 1 <= r <= 512:
        return f"r is {shown(r)}"
    if not isinstance(alpha, int | float) or isinstance(alpha, bool) or not 0 < alpha <= 10_000:  # false for NaN too
        return f"lora_alpha is {shown(alpha)}"
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


def attach(base: Base, model: PeftModel | None, file: AdapterFile, name: str) -> PeftModel:
    """Attach an adapter to `base`, or add it to those already on `model`.

    Raises:
        InputError: If it does not fit this base exactly: a missing, an unknown or a misshapen tensor.
            The base, or `model`, is then unchanged.
    """
    alone = model is None
    _require_inner_linear(base, file)
    config = LoraConfig(
        r=file.r,
        lora_alpha=file.lora_alpha,
        target_modules=list(file.modules),
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


def attach_copy(base: Base, file: AdapterFile, name: str) -> PeftModel:
    """Attach a copy of an adapter whose matrices can be trained; its file is not touched.

    Raises:
        InputError: If it does not fit this base exactly, which is then unchanged.
    """
    model = attach(base, None, file, name)
    for layer in model.modules():
        if isinstance(layer, LoraLayer):
            layer.lora_A.requires_grad_(True)
            layer.lora_B.requires_grad_(True)
    return model


def _require_inner_linear(base: Base, file: AdapterFile) -> None:
    """Refuse an adapter on anything but linear layers below the head, before PEFT replaces the first of them."""
    layers, head = dict(base.model.named_modules()), base.model.get_output_embeddings()
    for name in file.modules:
        if (layer := layers.get(name)) is head:
            raise _misfit(base, file, "it adapts the head as well, which is computed separately from the lanes")
        if not isinstance(layer, torch.nn.Linear | LoraLayer):
            raise _misfit(base, file, f"{one_line(name, 120)} is not a linear layer of this model")


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

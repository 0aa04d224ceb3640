"""LoRA adapters on a base: attaching a new one or one that was read, and writing one."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TypeVar

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from transformers.pytorch_utils import Conv1D

from playground.errors import InputError
from playground.models.adapter_file import AdapterFile
from playground.models.load import Base
from playground.text import one_line

V = TypeVar("V", int, float)


def attach_new(base: Base, r: int, lora_alpha: int, seed: int) -> PeftModel:
    """Put a fresh adapter on every linear layer but the head; A is random from `seed`, B is zero."""
    config = LoraConfig(r=r, lora_alpha=lora_alpha, target_modules="all-linear", task_type="CAUSAL_LM")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return get_peft_model(base.model, config)


def attach(base: Base, model: PeftModel | None, file: AdapterFile, name: str) -> PeftModel:
    """Attach an adapter to `base`, or add it to those already on `model`.

    Raises:
        InputError: If it does not fit this base exactly: a missing, an unknown or a misshapen tensor.
            After this, as after any error, the base, or `model`, is unchanged.
    """
    ranks = _matched(file.rank_pattern, file.modules)
    _require_inner_linear(base, file, ranks)
    config = LoraConfig(
        r=file.r,
        lora_alpha=file.lora_alpha,
        rank_pattern=_by_value(ranks),
        alpha_pattern=_by_value(_matched(file.alpha_pattern, file.modules)),
        target_modules=list(file.modules),
        use_rslora=file.use_rslora,
        task_type="CAUSAL_LM",
    )
    try:
        return _attach(base, model, file, name, config)
    except BaseException:  # out of memory too, which may come between two layers
        take_off(base, name)
        raise


def _attach(base: Base, model: PeftModel | None, file: AdapterFile, name: str, config: LoraConfig) -> PeftModel:
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
        raise _misfit(base, file, f"{wrong[0]} is missing, unknown or of another shape ({len(wrong)} such tensors)")
    set_peft_model_state_dict(model, file.tensors, adapter_name=name)
    model.peft_config[name].rank_pattern = file.rank_pattern
    model.peft_config[name].alpha_pattern = file.alpha_pattern
    model.requires_grad_(False)
    return model.eval()


def take_off(base: Base, name: str) -> None:
    """Take an adapter off a base, even one that is on a part of its layers only; without any others it is bare again.

    PEFT's own ways need an adapter that was attached to the end.
    """
    for path, layer in list(base.model.named_modules()):
        if isinstance(layer, LoraLayer):
            layer.delete_adapter(name)
            if not layer.lora_A:
                parent, _, child = path.rpartition(".")
                setattr(base.model.get_submodule(parent), child, layer.get_base_layer())
    base.model.requires_grad_(False)  # PEFT makes the adapter that a layer turns to trainable
    configs = getattr(base.model, "peft_config", None)
    if configs is not None:
        configs.pop(name, None)
        if not configs:
            del base.model.peft_config


def _matched(pattern: dict[str, V], modules: Sequence[str]) -> dict[str, V]:
    """Return the value of each module that `pattern` names, by the first key that matches, as PEFT does."""
    keys = [(re.compile(rf"(.*\.)?({key})$"), value) for key, value in pattern.items()]
    found = ((module, next((value for key, value in keys if key.match(module)), None)) for module in modules)
    return {module: value for module, value in found if value is not None}


def _by_value(values: dict[str, V]) -> dict[str, V]:
    """Return the values of modules as a pattern with one key for each value.

    PEFT tries every key on every layer and compiles it anew each time: a thousand names take it half a minute.
    """
    found: dict[V, list[str]] = {}
    for module, value in values.items():
        found.setdefault(value, []).append(re.escape(module))
    return {f"^({'|'.join(names)})": value for value, names in found.items()}


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


def _require_inner_linear(base: Base, file: AdapterFile, ranks: dict[str, int]) -> None:
    """Refuse an adapter on anything but linear layers below the head, or of other sizes; `ranks` are those by name.

    That is before PEFT replaces the first layer, and before it takes memory for the rank that a config claims.
    """
    layers, head = dict(base.model.named_modules()), base.model.get_output_embeddings()
    for name in file.modules:
        if (layer := layers.get(name)) is head:
            raise _misfit(base, file, "it adapts the head as well, which is computed separately from the lanes")
        if layer is None and base.model.config is not base.model.config.get_text_config():
            raise _misfit(
                base, file, f"{one_line(name, 120)} is not in the text part of the model, which is all that is used"
            )
        if not isinstance(layer, torch.nn.Linear | Conv1D | LoraLayer):
            raise _misfit(base, file, f"{one_line(name, 120)} is not a linear layer of this model")
        own = layer.get_base_layer() if isinstance(layer, LoraLayer) else layer
        inner, outer = own.weight.shape if isinstance(own, Conv1D) else (own.in_features, own.out_features)
        r = ranks.get(name, file.r)
        for matrix, wanted in (("A", (r, inner)), ("B", (outer, r))):
            key = f"base_model.model.{name}.lora_{matrix}.weight"
            shape = tuple(file.tensors[key].shape) if key in file.tensors else "missing"
            if shape != wanted:
                raise _misfit(
                    base, file, f"lora_{matrix} of {one_line(name, 120)} is {shape}, where {wanted} is needed"
                )


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

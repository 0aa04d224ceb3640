"""Loading a base model: the same weights, bit for bit, for training and for chat."""

from __future__ import annotations

import gc
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase
from transformers.pytorch_utils import Conv1D
from transformers.utils import logging as transformers_logging

from playground.environ import uncollected
from playground.errors import EnvironmentFault, InputError
from playground.events.runs import BaseIdentity
from playground.events.values import Progress
from playground.models import demo, nf4, source
from playground.models.architecture import attention_of, keep_text_only, require_supported, stored_as
from playground.models.attention import attention
from playground.models.device import compute_dtype, pick_device
from playground.models.head import Head, backbone
from playground.models.linear import FrozenLinear, plain_weight
from playground.models.memory import MemoryFault, free_memory, give_back
from playground.models.probe import FLOAT16_ROOM, largest_value, probe_ids
from playground.models.tokenizer import open_tokenizer
from playground.report.words import gigabytes


@dataclass(frozen=True)
class Base:
    """A base model in memory, frozen, in evaluation mode."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    head: Head
    identity: BaseIdentity
    end_token_id: int
    pad_token_id: int
    device: torch.device


@uncollected()
def load_base(
    name: str,
    quantize: str,
    progress: Progress = lambda stage, share: None,
    device: torch.device | None = None,
    *,
    as_stored: bool = False,
) -> Base:
    """Load a base model.

    Args:
        name: ``demo``, a folder, or a hub id.
        quantize: ``nf4`` (4 bit, with double quantisation) or ``none``.
        progress: Called with the current stage and the fraction of it that is done.
        device: Where to put it; by default a GPU if there is one.
        as_stored: On a CPU, leave the weights in their files, in the dtype that they have there: enough for merging.

    Raises:
        InputError: If `name` is not a model or cannot be loaded.
        EnvironmentFault: If a package is missing, or the hub or the disk cannot be used.
    """
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    device = device or pick_device()
    where = source.resolve(name, progress)
    if where.kind == "hub":
        transformers_logging.enable_progress_bar()
        progress(f"loading {where.name} from the hub or its cache", 0.0)
    else:
        progress("loading the model", 0.0)
    if quantize == "nf4":
        _require_bitsandbytes()
    tokenizer, end = open_tokenizer(where)
    dtype = compute_dtype(device)
    model = _load_model(where, quantize, device, dtype, as_stored)
    overflows = dtype == torch.float16 and _largest(model, tokenizer, device) > FLOAT16_ROOM
    if overflows:
        progress("loading the model again, in float32 because float16 overflows", 0.0)
        del model
        gc.collect()  # a quantised model refers to itself, and both may not fit
        give_back(device)
        dtype = torch.float32
        model = _load_model(where, quantize, device, dtype, as_stored)
    progress("loading the model", 1.0)
    pad = tokenizer.pad_token_id
    head = Head.of(model)
    _check_head(model, head, probe_ids(tokenizer, 4))
    on = _quantized_on(where, quantize, device)
    identity = BaseIdentity(
        name=where.name,
        description=_describe(where, quantize, on) + (", in float32 because float16 overflows" if overflows else ""),
        revision=source.revision(where),
        quantize=quantize,
        dtype=str(dtype).removeprefix("torch."),
        quantized_on=on,
    )
    return Base(model, tokenizer, head, identity, end, end if pad is None else pad, device)


def require_memory(name: str, progress: Progress, device: torch.device | None = None) -> None:
    """Refuse to load a model that does not fit in memory here, because the system would end the process.

    On a CPU its weights become float32, however they are stored. A plan counts more than that; this is for all who
    only load it.

    Raises:
        MemoryFault: With the sizes.
        InputError: If `name` is not a model.
    """
    device = device or pick_device()
    where = source.resolve(name, progress)
    if device.type != "cpu" or not (files := source.weight_files(where)):
        return
    needed = sum(map(_as_float32, files))
    if needed > (free := free_memory(device)):
        raise MemoryFault(
            f"{where.name} needs about {gigabytes(needed)} on a CPU, but {gigabytes(free)} are free.",
            "Free some memory, use a GPU, or choose a smaller model.",
        )


def _as_float32(file: Path) -> int:
    """Return the bytes that the tensors of a file take in float32, which its header says."""
    try:
        with safe_open(file, "pt") as stored:
            slices = [stored.get_slice(name) for name in list(stored.keys())]
            # Four bits of NF4 are stored two to a byte, and become eight times as long.
            return sum((8 if part.get_dtype() == "U8" else 4) * math.prod(part.get_shape()) for part in slices)
    except (SafetensorError, OSError):
        return 0  # loading it says what is wrong


def _quantized_on(where: source.Source, quantize: str, device: torch.device) -> str:
    """Return where the weights are quantised, as an identity has it.

    A CPU does it from the weights as stored, a GPU from what its arithmetic makes of them, each with sums and divisions
    of its own: a value that lies between two of the sixteen may go to either.
    """
    if quantize == "none":
        return ""
    config = AutoConfig.from_pretrained(where.location, trust_remote_code=False)
    return "files" if stored_as(config, where.name) == "nf4" else device.type


def _describe(where: source.Source, quantize: str, on: str) -> str:
    name = demo.DESCRIPTION if where.kind == "demo" else where.name
    return name + ((", then NF4 on a GPU" if on == "cuda" else ", then NF4") if quantize == "nf4" else "")


def _require_bitsandbytes() -> None:
    try:
        import bitsandbytes  # noqa: F401
    except ImportError:
        raise EnvironmentFault(
            "bitsandbytes is not installed, so the model cannot be quantised to NF4.",
            "Install it with 'pip install bitsandbytes', or use --quantize none.",
        ) from None


def _largest(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, device: torch.device) -> float:
    return largest_value(backbone(model), probe_ids(tokenizer, 32, begin=True), device)


def _load_model(
    where: source.Source, quantize: str, device: torch.device, dtype: torch.dtype, as_stored: bool
) -> PreTrainedModel:
    try:
        return _load_in(where, quantize, device, dtype, as_stored)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        raise source.explain(error, where) from error


def _load_in(
    where: source.Source, quantize: str, device: torch.device, dtype: torch.dtype, as_stored: bool
) -> PreTrainedModel:
    # Set explicitly: by default, transformers would also take a name from the repository's config.
    config = AutoConfig.from_pretrained(where.location, trust_remote_code=False)
    require_supported(config, where.name)
    stored = stored_as(config, where.name)
    if stored == "nf4":
        if quantize != "nf4":
            raise InputError(f"The files of {where.name} are in NF4 already.", "Use --quantize nf4.")
        config.quantization_config["bnb_4bit_compute_dtype"] = str(dtype).removeprefix("torch.")
    options: dict[str, Any] = {"config": config}
    dense = device.type == "cpu" and dtype == torch.float32
    if not dense:
        options["device_map"] = {"": "cpu" if device.type == "cpu" else device.index or 0}
        options["dtype"] = dtype
        if quantize == "nf4" and stored == "none":
            from transformers import BitsAndBytesConfig

            options["quantization_config"] = BitsAndBytesConfig(
                load_in_4bit=True,
                bnb_4bit_quant_type="nf4",
                bnb_4bit_use_double_quant=True,
                bnb_4bit_compute_dtype=dtype,
            )
    else:
        options["dtype"] = "auto"  # memory-mapped as stored; _to_float32 makes the only copy
    options["attn_implementation"] = attention_of(config, attention(device))
    model = AutoModelForCausalLM.from_pretrained(
        where.location, trust_remote_code=False, use_safetensors=True, **options
    )
    model.name_or_path = model.config._name_or_path = where.name  # what an adapter's config will name
    keep_text_only(model)
    if dense and not as_stored:
        _to_float32(model, _values(where.kind == "demo", where.location, quantize, stored))
        if stored != "none":
            _forget_quantisation(model)
    elif dense:
        _keep_packing(model)
    model.eval().requires_grad_(False)
    return model


def nf4_values(base: Base) -> nf4.Values | None:
    """Return the NF4 values of a base that was loaded as stored; None if its weights are used as they are."""
    folder = str(demo.folder()) if base.identity.name == demo.NAME else ""
    stored = stored_as(base.model.config, base.identity.name)
    return _values(bool(folder), folder, base.identity.quantize, stored)


def _values(is_demo: bool, location: str, quantize: str, stored: str) -> nf4.Values | None:
    if quantize != "nf4" or stored != "none":
        return None
    # Packed values next to the weights are trusted only if our own conversion wrote them.
    return nf4.Values(Path(location) if is_demo else None)


def _to_float32(model: PreTrainedModel, values: nf4.Values | None) -> None:
    """Convert a model as stored to dense float32; with `values`, its linear layers get their NF4 values.

    A CPU has no 4-bit product: bitsandbytes itself dequantises a layer at each call. Doing it once,
    here, gives the same weights bit for bit and costs memory instead of time. The head and the
    embedding stay as they are, as everywhere in QLoRA.
    """
    output = model.get_output_embeddings()
    for path, module in list(model.named_modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Linear | Conv1D) and child is not output:
                weight = plain_weight(child)
                if isinstance(child, Conv1D):  # GPT-2's linear layer, whose weight is (in, out)
                    weight = weight.t()
                key = f"{path}.{name}.weight"
                setattr(module, name, FrozenLinear.take(child, values.of(key, weight) if values else weight.float()))
    # Buffers such as rotary frequencies are float32 already; only parameters remain to be widened.
    for parameter in model.parameters():
        parameter.data = parameter.data.float()
    model.config.dtype = torch.float32
    model.tie_weights()


def _forget_quantisation(model: Any) -> None:
    """Make a model whose layers are dense now an ordinary one: `export` would write that it is quantised."""
    model.hf_quantizer = model.quantization_method = model._weight_conversions = None
    model.is_quantized = model.is_loaded_in_4bit = False
    del model.config.quantization_config


def _keep_packing(model: PreTrainedModel) -> None:
    """Leave weights in NF4 as their files have them.

    On CPUs with AVX512-BF16 bitsandbytes packs a layer anew in its first forward pass, with scales in bfloat16.
    """
    for layer in model.modules():
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            layer.support_avx512bf16_for_cpu = False  # type: ignore[assignment]


def _check_head(model: PreTrainedModel, head: Head, ids: list[int]) -> None:
    """Refuse a model whose logits are not what `Head` computes: better no answer than a wrong one."""
    probe = torch.tensor([ids], device=head.weight.device)
    with torch.inference_mode():
        hidden = backbone(model)(input_ids=probe, use_cache=False).last_hidden_state[:, -1]
        ours, theirs = head.logits(hidden), model(input_ids=probe, use_cache=False).logits[:, -1].float()
    if not torch.isfinite(theirs).all():
        raise InputError(
            f"{model.name_or_path} computes values that are not finite in {str(model.dtype).removeprefix('torch.')}.",
            "Its weights may be damaged; download them again.",
        )
    if not torch.allclose(ours, theirs, rtol=2e-2, atol=2e-2 * theirs.abs().max().item()):
        raise InputError(
            f"{model.config.model_type} models compute their logits in a way that is not supported.",
            "Choose another base model.",
        )

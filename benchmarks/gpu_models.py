"""Random models of real shapes, made on the device in seconds, and rows for them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch

REHEARSE = bool(os.environ.get("REHEARSE"))
DEVICE = torch.device("cpu") if REHEARSE else torch.device("cuda", 0)
WORDS = 1000
TINY = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
LARGE = {  # Qwen3 8B
    "vocab_size": 151_936, "hidden_size": 4096, "intermediate_size": 12_288, "num_hidden_layers": 36,
    "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 8192,
    "tie_word_embeddings": False,
} | ({**TINY, "head_dim": 16, "vocab_size": 2000} if REHEARSE else {})  # fmt: skip
SMALL = {  # Qwen3 0.6B
    "vocab_size": 151_936, "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28,
    "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 8192,
    "tie_word_embeddings": True, "eos_token_id": 0, "pad_token_id": 0,
} | ({**TINY, "head_dim": 16, "vocab_size": 2000} if REHEARSE else {})  # fmt: skip


def synchronize() -> None:
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def large_model() -> Any:
    """The model in NF4: packed bytes are drawn, never the 14 GB of weights that they stand for."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    config = Qwen3Config(**LARGE)
    with torch.device("meta"):
        model: Any = Qwen3ForCausalLM(config).to(torch.bfloat16)
    head, constants = model.lm_head, {}
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, torch.nn.Linear) and child is not head:
                setattr(module, name, _packed(child.out_features, child.in_features, constants))
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if parameter.is_meta:
                value = torch.randn(parameter.shape, dtype=torch.bfloat16, device=DEVICE) * 0.02
                setattr(
                    module, name, torch.nn.Parameter(value + (1.0 if value.dim() == 1 else 0.0), requires_grad=False)
                )
    with DEVICE:  # its frequencies have no place in a file
        model.model.rotary_emb = type(model.model.rotary_emb)(config)
    model.is_loaded_in_4bit = True  # or PEFT would wrap these layers as ordinary ones
    return model.eval().requires_grad_(False)


def _packed(rows: int, columns: int, constants: dict[tuple[int, int], Any]) -> torch.nn.Module:
    """A layer of random NF4 values; its constants are those of one real layer of this shape."""
    from bitsandbytes.functional import quantize_4bit
    from bitsandbytes.nn import Linear4bit, Params4bit

    if (rows, columns) not in constants:
        weight = torch.randn(rows, columns, dtype=torch.bfloat16, device=DEVICE) * 0.02
        constants[rows, columns] = quantize_4bit(weight, blocksize=64, compress_statistics=True, quant_type="nf4")
    like, state = constants[rows, columns]
    with torch.device("meta"):
        layer = Linear4bit(
            columns, rows, bias=False, quant_type="nf4", compress_statistics=True, compute_dtype=torch.bfloat16
        )
    data = torch.randint(0, 256, like.shape, dtype=torch.uint8, device=DEVICE)
    layer.weight = Params4bit(
        data, requires_grad=False, quant_state=state, blocksize=64, quant_type="nf4", bnb_quantized=True, module=layer
    )
    layer.quant_state = state
    return layer


def folder_of_small_model(folder: Path, loud: float = 1.0) -> Path:
    """Write a model of a real shape with a tokenizer of words; `loud` multiplies what goes into the first down_proj."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    with DEVICE:
        model = Qwen3ForCausalLM(Qwen3Config(**SMALL)).to(torch.bfloat16)
    with torch.no_grad():
        model.model.layers[0].mlp.up_proj.weight *= 10 * loud
        model.model.layers[0].mlp.down_proj.weight /= 10 * loud
    model.save_pretrained(folder)
    words = {"<eos>": 0, "<unk>": 1, "User": 2, "Assistant": 3, ":": 4} | {f"w{n}": n + 5 for n in range(WORDS)}
    backend = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<eos>", unk_token="<unk>").save_pretrained(folder)
    return folder


def write_rows(path: Path, count: int, words: int = 60) -> Path:
    """Write rows whose answers count on from the prompt: a pattern that a random model can learn."""
    words = min(words, 40) if REHEARSE else words
    rows = (
        {"prompt": f"w{n} w{n + 1}", "completion": " ".join(f"w{(n + m) % WORDS}" for m in range(2, words))}
        for n in range(count)
    )
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path

"""Fixtures that every kind of test shares: a byte tokenizer, tiny models with it, files of rows."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from playground.environ import before_torch

with suppress(ImportError):  # the machine of the GPU tests may have nothing but what they need
    from hypothesis import settings

    settings.register_profile("shared-machine", deadline=None)  # a busy neighbour is no failure
    settings.load_profile("shared-machine")

# Read when libraries are imported. Nothing here needs the hub; without a network it is tried six times.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Workers of pytest-xdist share the cores, and threads of PyTorch that wait for each other make all of them slow.
if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")):
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))
before_torch()


def pytest_collection_modifyitems(config, items):
    """Leave out what is marked ``long``, unless the command line speaks of it."""
    if "long" in config.getoption("markexpr"):
        return
    left_out = [item for item in items if item.get_closest_marker("long")]
    items[:] = [item for item in items if not item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=left_out)


def _byte_letters() -> list[str]:
    """Return the letter by which byte-level BPE writes each byte (GPT-2's table)."""
    plain = {*range(33, 127), *range(161, 173), *range(174, 256)}
    spare = iter(range(256, 512))
    return [chr(byte) if byte in plain else chr(next(spare)) for byte in range(256)]


@pytest.fixture(scope="session")
def byte_tokenizer():
    """A tokenizer whose tokens are the bytes: ``3 + byte``, after <pad>=0, <eos>=1 and <bos>=2."""
    from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers, processors
    from tokenizers.models import BPE
    from transformers import PreTrainedTokenizerFast

    special = ["<pad>", "<eos>", "<bos>"]
    vocab = {token: number for number, token in enumerate([*special, *_byte_letters()])}
    backend = Tokenizer(BPE(vocab=vocab, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    backend.post_processor = processors.TemplateProcessing(
        single="<bos> $A", pair="<bos> $A <bos>:1 $B:1", special_tokens=[("<bos>", vocab["<bos>"])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<pad>",
        clean_up_tokenization_spaces=False,
    )


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory, byte_tokenizer):
    """Return a function from "gemma3", "llama", "gemma2" or "gpt2" to the folder of a tiny random model of it.

    The weights are large enough that greedy answers wander instead of repeating one token.
    """
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            made[name] = tmp_path_factory.mktemp(f"tiny-{name}")
            _save_tiny(name, made[name], byte_tokenizer)
        return made[name]

    return make


def _save_tiny(name: str, folder: Path, tokenizer) -> None:
    import torch
    from transformers import AutoModelForCausalLM, Gemma2Config, Gemma3TextConfig, GPT2Config, LlamaConfig

    common = {
        "vocab_size": 512,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 512,
        "initializer_range": 0.3,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "bos_token_id": 2,
    }
    windows = {
        "sliding_window": 16,
        "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
        "query_pre_attn_scalar": 16,
        "tie_word_embeddings": True,
    }
    configs = {
        "llama": lambda: LlamaConfig(**common, tie_word_embeddings=False),
        "gemma3": lambda: Gemma3TextConfig(**common, **windows),
        # Both soft-capped, which transformers computes with eager attention alone.
        "gemma2": lambda: Gemma2Config(**common, **windows, final_logit_softcapping=30.0, attn_logit_softcapping=50.0),
        # Its linear layers are `Conv1D`, whose weights are (in, out), and its positions are learned.
        "gpt2": lambda: GPT2Config(
            vocab_size=512, n_embd=64, n_inner=128, n_layer=3, n_head=4, n_positions=512, initializer_range=0.1,
            pad_token_id=0, eos_token_id=1, bos_token_id=2, tie_word_embeddings=False,
        ),
    }  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(20)
        model = AutoModelForCausalLM.from_config(configs[name](), attn_implementation="eager", dtype=torch.float32)
        for parameter_name, parameter in model.named_parameters():
            if "norm" in parameter_name:  # fresh norms are all alike, which would hide a norm left out
                parameter.data += 0.3 * torch.randn_like(parameter)
        if model.config.tie_word_embeddings:
            # A tied head would answer each token with itself, so the MLPs speak louder than the
            # embedding, and a last norm of both signs lets the embedding through as noise.
            for layer in model.model.layers:
                layer.post_feedforward_layernorm.weight.data += 3.0
            model.model.norm.weight.data = 2 * torch.randn_like(model.model.norm.weight)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@pytest.fixture(scope="session")
def warm_python(tmp_path_factory):
    """The path of a Python that has PyTorch imported already; see `warm`."""
    from warm import Server

    server = Server(tmp_path_factory.mktemp("warm"))
    yield str(server.executable)
    server.close()


@pytest.fixture
def warm_children(monkeypatch, warm_python):
    """Whatever this process starts with its own interpreter starts warm."""
    monkeypatch.setattr(sys, "executable", warm_python)


@pytest.fixture(scope="session")
def write_rows():
    """Return a function that writes ``count`` prompt/completion rows as JSON Lines and returns the path."""

    def write(path: Path, count: int) -> Path:
        rows = [{"prompt": f"What is {n} plus one?", "completion": f"{n} plus one is {n + 1}."} for n in range(count)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        return path

    return write


@pytest.fixture
def rows_file(tmp_path, write_rows):
    """Return a function that writes ``count`` such rows into this test's folder."""
    return lambda count, name="rows.jsonl": write_rows(tmp_path / name, count)

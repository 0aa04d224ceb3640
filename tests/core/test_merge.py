"""A merged model is the base with the adapter: against plain PEFT on the same dequantised weights."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from test_training import config
from transformers import AutoModelForCausalLM

from playground.cli.app import run
from playground.errors import InputError
from playground.models import lora, merge_stream
from playground.models.linear import FrozenLinear
from playground.models.load import load_base
from playground.models.merge import merge
from playground.training.loop import train

PROMPTS = [tuple(range(5, 25)), (40, 41, 42)]


def adapted(base):
    model = lora.attach_new(base, 4, 8, seed=0)
    weights = lora.state(model)
    generator = torch.Generator().manual_seed(1)
    for name in weights:
        if "lora_B" in name:
            weights[name] = torch.randn(weights[name].shape, generator=generator) * 0.05
    lora.put_state(model, weights)
    return model.eval(), weights


@pytest.mark.parametrize("name", ["llama", "gemma3", "gpt2"])
@pytest.mark.parametrize("quantize", ["nf4", "none"])
def test_merged_model_equals_base_plus_adapter(tiny_folder, tmp_path, name, quantize):
    base = load_base(str(tiny_folder(name)), quantize, device=torch.device("cpu"))
    model, weights = adapted(base)
    dense = {
        key.removeprefix("base_model.model.").replace(".base_layer", ""): tensor.clone()
        for key, tensor in model.state_dict().items()
        if "lora_" not in key
    }
    for key in list(dense):  # the files of GPT-2 have these weights transposed
        if name == "gpt2" and key.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight")):
            dense[key] = dense[key].t()
    mean, largest = merge(base, model, tmp_path / "out", torch.float32, PROMPTS)
    assert 0 <= mean <= largest < 1e-6

    reference = AutoModelForCausalLM.from_pretrained(tiny_folder(name), dtype=torch.float32)
    reference.load_state_dict(dense)
    config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    reference = get_peft_model(reference, config).eval()
    lora.put_state(reference, weights)
    written = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32)
    for ids in PROMPTS:
        with torch.inference_mode():
            theirs, ours = (m(input_ids=torch.tensor([ids])).logits for m in (reference, written))
        assert torch.allclose(ours, theirs, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["llama", "gemma3", "gpt2"])
@pytest.mark.parametrize("quantize", ["nf4", "none"])
def test_layer_by_layer_writes_the_same_bits(tiny_folder, tmp_path, monkeypatch, name, quantize):
    """In several files, without ever holding a second layer in float32."""
    monkeypatch.setattr(merge_stream, "SHARD_BYTES", 100_000)
    cpu = torch.device("cpu")
    base = load_base(str(tiny_folder(name)), quantize, device=cpu)
    model, _ = adapted(base)
    merge(base, model, tmp_path / "whole", torch.bfloat16, PROMPTS)
    base = load_base(str(tiny_folder(name)), quantize, device=cpu, as_stored=True)
    assert not any(isinstance(layer, FrozenLinear) for layer in base.model.modules())
    model, _ = adapted(base)
    merge_stream.merge_stream(base, model, tmp_path / "streamed", torch.bfloat16)
    assert len(list((tmp_path / "streamed").glob("model-*-of-*.safetensors"))) > 2
    whole, streamed = (
        AutoModelForCausalLM.from_pretrained(tmp_path / which, dtype="auto").state_dict()
        for which in ("whole", "streamed")
    )
    assert whole.keys() == streamed.keys()
    for key, tensor in whole.items():
        assert tensor.dtype == streamed[key].dtype and torch.equal(tensor, streamed[key]), key


def test_divergence_shows_bfloat16_rounding(tiny_folder, tmp_path):
    base = load_base(str(tiny_folder("llama")), "nf4", device=torch.device("cpu"))
    model, _ = adapted(base)
    mean, largest = merge(base, model, tmp_path / "out", torch.bfloat16, PROMPTS)
    assert 1e-7 < mean <= largest < 0.1


def test_existing_folder_is_not_overwritten(tiny_folder, tmp_path):
    base = load_base(str(tiny_folder("llama")), "none", device=torch.device("cpu"))
    model, _ = adapted(base)
    with pytest.raises(InputError, match="already"):
        merge(base, model, tmp_path, torch.float32, PROMPTS)


def test_export_of_a_model_that_does_not_fit_is_streamed(tiny_folder, rows_file, tmp_path, monkeypatch, capsys):
    list(train(config(tiny_folder("llama"), rows_file(4), num_train_epochs=1), tmp_path / "adapters" / "run"))
    monkeypatch.setattr("playground.models.load.free_memory", lambda device: 0)
    words = ["export", "run", str(tmp_path / "out"), "--adapters-dir", str(tmp_path / "adapters")]
    assert run(words) == 0
    assert "was not measured" in capsys.readouterr().out
    written = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype="auto")
    assert written.dtype == torch.bfloat16
    assert run(words) == 1 and "already exists" in capsys.readouterr().err

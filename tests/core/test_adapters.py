"""Adapters cross over to plain PEFT and back with the same logits; hostile ones are refused by name."""

import json
import math

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from test_lanes_proof import SFT, adapted, batch
from test_nf4 import exact
from test_training import config
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from playground.errors import InputError
from playground.models import lora
from playground.models.lanes import lanes
from playground.models.load import load_base
from playground.training.loop import train


@pytest.mark.parametrize("quantize", ["none", "nf4"])
def test_plain_peft_loads_our_adapter_with_the_same_logits(tiny_folder, rows_file, tmp_path, quantize):
    folder = tiny_folder("gemma3")
    list(train(config(folder, rows_file(12), quantize=quantize), tmp_path / "run"))
    options = {}
    if quantize == "nf4":
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.float32,
        )  # fmt: skip
    plain = exact(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **options))
    inputs = batch()
    with torch.no_grad():
        bare = plain(**inputs).logits
        theirs = PeftModel.from_pretrained(plain, tmp_path / "run").eval()(**inputs).logits
    base = load_base(str(folder), quantize)
    model = lora.attach(base, None, lora.read_adapter(tmp_path / "run"), "default")
    with torch.no_grad(), lanes(model, [SFT] * 4):
        ours = base.model(**inputs).logits
    real = inputs["attention_mask"].bool()
    assert torch.allclose(ours[real], theirs[real], atol=2e-4)
    assert (theirs[real] - bare[real]).abs().max() > 1e-2


def test_an_adapter_made_by_plain_peft_gives_here_what_it_gives_there(tiny_folder, tmp_path):
    folder = tiny_folder("llama")
    torch.manual_seed(0)
    plain = get_peft_model(
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32),
        LoraConfig(r=3, lora_alpha=5, target_modules=["q_proj", "down_proj"], init_lora_weights=False, use_rslora=True),
    ).eval()
    plain.save_pretrained(tmp_path / "theirs")
    inputs = batch()
    base = load_base(str(folder), "none")
    model = lora.attach(base, None, lora.read_adapter(tmp_path / "theirs"), "default")
    with torch.no_grad(), lanes(model, [SFT] * 4):
        ours = base.model(**inputs).logits
    with torch.no_grad():
        theirs = plain(**inputs).logits
    real = inputs["attention_mask"].bool()
    assert torch.allclose(ours[real], theirs[real], atol=2e-4)


@pytest.fixture
def saved(tiny_folder, tmp_path):
    """A sound adapter folder, to be damaged."""
    base = load_base(str(tiny_folder("llama")), "none")
    model = adapted(base)
    folder = tmp_path / "adapter"
    folder.mkdir()
    save_file(lora.state(model), folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(lora.config_json(model))
    lora.read_adapter(folder)  # sound before the damage
    return folder


HOSTILE = {
    "type": ({"peft_type": "IA3"}, "IA3"),
    "rank": ({"r": -1}, "r is -1"),
    "rank as text": ({"r": "8"}, "r is '8'"),
    "rank true": ({"r": True}, "r is True"),
    "alpha nan": ({"lora_alpha": math.nan}, "lora_alpha"),
    "alpha huge": ({"lora_alpha": 1e30}, "lora_alpha"),
    "regex modules": ({"target_modules": "(a+)+$"}, "target_modules"),
    "odd module name": ({"target_modules": ["q_proj", "../x"]}, "target_modules"),
    "dora": ({"use_dora": True}, "use_dora"),
    "modules_to_save": ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
    "bias": ({"bias": "all"}, "bias"),
    "token rows": ({"trainable_token_indices": [1]}, "trainable_token_indices"),
    "layer replication": ({"layer_replication": [[0, 3], [0, 3]]}, "layer_replication"),
    "alora": ({"alora_invocation_tokens": [1]}, "alora_invocation_tokens"),
    "unknown": ({"run_this": "rm -rf"}, "run_this"),
    "rank pattern": ({"rank_pattern": {"q_proj": 400}}, "rank_pattern"),
    "parameters": ({"target_parameters": ["x"]}, "target_parameters"),
}


@pytest.mark.parametrize(("change", "named"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_configs_are_refused_by_name(saved, change, named):
    config = json.loads((saved / "adapter_config.json").read_text())
    (saved / "adapter_config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(InputError, match=named.replace("(", r"\(")):
        lora.read_adapter(saved)


def test_pickled_weights_are_refused_without_being_read(saved):
    (saved / "adapter_model.safetensors").unlink()
    (saved / "adapter_model.bin").write_bytes(b"\x80\x04cos\nsystem\n.")
    with pytest.raises(InputError, match="adapter_model.bin"):
        lora.read_adapter(saved)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_values_that_are_not_finite_are_refused(saved, bad):
    tensors = load_file(saved / "adapter_model.safetensors")
    next(iter(tensors.values()))[0, 0] = bad
    save_file(tensors, saved / "adapter_model.safetensors")
    with pytest.raises(InputError, match="not finite"):
        lora.read_adapter(saved)


def test_a_cut_file_is_refused(saved):
    data = (saved / "adapter_model.safetensors").read_bytes()
    (saved / "adapter_model.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="damaged"):
        lora.read_adapter(saved)


@pytest.mark.parametrize("damage", ["drop", "add", "reshape"])
def test_tensors_must_match_the_base_exactly(saved, tiny_folder, damage):
    tensors = load_file(saved / "adapter_model.safetensors")
    name = next(iter(tensors))
    if damage == "drop":
        del tensors[name]
    elif damage == "add":
        tensors["base_model.model.extra.lora_A.weight"] = torch.zeros(2, 2)
    else:
        tensors[name] = torch.zeros(tensors[name].shape[0], 7)
    save_file(tensors, saved / "adapter_model.safetensors")
    with pytest.raises(InputError, match="does not fit"):
        lora.attach(load_base(str(tiny_folder("llama")), "none"), None, lora.read_adapter(saved), "default")


def test_an_adapter_for_another_architecture_is_refused(saved, tiny_folder):
    base = load_base(str(tiny_folder("gemma3")), "none")
    config = json.loads((saved / "adapter_config.json").read_text())
    (saved / "adapter_config.json").write_text(json.dumps({**config, "target_modules": ["c_attn"]}))
    with pytest.raises(InputError, match="does not fit"):
        lora.attach(base, None, lora.read_adapter(saved), "default")

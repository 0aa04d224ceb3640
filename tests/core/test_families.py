"""Thirty families of models, tiny and random: each is trained, exchanged with plain PEFT and decoded, or refused."""

import re
from pathlib import Path

import pytest
import torch
from families import FAMILIES, config_of
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from test_lanes_proof import SFT, batch
from transformers import AutoModelForCausalLM

from playground.config import TrainConfig
from playground.errors import InputError
from playground.events.answers import Sampling
from playground.events.runs import StepDone
from playground.inference.engine import Engine, Lane
from playground.models import lora
from playground.models.adapter_file import read_adapter
from playground.models.fingerprint import Fingerprint
from playground.models.lanes import Blend, lanes
from playground.models.load import load_base
from playground.training.loop import train
from playground.training.plan import plan_training

REFUSED = {
    "opt": "one heap", "falcon_h1": "Mamba layers", "mamba": "Mamba layers",
    "mixtral": "mixture of experts", "qwen3_moe": "mixture of experts", "olmoe": "mixture of experts",
    "gpt_oss": "mixture of experts", "llama4_text": "mixture of experts", "mistral3": "not a causal language model",
    "qwen2_5_vl": "not a causal language model",
}  # fmt: skip


def save(name, folder, tokenizer):
    """Write a tiny model of the family; a model that AutoModelForCausalLM does not know gets a config only."""
    torch.manual_seed(3)
    config = config_of(name)
    config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    try:
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="eager")
    except ValueError:
        (folder / "model.safetensors").write_bytes(b"")
        return
    for key, parameter in model.named_parameters():
        if parameter.dim() == 2:
            parameter.data.normal_(std=0.2)
        elif "norm" in key:
            parameter.data += 0.2 * torch.randn_like(parameter)
    model.save_pretrained(folder)


def plain(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def logits(model, inputs):
    with torch.no_grad():
        return model(**inputs).logits[inputs["attention_mask"].bool()]


def options(folder, data, quantize):
    return TrainConfig(
        model=str(folder), data=str(data), quantize=quantize, learning_rate=5e-3, num_train_epochs=2, lora_r=4,
        sample_max_new_tokens=4, eval_rows=2,
    )  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_family_that_does_not_work_is_refused_in_words(name, tmp_path, byte_tokenizer, rows_file):
    save(name, tmp_path, byte_tokenizer)
    with pytest.raises(InputError, match=REFUSED[name]) as refused:
        plan_training(options(tmp_path, rows_file(8), "none"), lambda *a: None)
    assert "Error" not in refused.value.message


def test_table_in_the_docs_has_each_family_where_it_belongs():
    table = (Path(__file__).parents[2] / "docs/models.md").read_text().split("|---|---|---|\n")[1].split("\n\n")[0]
    said = {}
    for line in table.splitlines():
        families, works, _ = line.strip("|").split("|")
        said |= dict.fromkeys(re.sub(r"\(.*?\)", "", families).replace(" ", "").split(","), works.strip() == "yes")
    assert said == {name: name not in REFUSED for name in FAMILIES}


def test_adapter_on_the_vision_of_a_model_is_refused(tmp_path, byte_tokenizer):
    save("gemma3", tmp_path, byte_tokenizer)
    get_peft_model(plain(tmp_path), LoraConfig(r=2, target_modules="all-linear")).save_pretrained(tmp_path / "a")
    with pytest.raises(InputError, match="vision_tower.* is not in the text part"):
        lora.attach(load_base(str(tmp_path), "none"), None, read_adapter(tmp_path / "a"), "default")


def marked(name):
    return name if name in ("gemma3", "lfm2") else pytest.param(name, marks=pytest.mark.long)


@pytest.mark.parametrize("name", [marked(name) for name in FAMILIES if name not in REFUSED])
def test_family_trains_and_agrees_with_plain_peft(name, tmp_path, byte_tokenizer, rows_file):
    folder = tmp_path / "model"
    folder.mkdir()
    save(name, folder, byte_tokenizer)
    for quantize in ("none", "nf4"):
        losses = [
            e.loss
            for e in train(options(folder, rows_file(12), quantize), tmp_path / quantize)
            if isinstance(e, StepDone)
        ]
        assert losses[-1] < losses[0], losses
    inputs = batch(vocab=250)
    # Ours in plain PEFT.
    theirs = PeftModel.from_pretrained(plain(folder), tmp_path / "none").eval()
    wanted, bare = logits(theirs, inputs), logits(plain(folder), inputs)
    base = load_base(str(folder), "none")
    fingerprint = Fingerprint(base)
    model = lora.attach(base, None, read_adapter(tmp_path / "none"), "default")
    assert fingerprint.holds(model, [SFT])
    with lanes(model, [SFT] * 4):
        found = logits(base.model, inputs)
    assert (wanted - bare).abs().max() > 1e-3
    assert (found - wanted).abs().max() < 2e-3 * wanted.abs().max()
    # Texts of different lengths are read as each is alone, padding or not.
    reader = Engine(base, model, fingerprint)
    texts = [Lane((2, 40, 41, 42), SFT), Lane((2, 99, 98, 97, 96, 95, 94, 93, 92, 91, 90, 89))]
    alone = torch.cat([reader.read([text], 3) for text in texts])
    assert (reader.read(texts, 3) - alone).abs().max() < 1e-4 * alone.abs().max()
    # Lanes beside `generate`.
    prompts = [(2, 40, 41, 42), (2, 99, 98, 97, 96, 95, 94, 93, 92, 91, 90, 89)]
    wanted_lanes = [Lane(prompt, row) for prompt in prompts for row in (Blend(), SFT)]
    ids = [[] for _ in wanted_lanes]
    for chunk in Engine(base, model, fingerprint).stream(wanted_lanes, Sampling(12)):
        ids[chunk.lane].append(chunk.token_id)
    for lane, got in zip(wanted_lanes, ids, strict=True):
        side = theirs if lane.blend.adapter else plain(folder)
        with torch.no_grad():
            out = side.generate(
                input_ids=torch.tensor([lane.prompt_ids]),
                max_new_tokens=12,
                do_sample=False,
                eos_token_id=1,
                pad_token_id=0,
            )
        assert got == out[0, len(lane.prompt_ids) :].tolist()
    # Theirs in ours, on the same modules.
    # The vision of Gemma 3 is no part of the comparison; see below.
    outside = r".*vision_tower.*" if name == "gemma3" else None
    config = LoraConfig(r=2, target_modules="all-linear", exclude_modules=outside, init_lora_weights=False)
    full = get_peft_model(plain(folder), config).eval()
    full.save_pretrained(tmp_path / "theirs")
    base = load_base(str(folder), "none")
    model = lora.attach(base, None, read_adapter(tmp_path / "theirs"), "default")
    with lanes(model, [SFT] * 4):
        found = logits(base.model, inputs)
    wanted = logits(full, inputs)
    assert (found - wanted).abs().max() < 2e-3 * wanted.abs().max()
    assert set(load_file(tmp_path / "none/adapter_model.safetensors")) == set(
        load_file(tmp_path / "theirs/adapter_model.safetensors")
    )

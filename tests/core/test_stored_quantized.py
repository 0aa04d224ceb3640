"""Bases whose files are quantised already: NF4 of bitsandbytes is taken as it is, everything else refused by name."""

import json

import pytest
import torch
from test_training import config
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from playground.errors import EnvironmentFault, InputError
from playground.inference.lineup import load_lineup
from playground.models import lora
from playground.models.load import load_base
from playground.models.merge import merge
from playground.models.merge_stream import merge_stream
from playground.training.plan import plan_training


@pytest.fixture(scope="module")
def stored(tiny_folder, tmp_path_factory):
    """The tiny llama as a folder with "bnb-4bit" in its name has it."""
    folder = tmp_path_factory.mktemp("bnb-4bit")
    for file in tiny_folder("llama").glob("token*"):
        (folder / file.name).write_bytes(file.read_bytes())
    how = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32,
    )  # fmt: skip
    AutoModelForCausalLM.from_pretrained(
        tiny_folder("llama"), dtype=torch.float32, quantization_config=how
    ).save_pretrained(folder)
    return folder


def test_stored_nf4_gives_the_same_base_as_quantising_here(stored, tiny_folder):
    theirs, ours = load_base(str(stored), "nf4"), load_base(str(tiny_folder("llama")), "nf4")
    weights = ours.model.state_dict()
    assert theirs.model.state_dict().keys() == weights.keys()
    for name, tensor in theirs.model.state_dict().items():
        assert torch.equal(tensor, weights[name]), name
    assert (theirs.identity.quantize, theirs.identity.quantized_on) == ("nf4", "files")


def test_merged_model_of_stored_nf4_is_an_ordinary_one(stored, tmp_path):
    base = load_base(str(stored), "nf4")
    mean, _ = merge(base, lora.attach_new(base, 2, 4, seed=0), tmp_path / "out", torch.float32, [(5, 6, 7)])
    assert mean < 1e-6
    written = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32)
    assert not hasattr(written.config, "quantization_config")
    assert torch.equal(written.state_dict()["lm_head.weight"], base.model.lm_head.weight)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_stored_nf4_is_merged_layer_by_layer_to_the_same_bits(stored, tmp_path, dtype):
    written = []
    for as_stored in (False, True):
        base, out = load_base(str(stored), "nf4", as_stored=as_stored), tmp_path / str(as_stored)
        model = lora.attach_new(base, 2, 4, seed=0)
        generator = torch.Generator().manual_seed(1)
        weights = {name: torch.randn(part.shape, generator=generator) for name, part in lora.state(model).items()}
        lora.put_state(model, weights)
        if as_stored:
            merge_stream(base, model, out, dtype)
        else:
            merge(base, model, out, dtype, [(5, 6, 7)])
        whole = AutoModelForCausalLM.from_pretrained(out, dtype="auto")
        assert not hasattr(whole.config, "quantization_config")
        written.append(whole.state_dict())
    merged, streamed = written
    assert merged.keys() == streamed.keys()
    for name, tensor in merged.items():
        assert tensor.dtype == streamed[name].dtype == dtype and torch.equal(tensor, streamed[name]), name


def test_stored_nf4_is_planned_as_nf4_and_not_as_anything_else(stored, rows_file, tmp_path):
    made = plan_training(config(stored, rows_file(4), quantize="auto"), lambda *a: None).plan
    assert made.quantize == "nf4"
    assert next(choice.reason for choice in made.choices if choice.name == "quantize") == "the model's files are in NF4"
    with pytest.raises(InputError, match="in NF4 already"):
        plan_training(config(stored, rows_file(4), quantize="none"), lambda *a: None)
    with pytest.raises(InputError, match="in NF4 already"):
        load_base(str(stored), "none")


@pytest.mark.parametrize(
    ("how", "named"),
    [
        ({"quant_method": "gptq", "bits": 4}, "by gptq"),
        ({"quant_method": "fp8"}, "by fp8"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "fp4"}, "by bitsandbytes fp4"),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True, "bnb_4bit_quant_type": "nf4"}, "8 bit"),
        ({"quant_method": "\x1b[2J"}, "␛"),
    ],
)
def test_other_quantisations_are_refused_before_weights_are_loaded(tiny_folder, rows_file, tmp_path, how, named):
    for file in tiny_folder("llama").glob("*.json"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"never read")
    known = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**known, "quantization_config": how}))
    for attempt in (
        lambda: plan_training(config(tmp_path, rows_file(4)), lambda *a: None),
        lambda: load_base(str(tmp_path), "nf4"),
    ):
        with pytest.raises(InputError, match="quantised") as refused:
            attempt()
        assert named in refused.value.message


@pytest.mark.parametrize("packed", [False, True])
def test_model_that_does_not_fit_in_memory_is_not_loaded(stored, tiny_folder, tmp_path, monkeypatch, packed):
    """The size is that of its weights in float32, which a CPU computes in, however they are stored."""
    folder = stored if packed else tiny_folder("llama")
    size = sum(tensor.nbytes for tensor in load_base(str(folder), "nf4").model.state_dict().values())
    for free, loads in ((0.9 * size, False), (1.1 * size, True)):
        monkeypatch.setattr("playground.models.load.free_memory", lambda device, free=free: free)
        if loads:
            load_lineup([], lambda *a: None, model=str(folder))
        else:
            with pytest.raises(EnvironmentFault, match="needs about .* on a CPU, but .* are free"):
                load_lineup([], lambda *a: None, model=str(folder))

"""Adapters cross over to plain PEFT and back with the same logits; hostile ones are refused by name."""

import dataclasses
import json
import math
import os
import re
import struct
import time

import pytest
import torch
from peft import EvaConfig, LoraConfig, LoraRuntimeConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from peft.tuners.lora.config import CordaConfig, LoraGAConfig
from peft.tuners.lora.corda import preprocess_corda
from peft.tuners.lora.loraga import preprocess_loraga
from safetensors.torch import load_file, save_file
from test_lanes_proof import SFT, adapted, batch
from test_nf4 import exact
from test_training import config
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, LlamaConfig

from playground.errors import InputError
from playground.models import adapter_file, lora
from playground.models.adapter_file import read_adapter
from playground.models.fingerprint import Fingerprint
from playground.models.lanes import Blend, lanes
from playground.models.load import load_base
from playground.training.loop import train


@pytest.mark.parametrize(
    ("name", "quantize"), [("gemma3", "none"), ("gemma3", "nf4"), ("gpt2", "none"), ("gpt2", "nf4")]
)
def test_plain_peft_loads_our_adapter_with_the_same_logits(tiny_folder, rows_file, tmp_path, name, quantize):
    folder = tiny_folder(name)
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
    model = lora.attach(base, None, read_adapter(tmp_path / "run"), "default")
    with torch.no_grad(), lanes(model, [SFT] * 4):
        ours = base.model(**inputs).logits
    real = inputs["attention_mask"].bool()
    assert torch.allclose(ours[real], theirs[real], atol=2e-4)
    assert (theirs[real] - bare[real]).abs().max() > 1e-2


def test_plain_peft_adapter_gives_the_same_logits_here(tiny_folder, tmp_path):
    folder = tiny_folder("llama")
    torch.manual_seed(0)
    plain = get_peft_model(
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32),
        LoraConfig(r=3, lora_alpha=5, target_modules=["q_proj", "down_proj"], init_lora_weights=False, use_rslora=True),
    ).eval()
    plain.save_pretrained(tmp_path / "theirs")
    inputs = batch()
    base = load_base(str(folder), "none")
    model = lora.attach(base, None, read_adapter(tmp_path / "theirs"), "default")
    with torch.no_grad(), lanes(model, [SFT] * 4):
        ours = base.model(**inputs).logits
    with torch.no_grad():
        theirs = plain(**inputs).logits
    real = inputs["attention_mask"].bool()
    assert torch.allclose(ours[real], theirs[real], atol=2e-4)


@pytest.fixture(scope="module")
def quiet_folder(tmp_path_factory, byte_tokenizer):
    """A tiny model whose logits are small, so that a difference of 1e-5 is a difference and not rounding."""
    torch.manual_seed(5)
    folder = tmp_path_factory.mktemp("quiet")
    config = LlamaConfig(
        vocab_size=512, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128, pad_token_id=0, eos_token_id=1, bos_token_id=2,
    )  # fmt: skip
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder)
    byte_tokenizer.save_pretrained(folder)
    return folder


def bare(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def logits(model):
    inputs = batch()
    with torch.no_grad():
        return model(**inputs).logits[inputs["attention_mask"].bool()]


def as_if_trained(model):
    """Move A and B from where they began."""
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.05)
    return model.eval()


def ours(folder, adapter):
    base = load_base(str(folder), "none")
    model = lora.attach(base, None, read_adapter(adapter), "default")
    with lanes(model, [SFT] * 4):
        return logits(base.model)


def assert_equal_to_plain_peft(folder, adapter):
    theirs = logits(PeftModel.from_pretrained(bare(folder), adapter).eval())
    assert (ours(folder, adapter) - theirs).abs().max() <= 1e-5
    assert (theirs - logits(bare(folder))).abs().max() > 1e-3, "the adapter does nothing, so nothing was compared"


ACCEPTED = {
    "plain": {},
    "random start": {"init_lora_weights": False},
    "gaussian": {"init_lora_weights": "gaussian"},
    "orthogonal": {"init_lora_weights": "orthogonal"},
    "eva": {"init_lora_weights": "eva"},
    "mica": {"init_lora_weights": "mica"},
    "rsLoRA": {"use_rslora": True},
    "dropout": {"lora_dropout": 0.5},
    "query and value": {"target_modules": ["q_proj", "v_proj"]},
    "excluded": {"exclude_modules": ["down_proj"]},
    "a pattern": {"target_modules": r".*\.(q|up)_proj"},
    "some layers": {"target_modules": ["q_proj"], "layers_to_transform": [1]},
    "alpha below r": {"r": 6, "lora_alpha": 1},
    "ranks": {"rank_pattern": {"q_proj": 2, "layers.1.mlp.up_proj": 7, "^model.layers.0.mlp.up_proj": 3}},
    "scales": {"alpha_pattern": {"self_attn.v_proj": 31, "proj": 100, "layers.1.mlp.down_proj": 0.5}},
    "both": {"rank_pattern": {"o_proj": 8}, "alpha_pattern": {"o_proj": 2, "layers.0.self_attn.o_proj": 90}},
    "ranks with rsLoRA": {"rank_pattern": {"up_proj": 16}, "use_rslora": True},
    "layers of a list": {"target_modules": ["q_proj"], "layers_to_transform": [0], "layers_pattern": "layers"},
    "stored transposed": {"fan_in_fan_out": True},
    "where it came from": {
        "task_type": "CAUSAL_LM", "revision": "main", "base_model_name_or_path": "some/where", "inference_mode": True,
        "auto_mapping": {"base_model_class": "LlamaForCausalLM"}, "peft_version": "0.1",
    },
    "settings of what is off": {
        "eva_config": EvaConfig(), "corda_config": CordaConfig(), "lora_ga_config": LoraGAConfig(), "loftq_config": {},
        "qalora_group_size": 8, "megatron_core": "elsewhere", "runtime_config": LoraRuntimeConfig(),
    },
}  # fmt: skip


def test_each_accepted_field_is_compared_with_plain_peft():
    """What is in neither table has to be off, which the test of unknown fields shows."""
    compared = {"r", "lora_alpha", "peft_type"} | {name for options in ACCEPTED.values() for name in options}
    assert compared == adapter_file._READ | adapter_file._NEUTRAL


@pytest.mark.filterwarnings("ignore:.*(eva|corda|lora_ga|fan_in_fan_out|peft_version|pattern).*")
@pytest.mark.parametrize("options", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_every_accepted_kind_gives_what_plain_peft_gives(quiet_folder, tmp_path, options):
    options = {"r": 4, "lora_alpha": 9, "target_modules": "all-linear", **options}
    as_if_trained(get_peft_model(bare(quiet_folder), LoraConfig(**options))).save_pretrained(tmp_path / "a")
    assert_equal_to_plain_peft(quiet_folder, tmp_path / "a")


def test_names_with_the_adapters_name_in_them_are_read(quiet_folder, tmp_path):
    """So do programs that save a training's state instead of an adapter; plain PEFT reads them too."""
    config = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    get_peft_model(bare(quiet_folder), config).save_pretrained(tmp_path)
    weights = tmp_path / "adapter_model.safetensors"
    tensors = load_file(weights)
    renamed = {name.replace(".weight", ".default.weight"): tensor for name, tensor in tensors.items()}
    save_file(renamed, weights)
    assert_equal_to_plain_peft(quiet_folder, tmp_path)
    save_file({name: tensor.clone() for name, tensor in (renamed | tensors).items()}, weights)
    with pytest.raises(InputError, match="under two names"):
        read_adapter(tmp_path)


def begun_by(start, folder):
    """A model of plain PEFT whose adapter begins by taking something out of the base's weights."""
    model, options = bare(folder), {"r": 4, "lora_alpha": 9, "target_modules": ["q_proj", "down_proj"]}
    calibrate = batch(lengths=(11,))
    if start == "corda":
        config = LoraConfig(**options, init_lora_weights="corda", corda_config=CordaConfig(corda_method="ipm"))
        preprocess_corda(model, config, run_model=lambda: model(**calibrate))
        return get_peft_model(model, config)
    if start == "lora_ga":
        config = LoraConfig(**options, init_lora_weights="lora_ga", lora_ga_config=LoraGAConfig())

        def learn():
            model(**calibrate, labels=calibrate["input_ids"]).loss.backward()

        preprocess_loraga(model, config, learn)
        return get_peft_model(model, config)
    return get_peft_model(model, LoraConfig(**options, init_lora_weights=start))


@pytest.mark.parametrize("start", ["pissa", "pissa_niter_4", "olora", "corda", "lora_ga"])
def test_init_that_changes_base_is_refused_until_converted(quiet_folder, tmp_path, start):
    model = begun_by(start, quiet_folder)
    model.peft_config["default"].init_lora_weights = True  # as PEFT's documentation has it
    model.save_pretrained(tmp_path / "began")
    model.peft_config["default"].init_lora_weights = start
    wanted = logits(as_if_trained(model))
    model.save_pretrained(tmp_path / "as it is")
    model.save_pretrained(tmp_path / "converted", path_initial_model_for_weight_conversion=tmp_path / "began")
    with pytest.raises(InputError, match=f"initialised with '{start}', which also changes the weights") as refused:
        read_adapter(tmp_path / "as it is")
    assert "path_initial_model_for_weight_conversion" in refused.value.hint
    assert_equal_to_plain_peft(quiet_folder, tmp_path / "converted")
    assert (ours(quiet_folder, tmp_path / "converted") - wanted).abs().max() <= 1e-5


@pytest.fixture
def saved(tiny_folder, tmp_path):
    """A sound adapter folder, to be damaged."""
    base = load_base(str(tiny_folder("llama")), "none")
    model = adapted(base)
    folder = tmp_path / "adapter"
    folder.mkdir()
    save_file(lora.state(model), folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(lora.config_json(model))
    read_adapter(folder)  # sound before the damage
    return folder


HOSTILE = {
    "type": ({"peft_type": "IA3"}, "IA3"),
    "rank": ({"r": -1}, "r is -1"),
    "rank as text": ({"r": "8"}, "r is '8'"),
    "rank true": ({"r": True}, "r is True"),
    "alpha nan": ({"lora_alpha": math.nan}, "lora_alpha"),
    "alpha huge": ({"lora_alpha": 1e30}, "lora_alpha"),
    "dora": ({"use_dora": True}, "use_dora"),
    "modules_to_save": ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
    "bias": ({"bias": "all"}, "bias"),
    "token rows": ({"trainable_token_indices": [1]}, "trainable_token_indices"),
    "layer replication": ({"layer_replication": [[0, 3], [0, 3]]}, "layer_replication"),
    "alora": ({"alora_invocation_tokens": [1]}, "alora_invocation_tokens"),
    "unknown": ({"run_this": "rm -rf"}, "run_this"),
    "rank pattern": ({"rank_pattern": {"q_proj": 513}}, "its rank_pattern is 513 for q_proj"),
    "rank pattern true": ({"rank_pattern": {"q_proj": True}}, "its rank_pattern is True"),
    "rank pattern as list": ({"rank_pattern": ["q_proj"]}, "rank_pattern is ['q_proj'"),
    "rank pattern endless": ({"rank_pattern": {f"q{n}": 4 for n in range(5000)}}, "rank_pattern has 5,000 entries"),
    "slow expression": ({"alpha_pattern": {"(a+)+b": 4}}, "(a+)+b, which is not the name of a layer"),
    "alpha pattern nan": ({"alpha_pattern": {"q_proj": math.nan}}, "its alpha_pattern is nan"),
    "alpha pattern endless": ({"alpha_pattern": {"q_proj": 10**400}}, "its alpha_pattern is 1000"),
    "parameters": ({"target_parameters": ["x"]}, "target_parameters"),
    "loftq": ({"init_lora_weights": "loftq", "loftq_config": {"loftq_bits": 4}}, "'loftq', which also changes"),
    "capitals": ({"init_lora_weights": "OLoRA"}, "'OLoRA', which also changes"),
    "a start of the future": ({"init_lora_weights": "tomorrow"}, "init_lora_weights is 'tomorrow'"),
    "a number for a start": ({"init_lora_weights": 1}, "init_lora_weights is 1"),
    "velora": ({"velora_config": {"num_groups": 4}}, "velora_config"),
    "block-diagonal": ({"use_bdlora": {"nblocks": 2}}, "use_bdlora"),
    "tying": ({"ensure_weight_tying": True}, "ensure_weight_tying"),
    "megatron": ({"megatron_config": {"x": 1}}, "megatron_config"),
    "rslora as text": ({"use_rslora": "false"}, "use_rslora is 'false'"),
    "alpha true": ({"lora_alpha": True}, "lora_alpha is True"),
    "alpha endless": ({"lora_alpha": 10**400}, "lora_alpha is 1000"),
}


@pytest.mark.parametrize(("change", "named"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_configs_are_refused_by_name(saved, change, named):
    config = json.loads((saved / "adapter_config.json").read_text())
    (saved / "adapter_config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(InputError, match=re.escape(named)):
        read_adapter(saved)


@pytest.mark.parametrize("targets", ["(a+)+$", ["q_proj", "../x"], ["q_proj"] * 100_000, None])
def test_target_modules_in_the_config_are_ignored(saved, tiny_folder, targets):
    config = json.loads((saved / "adapter_config.json").read_text())
    (saved / "adapter_config.json").write_text(json.dumps({**config, "target_modules": targets}))
    lora.attach(load_base(str(tiny_folder("llama")), "none"), None, read_adapter(saved), "default")


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("base_model.model.lm_head.lora_%s.weight", "adapts the head"),
        ("base_model.model.model.embed_tokens.lora_embedding_%s", "not a LoRA matrix of a linear layer"),
        ("base_model.model.model.embed_tokens.lora_%s.weight", "model.embed_tokens is not a linear layer"),
        ("base_model.model.model.layers.0.mlp.lora_%s.weight", "model.layers.0.mlp is not a linear layer"),
        ("model.layers.0.self_attn.q_proj.lora_%s.weight", "not a LoRA matrix of a linear layer under PEFT's names"),
        ("base_model.model.model.layers.0.self_attn.q_proj/../x.lora_%s.weight", "not a LoRA matrix"),
    ],
)
def test_tensors_of_anything_but_inner_linear_layers_are_refused(saved, tiny_folder, name, named):
    tensors = load_file(saved / "adapter_model.safetensors")
    tensors |= {name % "A": torch.ones(4, 64), name % "B": torch.ones(512, 4)}
    save_file(tensors, saved / "adapter_model.safetensors")
    base = load_base(str(tiny_folder("llama")), "none")
    before = logits(base.model)
    with pytest.raises(InputError, match=named):
        lora.attach(base, None, read_adapter(saved), "default")
    assert torch.equal(logits(base.model), before)
    assert not any(isinstance(module, LoraLayer) for module in base.model.modules()), "the base is as it was"


def test_unknown_peft_config_fields_must_be_off(saved):
    config = json.loads((saved / "adapter_config.json").read_text())
    fields = {field.name for field in dataclasses.fields(LoraConfig)} | {"a_field_of_a_future_peft"}
    for name in fields - adapter_file._READ - adapter_file._NEUTRAL:
        (saved / "adapter_config.json").write_text(json.dumps({**config, name: {"on": 1}}))
        with pytest.raises(InputError, match=name):
            read_adapter(saved)


def test_a_thousand_patterns_are_read_in_a_second(saved, tiny_folder):
    """PEFT compiles each of them anew for each layer."""
    config = json.loads((saved / "adapter_config.json").read_text())
    patterns = {f"layers.{n}.mlp.{'x' * 100}": 1 + n % 500 for n in range(1000)}
    changed = {**config, "rank_pattern": patterns, "alpha_pattern": patterns}
    (saved / "adapter_config.json").write_text(json.dumps(changed))
    base = load_base(str(tiny_folder("llama")), "none")
    began = time.monotonic()
    lora.attach(base, None, read_adapter(saved), "default")
    assert time.monotonic() - began < 1


def test_rank_that_the_tensors_do_not_have_takes_no_memory(saved, tiny_folder, monkeypatch):
    config = json.loads((saved / "adapter_config.json").read_text())
    (saved / "adapter_config.json").write_text(json.dumps({**config, "r": 512}))
    monkeypatch.setattr(lora, "get_peft_model", lambda *given, **options: pytest.fail("512 columns were made"))
    with pytest.raises(InputError, match=r"lora_A of model\.layers\.0.* is \(4, 128\), where \(512, 128\) is needed"):
        lora.attach(load_base(str(tiny_folder("llama")), "none"), None, read_adapter(saved), "default")


def test_config_of_endless_length_is_refused(saved):
    with (saved / "adapter_config.json").open("ab") as file:
        file.truncate(1 << 34)  # a hole; as bytes it would fill the memory
    with pytest.raises(InputError, match="too large"):
        read_adapter(saved)


def test_weights_larger_than_the_memory_are_refused(saved):
    """A hole takes no room in an archive, and its zeros are sound values; looked at, they would fill the memory."""
    name, shape = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", (4, 1 << 38)
    data = raw_tensors({name: {"dtype": "F32", "shape": shape, "data_offsets": [0, 1 << 42]}})
    with (saved / "adapter_model.safetensors").open("wb") as file:
        file.write(data)
        file.truncate(len(data) + (1 << 42))
    with pytest.raises(InputError, match=r"needs 4398\.05 GB, but .* GB are free"):
        read_adapter(saved)


def test_deeply_nested_config_is_refused(saved):
    (saved / "adapter_config.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match="nested too deep|cannot be read"):
        read_adapter(saved)


@pytest.mark.parametrize(
    ("tensor", "named"),
    [
        (torch.ones(2, 2).to(torch.float8_e4m3fn), "stored as float8_e4m3fn"),
        (torch.full((2, 2), 1e300, dtype=torch.float64), "not finite"),
        (torch.ones(2, 2, dtype=torch.int8), "stored as int8"),
    ],
)
def test_weights_of_unusable_dtype_or_value_are_refused(saved, tensor, named):
    tensors = load_file(saved / "adapter_model.safetensors")
    tensors[next(iter(tensors))] = tensor
    save_file(tensors, saved / "adapter_model.safetensors")
    with pytest.raises(InputError, match=named):
        read_adapter(saved)


WHERE = {"everywhere": "all-linear", "query and value": ["q_proj", "v_proj"]}


@pytest.mark.parametrize("order", [list(WHERE), list(WHERE)[::-1]], ids=["large first", "small first"])
def test_adapters_on_different_layers_can_share_a_batch(quiet_folder, tmp_path, order):
    for seed, (name, modules) in enumerate(WHERE.items()):
        torch.manual_seed(seed)
        plain = get_peft_model(bare(quiet_folder), LoraConfig(r=2, target_modules=modules, init_lora_weights=False))
        plain.save_pretrained(tmp_path / name)
    alone = {name: ours(quiet_folder, tmp_path / name) for name in WHERE}
    one = {name: read_adapter(tmp_path / name) for name in WHERE}
    base = load_base(str(quiet_folder), "none")
    fingerprint, without = Fingerprint(base), logits(base.model)
    model = None
    for name in order:
        model = lora.attach(base, model, one[name], name.split()[0])
    rows = [Blend(), Blend(order[0].split()[0]), Blend(order[1].split()[0]), Blend()]
    assert fingerprint.holds(model, rows)
    same = {key: value[:1].repeat(4, 1) for key, value in batch(lengths=(11,)).items()}
    with torch.no_grad(), lanes(model, rows):
        mixed = base.model(**same).logits
    for row, name in ((1, order[0]), (2, order[1])):
        with torch.no_grad():
            plain = PeftModel.from_pretrained(bare(quiet_folder), tmp_path / name).eval()(**same).logits
        assert (mixed[row] - plain[row]).abs().max() <= 1e-5
    model.delete_adapter(order[0].split()[0])  # in the app one takes the other's place
    with lanes(model, [Blend(order[1].split()[0])] * 4):
        assert (logits(base.model) - alone[order[1]]).abs().max() <= 1e-5
    with lanes(model, [Blend()] * 4):
        assert torch.equal(logits(base.model), without)


def test_pickled_weights_are_refused_unread(saved):
    (saved / "adapter_model.safetensors").unlink()
    (saved / "adapter_model.bin").write_bytes(b"\x80\x04cos\nsystem\n.")
    with pytest.raises(InputError, match="adapter_model.bin"):
        read_adapter(saved)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_non_finite_weights_are_refused(saved, bad):
    tensors = load_file(saved / "adapter_model.safetensors")
    next(iter(tensors.values()))[0, 0] = bad
    save_file(tensors, saved / "adapter_model.safetensors")
    with pytest.raises(InputError, match="not finite"):
        read_adapter(saved)


def raw_tensors(header, data=b""):
    """A file of tensors with any header, as the library would not write it."""
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.mark.parametrize("shape", [(2**63, 0), (0, 2**62, 2**40), (1,) * 70, (4,), ()])
def test_shape_that_no_matrix_has_is_refused(saved, shape):
    info = {"dtype": "F32", "shape": shape, "data_offsets": [0, 4 * math.prod(shape)]}
    weights = saved / "adapter_model.safetensors"
    weights.write_bytes(raw_tensors({"base_model.model.x.lora_A.weight": info}, bytes(4 * math.prod(shape))))
    with pytest.raises(InputError, match=r"is damaged: .{9,200}\.$|where a matrix has two") as refused:
        read_adapter(saved)
    assert refused.value.message.isprintable()


def test_what_a_damaged_file_says_is_shown_short_and_clean(saved):
    header = {"x": {"dtype": "\x1b[2J\u202e" + "F" * 9999, "shape": [0], "data_offsets": [0, 0]}}
    (saved / "adapter_model.safetensors").write_bytes(raw_tensors(header))
    with pytest.raises(InputError, match="is damaged: .*␛") as refused:
        read_adapter(saved)
    assert refused.value.message.isprintable() and len(refused.value.message) < 600


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
@pytest.mark.parametrize(
    "make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to(path)], ids=["pipe", "folder", "loop"]
)
def test_no_file_in_a_files_place_is_refused_at_once(saved, name, make):
    (saved / name).unlink()
    make(saved / name)
    with pytest.raises(InputError, match=rf"adapter has no {name}\."):
        read_adapter(saved)


def test_truncated_file_is_refused(saved):
    data = (saved / "adapter_model.safetensors").read_bytes()
    (saved / "adapter_model.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="damaged"):
        read_adapter(saved)


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
        lora.attach(load_base(str(tiny_folder("llama")), "none"), None, read_adapter(saved), "default")


def test_an_adapter_for_another_architecture_is_refused(saved, tiny_folder):
    base = load_base(str(tiny_folder("gemma3")), "none")
    tensors = load_file(saved / "adapter_model.safetensors")
    renamed = {name.replace("q_proj", "c_attn"): tensor for name, tensor in tensors.items()}
    save_file(renamed, saved / "adapter_model.safetensors")
    with pytest.raises(InputError, match="does not fit"):
        lora.attach(base, None, read_adapter(saved), "default")


def test_a_file_without_tensors_is_refused(saved):
    save_file({}, saved / "adapter_model.safetensors")
    with pytest.raises(InputError, match="has no tensors"):
        read_adapter(saved)

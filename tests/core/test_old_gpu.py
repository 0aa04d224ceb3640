"""What is different on GPUs before Ampere (T4, V100): float16, its overflow, its gradients, attention without groups.

Nothing here has such a GPU: the same code runs in float16 on a CPU, or with a device that says it is one.
"""

import weakref

import pytest
import torch
from test_training import config
from transformers import AutoConfig, AutoModelForCausalLM

from playground.errors import InputError
from playground.models import device as devices
from playground.models import load, probe
from playground.models.attention import attention
from playground.models.fingerprint import Fingerprint
from playground.models.footprint import footprint
from playground.models.head import Head
from playground.models.load import load_base
from playground.training import step
from playground.training.plan import plan_training
from playground.training.ranks import Ranks
from playground.training.setup import prepare

T4 = torch.device("cuda", 0)


@pytest.fixture
def t4(monkeypatch):
    """A device that says it is a T4."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))


@pytest.fixture
def float16(monkeypatch):
    """Compute in float16, here."""
    monkeypatch.setattr(load, "compute_dtype", lambda device: torch.float16)


def changed(folder, into, change):
    """The model of `folder`, with its weights changed."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        change(model)
    model.save_pretrained(into)
    for file in folder.glob("token*"):
        (into / file.name).write_bytes(file.read_bytes())
    return into


@pytest.fixture
def loud_folder(tiny_folder, tmp_path):
    """A model whose first MLP multiplies to more than float16 can hold; what follows makes it small again."""

    def louder(model):
        model.model.layers[0].mlp.up_proj.weight *= 3e4
        model.model.layers[0].mlp.down_proj.weight /= 3e4

    return changed(tiny_folder("llama"), tmp_path, louder)


@pytest.mark.parametrize("quantize", ["none", "nf4"])
def test_model_that_overflows_float16_is_computed_in_float32(loud_folder, float16, quantize):
    base = load_base(str(loud_folder), quantize)
    assert base.identity.dtype == "float32"
    assert base.identity.description.endswith("in float32 because float16 overflows")
    ids = torch.tensor([[2, 50, 60, 70]])
    dense = load_base(str(loud_folder), quantize, device=torch.device("cpu"))
    assert torch.isfinite(base.model(ids).logits).all()
    assert torch.equal(base.model(ids).logits, dense.model(ids).logits)


@pytest.mark.parametrize("quantize", ["none", "nf4"])
def test_overflowing_model_is_free_before_the_next_is_loaded(loud_folder, float16, monkeypatch, quantize):
    real, made, alive, given = load._load_model, [], [], []

    def load_model(*arguments):
        alive.append([kept() is not None for kept in made])
        model = real(*arguments)
        made.extend(weakref.ref(parameter) for parameter in model.parameters())
        return model

    monkeypatch.setattr(load, "_load_model", load_model)
    monkeypatch.setattr(load, "give_back", lambda device: given.append(len(alive)), raising=False)
    load_base(str(loud_folder), quantize)
    assert len(alive) == 2 and alive[1] and not any(alive[1])
    assert given == [1]


def test_model_that_fits_into_float16_is_computed_in_it(tiny_folder, float16):
    base = load_base(str(tiny_folder("llama")), "nf4")
    assert base.identity.dtype == "float16"
    assert base.model.lm_head.weight.dtype == torch.float16
    assert "float32" not in base.identity.description


def test_largest_value_sees_what_goes_into_a_layer(loud_folder):
    """The product that overflows is no module's output, and what follows it makes it small again."""
    model = AutoModelForCausalLM.from_pretrained(loud_folder, dtype=torch.float32)
    products = []
    hook = model.model.layers[0].mlp.down_proj.register_forward_pre_hook(lambda _, given: products.append(given[0]))
    found = probe.largest_value(model.model, list(range(3, 35)), torch.device("cpu"))
    hook.remove()
    assert found == products[0].abs().max() > 65_504
    model.model.norm.weight.data[3] = torch.nan
    assert probe.largest_value(model.model, [3, 4], torch.device("cpu")) == torch.inf


def test_values_that_are_not_finite_are_refused_by_name(tiny_folder):
    base = load_base(str(tiny_folder("llama")), "none")
    base.model.model.norm.weight.data[3] = torch.inf
    with pytest.raises(InputError, match="not finite in float32"):
        Fingerprint(base)
    with pytest.raises(InputError, match="not finite in float32"):
        load._check_head(base.model, Head.of(base.model), [5, 6, 7, 8])


def gradients(folder, rows, monkeypatch, dtype):
    monkeypatch.setattr(load, "compute_dtype", lambda device: dtype)
    settings = config(folder, rows, quantize="none", eval_rows=0)
    training = prepare(plan_training(settings, lambda *a: None), lambda *a: None, Ranks(torch.device("cpu")))
    with torch.no_grad():
        for name, parameter in training.model.named_parameters():
            if "lora_B" in name:  # as after some steps: A has no gradient before
                parameter.normal_(std=0.02, generator=torch.Generator().manual_seed(1))
    found = {}

    def note(max_norm):
        found.update({n: p.grad.double() for n, p in training.model.named_parameters() if p.grad is not None})
        return torch.tensor(0.0)

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda parameters, most: note(most))
    # As in a step of 20,000 trained tokens, of which these are a part.
    step.five_steps(training, [training.rows[at] for at in training.batch(0)], 20_000, 0.0)
    return found


def test_gradients_in_float16_are_scaled_against_underflow(tiny_folder, rows_file, tmp_path, monkeypatch):
    def quieter(model):  # as large as the weights of a real model
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.mul_(0.2)

    folder, rows = changed(tiny_folder("llama"), tmp_path, quieter), rows_file(8)
    exact = gradients(folder, rows, monkeypatch, torch.float32)

    def worst(found):
        return max(float((found[name] - exact[name]).norm() / exact[name].norm()) for name in exact)

    scaled = worst(gradients(folder, rows, monkeypatch, torch.float16))
    monkeypatch.setattr(step, "loss_scale", lambda training, num_trained: 1)
    plain = worst(gradients(folder, rows, monkeypatch, torch.float16))
    assert scaled < 0.01 < plain


@pytest.mark.parametrize("name", ["llama", "gemma3"])
def test_attention_before_ampere_repeats_heads_instead_of_grouping(tiny_folder, t4, monkeypatch, name):
    assert attention(torch.device("cpu")) == "sdpa"
    calls = []
    real = torch.nn.functional.scaled_dot_product_attention

    def spy(query, key, value, **options):
        calls.append((query.shape[1] == key.shape[1], options.get("enable_gqa", False)))
        return real(query, key, value, **options)

    ids = torch.arange(3, 33).view(2, 15)
    mask = torch.ones_like(ids)
    mask[0, :4] = 0
    made = {}
    for kind in ("sdpa", attention(T4)):
        model = AutoModelForCausalLM.from_pretrained(
            tiny_folder(name), dtype=torch.float32, attn_implementation=kind
        ).eval()
        monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", spy)
        calls.clear()
        with torch.no_grad():
            made[kind] = model(ids).logits, model(ids, attention_mask=mask).logits[:, 4:]
        monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", real)
    assert calls and all(repeated and not grouped for repeated, grouped in calls)
    (plain, padded), (ours, ours_padded) = made.values()
    assert torch.allclose(plain, ours, atol=1e-4) and torch.allclose(padded, ours_padded, atol=1e-4)


def test_plan_before_ampere_counts_float32_unless_made_in_float16(tiny_folder, t4):
    model = AutoConfig.from_pretrained(tiny_folder("llama"))
    for made_in, planned in ((torch.bfloat16, torch.float32), (torch.float16, torch.float16)):
        model.dtype = made_in
        assert devices.planned_dtype(devices.compute_dtype(T4), model) == planned
    grouped, repeated = (footprint(model, torch.float16, 4, repeated_heads=mode) for mode in (False, True))
    assert repeated.saved_bytes > grouped.saved_bytes and repeated.width == 2

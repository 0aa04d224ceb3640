"""The three claims of proof: same batch, alone, order. The reference is plain transformers and plain PEFT."""

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer

from playground.events.answers import Sampling
from playground.inference.engine import Engine, Lane
from playground.models import lora
from playground.models.fingerprint import Fingerprint
from playground.models.lanes import Blend, lanes
from playground.models.load import load_base

SFT = Blend("default")
LENGTHS = (5, 11, 3, 8)


def adapted(base, seed=1):
    """A fresh adapter whose B is not zero: it changes every layer."""
    model = lora.attach_new(base, 4, 8, seed=0)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return model.eval()


def batch(vocab=512, lengths=LENGTHS, seed=3):
    """Left-padded prompts of different lengths: ids, mask, positions."""
    generator = torch.Generator().manual_seed(seed)
    width = max(lengths)
    ids = torch.zeros(len(lengths), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, length in enumerate(lengths):
        ids[row, width - length :] = torch.randint(3, vocab, (length,), generator=generator)
        mask[row, width - length :] = 1
    return {"input_ids": ids, "attention_mask": mask, "position_ids": (mask.cumsum(1) - 1).clamp_min(0)}


@pytest.fixture(params=[("gemma3", "none"), ("gemma3", "nf4"), ("llama", "none"), ("llama", "nf4"), ("gemma2", "none")])
def base(request, tiny_folder):
    name, quantize = request.param
    return load_base(str(tiny_folder(name)), quantize)


@torch.no_grad()
def test_same_batch_base_rows_are_bit_equal_to_no_adapter(base):
    inputs = batch()
    before = base.model(**inputs).logits
    model = adapted(base)
    with lanes(model, [Blend(), SFT, Blend(), Blend("default", 1.5)]):
        mixed = base.model(**inputs).logits
    assert torch.equal(mixed[[0, 2]], before[[0, 2]])
    assert not torch.allclose(mixed[[1, 3]], before[[1, 3]], atol=1e-3)


@torch.no_grad()
def test_same_batch_sft_rows_are_bit_equal_to_plain_peft(base):
    inputs = batch()
    model = adapted(base)
    plain = model(**inputs).logits
    with lanes(model, [Blend(), SFT, SFT, Blend()]):
        mixed = base.model(**inputs).logits
    assert torch.equal(mixed[[1, 2]], plain[[1, 2]])


@torch.no_grad()
def test_batched_rows_agree_with_unpadded_single_prompts(base):
    inputs = batch()
    model = adapted(base)
    rows = [Blend(), SFT, SFT, Blend()]
    with lanes(model, rows):
        mixed = base.model(**inputs).logits[:, -1].log_softmax(-1)
    for at, (row, length) in enumerate(zip(rows, LENGTHS, strict=True)):
        ids = inputs["input_ids"][at : at + 1, -length:]
        context = model.disable_adapter() if row.adapter is None else torch.no_grad()
        with context:
            alone = model(input_ids=ids).logits[0, -1].log_softmax(-1)
        assert (mixed[at] - alone).abs().max() <= 1e-4
        top = alone.topk(2).values
        if top[0] - top[1] > 2e-4:
            assert mixed[at].argmax() == alone.argmax()


@torch.no_grad()
def test_lane_order_and_batch_composition_change_nothing(base):
    inputs = batch()
    model = adapted(base)
    rows = [Blend(), SFT, SFT, Blend()]
    with lanes(model, rows):
        first = base.model(**inputs).logits[:, -1].log_softmax(-1)
    for order in ([3, 2, 1, 0], [1, 0, 3, 2], [2, 0]):
        picked = {key: value[order] for key, value in inputs.items()}
        with lanes(model, [rows[at] for at in order]):
            again = base.model(**picked).logits[:, -1].log_softmax(-1)
        assert (first[order] - again).abs().max() <= 1e-4


def test_dropping_rows_keeps_the_adapters_with_their_rows(base):
    inputs = batch()
    model = adapted(base)
    with lanes(model, [Blend(), SFT, Blend(), SFT]) as current:
        current.keep([1, 2])
        some = {key: value[[1, 2]] for key, value in inputs.items()}
        with torch.no_grad():
            kept = base.model(**some).logits
    with torch.no_grad():
        plain = model(**some).logits
    assert torch.equal(kept[0], plain[0])
    assert not torch.equal(kept[1], plain[1])


def test_base_only_batch_equals_base_and_skips_the_adapter(base):
    inputs = batch()
    model = adapted(base)
    layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
    computed = []
    hooks = [layer.lora_A["default"].register_forward_hook(lambda *call: computed.append(call)) for layer in layers]
    with lanes(model, [Blend(), SFT, Blend(), SFT]) as current, torch.no_grad():
        base.model(**inputs)
        assert len(computed) == len(layers)
        current.keep([0, 2])
        some = {key: value[[0, 2]] for key, value in inputs.items()}
        kept = base.model(**some).logits
    assert len(computed) == len(layers)
    for hook in hooks:
        hook.remove()
    with model.disable_adapter(), torch.no_grad():
        assert torch.equal(kept, model(**some).logits)
    with torch.no_grad():
        assert not torch.equal(kept, model(**some).logits)  # and the adapter is active again


def test_lanes_are_restored_after_an_exception(base):
    model = adapted(base)
    model.train()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name)
    learned = [name for name, p in model.named_parameters() if p.requires_grad]
    training = [name for name, m in model.named_modules() if m.training]
    scaling = {
        name: dict(m.scaling) for name, m in model.named_modules() if hasattr(m, "scaling") and hasattr(m, "lora_A")
    }
    model.config.use_cache = False
    torch.manual_seed(5)
    random = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="on purpose"), lanes(model, [Blend(), SFT]):
        torch.rand(3)
        raise RuntimeError("on purpose")
    assert [name for name, p in model.named_parameters() if p.requires_grad] == learned
    assert [name for name, m in model.named_modules() if m.training] == training
    assert {
        n: dict(m.scaling) for n, m in model.named_modules() if hasattr(m, "lora_A") and hasattr(m, "scaling")
    } == scaling
    assert model.config.use_cache is False
    assert torch.equal(torch.get_rng_state(), random)
    # Merging reads `scaling` as a number: it works only if the tensors are gone.
    inputs = batch()
    with torch.no_grad():
        before = model.eval()(**inputs).logits
        merged = model.merge_and_unload()(**inputs).logits
    assert torch.allclose(before, merged, atol=1e-3)


def test_fingerprint_fails_when_the_base_row_is_adapted(base, monkeypatch):
    fingerprint = Fingerprint(base)
    model = adapted(base)
    assert fingerprint.holds(model, [SFT, Blend("default", 0.3)])

    from playground.models import fingerprint as module

    monkeypatch.setattr(module, "lanes", lambda model, rows: lanes(model, [SFT, SFT]))
    assert not fingerprint.holds(model, [SFT])


def test_fingerprint_fails_when_the_base_weights_have_changed(base):
    fingerprint = Fingerprint(base)
    model = adapted(base)
    model.merge_adapter()
    model.unmerge_adapter()  # leaves rounding behind in the base weights
    with torch.no_grad():
        next(p for n, p in model.named_parameters() if "base_layer.weight" in n)[0, 0] += 1e-3
    assert not fingerprint.holds(model, [SFT])


def test_engine_shows_nothing_when_the_base_is_not_the_base(base):
    from playground.errors import PlaygroundError

    fingerprint = Fingerprint(base)
    model = adapted(base)
    with torch.no_grad():
        next(p for n, p in model.named_parameters() if "base_layer.weight" in n)[0, 0] += 1e-3
    stream = Engine(base, model, fingerprint).stream([Lane((5, 6)), Lane((5, 6), SFT)], Sampling(4))
    with pytest.raises(PlaygroundError, match="base lane"):
        next(stream)


def test_dora_is_refused_as_a_lane(tiny_folder):
    from playground.errors import InputError

    base = load_base(str(tiny_folder("llama")), "none")
    model: PeftModel = get_peft_model(base.model, LoraConfig(r=2, target_modules="all-linear", use_dora=True))
    with pytest.raises(InputError, match="DoRA"), lanes(model, [Blend(), SFT]):
        pass


@torch.no_grad()
def test_same_batch_on_bitsandbytes_own_4_bit_layers(tiny_folder):
    """The layers that a GPU uses, here on their float32 path on the CPU."""
    from test_nf4 import exact
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32,
    )
    bare = exact(
        AutoModelForCausalLM.from_pretrained(
            tiny_folder("llama"), dtype=torch.float32, quantization_config=quantization
        )
    ).eval()
    inputs = batch()
    before = bare(**inputs).logits
    model = get_peft_model(bare, LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)).eval()
    plain = model(**inputs).logits
    with lanes(model, [Blend(), SFT, Blend(), SFT]):
        mixed = bare(**inputs).logits
    assert torch.equal(mixed[[0, 2]], before[[0, 2]])
    assert torch.equal(mixed[[1, 3]], plain[[1, 3]])

"""The plan's activations and logits against the tensors of a real forward and backward pass, on the meta device."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer
from tracker import Peak
from transformers import AutoConfig, AutoModelForCausalLM

from playground.data.batches import Batch
from playground.events.answers import Sampling
from playground.inference.engine import Engine, Lane
from playground.models import budget, lora
from playground.models import footprint as sizes
from playground.models.architecture import attention_of
from playground.models.budget import Looks, memory_by_part
from playground.models.fused import fuse
from playground.models.head import Head, backbone
from playground.models.lanes import Blend
from playground.models.load import Base
from playground.training.loss import SupervisedLoss

GPU = torch.device("cuda", 0)
SHAPES = {
    "Llama 8B": {
        "model_type": "llama", "vocab_size": 128_256, "hidden_size": 4096, "intermediate_size": 14_336,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
    },
    "Qwen3 4B": {
        "model_type": "qwen3", "vocab_size": 151_936, "hidden_size": 2560, "intermediate_size": 9728,
        "num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
    },
    "Gemma 2 2B": {
        "model_type": "gemma2", "vocab_size": 256_000, "hidden_size": 2304, "intermediate_size": 9216,
        "num_hidden_layers": 26, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
    },
}  # fmt: skip


def measured(config, rows, length, checkpointing, fused):
    """Peak bytes of the tensors of one micro-batch, two thirds of whose tokens are trained."""
    with torch.device("meta"):
        model = sizes._without_weights(config, torch.bfloat16).requires_grad_(False)
        adapted = get_peft_model(model, LoraConfig(r=16, target_modules="all-linear", task_type="CAUSAL_LM")).train()
        for layer in adapted.modules() if fused else ():
            if isinstance(layer, LoraLayer):
                fuse(layer)
        if checkpointing:
            sizes.checkpoint_activations(model)
        ids, trained = torch.zeros((rows, length), dtype=torch.long), torch.zeros(rows * length * 2 // 3).long()
        decoder = backbone(model)
        if model.config._attn_implementation == "eager":  # looks into the positions for packed rows without a mask
            real = decoder.forward
            decoder.forward = lambda **given: real(**given, attention_mask=torch.ones_like(ids))
        loss = SupervisedLoss(decoder, Head.of(model))
        with Peak(adapted) as tracker:
            loss(Batch(ids, trained, trained)).backward()
    return tracker.peak


CASES = [pytest.param(4, 2, 2048)] + [
    pytest.param(None, *case, marks=pytest.mark.long) for case in ((2, 2048), (4, 512), (1, 4096))
]


@pytest.mark.parametrize(("layers", "rows", "length"), CASES)
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("name", SHAPES)
def test_planned_memory_is_that_of_a_real_step(name, fused, checkpointing, layers, rows, length):
    """Without what the plan adds for the allocator and for the layer being dequantised, which have no tensors here."""
    shape = SHAPES[name] | ({"num_hidden_layers": layers} if layers else {})
    config = AutoConfig.for_model(**shape)
    size = sizes.footprint(config, torch.bfloat16, 16, fused=fused)
    parts = memory_by_part(size, "nf4", GPU, rows_at_once=rows, longest=length, checkpointing=checkpointing)
    held = parts["weights"] + parts["adapter and optimizer"]
    whole = held + measured(config, rows, length, checkpointing, fused)
    planned = held + parts["activations"] + parts["logits"]
    low, high = (0.94, 1.15) if fused else (0.95, 1.10)
    assert low <= planned / whole <= high, f"planned {planned / 2**30:.2f} GiB, {whole / 2**30:.2f} held"


class Wordless:
    """A tokenizer for ids that are not read."""

    def decode(self, ids, **options):
        return ""


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["llama", "gemma2", "qwen3"])
def test_planned_memory_of_sampling_is_that_of_real_answers(name, dtype):
    """From a little more than what is held to half as much again: half a layer's tensors are gone before its end."""
    shape = {"hidden_size": 256, "intermediate_size": 704, "num_hidden_layers": 4, "num_attention_heads": 8}
    config = AutoConfig.for_model(name, **shape, num_key_value_heads=2, head_dim=64, vocab_size=8192)
    model = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation=attention_of(config, "sdpa"))
    base = Base(model.eval().requires_grad_(False), Wordless(), Head.of(model), None, -1, 0, torch.device("cpu"))
    adapted = lora.attach_new(base, 16, 32, seed=0)
    size = sizes.footprint(config, dtype, 16)
    for prompts, longest, new in ((3, 40, 64), (8, 100, 8)):
        lengths = [longest - at for at in range(prompts)] * 2
        asked = [Lane(tuple(range(3, 3 + length)), Blend("default")) for length in lengths]
        with Peak(adapted) as tracker:
            Engine(base, adapted, None).answers(asked, Sampling(new))
        planned = budget._sampling(size, Looks(2 * prompts, longest, new))
        assert 1 <= planned / tracker.peak <= 1.6, f"planned {planned / 1e6:.1f} MB, {tracker.peak / 1e6:.1f} held"


def test_run_needs_a_step_or_the_answers_not_both():
    size = sizes.footprint(AutoConfig.for_model(**SHAPES["Qwen3 4B"]), torch.bfloat16, 16)

    def parts(looks, rows=1):
        return memory_by_part(size, "nf4", GPU, rows_at_once=rows, longest=128, checkpointing=True, looks=looks)

    step, few, many = (parts(looks) for looks in (None, Looks(2, 20, 4), Looks(32, 200, 64)))
    assert few == step and budget.MORE not in step
    assert many[budget.MORE] > 2**30
    larger = parts(Looks(32, 200, 64), rows=8)
    shared = [sum(found.get(part, 0) for part in ("activations", "logits", budget.MORE)) for found in (many, larger)]
    assert shared[0] == shared[1] == budget._sampling(size, Looks(32, 200, 64))


@pytest.mark.parametrize("name", ["llama", "gemma2"])
def test_planned_memory_of_measuring_rows_is_what_is_held(name):
    """For a held-out row longer than every trained one; with checkpointing a step of those keeps less."""
    shape = {"hidden_size": 1024, "intermediate_size": 2816, "num_hidden_layers": 2, "num_attention_heads": 8}
    config = AutoConfig.for_model(name, **shape, num_key_value_heads=2, head_dim=128, vocab_size=8192)
    model = AutoModelForCausalLM.from_config(
        config, dtype=torch.float32, attn_implementation=attention_of(config, "sdpa")
    )
    adapted = get_peft_model(model, LoraConfig(r=16, target_modules="all-linear", task_type="CAUSAL_LM"))
    size, cpu = sizes.footprint(config, torch.float32, 16), torch.device("cpu")
    trained = torch.arange(300)
    with Peak(adapted) as tracker, torch.no_grad():
        SupervisedLoss(backbone(model), Head.of(model))(Batch(trained[None], trained, trained))
    planned = budget._measuring(size, cpu, 8, 40, 300)
    assert 0.95 <= planned / tracker.peak <= 1.6, f"planned {planned / 1e6:.1f} MB, {tracker.peak / 1e6:.1f} held"
    step, look = (
        memory_by_part(
            size, "none", cpu, rows_at_once=1, longest=40, checkpointing=True, looks=Looks(0, 0, 0, held_out)
        )
        for held_out in (40, 300)
    )
    assert budget.MORE not in step and sum(look.values()) > sum(step.values())

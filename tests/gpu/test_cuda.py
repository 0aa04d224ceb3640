"""The claims on a CUDA device: same batch, alone, order; a training step; resume with --deterministic.

Models are randomly initialised here (no weights travel), large enough for the device's real kernels. With REHEARSE=1 the
same code runs on a CPU, with a smaller model: it shows that the tests are right, not that a GPU is.
"""

import hashlib
import os

import pytest
import torch
from peft import LoraConfig
from peft.tuners.lora import LoraLayer

from playground.config import TrainConfig
from playground.data.batches import collate
from playground.data.encode import IGNORE_INDEX, Encoded
from playground.events.answers import Sampling
from playground.events.runs import StepDone
from playground.inference.engine import Engine, Lane
from playground.models import fused, lora
from playground.models.fingerprint import Fingerprint
from playground.models.footprint import checkpoint_activations
from playground.models.head import backbone
from playground.models.lanes import Blend, lanes
from playground.models.load import load_base
from playground.training.loop import train
from playground.training.loss import SupervisedLoss

REHEARSE = bool(os.environ.get("REHEARSE"))
DEVICE = torch.device("cpu") if REHEARSE else torch.device("cuda", 0)
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not REHEARSE and not torch.cuda.is_available(), reason="needs a CUDA device"),
]
SFT = Blend("default")
LENGTHS = (5, 31, 12, 8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, byte_tokenizer):
    from transformers import Qwen3Config, Qwen3ForCausalLM

    path = tmp_path_factory.mktemp("qwen3")
    torch.manual_seed(0)
    large = {"vocab_size": 4096, "hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": 6}
    small = {"vocab_size": 512, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    config = Qwen3Config(
        **(small if REHEARSE else large), num_attention_heads=8, num_key_value_heads=4, head_dim=64,
        max_position_embeddings=2048, pad_token_id=0, eos_token_id=1, bos_token_id=2,
    )  # fmt: skip
    Qwen3ForCausalLM(config).to(torch.bfloat16).save_pretrained(path)
    byte_tokenizer.save_pretrained(path)
    return path


@pytest.fixture(params=["nf4", "none"])
def base(request, folder):
    return load_base(str(folder), request.param, device=DEVICE)


def adapted(base):
    model = lora.attach_new(base, 8, 16, seed=0)
    generator = torch.Generator(DEVICE).manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator, device=DEVICE) * 0.02)
    return model.eval()


def batch():
    generator = torch.Generator().manual_seed(3)
    width = max(LENGTHS)
    ids = torch.zeros(len(LENGTHS), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, length in enumerate(LENGTHS):
        ids[row, width - length :] = torch.randint(3, 250, (length,), generator=generator)
        mask[row, width - length :] = 1
    made = {"input_ids": ids, "attention_mask": mask, "position_ids": (mask.cumsum(1) - 1).clamp_min(0)}
    return {name: tensor.to(DEVICE) for name, tensor in made.items()}


@torch.no_grad()
def test_same_batch(base):
    inputs = batch()
    before = base.model(**inputs).logits
    model = adapted(base)
    plain = model(**inputs).logits
    with lanes(model, [Blend(), SFT, Blend(), SFT]):
        mixed = base.model(**inputs).logits
    assert torch.equal(mixed[[0, 2]], before[[0, 2]])
    assert torch.equal(mixed[[1, 3]], plain[[1, 3]])
    assert not torch.equal(plain, before)


@torch.no_grad()
def test_rows_agree_alone_and_in_other_batches(base):
    inputs = batch()
    model = adapted(base)
    rows = [Blend(), SFT, SFT, Blend()]
    with lanes(model, rows):
        mixed = base.model(**inputs).logits[:, -1].float().log_softmax(-1)
    for at, (row, length) in enumerate(zip(rows, LENGTHS, strict=True)):
        with lanes(model, [row]):
            alone = (
                base.model(input_ids=inputs["input_ids"][at : at + 1, -length:]).logits[0, -1].float().log_softmax(-1)
            )
        assert (mixed[at] - alone).abs().max() <= 5e-2
        top = alone.topk(2).values
        if top[0] - top[1] > 0.1:
            assert mixed[at].argmax() == alone.argmax()
    order = [3, 0, 2, 1]
    with lanes(model, [rows[at] for at in order]):
        again = base.model(**{name: tensor[order] for name, tensor in inputs.items()}).logits[:, -1]
    assert (mixed[order] - again.float().log_softmax(-1)).abs().max() <= 5e-2


def test_fingerprint_and_engine(base):
    fingerprint = Fingerprint(base)
    model = adapted(base)
    assert fingerprint.holds(model, [SFT])
    answers = Engine(base, model, fingerprint).answers(
        [Lane((2, 40, 41)), Lane((2, 50, 51, 52, 53), SFT)], Sampling(16)
    )
    assert all(answer.num_tokens > 0 for answer in answers)


def test_loss_of_a_step_equals_full_logits_in_float64(base):
    model = adapted(base)
    generator = torch.Generator().manual_seed(5)
    rows = []
    for length in (9, 40, 17):
        ids = tuple(torch.randint(3, 250, (length,), generator=generator).tolist())
        rows.append(Encoded(ids, (IGNORE_INDEX,) * 4 + ids[4:], False))
    ours = SupervisedLoss(backbone(base.model), base.head)(collate(rows, 0, DEVICE))
    total = 0.0
    with torch.no_grad():
        for row in rows:
            logits = base.model(input_ids=torch.tensor([row.input_ids], device=DEVICE)).logits[0, :-1].double()
            total += torch.nn.functional.cross_entropy(
                logits, torch.tensor(row.labels[1:], device=DEVICE), ignore_index=IGNORE_INDEX, reduction="sum"
            ).item()
    assert ours.item() == pytest.approx(total, rel=1e-2)  # bfloat16 activations
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name)
    SupervisedLoss(backbone(base.model), base.head)(collate(rows, 0, DEVICE)).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_layers_are_those_that_a_gpu_has(folder):
    """In NF4 the linear layers are bitsandbytes' own, and PEFT wraps them as such."""
    if REHEARSE:
        pytest.skip("a CPU has dense layers")
    from peft.tuners.lora.bnb import Linear4bit

    base = load_base(str(folder), "nf4", device=DEVICE)
    assert base.identity.quantized_on == "cuda"
    model = adapted(base)
    layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
    assert layers and all(type(layer) is Linear4bit for layer in layers)


def test_fused_layers_equal_plain_peft(folder, monkeypatch):
    """Loss and gradients of a whole model, whose layers in NF4 are one function each, and are not."""
    monkeypatch.setattr(fused, "PACKED_ON", DEVICE.type)
    base = load_base(str(folder), "nf4", device=DEVICE)
    model = adapted(base).train()
    ids = tuple(range(3, 43))
    rows = collate([Encoded(ids, (IGNORE_INDEX,) * 4 + ids[4:])] * 2, 0, DEVICE)
    found = []
    for fuse in (False, True):
        if fuse:
            assert fused.fuse_lora(model) == ""
            layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
            assert layers and all("forward" in vars(layer) for layer in layers)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_("lora_" in name)
            parameter.grad = None
        loss = SupervisedLoss(backbone(base.model), base.head)(rows)
        loss.backward()
        found.append((loss.item(), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}))
    (plain, theirs), (ours, mine) = found
    assert ours == pytest.approx(plain, rel=5e-3) and mine.keys() == theirs.keys()
    for name, gradient in theirs.items():
        assert mine[name].dtype == torch.float32
        assert (mine[name] - gradient).norm() <= 5e-2 * gradient.norm() + 1e-6, name


def test_two_adapters_and_a_drawn_answer_share_a_batch(base):
    """Different ranks, strengths and temperatures; the base row is still the base."""
    fingerprint = Fingerprint(base)
    model = adapted(base)
    model.add_adapter("other", LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False))
    model.to(DEVICE).eval()
    rows = [Blend(), SFT, Blend("other", 0.5), Blend("default", -1.0)]
    assert fingerprint.holds(model, rows[1:])
    wanted = [Lane((2, 40, 41, 42), row, draw=at) for at, row in enumerate(rows)]
    drawn = Sampling(8, temperature=1.3, top_p=0.9, seed=3)
    engine = Engine(base, model, fingerprint)
    first, again = engine.answers(wanted, drawn), engine.answers(wanted, drawn)
    assert first == again
    torch.use_deterministic_algorithms(True)  # as a training with --deterministic is asked
    try:
        assert engine.answers(wanted, drawn) == engine.answers(wanted, drawn)
    finally:
        torch.use_deterministic_algorithms(False)


def test_checkpointing_gives_the_same_gradients(base):
    model = adapted(base).train()
    ids = tuple(range(3, 43))
    rows = collate([Encoded(ids, (IGNORE_INDEX,) * 4 + ids[4:])] * 2, 0, DEVICE)
    found = []
    for mode in (False, True):
        if mode:
            checkpoint_activations(base.model)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_("lora_" in name)
            parameter.grad = None
        SupervisedLoss(backbone(base.model), base.head)(rows).backward()
        found.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    for plain, recomputed in zip(*found, strict=True):
        assert (plain - recomputed).norm() <= 1e-2 * plain.norm() + 1e-6


@pytest.mark.parametrize("quantize", ["nf4", "none"])
def test_resume_is_bit_exact_with_deterministic(folder, rows_file, tmp_path, monkeypatch, quantize):
    monkeypatch.setenv("SFT_PLAYGROUND_HOME", str(tmp_path))
    monkeypatch.setenv("SFT_PLAYGROUND_DEVICE", DEVICE.type)
    settings = TrainConfig(
        model=str(folder), data=str(rows_file(24)), quantize=quantize, deterministic=True, num_train_epochs=2,
        sample_max_new_tokens=4, lora_r=8,
    )  # fmt: skip
    whole = list(train(settings, tmp_path / "whole"))
    asked = iter([False] * 4 + [True] * 99)  # before the first sampling and after each step
    list(train(settings, tmp_path / "parts", stop=lambda: next(asked)))
    resumed = list(train(settings, tmp_path / "parts", resume=True))
    assert resumed[0].step == 3
    digests = [
        hashlib.sha256((tmp_path / name / "adapter_model.safetensors").read_bytes()).hexdigest()
        for name in ("whole", "parts")
    ]
    assert digests[0] == digests[1]
    assert [e.loss for e in whole if isinstance(e, StepDone)][3:] == [
        e.loss for e in resumed if isinstance(e, StepDone)
    ]

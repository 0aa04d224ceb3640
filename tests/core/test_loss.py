"""Loss and gradients of a step against a float64 reference that makes all the logits."""

import copy

import pytest
import torch
import torch.nn.functional as F
from test_lanes_proof import adapted

from playground.data.batches import collate, micro_batches
from playground.data.encode import IGNORE_INDEX, Encoded
from playground.models import head as head_module
from playground.models.fused import fuse_lora
from playground.models.head import Head, backbone
from playground.models.load import load_base
from playground.training import loss as module
from playground.training.loss import SupervisedLoss


def rows(lengths, seed=0):
    """Rows with a prompt of about a third; one has a single trained token."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for at, length in enumerate(lengths):
        ids = torch.randint(3, 500, (length,), generator=generator).tolist()
        cut = length - 1 if at == 0 else max(1, length // 3)
        made.append(Encoded(tuple(ids), (IGNORE_INDEX,) * cut + tuple(ids[cut:]), False))
    return made


def full_logits_reference(model, examples):
    """Token-mean loss and gradients in float64, each row alone, every position scored."""
    double = copy.deepcopy(model).double()
    for module_ in double.modules():
        vars(module_).pop("forward", None)  # plain PEFT: nothing is fused
        if type(module_).__name__ == "FrozenLinear":
            module_.forward = lambda x, m=module_: F.linear(x, m.weight, m.bias)
    for name, parameter in double.named_parameters():
        parameter.requires_grad_("lora_" in name)
    total, count = 0.0, 0
    for row in examples:
        logits = double(input_ids=torch.tensor([row.input_ids])).logits[0, :-1]
        labels = torch.tensor(row.labels[1:])
        total = total + F.cross_entropy(logits, labels, ignore_index=IGNORE_INDEX, reduction="sum")
        count += int((labels != IGNORE_INDEX).sum())
    mean = total / count
    mean.backward()
    return mean.item(), {n: p.grad for n, p in double.named_parameters() if p.requires_grad}


@pytest.fixture(params=["gemma3", "llama", "gemma2"])
def model(request, tiny_folder):
    base = load_base(str(tiny_folder(request.param)), "none")
    adapter = adapted(base)
    for name, parameter in adapter.named_parameters():
        parameter.requires_grad_("lora_" in name)
    fuse_lora(adapter)
    return base, adapter


@pytest.mark.parametrize("cut", [(8, 10_000), (2, 10_000), (8, 40), (1, 1)])
def test_step_equals_float64_reference_for_any_micro_batching(model, cut, monkeypatch):
    base, adapter = model
    monkeypatch.setattr(head_module, "CPU_TILE", 77)  # seven tiles, the last one narrower
    examples = rows([4, 30, 9, 17, 23, 5, 12])
    loss_of = SupervisedLoss(backbone(base.model), base.head)
    count = sum(row.num_trained for row in examples)
    total = 0.0
    for piece in micro_batches([len(row.input_ids) for row in examples], *cut):
        part = loss_of(collate([examples[at] for at in piece], base.pad_token_id))
        (part / count).backward()
        total += part.item()
    expected, gradients = full_logits_reference(adapter, examples)
    assert total / count == pytest.approx(expected, rel=1e-5)
    for name, parameter in adapter.named_parameters():
        if parameter.requires_grad:
            error = (parameter.grad.double() - gradients[name]).norm() / gradients[name].norm().clamp_min(1e-12)
            assert error < 2e-4, name


def test_mean_of_micro_batch_means_differs_from_the_reference(model):
    """The positive control: with uneven answers the common mistake is far away from the reference."""
    base, adapter = model
    examples = rows([4, 40])
    loss_of = SupervisedLoss(backbone(base.model), base.head)
    means = [loss_of(collate([row], 0)).item() / row.num_trained for row in examples]
    assert abs(sum(means) / 2 - full_logits_reference(adapter, examples)[0]) > 0.05


@pytest.mark.parametrize("head_options", [{}, {"softcap": 5.0}, {"scale": 0.25}, {"scale": 2.0, "softcap": 3.0}])
@pytest.mark.parametrize("tile", [7, 50, 4096])
def test_tiled_cross_entropy_equals_autograd_in_float64(head_options, tile, monkeypatch):
    monkeypatch.setattr(head_module, "CPU_TILE", tile)
    torch.manual_seed(0)
    weight = torch.randn(50, 8)
    head = Head(weight, torch.randn(50), head_options.get("scale", 1.0), head_options.get("softcap"))
    hidden, targets = torch.randn(13, 8, requires_grad=True), torch.randint(0, 50, (13,))
    ours = module._TiledCrossEntropy.apply(hidden, head, targets)
    plain = hidden.detach().requires_grad_()
    line = module.plain_cross_entropy(plain, head, targets)
    line.backward()
    ours.backward()
    assert ours.item() == pytest.approx(line.item(), rel=1e-5)
    assert torch.allclose(hidden.grad, plain.grad, atol=1e-5)
    wanted = hidden.detach().double().requires_grad_()
    z = (wanted @ weight.double().T + head.bias.double()) * head.scale
    z = z if head.softcap is None else head.softcap * torch.tanh(z / head.softcap)
    reference = F.cross_entropy(z, targets, reduction="sum")
    reference.backward()
    assert ours.item() == pytest.approx(reference.item(), rel=1e-5)
    assert torch.allclose(hidden.grad.double(), wanted.grad, atol=1e-5)


@pytest.mark.parametrize("tile", [1, 4096])
def test_loss_is_finite_for_certain_and_impossible_tokens(tile, monkeypatch):
    monkeypatch.setattr(head_module, "CPU_TILE", tile)
    head = Head(torch.tensor([[200.0], [-200.0], [0.0]]), None, 1.0, None)
    hidden = torch.ones(2, 1, requires_grad=True)
    loss = module._TiledCrossEntropy.apply(hidden, head, torch.tensor([0, 1]))
    assert loss.item() == pytest.approx(400.0)
    loss.backward()
    assert torch.isfinite(hidden.grad).all()

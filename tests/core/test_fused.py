"""The fused LoRA layer against plain PEFT on plain linear layers in float64."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from playground.models import fused
from playground.models.linear import FrozenLinear


class Two(nn.Module):
    """Two layers; no gradient is wanted at the input of the first one."""

    def __init__(self, bias):
        super().__init__()
        self.first, self.second = nn.Linear(24, 40, bias=bias), nn.Linear(40, 16, bias=bias)

    def forward(self, x):
        return self.second(torch.tanh(self.first(x)))


def pair(bias, kind=Two):
    """The same adapted model twice: frozen float32 layers with the adapter fused, and plain PEFT in float64."""
    models = []
    for frozen in (True, False):
        torch.manual_seed(0)
        model = kind(bias)
        if frozen:
            for name, linear in list(model.named_children()):
                setattr(model, name, FrozenLinear.take(linear, linear.weight.detach().clone()))
        model = get_peft_model(model, LoraConfig(r=4, lora_alpha=10, target_modules=["first", "second"]))
        torch.manual_seed(1)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                nn.init.normal_(parameter)
        models.append(model if frozen else model.double())
    fused.fuse_lora(models[0])
    return models


class InPlace(Two):
    """Changes what its layers return in place, as OLMo (`clip_qkv`) and Gemma 3n do."""

    def forward(self, x):
        hidden = self.first(x)
        hidden.clamp_(min=-1.0, max=1.0)
        out = self.second(torch.tanh(hidden))
        out *= 0.5
        return out


def learned(model):
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(3, 7, 24), (1, 1, 24), (5, 24)])
@pytest.mark.parametrize("onednn", [True, False])
def test_output_and_gradients_equal_plain_peft_in_float64(bias, shape, onednn, monkeypatch):
    if not onednn:
        monkeypatch.setattr("playground.models.linear._ONEDNN", False)
    ours, reference = pair(bias)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    outputs = []
    for model, given in ((ours, x), (reference, x.double())):
        outputs.append(model(given))
        outputs[-1].square().sum().backward()
    assert torch.allclose(outputs[0].double(), outputs[1], rtol=1e-5, atol=1e-5)
    mine, wanted = learned(ours), learned(reference)
    assert len(mine) == 4 and mine.keys() == wanted.keys()
    for name, gradient in wanted.items():
        assert (mine[name].double() - gradient).norm() < 1e-5 * gradient.norm(), name


@pytest.mark.parametrize("onednn", [True, False])
def test_layer_output_may_be_changed_in_place(onednn, monkeypatch):
    if not onednn:
        monkeypatch.setattr("playground.models.linear._ONEDNN", False)
    ours, reference = pair(bias=True, kind=InPlace)
    x = torch.randn((3, 7, 24), generator=torch.Generator().manual_seed(2))
    outputs = []
    for model, given in ((ours, x.clone().requires_grad_()), (reference, x.double().requires_grad_())):
        outputs.append(model(given))
        outputs[-1].square().sum().backward()
    assert torch.allclose(outputs[0].double(), outputs[1], rtol=1e-5, atol=1e-5)
    mine, wanted = learned(ours), learned(reference)
    for name, gradient in wanted.items():
        assert (mine[name].double() - gradient).norm() < 1e-5 * gradient.norm(), name


@pytest.mark.parametrize("shape", [(2, 3, 24), (3, 24), (24,), (0, 24)])
def test_frozen_layer_output_may_be_changed_in_place(shape):
    layer = FrozenLinear.take(nn.Linear(24, 5), torch.randn(5, 24))
    x = torch.randn(shape, requires_grad=True)
    y = layer(x)
    y.clamp_(-0.1, 0.1)
    y.sum().backward()
    reference = x.detach().double().requires_grad_()
    nn.functional.linear(reference, layer.weight.double(), layer.bias.double()).clamp(-0.1, 0.1).sum().backward()
    assert torch.allclose(x.grad.double(), reference.grad, atol=1e-5)


def test_adapted_layers_are_fused_only_while_training(monkeypatch):
    ours, _ = pair(bias=False)
    calls = []
    function = fused._lora_matmul
    monkeypatch.setattr(fused, "_lora_matmul", lambda *given: calls.append(1) or function(*given))
    x = torch.randn(2, 3, 24)
    ours(x)
    assert len(calls) == 2
    with torch.no_grad():
        ours(x)
    assert len(calls) == 2

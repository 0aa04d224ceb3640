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


def packed(kind, dtype, bias=False):
    """An adapted model whose layers are in NF4 of bitsandbytes, computing in `dtype`."""
    from bitsandbytes.nn import Linear4bit, Params4bit

    torch.manual_seed(0)
    model = kind(bias)
    for name, linear in list(model.named_children()):
        layer = Linear4bit(linear.in_features, linear.out_features, bias=bias, compute_dtype=dtype, quant_type="nf4")
        layer.weight = Params4bit(linear.weight.detach().to(dtype), requires_grad=False, quant_type="nf4")
        if bias:
            layer.bias = nn.Parameter(linear.bias.detach().to(dtype), requires_grad=False)
        setattr(model, name, layer.to("cpu"))  # which quantises it
    model.is_loaded_in_4bit = True
    adapted = get_peft_model(model, LoraConfig(r=4, lora_alpha=10, target_modules=["first", "second"])).train()
    torch.manual_seed(1)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter)
    assert type(adapted.base_model.model.first).__name__ == "Linear4bit", "PEFT knows that it is packed"
    return adapted


class Wide(Two):
    """Large enough for blocks of NF4."""

    def __init__(self, bias):
        nn.Module.__init__(self)
        self.first, self.second = nn.Linear(64, 128, bias=bias), nn.Linear(128, 64, bias=bias)


class WideInPlace(Wide):
    """As `InPlace`."""

    forward = InPlace.forward


@pytest.fixture
def packed_on_cpu(monkeypatch):
    """Fuse packed layers here as on a GPU, in any arithmetic."""
    monkeypatch.setattr(fused, "packed_is_fused", lambda device, dtype: True)


# In bfloat16 a value next to a bound is clamped in one and not in the other, so that case has float32 alone.
@pytest.mark.parametrize(
    ("kind", "dtype", "near"),
    [(Wide, torch.float32, 1e-5), (WideInPlace, torch.float32, 1e-5), (Wide, torch.bfloat16, 0.02)],
)
@pytest.mark.parametrize("bias", [True, False])
def test_packed_layers_equal_plain_peft_in_output_and_gradients(packed_on_cpu, kind, bias, dtype, near):
    ours, theirs = packed(kind, dtype, bias), packed(kind, dtype, bias)
    assert fused.fuse_lora(ours) == ""
    assert all("forward" in vars(layer) for layer in (ours.base_model.model.first, ours.base_model.model.second))
    found = []
    for model in (ours, theirs):
        x = torch.randn((3, 7, 64), generator=torch.Generator().manual_seed(2)).to(dtype).requires_grad_()
        y = model(x)
        y.float().square().sum().backward()
        found.append({"x": x.grad, "y": y.detach(), **learned(model)})
    mine, wanted = found
    assert len(mine) == 6 and mine.keys() == wanted.keys()
    for name, value in wanted.items():
        assert mine[name].dtype == value.dtype and (error := (mine[name] - value).norm() / value.norm()) < near, (
            name,
            error,
        )
    assert all(mine[name].dtype == torch.float32 for name in mine if "lora" in name), "of the float32 masters"


def test_packed_layer_keeps_half_of_what_peft_keeps(packed_on_cpu):
    """The input as it is, which other layers keep too, instead of a float32 copy of its own."""
    kept = []
    for fuse in (True, False):
        model, sizes = packed(Wide, torch.bfloat16), {}
        if fuse:
            fused.fuse_lora(model)
        own = {t.untyped_storage().data_ptr() for t in [*model.parameters(), *model.buffers()]}
        x = torch.randn(1, 256, 64, dtype=torch.bfloat16).requires_grad_()

        def keep(tensor, sizes=sizes, own=own):
            if (key := tensor.untyped_storage().data_ptr()) not in own:
                sizes[key] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            output = model.base_model.model.first(x)
        kept.append(sum(sizes.values()))
        del output
    assert kept[0] == 256 * (64 + 4) * 2 and kept[1] == 2 * kept[0]


def test_packed_layers_on_a_cpu_or_in_float16_are_left_to_peft():
    model = packed(Wide, torch.bfloat16)
    assert fused.fuse_lora(model) == "" and "forward" not in vars(model.base_model.model.first)
    gpu = torch.device("cuda", 0)
    assert [fused.packed_is_fused(gpu, dtype) for dtype in (torch.bfloat16, torch.float16)] == [True, False]


@pytest.mark.parametrize("wrong", [lambda *given: 2 * fused._LoraMatmul.apply(*given), lambda *given: given[99]])
def test_gpu_that_computes_other_values_is_left_to_peft_and_said(packed_on_cpu, monkeypatch, wrong):
    def fails(*given):
        try:
            return wrong(*given)
        except IndexError:
            raise RuntimeError("CUDA error: no kernel image") from None

    monkeypatch.setattr(fused, "_lora_matmul", fails)
    model = packed(Wide, torch.bfloat16)
    assert "NF4 does not come to the same values on this GPU" in fused.fuse_lora(model)
    assert "forward" not in vars(model.base_model.model.first)
    assert not any(parameter.grad is not None for parameter in model.parameters())


def test_full_gpu_is_not_taken_for_one_that_differs(packed_on_cpu, monkeypatch):
    def fails(*given):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(fused, "_lora_matmul", fails)
    with pytest.raises(torch.OutOfMemoryError):
        fused.fuse_lora(packed(Wide, torch.bfloat16))

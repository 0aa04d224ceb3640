"""Which device is used, and why not a GPU; the GPUs are said to be there."""

import os

import pytest
import torch

from playground.environ import before_torch
from playground.errors import EnvironmentFault
from playground.models import device

WHEEL = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120", "compute_120"]


@pytest.fixture(autouse=True)
def gpu(monkeypatch, tmp_path):
    """Return a function that puts GPUs of a capability into this machine."""
    monkeypatch.setenv("SFT_PLAYGROUND_HOME", str(tmp_path))
    monkeypatch.delenv("SFT_PLAYGROUND_DEVICE", raising=False)

    def there(capability, built=WHEEL, number=1):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: number > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: number)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "A Card")
        monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: built)

    there((8, 0), number=0)
    return there


@pytest.mark.parametrize(
    ("capability", "built", "usable"),
    [
        ((7, 5), WHEEL, True),
        ((8, 9), WHEEL, True),  # by sm_86
        ((6, 1), WHEEL, False),  # GTX 10
        ((7, 0), WHEEL, False),  # V100
        ((10, 3), WHEEL, True),
        ((12, 1), WHEEL, True),
        ((13, 0), WHEEL, True),  # by compute_120
        ((13, 0), ["sm_120"], False),
        ((9, 0), ["sm_90a"], False),
        ((9, 0), ["sm_86", "compute_86"], True),
    ],
)
def test_gpu_is_used_if_this_pytorch_has_code_for_it(gpu, capability, built, usable):
    gpu(capability, built)
    assert device.pick_device() == (torch.device("cuda", 0) if usable else torch.device("cpu"))
    assert ("is built for" in device.why_no_gpu(torch.device("cuda", 0))) != usable


def test_device_that_was_asked_for_is_used_or_refused_with_a_reason(gpu, monkeypatch):
    monkeypatch.setenv("SFT_PLAYGROUND_DEVICE", "cuda")
    with pytest.raises(EnvironmentFault, match="cuda cannot be used: (no usable GPU|this PyTorch has no CUDA)"):
        device.pick_device()
    gpu((6, 1))
    with pytest.raises(EnvironmentFault, match="A Card has capability 6.1, this PyTorch is built for sm_75"):
        device.pick_device()
    gpu((8, 6), number=2)
    monkeypatch.setenv("SFT_PLAYGROUND_DEVICE", "cuda:1")
    assert device.pick_device() == torch.device("cuda", 1)
    monkeypatch.setenv("SFT_PLAYGROUND_DEVICE", "cuda:2")
    with pytest.raises(EnvironmentFault, match="there are 2 GPUs"):
        device.pick_device()
    monkeypatch.setenv("SFT_PLAYGROUND_DEVICE", "cpu")
    assert device.pick_device() == torch.device("cpu")


def test_each_rank_has_its_own_gpu(gpu, monkeypatch):
    gpu((9, 0), number=4)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert device.pick_device() == torch.device("cuda", 3)


@pytest.mark.parametrize("wanted", ["auto", "cuda"])
def test_process_without_a_gpu_of_its_own_is_refused(gpu, monkeypatch, wanted):
    gpu((9, 0), number=2)
    monkeypatch.setenv("SFT_PLAYGROUND_DEVICE", wanted)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(EnvironmentFault, match="process 3 of a training on this machine, which has 2 GPUs") as refused:
        device.pick_device()
    assert refused.value.hint.startswith("Start 2 processes")
    monkeypatch.setenv("SFT_PLAYGROUND_DEVICE", "cpu")
    assert device.pick_device() == torch.device("cpu")


def test_processes_without_any_gpu_share_the_cpu(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "2")
    assert device.pick_device() == torch.device("cpu")


@pytest.mark.parametrize(("capability", "dtype"), [((8, 0), torch.bfloat16), ((7, 5), torch.float16)])
def test_capability_decides_the_arithmetic(gpu, capability, dtype):
    gpu(capability)
    assert device.compute_dtype(torch.device("cuda", 0)) == dtype
    assert device.compute_dtype(torch.device("cpu")) == torch.float32


@pytest.mark.parametrize("name", ["PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"])
def test_allocator_settings_of_the_user_are_kept(monkeypatch, name):
    for either in ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "CUBLAS_WORKSPACE_CONFIG"):
        monkeypatch.delenv(either, raising=False)
    monkeypatch.setenv(name, "max_split_size_mb:128")
    before_torch()
    found = [os.environ.get(either) for either in ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF")]
    assert sorted(filter(None, found)) == ["max_split_size_mb:128"]
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"

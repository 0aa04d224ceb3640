"""The device of a plan is asked for by another process, so that the inspector never holds any of a GPU."""

import os
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from playground.config import TrainConfig
from playground.errors import EnvironmentFault
from playground.events.inspector import PlanMade
from playground.jobs import border
from playground.models import machine as machines
from playground.models.machine import Machine, asked
from playground.training import inspector
from playground.training.inspector import NO_GPU, Inspector
from playground.training.plan import plan_training

CARD = Machine("cuda:0", "A Card, capability 8.6", "bfloat16", before_ampere=False, free=20 << 30, program=0)


@pytest.fixture
def driver(monkeypatch):
    """A machine whose GPU must not be touched by this process."""

    def touched(*given):
        raise AssertionError("this process has a context on the GPU now")

    monkeypatch.delenv("SFT_PLAYGROUND_DEVICE", raising=False)
    monkeypatch.setattr(machines, "_may_have_gpu", lambda: True)
    for name in ("is_available", "device_count", "mem_get_info", "get_device_capability", "get_device_name", "init"):
        monkeypatch.setattr(torch.cuda, name, touched)


@pytest.fixture
def answer(monkeypatch, driver):
    """Return a function that lets the other process print something; it returns the environments it was given."""

    def answers(printed, errors=""):
        given = []

        def run(command, **options):
            given.append(options["env"])
            if printed is None:
                raise subprocess.TimeoutExpired(command, options["timeout"])
            return SimpleNamespace(stdout=printed, stderr=errors, returncode=1)

        monkeypatch.setattr(subprocess, "run", run)
        return given

    return answers


def test_inspector_plans_for_a_gpu_that_it_does_not_touch(tiny_folder, rows_file, answer):
    environments, events = answer(f"a library says hello\n{CARD.to_json()}\n"), []
    config = TrainConfig(model=str(tiny_folder("llama")), data=str(rows_file(4)), lora_r=4)
    Inspector(events.append, {"SEES": "all"}).serve({"do": "look", "id": 1, "config": config.to_dict(), "released": 5})
    plan = events[-1].plan
    assert isinstance(events[-1], PlanMade) and (plan.device, plan.free) == ("cuda:0", (20 << 30) + 5)
    assert plan.fits and environments == [{"SEES": "all"}]


def test_plan_for_a_gpu_counts_what_fused_layers_keep(tiny_folder, rows_file):
    kept = {}
    for quantize in ("nf4", "none"):
        config = TrainConfig(model=str(tiny_folder("llama")), data=str(rows_file(4)), quantize=quantize, lora_r=4)
        for arithmetic in ("bfloat16", "float16"):
            there = replace(CARD, arithmetic=arithmetic, before_ampere=arithmetic == "float16")
            plan = plan_training(config, lambda *a: None, machine=lambda there=there: there).plan
            kept[quantize, arithmetic] = plan.memory["activations"]
    assert kept["nf4", "bfloat16"] < 0.8 * kept["none", "bfloat16"]
    assert kept["nf4", "float16"] == kept["none", "float16"]


def test_inspector_process_sees_no_gpu_but_those_that_it_asks_do(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    monkeypatch.setenv("HIP_VISIBLE_DEVICES", "1")  # so that both are put back
    made = []
    monkeypatch.setattr(border, "run", lambda work, error: work(print))
    monkeypatch.setattr(inspector, "_lines", lambda stream: None)
    monkeypatch.setattr(inspector, "newest", lambda waiting: [])
    monkeypatch.setattr(inspector, "Inspector", lambda send, environment: made.append(environment))
    inspector.main()
    assert NO_GPU.items() <= os.environ.items()
    assert made[0]["CUDA_VISIBLE_DEVICES"] == "1"


@pytest.mark.parametrize(
    ("printed", "errors", "said"),
    [
        ('{"message": "cuda cannot be used: no driver.", "hint": "Use cpu."}', "", "cuda cannot be used: no driver."),
        ("", "Traceback\n  Segmentation fault", "could not be asked what it has: Traceback Segmentation fault."),
        ('{"device": "cuda:0"}', "", "could not be asked what it has: it ended with 1."),
        ("[]", "", "could not be asked what it has"),
        (None, "", "has not answered within 60 s"),
    ],
)
def test_gpu_that_cannot_be_asked_is_told_in_words(answer, printed, errors, said):
    answer(printed, errors)
    with pytest.raises(EnvironmentFault, match=said):
        asked({})()


def test_machine_without_gpus_is_asked_in_this_process(monkeypatch, answer):
    here = Machine("cpu", "cpu", "float32", before_ampere=False, free=7, program=3)
    monkeypatch.setattr(Machine, "here", lambda: here)
    environments = answer(Machine("cpu", "cpu", "float32", before_ampere=False, free=1, program=1).to_json())
    assert asked({})() == here and len(environments) == 1, "a driver without a GPU that PyTorch can use"
    monkeypatch.setenv("SFT_PLAYGROUND_DEVICE", "cpu")
    assert asked({}) is Machine.here
    monkeypatch.setenv("SFT_PLAYGROUND_DEVICE", "auto")
    monkeypatch.setattr(machines, "_may_have_gpu", lambda: False)
    assert asked({}) is Machine.here and len(environments) == 1


def test_other_process_prints_the_machine_without_transformers():
    """Whose import would take longer than everything else there."""
    code = (
        "import runpy, sys; runpy.run_module('playground.models.machine', run_name='__main__');"
        "assert 'transformers' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    found = Machine.from_dict(machines.json.loads(done.stdout))
    assert found.free > 0 and found.dtype in (torch.float32, torch.bfloat16, torch.float16)

"""A value that is not finite, in each place and before each kind of save: it is never written, and the run can go on."""

import hashlib
from contextlib import nullcontext

import pytest
import torch
from safetensors.torch import load_file

from playground.config import TrainConfig
from playground.errors import PlaygroundError
from playground.runs.folder import read_record
from playground.training import loop, step
from playground.training.loop import train

AT = 4  # the step


def loss(training):
    return float("nan")


def gradient(training):
    training.parameters[0].grad[0, 0] = float("inf")


def weight(training):
    training.parameters[-1].data[0, 0] = float("nan")


def moment(training):
    training.optimizer.state[training.parameters[0]]["exp_avg"][0, 0] = float("-inf")


@pytest.mark.long
@pytest.mark.parametrize("how", ["timed save", "sampling", "stop", "end"])
@pytest.mark.parametrize("spoil", [loss, gradient, weight, moment], ids=lambda spoil: spoil.__name__)
def test_what_is_not_finite_is_never_written(tiny_folder, rows_file, tmp_path, monkeypatch, spoil, how):
    settings = TrainConfig(
        model=str(tiny_folder("llama")), data=str(rows_file(12)), quantize="none", lora_r=2, eval_rows=0,
        num_train_epochs=1, per_device_train_batch_size=3 if how == "end" else 2, sample_max_new_tokens=1,
    )  # fmt: skip
    list(train(settings, tmp_path / "whole"))
    real, asked = step._over_all_ranks, []

    def poisoned(training, loss_sum):
        result = real(training, loss_sum)
        found = spoil(training) if training.state.step + 1 == AT else None
        return result if found is None else found

    def stop():
        asked.append(1)
        return how == "stop" and len(asked) == AT + 2

    with monkeypatch.context() as patched:
        patched.setattr(step, "_over_all_ranks", poisoned)
        patched.setattr(loop, "CHECKPOINT_SECONDS", 0.0 if how == "timed save" else 1e9)
        patched.setattr(step, "SAMPLINGS", 9 if how == "sampling" else 1)
        ends = pytest.raises(PlaygroundError, match="no longer finite") if spoil in (weight, moment) else nullcontext()
        with ends:
            list(train(settings, tmp_path / "run", stop=stop))
    state = "failed" if spoil in (weight, moment) else "stopped" if how == "stop" else "finished"
    assert read_record(tmp_path / "run").state == state
    files = list((tmp_path / "run").rglob("*.safetensors"))
    assert all(torch.isfinite(tensor).all() for file in files for tensor in load_file(file).values())
    assert list(train(settings, tmp_path / "run", resume=True))[-1].state == "finished"
    if spoil in (weight, moment) or how == "stop":  # else the step was skipped, and the run finished without it
        digests = {
            hashlib.sha256((tmp_path / name / "adapter_model.safetensors").read_bytes()).hexdigest()
            for name in ("whole", "run")
        }
        assert len(digests) == 1

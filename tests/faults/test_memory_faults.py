"""Memory runs out at every place of a training: it goes on, or ends with a word, and a resumed run loses nothing."""

import os
import socket
import subprocess
import time

import pytest
import torch
from digests import digest

from playground.config import TrainConfig
from playground.events.runs import BatchHalved, Evaluated, RunEnded, Sampled, Warned, event_from_json
from playground.models import lora
from playground.models.memory import MemoryFault
from playground.runs.folder import read_record
from playground.training import plan, record, setup, step
from playground.training.loop import train

# Where memory runs out: the place's name, the object and the function there, and at which call of it.
POINTS = {
    "plan": (plan, "footprint", 1),
    "load": (setup, "load_base", 1),
    "attach": (lora, "attach_new", 1),
    "first sampling": (setup.Engine, "answers", 1),
    "later sampling": (setup.Engine, "answers", 3),
    "evaluation": (setup.SupervisedLoss, "forward", 2),
    "collate": (step, "collate", 2),
    "forward": (setup.SupervisedLoss, "hidden_states", 3),
    "compare": (setup.SupervisedLoss, "compare", 3),
    "backward": (torch.Tensor, "backward", 3),
    "clip": (torch.nn.utils, "clip_grad_norm_", 2),
    "first update": (torch.optim.AdamW, "step", 1),
    "later update": (torch.optim.AdamW, "step", 3),
    "checkpoint": (setup.Training, "checkpoint_files", 2),
    "kept step": (record.RunFolder, "keep_step", 2),
    "adapter": (record.RunFolder, "write_adapter", 1),
}
GOES_ON = {"first sampling", "later sampling", "evaluation", "collate", "forward", "compare", "backward"}
QUICK = {"load", "later sampling", "evaluation", "forward", "clip", "later update", "checkpoint", "adapter"}
BEFORE_THE_FOLDER = {"plan", "load", "attach"}


def run_out(patched, point, error):
    where, name, at = POINTS[point]
    real, calls = getattr(where, name), []

    def failing(*arguments, **options):
        calls.append(name)
        if len(calls) == at:
            raise error
        return real(*arguments, **options)

    patched.setattr(where, name, failing)


@pytest.fixture(scope="module")
def settings(tiny_folder, tmp_path_factory, write_rows):
    data = write_rows(tmp_path_factory.mktemp("data") / "rows.jsonl", 24)
    return TrainConfig(
        model=str(tiny_folder("llama")), data=str(data), quantize="none", lora_r=2, eval_rows=4, num_train_epochs=1,
        per_device_train_batch_size=4, sample_max_new_tokens=1,
    )  # fmt: skip


@pytest.fixture(scope="module")
def whole(settings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    list(train(settings, folder))
    return digest(folder)


def logged(folder):
    return [event_from_json(line) for line in (folder / "events.jsonl").read_text().split("\n") if line]


@pytest.mark.parametrize(
    "point", [pytest.param(point, marks=() if point in QUICK else pytest.mark.long) for point in POINTS]
)
def test_memory_running_out_ends_no_run_without_a_word(settings, whole, tmp_path, monkeypatch, point):
    error = MemoryError() if len(point) % 2 else torch.OutOfMemoryError("CUDA out of memory")
    folder = tmp_path / "run"
    with monkeypatch.context() as patched:
        run_out(patched, point, error)
        if point in GOES_ON:
            events = list(train(settings, folder))
            assert events[-1].state == "finished"
            kind = Warned if point in ("first sampling", "later sampling", "evaluation") else BatchHalved
            assert sum(isinstance(event, kind) for event in events) == 1
            if kind is Warned:
                assert digest(folder) == whole, "what is only looked at changes nothing"
            return
        with pytest.raises(MemoryFault, match="Out of memory while") as caught:
            list(train(settings, folder))
    assert caught.value.exit_code == 3 and "--max-length" in caught.value.hint
    if point in BEFORE_THE_FOLDER:
        assert not folder.exists()
        return
    ends = [event for event in logged(folder) if event.terminal]
    assert [(end.state, end.reason) for end in ends] == [("failed", f"{caught.value.message} {caught.value.hint}")]
    assert read_record(folder).state == "failed"
    resumed = list(train(settings, folder, resume=True))
    assert resumed[0].step == ends[0].step, "no step is lost"
    assert resumed[-1].state == "finished" and digest(folder) == whole


def test_unexpected_error_ends_a_run_with_a_word(settings, whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        run_out(patched, "clip", ZeroDivisionError("odd"))
        with pytest.raises(ZeroDivisionError):
            list(train(settings, tmp_path))
    end = logged(tmp_path)[-1]
    assert isinstance(end, RunEnded) and "ZeroDivisionError: odd" in end.reason
    assert read_record(tmp_path).state == "failed"
    resumed = list(train(settings, tmp_path, resume=True))
    assert resumed[0].step == 1 and digest(tmp_path) == whole


def test_step_is_saved_before_it_is_sampled(settings, tmp_path, monkeypatch):
    events = train(settings, tmp_path)
    sampled = (event.step for event in events if isinstance(event, Sampled | Evaluated) and event.step)
    at = next(sampled)
    assert (tmp_path / "checkpoints" / f"step-{at:06}").is_dir()
    events.close()


def test_run_asked_to_stop_while_it_loads_is_not_sampled(settings, tmp_path):
    events = list(train(settings, tmp_path, stop=lambda: True))
    assert (events[-1].state, events[-1].step) == ("stopped", 0)
    assert not any(isinstance(event, Sampled) for event in events)


# Memory runs out on the second rank of two, at a call of a function.
SECOND_RANK = """
import importlib, os, sys
where, cls, name, at = sys.argv.pop(1).split()
real = importlib.import_module(where)
real = getattr(real, cls) if cls != "-" else real
function, calls = getattr(real, name), []

def failing(*arguments, **options):
    calls.append(name)
    if len(calls) == int(at) and os.environ["RANK"] == "1":
        raise MemoryError
    return function(*arguments, **options)

setattr(real, name, failing)
from playground.cli import main
main()
"""
ON_A_RANK = {
    "load": "playground.training.setup - load_base 1",
    "collate": "playground.training.step - collate 2",
    "forward": "playground.training.loss SupervisedLoss hidden_states 2",
    "backward": "torch Tensor backward 2",
    "clip": "torch.nn.utils - clip_grad_norm_ 2",
    "update": "torch.optim AdamW step 3",
}


@pytest.mark.long
@pytest.mark.parametrize("point", ON_A_RANK)
def test_memory_running_out_on_one_rank_ends_both(settings, tmp_path, warm_python, point):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = time.monotonic()
    command = [*settings.command().split()[1:], "--name", "run", "--json"]
    ranks = [
        subprocess.Popen(
            [warm_python, "-c", SECOND_RANK, ON_A_RANK[point], *command], cwd=tmp_path, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={
                **os.environ, "SFT_PLAYGROUND_HOME": str(tmp_path), "WORLD_SIZE": "2", "RANK": str(rank), "LOCAL_RANK": str(rank),
                "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1",
            },
        )
        for rank in range(2)
    ]  # fmt: skip
    said = [rank.communicate(timeout=60) for rank in ranks]
    assert time.monotonic() - started < 60
    codes, folder = [rank.returncode for rank in ranks], tmp_path / "adapters" / "run"
    assert "unexpected" not in said[0][1] + said[1][1], said
    if point in ("collate", "forward", "backward"):
        assert codes == [0, 0] and read_record(folder).state == "finished"
        return
    assert codes == [3, 3] and "Out of memory while" in said[1][1]
    assert "Another process of this training is gone" in said[0][1]
    ends = [event for event in logged(folder) if event.terminal]
    assert [end.state for end in ends] == ["failed"] and read_record(folder).state == "failed"

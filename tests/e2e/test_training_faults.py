"""Real trainings in real processes that lose their terminal, their reader or their numbers: nothing learned is lost."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from digests import digest
from terminal import Terminal

from playground import paths
from playground.config import TrainConfig
from playground.events.runs import RunEnded, StepDone
from playground.jobs.training import RunLink, start_training
from playground.runs.folder import read_record
from playground.training.loop import train

ROOT = Path(__file__).parents[2]
PLAYGROUND = [sys.executable, "-m", "playground"]
# In the fifth step a weight becomes NaN; a checkpoint is written after every step before.
POISON = """
import torch
from playground.training import loop, step

loop.CHECKPOINT_SECONDS = 0.0
real = step._over_all_ranks

def poisoned(training, loss_sum):
    result = real(training, loss_sum)
    if training.state.step == 4:
        with torch.no_grad():
            training.parameters[0][0, 0] = float("nan")
    return result

step._over_all_ranks = poisoned
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory, tiny_folder, write_rows):
    data = write_rows(tmp_path_factory.mktemp("data") / "rows.jsonl", 24)
    return TrainConfig(
        model=str(tiny_folder("llama")), data=str(data), quantize="none", lora_r=4, num_train_epochs=10, eval_rows=0
    )


@pytest.fixture(scope="module")
def whole(config, tmp_path_factory):
    """The sha256 of the adapter of a run that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    list(train(config, folder))
    return digest(folder)


@pytest.fixture
def command(config):
    return [*config.command().split()[1:], "--name", "run"]


@pytest.fixture
def start(warm_python, command, tmp_path):
    """Start the training in a process of its own."""

    def start(*more, prelude=""):
        environment = {**os.environ, "SFT_PLAYGROUND_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
        code = f"{prelude}\nfrom playground.cli import main\nmain()"
        return subprocess.Popen(
            [warm_python, "-c", code, *command, *more], env=environment, cwd=tmp_path, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    return start


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "adapters" / "run"


def resumed(folder):
    """Go on with a run, to its end."""
    events = list(train(TrainConfig.from_dict(read_record(folder).config), folder, resume=True))
    assert events[-1].state == "finished"
    return events[0].step


def until(process, event):
    """Read the events of a training up to the first of a kind."""
    return next(data for line in process.stdout if (data := json.loads(line))["event"] == event)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_signal_saves_the_run_and_resume_continues(start, folder, whole, number):
    process = start("--json")
    until(process, "StepDone")
    process.send_signal(number)
    if number == signal.SIGHUP:  # the system sends it, and the shell as well
        process.send_signal(number)
    last = json.loads(process.stdout.read().splitlines()[-1])
    assert process.wait(30) == 128 + number
    assert (last["event"], last["state"]) == ("RunEnded", "stopped")
    assert read_record(folder).state == "stopped" and (folder / "adapter_model.safetensors").is_file()
    assert resumed(folder) == last["step"] > 0 and digest(folder) == whole


# The second step is a single instruction that takes half a minute.
ENDLESS = """
import hashlib, sys
from playground.training import step
real = step.five_steps

def endless(training, *given):
    if training.state.step == 1:
        print("busy", file=sys.stderr, flush=True)
        hashlib.pbkdf2_hmac("sha256", b"", b"", 40_000_000)
    return real(training, *given)

step.five_steps = endless
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_second_signal_ends_a_run_in_the_middle_of_a_step(start, folder, whole, number):
    process = start(prelude=ENDLESS)
    assert any(line == "busy\n" for line in process.stderr)
    process.send_signal(number)
    assert any("again to quit at once" in line for line in process.stderr)
    time.sleep(0.5)
    process.send_signal(number)
    assert process.wait(5) == -number
    resumed(folder)
    assert digest(folder) == whole


def test_run_killed_by_sigkill_can_be_resumed(start, folder, whole):
    process = start("--json")
    saved = until(process, "CheckpointSaved")["step"]
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert read_record(folder).state == "running"
    assert resumed(folder) >= saved > 0 and digest(folder) == whole


def test_closed_terminal_saves_the_run(command, tmp_path, folder, whole):
    with Terminal([*PLAYGROUND, *command], tmp_path) as shell:
        shell.wait("step 1", seconds=60)
        shell.hang_up()
        assert shell.process.wait(30) == 128 + signal.SIGHUP
    assert read_record(folder).state == "stopped"
    assert resumed(folder) > 0 and digest(folder) == whole


@pytest.mark.parametrize("lines", [1, 6])
def test_closed_stdout_pipe_saves_the_run(start, folder, whole, lines):
    process = start("--json")
    for _ in range(lines):
        process.stdout.readline()
    process.stdout.close()
    narration = process.stderr.read()
    assert process.wait(30) == 128 + signal.SIGPIPE, narration
    assert "can no longer be written" in narration and "Traceback" not in narration
    assert read_record(folder).state == "stopped"
    assert (resumed(folder) > 0) == (lines > 1) and digest(folder) == whole


def test_closed_stderr_does_not_end_training(start, folder, whole):
    process = start()
    process.stderr.readline()
    process.stderr.close()
    assert process.wait(60) == 0
    assert read_record(folder).state == "finished" and digest(folder) == whole


def test_non_finite_weights_are_not_saved(start, folder, whole):
    process = start(prelude=POISON)
    said = process.stderr.read()
    assert process.wait(30) == 1
    assert "error: The weights are no longer finite" in said and "--learning-rate" in said
    assert read_record(folder).state == "failed"
    assert resumed(folder) == 4 and digest(folder) == whole


def test_second_child_does_not_touch_the_socket_or_log(config, tmp_path, monkeypatch, warm_children):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    endless, folder = TrainConfig(**{**config.to_dict(), "num_train_epochs": 1000}), tmp_path / "run"
    is_there = start_training(endless.to_dict(), folder)
    link = RunLink(folder)
    events = link.follow(is_there)
    next(event for event in events if isinstance(event, StepDone))
    socket = paths.run_socket(folder).stat().st_ino
    options = {"config": endless.to_dict(), "folder": str(folder), "resume": True}
    second = subprocess.run(
        [sys.executable, "-m", "playground.training.child", json.dumps(options)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode == 3 and f"by process {(folder / '.pid').read_text()}" in second.stderr
    assert paths.run_socket(folder).stat().st_ino == socket and link.tell("stop")
    assert next(event for event in events if isinstance(event, RunEnded)).state == "stopped"
    log = (folder / "events.jsonl").read_text()
    assert log.count('"RunEnded"') == log.count('"RunStarted"') == 1 and "being trained" not in log

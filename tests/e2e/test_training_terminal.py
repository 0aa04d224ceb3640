"""The training screens in a pseudo-terminal, with the real inspector and real trainings of a tiny model."""

import shutil
import time

import psutil
import pytest
from terminal import Terminal, app_with

SLOW = 150  # seconds: two torch processes may have to share two cores with other work


@pytest.fixture
def home(tmp_path, tiny_folder):
    """A home whose settings train a tiny model for longer than any test takes."""
    model = shutil.copytree(tiny_folder("llama"), tmp_path / "model")
    (tmp_path / "rows.jsonl").write_text('{"prompt": "What is it?", "completion": "It is it."}\n' * 8)
    (tmp_path / "settings.toml").write_text(
        f'model = "{model}"\ndata = "{tmp_path / "rows.jsonl"}"\nlora_r = 4\nnum_train_epochs = 1000\n'
    )
    yield tmp_path
    for child in trainings(tmp_path):
        child.kill()


@pytest.fixture
def app_command(warm_python):
    """The app, whose inspector and trainings need not import PyTorch first."""
    return app_with(warm_python)


def trainings(home):
    """Return the training processes whose run is in this home."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "playground.training.child" in words and str(home) in words[-1]:
            found.append(process)
    return found


def steps_done(home):
    """Return the number of steps in the log of the only run."""
    return next((home / "adapters").glob("*/events.jsonl")).read_text().count('"StepDone"')


def wait_for_step(home, number):
    """Wait until the run has done this many steps."""
    deadline = time.monotonic() + SLOW
    while steps_done(home) < number:
        assert time.monotonic() < deadline, f"step {number} was not done"
        time.sleep(0.05)


def start(app):
    app.wait("Your prompt", seconds=SLOW)
    app.press("Ctrl+R")
    app.wait("F5 starts training on the bright", "line 1", seconds=SLOW)  # when the plan is made
    app.press("F5")
    app.wait("▶ step", "ended by itself", seconds=SLOW)


def test_training_outlives_the_app_and_can_be_reopened_twice(home, app_command):
    with Terminal(app_command, home) as app:
        start(app)
        app.press("Ctrl+Q")
        assert app.exit_code(10) == 0
    (child,) = trainings(home)
    with Terminal(app_command, home) as one, Terminal(app_command, home) as other:
        for app in (one, other):
            app.wait("Your prompt", "a training run", seconds=SLOW)
            app.press("Ctrl+R")
            app.wait("▶ step", seconds=SLOW)
        wait_for_step(home, 1)  # only a run that has learned something leaves an adapter to compare
        one.press("Ctrl+S")
        for app in (one, other):
            app.wait("□ stopped at step", "F6 compares it", seconds=SLOW)
    psutil.wait_procs([child], timeout=20)
    assert not trainings(home)


@pytest.mark.parametrize("victim", ["training", "app"])
def test_app_and_training_survive_a_kill_of_the_other(home, app_command, victim):
    with Terminal(app_command, home) as app:
        start(app)
        (child,) = trainings(home)
        if victim == "training":
            child.kill()
            app.wait("✗ failed at step", "process is gone", seconds=SLOW)
            return
        app.process.kill()
        app.process.wait()
    wait_for_step(home, steps_done(home) + 2)
    assert child.is_running()

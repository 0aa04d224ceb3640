"""Trainings that are killed again and again, by the real command line and as the app starts them: nothing is lost.

Each seed is one run, killed at random moments and resumed until it is finished. Figures: see `figures`.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import figures
import pytest
from digests import digest

from playground.config import TrainConfig
from playground.runs.folder import read_events, read_record
from playground.training import checkpoint
from playground.training.loop import train

ROOT = Path(__file__).parents[2]
# A checkpoint after every step, so that many kills hit a save.
OFTEN = "from playground.training import loop; loop.CHECKPOINT_SECONDS = 0.0\n"
COMMAND = OFTEN + "from playground.cli import main; main()"
CHILD = OFTEN + "from playground.training.child import main; main()"
MOST_KILLS = 12  # of one run
WHILE_LOADING = 0.1  # the share of kills before the first event
RUN_SECONDS = 1.0  # kills come within this time after the first event; many runs are finished before


@pytest.fixture(scope="module")
def settings(tiny_folder, tmp_path_factory, write_rows):
    data = write_rows(tmp_path_factory.mktemp("data") / "rows.jsonl", 36)

    def settings(quantize):
        return TrainConfig(
            model=str(tiny_folder("llama")), data=str(data), quantize=quantize, lora_r=2, eval_rows=0,
            num_train_epochs=1, per_device_train_batch_size=2, gradient_accumulation_steps=1, sample_max_new_tokens=1,
            sample_prompts=(),
        )  # fmt: skip

    return settings


@pytest.fixture(scope="module")
def whole(settings, tmp_path_factory):
    """The digest of the adapter of a run that nothing happened to."""
    digests = {}

    def whole(quantize):
        if quantize not in digests:
            folder = tmp_path_factory.mktemp("whole") / "run"
            list(train(settings(quantize), folder))
            digests[quantize] = digest(folder)
        return digests[quantize]

    return whole


class Run:
    """One run that is killed until it is finished.

    Attributes:
        acknowledged: The last step of which an event said that its checkpoint is saved.
    """

    def __init__(self, python, config, home, how):
        self.python, self.config, self.home, self.how = python, config, home, how
        self.folder = home / "adapters" / "run"
        self.acknowledged = 0

    def start(self):
        """Start it, or go on with it, in a process of its own."""
        resume = read_record(self.folder) is not None
        events = self.folder / "events.jsonl"  # killed before there was a record, it starts again in its folder
        self._before = events.stat().st_size if events.exists() else 0
        if self.how == "command":
            words = [*self.config.command().split()[1:], "--name", "run"]
            arguments = [COMMAND, *(["train", "--resume", "run"] if resume else words)]
        else:
            options = {"config": self.config.to_dict(), "folder": str(self.folder), "resume": resume}
            arguments = [CHILD, json.dumps(options)]
        environment = {**os.environ, "SFT_PLAYGROUND_HOME": str(self.home), "XDG_RUNTIME_DIR": str(self.home)}
        return subprocess.Popen(
            [self.python, "-c", *arguments], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def events(self):
        """Return what the process that runs or ran last has written."""
        return read_events(self.folder, self._before)[0]

    def kill(self, process, rng):
        """Kill the training itself at a random moment, unless it ends before; return whether that was done."""
        if rng.random() < WHILE_LOADING:
            time.sleep(rng.uniform(0, RUN_SECONDS))
        else:
            while process.poll() is None and not any(type(event).__name__ == "RunStarted" for event in self.events()):
                time.sleep(0.02)
            time.sleep(rng.uniform(0, RUN_SECONDS))
        try:
            os.kill(int((self.folder / ".pid").read_text()), signal.SIGKILL)
        except (OSError, ValueError):
            process.kill()
        return process.wait() == -signal.SIGKILL

    def look(self, found):
        """Count what a kill left; everything that was acknowledged must be there."""
        saved = [event.step for event in self.events() if type(event).__name__ == "CheckpointSaved"]
        self.acknowledged = max([self.acknowledged, *saved])
        visible = list(self.folder.glob("checkpoints/step-*"))
        found["damaged"] += sum(checkpoint._read(path) is None for path in visible)
        found["in a save"] += any(self.folder.glob("checkpoints/.*"))
        newest = checkpoint.newest_checkpoint(self.folder / "checkpoints")
        found["lost"] += max(0, self.acknowledged - (newest.state.step if newest else 0))


KINDS = [(how, quantize) for how in ("command", "child") for quantize in ("none", "nf4")]


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("how", "quantize"), [*KINDS, ("cold command", "none")])
def test_killed_runs_lose_nothing(settings, whole, tmp_path, warm_python, how, quantize):
    name = f"kills, {how}, {quantize}"
    for seed in figures.seeds(2 if how.startswith("cold") else 6):
        if figures.done(name, seed):
            continue
        rng, found = random.Random(f"{name} {seed}"), dict.fromkeys(("kills", "in a save", "damaged", "lost"), 0)
        home = tmp_path / str(seed)
        python = sys.executable if how.startswith("cold") else warm_python
        run = Run(python, settings(quantize), home, how.removeprefix("cold "))
        while True:
            process = run.start()
            if found["kills"] < MOST_KILLS and run.kill(process, rng):
                found["kills"] += 1
                run.look(found)
                continue
            said = process.stderr.read()
            assert process.wait() == 0, said
            break
        resumed = [event.step for event in read_events(run.folder)[0] if type(event).__name__ == "RunStarted"]
        found["different"] = int(digest(run.folder) != whole(quantize))
        found["left over"] = sum(1 for _ in run.folder.glob("checkpoints/.*"))
        found["starts"] = len(resumed)
        assert not any(found[bad] for bad in ("damaged", "lost", "different", "left over")), (seed, found)
        assert read_record(run.folder).state == "finished"
        figures.add(name, seed, found)
        shutil.rmtree(home)

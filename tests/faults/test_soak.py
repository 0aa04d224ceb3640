"""A training of ten thousand steps that is sampled, paused, asked and watched anew: it grows in nothing."""

import json
import os
import subprocess
import time
from pathlib import Path

import figures
import pytest

from playground.config import TrainConfig
from playground.events.answers import Sampling
from playground.events.engine import Ask, LaneRequest
from playground.events.runs import Paused, Replied, Sampled, StepDone
from playground.jobs.training import RunLink

STEPS = int(os.environ.get("FAULTS_STEPS", "10000"))
EPOCH = 18  # steps
WARM = 0.1  # the share of the steps after which memory and descriptors should stay
ASK = Ask(tuple(LaneRequest(side, side, ("Say hi.",)) for side in ("base", "sft")), 1.0, Sampling(4))
SOAK = """
from playground.training import loop, step
loop.CHECKPOINT_SECONDS, step.SAMPLINGS = 5.0, 100
from playground.training.child import main
main()
"""


def size(pid):
    """Return the resident memory of a process in bytes, and its open descriptors."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE"), len(os.listdir(f"/proc/{pid}/fd"))


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_long_training_grows_in_nothing(tiny_folder, rows_file, tmp_path, warm_python, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    config = TrainConfig(
        model=str(tiny_folder("llama")), data=str(rows_file(40)), quantize="none", lora_r=2, eval_rows=4,
        num_train_epochs=-(-STEPS // EPOCH), per_device_train_batch_size=2, gradient_accumulation_steps=1, learning_rate=1e-4,
        sample_max_new_tokens=2,
    )  # fmt: skip
    folder, began = tmp_path / "run", time.monotonic()
    options = json.dumps({"config": config.to_dict(), "folder": str(folder), "resume": False})
    process = subprocess.Popen([warm_python, "-c", SOAK, options], start_new_session=True)
    measured, attachments, last = [], 0, 0
    while process.poll() is None and last < STEPS:
        link = RunLink(folder)
        attachments += 1
        for event in link.follow(lambda: process.poll() is None):
            if not link.caught_up or not isinstance(event, StepDone) or event.step < last + STEPS // 20:
                continue
            last = event.step
            if (pid := (folder / ".pid")).exists():
                measured.append((last, *size(int(pid.read_text()))))
            if link.tell("pause") and any(isinstance(event, Paused) for event in link.follow()):
                pass
            link.ask(ASK, lambda event: None)
            link.tell("sample_now")
            link.tell("continue")
            break
        link.close()
        if last >= STEPS - STEPS // 20:
            break
    ended = list(RunLink(folder).follow())
    assert process.wait(60) == 0 and ended[-1].state == "finished" and ended[-1].step >= STEPS
    warm = [(memory, descriptors) for step, memory, descriptors in measured if step >= WARM * STEPS]
    # The least of each half: a connection of this test's, or a batch, may be there at the moment of a measurement.
    halves = [
        [min(column) for column in zip(*half, strict=True)] for half in (warm[: len(warm) // 2], warm[len(warm) // 2 :])
    ]
    grown, descriptors = halves[1][0] / halves[0][0] - 1, halves[1][1] - halves[0][1]
    found = {
        "steps": ended[-1].step, "attachments": attachments, "measurements": len(measured), "seconds": round(time.monotonic() - began),
        "samplings": sum(isinstance(event, Sampled) for event in ended),
        "pauses": sum(isinstance(event, Paused) for event in ended),
        "replies": sum(isinstance(event, Replied) for event in ended),
        "per mille grown": round(1000 * grown), "descriptors more": descriptors,
    }  # fmt: skip
    figures.add("soak", 0, found)
    assert len(warm) > 9 and grown < 0.02 and descriptors <= 0, (found, measured)

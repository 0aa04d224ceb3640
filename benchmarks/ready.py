"""From a command to a model that is ready, in multiples of what importing PyTorch and transformers takes.

    python benchmarks/ready.py [ROUNDS]

Each round measures, one after the other, in new processes: the imports alone; the engine, until it is ready for a
prompt; a training as F5 starts it, until its model is loaded and until its first step is done (with the default data;
without sample answers, which are no step); and ``--compare`` with one prompt of at most one new token. The demo model
must be converted, and nothing else should run. Processor seconds are shown too: on a busy machine they hold better.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from statistics import median

import psutil

from playground import paths
from playground.config import TrainConfig
from playground.events.engine import EngineError, EngineReady
from playground.events.runs import RunEnded, RunStarted, StepDone
from playground.jobs.engine import EngineProcess
from playground.jobs.training import RunLink, start_training

ROUNDS, WANTED = 5, 1.8
IMPORTS = "import torch; from transformers import AutoModelForCausalLM"
BASELINE = "the imports alone"
Measured = Iterator[tuple[str, float, float]]


def spent(pid: int) -> float:
    """Return the processor seconds of a running process."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def command(name: str, *arguments: str) -> Measured:
    began = time.monotonic()
    child = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)  # of this child alone: others end at any time
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, arguments
    yield name, time.monotonic() - began, usage.ru_utime + usage.ru_stime


def imports() -> Measured:
    yield from command(BASELINE, "-c", IMPORTS)


def engine() -> Measured:
    began = time.monotonic()
    child = EngineProcess()
    for event in child.events():
        assert not isinstance(event, EngineError), event.message
        if isinstance(event, EngineReady):
            yield "engine ready", time.monotonic() - began, sum(spent(p.pid) for p in psutil.Process().children())
            break
    child.close()


def training() -> Measured:
    config = TrainConfig(data="mini.jsonl", sample_prompts=())
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "run"
        began = time.monotonic()
        is_there = start_training(config.to_dict(), folder)
        link = RunLink(folder)
        for event in link.follow(is_there):
            names = {RunStarted: "training loaded", StepDone: "training, first step done"}
            assert not isinstance(event, RunEnded) or event.state == "cancelled", event.reason
            if name := names.get(type(event)):
                yield name, time.monotonic() - began, spent(int((folder / ".pid").read_text()))
            if isinstance(event, StepDone):
                link.tell("cancel")
                break
        while link.is_alive():
            time.sleep(0.1)


def compare() -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        prompts = Path(folder) / "prompts.txt"
        prompts.write_text("Explain quantum physics.\n")
        yield from command(
            "--compare, one prompt", "-m", "playground", "--compare", str(prompts), "--max-new-tokens", "1"
        )


def measure(rounds: int) -> dict[str, list[tuple[float, float]]]:
    found: dict[str, list[tuple[float, float]]] = {}
    parts: tuple[Callable[[], Measured], ...] = (imports, engine, training, compare)
    for _ in range(rounds):
        for part in parts:
            for name, seconds, processor in part():
                found.setdefault(name, []).append((seconds, processor))
    return found


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    names = re.findall(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "peft", "bitsandbytes"))
    print(f"{names[0]}, {len(os.sched_getaffinity(0))} processors; Python {platform.python_version()}, {versions}")
    busy, cache = psutil.cpu_percent(2.0), paths.cache_dir()
    with tempfile.TemporaryDirectory() as home:  # the converted model, the shipped adapter, nothing of the user's
        (Path(home) / "cache").symlink_to(cache)
        os.environ |= {"SFT_PLAYGROUND_HOME": home, "HF_HUB_OFFLINE": "1"}
        found = measure(rounds)
    print(f"\n| median of {rounds} | seconds | range | ratio | processor seconds | ratio |")
    print("|---|---:|---:|---:|---:|---:|")
    least, least_processor = (median(column) for column in zip(*found[BASELINE], strict=True))
    for name, pairs in found.items():
        walls, processors = (sorted(column) for column in zip(*pairs, strict=True))
        wall, processor = median(walls), median(processors)
        print(
            f"| {name} | {wall:.2f} | {walls[0]:.2f}–{walls[-1]:.2f} | {wall / least:.2f} "
            f"| {processor:.2f} | {processor / least_processor:.2f} |"
        )
    print(f"\nWanted: a ratio of at most {WANTED}. Without us the machine was {busy:.0f} % busy before.")


if __name__ == "__main__":
    main()

"""The main job as a user meets it: seconds and peak memory of whole commands, with the model cached.

    python benchmarks/main_job.py [train] [demo] [help]

Memory is the largest sum of proportional set sizes over the process tree, sampled twice a second: reading it takes the kernel a tenth of a second.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time

import psutil

COMMAND = [sys.executable, "-m", "playground"]


class Peak(threading.Thread):
    """Samples the memory of a process and its children until it ends."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.process, self.peak = psutil.Process(pid), 0

    def run(self) -> None:
        while True:
            try:
                tree = [self.process, *self.process.children(recursive=True)]
                self.peak = max(self.peak, sum(p.memory_full_info().pss for p in tree))
            except psutil.Error:
                return
            time.sleep(0.5)


def run(*arguments: str) -> tuple[float, float, str]:
    """Return wall seconds, peak GB and standard output of a command."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        process = subprocess.Popen(
            [*COMMAND, *arguments, "--adapters-dir", folder] if arguments[0] != "--help" else [*COMMAND, *arguments],
            stdout=subprocess.PIPE, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )  # fmt: skip
        watcher = Peak(process.pid)
        watcher.start()
        output, _ = process.communicate()
        seconds = time.monotonic() - began
        assert process.returncode == 0, process.returncode
        return seconds, watcher.peak / 1e9, output


def main() -> None:
    wanted = sys.argv[1:] or ["help", "train", "demo"]
    if "help" in wanted:
        times = sorted(run("--help")[0] for _ in range(7))
        print(f"--help: median {1000 * times[3]:.0f} ms, worst {1000 * times[-1]:.0f} ms of 7", flush=True)
    if "train" in wanted:
        seconds, peak, output = run("train", "--data", "mini.jsonl", "--json")
        events = [json.loads(line) for line in output.splitlines()]
        ended = events[-1]
        own = ended["seconds_load"] + ended["seconds_train"] + ended["seconds_sample"] + ended["seconds_save"]
        first = next(
            (e["seconds"] for e in events if e["event"] == "Sampled" and any(s["answered"] for s in e["samples"])), None
        )
        every = next(
            (e["seconds"] for e in events if e["event"] == "Sampled" and all(s["answered"] for s in e["samples"])), None
        )
        print(
            f"train: {seconds:.0f} s, peak {peak:.2f} GB, {ended['num_tokens']} tokens, {ended['tokens_per_second']} tokens/s"
        )
        print(f"  start-up before the run's clock {seconds - own:.1f} s; first answer {first} s, all answer {every} s")
        for part in ("load", "train", "sample", "save"):
            print(
                f"  {part} {ended['seconds_' + part]:.1f} s, {100 * ended['seconds_' + part] / seconds:.0f} %",
                flush=True,
            )
    if "demo" in wanted:
        seconds, peak, _ = run("demo")
        print(f"demo: {seconds:.0f} s, peak {peak:.2f} GB", flush=True)


if __name__ == "__main__":
    main()

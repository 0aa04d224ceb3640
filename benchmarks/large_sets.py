"""Large inputs: a million rows to train on, two thousand prompts to compare.

python benchmarks/large_sets.py rows      # a random tiny model: what is measured is the reading
python benchmarks/large_sets.py prompts   # the demo model and its shipped adapter
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

NUM_ROWS, NUM_PROMPTS = 1_000_000, 2_000


def resident() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmRSS"))


def rows() -> None:
    from memory_plan import save_model

    from playground.config import TrainConfig
    from playground.data.examples import read_dataset
    from playground.events.runs import StepDone
    from playground.training.loop import train

    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        save_model("smollm", home)
        times: dict[int, float] = {}
        for number in (10_000, 100_000, NUM_ROWS):
            data = home / f"{number}.jsonl"
            with data.open("w") as stream:
                for n in range(number):
                    row = {"prompt": f"w{n % 999} w{n // 999} ?", "completion": f"w{n % 997} " * (5 + n % 20)}
                    stream.write(json.dumps(row) + "\n")
            before, began = resident(), time.monotonic()
            dataset = read_dataset(data)
            seconds = time.monotonic() - began
            held = resident() - before
            del dataset
            config = TrainConfig(
                model=folder, data=str(data), quantize="none", num_train_epochs=1, sample_prompts=(), lora_r=4,
                per_device_train_batch_size=8,
            )  # fmt: skip
            began = time.monotonic()
            for event in train(config, home / f"run-{number}"):
                if isinstance(event, StepDone):
                    break
            times[number] = time.monotonic() - began
            print(
                f"| {number:,} rows, {data.stat().st_size / 1e6:.0f} MB | {seconds:.1f} s | {held:.0f} MB"
                f" | {1e6 * held / number:.0f} | {times[number]:.1f} s |",
                flush=True,
            )


def prompts() -> None:
    from playground import paths
    from playground.data.prompts import Prompt
    from playground.events.answers import Sampling
    from playground.inference.compare import compare
    from playground.inference.lineup import load_lineup

    lineup = load_lineup([paths.bundled("adapters") / "demo-mini"], lambda stage, share: None)
    many = [
        Prompt(str(n), f"Name {2 + n % 7} things that begin with the letter {chr(97 + n % 26)}.")
        for n in range(NUM_PROMPTS)
    ]
    for batch_size in (1, 4, 16, 32):
        few = many[: max(16, 2 * batch_size)]
        began = time.monotonic()
        done = list(compare(lineup, few, Sampling(32), batch_size=batch_size))
        tokens = sum(answer.num_tokens for row in done for answer in row.answers.values())
        print(f"| {batch_size} prompts a batch | {tokens / (time.monotonic() - began):.0f} tokens/s |", flush=True)
    began, seen = time.monotonic(), 0
    for row in compare(lineup, many, Sampling(2), batch_size=16):
        seen += sum(answer.num_tokens for answer in row.answers.values())
        if int(row.id) % 500 == 15:
            print(f"| after prompt {row.id} | {resident():.0f} MB resident |", flush=True)
    print(f"| {NUM_PROMPTS:,} prompts, 2 tokens each | {time.monotonic() - began:.0f} s | {seen} tokens |")


if __name__ == "__main__":
    {"rows": rows, "prompts": prompts}[sys.argv[1]]()

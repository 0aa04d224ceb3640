"""Training speed and memory against TRL at its best here: same rows, ids, labels, threads, LoRA, rate.

    python benchmarks/train_vs_trl.py ../shared/data/alpaca_en_demo.json

No checkpointing, no packing, batch 4, length-grouped, fp32 arithmetic, base in fp32 and in NF4. Each
run is a process of its own; tokens/s counts non-padding tokens over optimiser steps only; peak memory
is the process's high-water mark. The rows are any JSON array of Alpaca objects; the first 64 are used.

TRL runs twice: in the environment that it comes with, and with the variables that we set before torch is
imported (`playground.environ`). Huge pages are worth half again of its speed, since it fills gigabytes of
logits anew in each step; a user of TRL would have to know of them.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playground.environ import BEFORE_TORCH

ROWS, BATCH, RATE, RANK, ALPHA = 64, 4, 2e-4, 16, 32
RUNS: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("ours", "ours", BEFORE_TORCH),
    ("TRL", "trl", {}),
    ("TRL, our environment", "trl", BEFORE_TORCH),
)


def write_rows(source: Path, target: Path) -> None:
    rows = json.loads(source.read_text("utf-8"))[:ROWS]
    lines = [
        {"instruction": row["instruction"], "input": row.get("input", ""), "output": row["output"]} for row in rows
    ]
    target.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")


def config(data: Path, quantize: str) -> Any:
    from playground.config import TrainConfig

    return TrainConfig(
        data=str(data), quantize=quantize, learning_rate=RATE, num_train_epochs=1, per_device_train_batch_size=BATCH,
        lora_r=RANK, lora_alpha=ALPHA, warmup_ratio=0.0, max_length=1024, sample_prompts=(), eval_rows=0,
    )  # fmt: skip


def ours(data: Path, quantize: str) -> dict[str, Any]:
    from playground.events.runs import RunEnded, StepDone
    from playground.training.loop import train

    with tempfile.TemporaryDirectory() as folder:
        events = list(train(config(data, quantize), Path(folder) / "run"))
    losses = [event.loss for event in events if isinstance(event, StepDone)]
    ended = events[-1]
    assert isinstance(ended, RunEnded)
    return {"tokens": ended.num_tokens, "seconds": ended.seconds_train, "first": losses[0], "mean": mean(losses)}


def trl(data: Path, quantize: str) -> dict[str, Any]:
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    from playground.models import demo
    from playground.models.device import pick_device
    from playground.training.plan import plan_training
    from playground.training.ranks import Ranks
    from playground.training.setup import prepare

    training = prepare(plan_training(config(data, quantize), lambda *_: None), lambda *_: None, Ranks(pick_device()))
    rows = [{"input_ids": list(row.input_ids), "labels": list(row.labels)} for row in training.rows]
    tokenizer, tokens = training.base.tokenizer, sum(len(row["input_ids"]) for row in rows)
    del training
    quantization = None
    if quantize == "nf4":
        quantization = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.float32,
        )  # fmt: skip
    model = AutoModelForCausalLM.from_pretrained(demo.folder(), dtype=torch.float32, quantization_config=quantization)

    class Stopwatch(TrainerCallback):
        seconds = began = 0.0

        def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
            self.began = time.monotonic()

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            Stopwatch.seconds += time.monotonic() - self.began

    with tempfile.TemporaryDirectory() as folder:
        trainer = SFTTrainer(
            model=model,
            args=SFTConfig(
                output_dir=folder, per_device_train_batch_size=BATCH, num_train_epochs=1, learning_rate=RATE,
                use_cpu=True, bf16=False, gradient_checkpointing=False, packing=False, max_length=1024,
                train_sampling_strategy="group_by_length", report_to="none", save_strategy="no", logging_steps=1,
                lr_scheduler_type="cosine", warmup_steps=0, disable_tqdm=True,
                dataset_kwargs={"skip_prepare_dataset": True},
            ),
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            peft_config=LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules="all-linear", task_type="CAUSAL_LM"),
            callbacks=[Stopwatch()],
        )  # fmt: skip
        trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return {"tokens": tokens, "seconds": Stopwatch.seconds, "first": losses[0], "mean": mean(losses)}


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def child(who: str, data: Path, quantize: str, variables: dict[str, str]) -> dict[str, Any]:
    environment = {**os.environ, **variables, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, __file__, "--child", who, str(data), quantize]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def main() -> None:
    if sys.argv[1] == "--child":
        result = {"ours": ours, "trl": trl}[sys.argv[2]](Path(sys.argv[3]), sys.argv[4])
        result["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(json.dumps(result))
        return
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "rows.jsonl"
        write_rows(Path(sys.argv[1]), data)
        print("| base | trainer | tokens | seconds | tokens/s | peak GB | first loss | mean loss |")
        print("|---|---|---:|---:|---:|---:|---:|---:|")
        for quantize in ("none", "nf4"):
            speeds = {}
            for label, who, variables in RUNS:
                r = child(who, data, quantize, variables)
                speeds[label] = r["tokens"] / r["seconds"]
                print(
                    f"| {quantize} | {label} | {r['tokens']} | {r['seconds']:.0f} | {speeds[label]:.1f}"
                    f" | {r['peak']:.2f} | {r['first']:.3f} | {r['mean']:.3f} |",
                    flush=True,
                )
            ratios = [
                f"{speeds['ours'] / speed:.1f} times {label}" for label, speed in speeds.items() if label != "ours"
            ]
            print(f"\n{quantize}: {', '.join(ratios)}\n", flush=True)


if __name__ == "__main__":
    main()

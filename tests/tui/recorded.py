"""A recorded run, as its folder holds it."""

import json

from playground.events.answers import Answer
from playground.events.plans import Choice, Plan
from playground.events.runs import Evaluated, RunEnded, RunStarted, Sample, Sampled, StepDone

PLAN = Plan(
    "google/gemma-3-270m", "mini.jsonl (JSON Lines)", "cpu", 109, 0, 0, 4998, 3436, 82, 45, 3_796_992, 268_098_176,
    "nf4", 5e-4, 2048, 8, 1, False, (Choice("quantize", "nf4", "QLoRA"),), {"weights": 1_070_000_000, "adapter": 61_000_000},
    22_000_000_000, 63.0, (), "", 6,
)  # fmt: skip
PROMPTS = ("Explain quantum physics.", "What's the capital of France?")


def sampled(step):
    """Return what the fixed prompts got at a step: the base always the same, sft a text of that step."""
    going = Answer("Explain quantum physics. Explain", "length", None, 64)
    after = Answer(f"Answer at step {step}.", "stop", None, 5)
    base = tuple(Sample(prompt, going, False) for prompt in PROMPTS) if step == 0 else ()
    return Sampled(step, tuple(Sample(prompt, after, step > 0) for prompt in PROMPTS), base, 10.0 + step)


def step_done(step, loss):
    return StepDone(step, step / 15, loss, 5e-4, 0.9, 100 * step, 101.0, 58.0, 2_400_000_000)


def events(folder, last=12, ended="finished"):
    """Return the events of a run of 45 steps that got as far as `last`, sampled every six steps."""
    found = [RunStarted("run", str(folder), "Gemma 3 270M base", PLAN, 0, 2.0), sampled(0), Evaluated(0, 1.9)]
    for step in range(1, last + 1):
        found.append(step_done(step, 3.0 / step**0.5))
        if step % 6 == 0:
            found += [sampled(step), Evaluated(step, 1.4 + ((step - 18) / 60) ** 2)]
    if ended:
        found.append(RunEnded(ended, "all steps are done", last, 0.9, str(folder), 1200, 101.0, 2.0, 60.0, 8.0, 1.0))
    return found


def record(folder, *more, **how):
    """Write a run's events into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [event.to_json() for event in (*events(folder, **how), *more)]
    (folder / "events.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def run_record(folder, created_at="2026-11-22T10:00:00+00:00", state="finished"):
    """Write a ``run.json``, so that the run is listed."""
    base = {
        "name": "google/gemma-3-270m",
        "description": "Gemma",
        "revision": "x",
        "quantize": "nf4",
        "dtype": "float32",
    }
    about = {
        "name": folder.name, "created_at": created_at, "state": state, "base": base, "style": "chat",
        "data_name": "mini.jsonl", "data_sha256": "0" * 64, "num_examples": 115, "single_turn": True, "step": 12,
        "num_steps": 45, "loss": 0.9, "num_eval": 6, "eval_loss": 1.52, "exact": True, "config": {}, "versions": {},
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(about))

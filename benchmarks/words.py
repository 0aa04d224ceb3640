"""What lifts the words: more steps, more rows, or rows that have the forms? Trains arms and measures each.

    python benchmarks/words.py mini mini-long curated-270 --seeds 0 1 2
    python benchmarks/words.py ordinary --ordinary alpaca_en_demo.json

Each arm is trained by the project's own command, for the whole number of epochs that comes nearest to its budget of
tokens (prompts and answers, every epoch), and measured on the half of the everyday prompts that is there to choose by, and
on `datasets/heldout.jsonl`. What is done is skipped, so a run that was stopped goes on: a finished adapter is not trained
again, a measured one not measured again. Results are appended to `results/words.jsonl`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from forms import BY_READING, has_form, read

from playground import paths
from playground.data.encode import Encoder, encode_all
from playground.data.examples import read_dataset
from playground.data.prompts import Prompt, read_prompts
from playground.data.styles import get_style
from playground.events.answers import Sampling
from playground.inference.compare import compare
from playground.inference.lineup import load_lineup
from playground.models.tokenizer import load_tokenizer
from playground.runs.folder import read_record

TOKENS = 36_000
ORDINARY_WORDS = 60  # longer answers of ordinary rows are left out, as are rows with an input
MAX_NEW_TOKENS = 128
BATCH_SIZE = 16
RESULTS = Path(__file__).parent / "results" / "words.jsonl"


def rows_of(arm: str, ordinary: Path | None) -> list[dict[str, Any]]:
    """Return an arm's rows: ``mini…``, ``curated[-N]`` (the first N, which is a fair share of each form), ``ordinary``."""
    if arm == "ordinary":
        if ordinary is None:
            sys.exit("Say where ordinary rows are: --ordinary FILE (instruction, input, output)")
        rows = json.loads(ordinary.read_text("utf-8"))
        short = [row for row in rows if not row["input"] and len(row["output"].split()) <= ORDINARY_WORDS]
        return [{"prompt": row["instruction"], "completion": row["output"]} for row in short]
    name, _, number = arm.partition("-")
    lines = (paths.bundled("datasets") / f"{name}.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return rows[: int(number)] if number.isdigit() else rows


def num_tokens(data: Path) -> int:
    """Return the tokens of one epoch."""
    tokenizer, end = load_tokenizer("demo")
    rows, _ = encode_all(Encoder(tokenizer, get_style("chat"), end, 2048), read_dataset(data))
    return sum(len(row.input_ids) for row in rows)


def train(run: str, data: Path, epochs: int, seed: int) -> None:
    command = [sys.executable, "-m", "playground", "train", "--data", str(data), "--name", run, "--seed", str(seed)]
    command += ["--num-train-epochs", str(epochs), "--save-dtype", "bfloat16"]
    folder = paths.adapters_dir() / run
    if folder.exists():
        command = [sys.executable, "-m", "playground", "train", "--resume", run]
    subprocess.run(command, check=True)


def measure(folder: Path) -> dict[str, Any]:
    everyday = [prompt for prompt in read() if prompt.half == "choose"]
    lineup = load_lineup([folder], lambda stage, share: None)
    lineup = replace(lineup, sides=lineup.sides[-1:])  # base and control say the same whatever was trained
    prompts = [Prompt(prompt.id, prompt.prompt) for prompt in everyday]
    forms: dict[str, list[bool]] = {}
    rows = compare(lineup, prompts, Sampling(MAX_NEW_TOKENS), batch_size=BATCH_SIZE)
    for asked, row in zip(everyday, rows, strict=True):
        if asked.form not in BY_READING:
            answer = row.answers["sft"]
            forms.setdefault(asked.form, []).append(has_form(asked, answer.text) and answer.stopped_by_itself)
    held_out = list(
        compare(lineup, read_prompts(paths.find_file("heldout.jsonl")), Sampling(MAX_NEW_TOKENS), batch_size=BATCH_SIZE)
    )
    facts = [row.answered["sft"] for row in held_out if row.id.startswith("fact")]
    return {
        "formed": sum(map(sum, forms.values())),
        "of": sum(map(len, forms.values())),
        "forms": {form: f"{sum(good)}/{len(good)}" for form, good in forms.items()},
        "answered": sum(row.answered["sft"] for row in held_out),
        "answered_of": len(held_out),
        "facts": sum(facts),
        "facts_of": len(facts),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arms", nargs="+")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, help="instead of what comes nearest to the budget")
    parser.add_argument("--ordinary", type=Path)
    options = parser.parse_args()
    done = {json.loads(line)["run"] for line in RESULTS.read_text("utf-8").splitlines()} if RESULTS.exists() else set()
    work = paths.cache_dir() / "words"
    work.mkdir(parents=True, exist_ok=True)
    for seed in options.seeds:
        for arm in options.arms:
            rows = rows_of(arm, options.ordinary)
            data = work / f"{arm}.jsonl"
            while True:
                data.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
                tokens = num_tokens(data)
                if arm != "ordinary" or 3 * tokens <= TOKENS:
                    break
                rows = rows[: int(0.95 * len(rows))]
            epochs = options.epochs or (3 if arm == "mini" else max(1, round(TOKENS / tokens)))
            run = f"words-{arm}-e{epochs}-s{seed}"
            if run in done:
                continue
            folder = paths.adapters_dir() / run
            record = read_record(folder)
            if record is None or record.state != "finished":
                train(run, data, epochs, seed)
            record = read_record(folder)
            assert record is not None
            result = {
                "run": run, "arm": arm, "seed": seed, "rows": len(rows), "epochs": epochs, "tokens": tokens * epochs,
                "loss": record.loss, "eval_loss": record.eval_loss, "date": f"{datetime.now(UTC):%Y-%m-%d}", **measure(folder),
            }  # fmt: skip
            with RESULTS.open("a", encoding="utf-8") as file:
                file.write(json.dumps(result) + "\n")
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()

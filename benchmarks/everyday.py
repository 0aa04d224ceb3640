"""How many everyday prompts get an answer of the right form that ends by itself? Base, control and adapters.

    python benchmarks/everyday.py choose mini curated         # adapters by name or folder; greedy, 128 tokens
    python benchmarks/everyday.py measure demo-curated --answers answers.jsonl

Two columns for each: *rule* (the answer satisfies the rule of `forms.py`) and *and ended* (it also ended with the model's
own end token). Only the second is a result: a base that rambles satisfies loose rules. Forms without a sound rule are
answered and saved with `--answers`, to be read, and counted nowhere.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from forms import BY_READING, has_form, read

from playground import paths
from playground.data.prompts import Prompt
from playground.events.answers import Sampling
from playground.inference.compare import compare
from playground.inference.lineup import load_lineup
from playground.models.adapters import find_adapter

MAX_NEW_TOKENS = 128
BATCH_SIZE = 16  # prompts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("half", choices=("choose", "measure"))
    parser.add_argument("adapters", nargs="+")
    parser.add_argument("--adapters-only", action="store_true", help="leave out base and control, which are slow")
    parser.add_argument("--answers", type=Path, help="where every answer is saved as a line of JSON")
    options = parser.parse_args()
    asked = [prompt for prompt in read() if prompt.half == options.half]
    prompts = [Prompt(prompt.id, prompt.prompt) for prompt in asked]
    saved = []
    for number, name in enumerate(options.adapters):
        lineup = load_lineup([find_adapter(name, paths.adapters_dir())], lambda stage, share: None)
        if number or options.adapters_only:  # base and control are measured with the first adapter
            lineup = replace(lineup, sides=lineup.sides[-1:])
        by_side = defaultdict(dict)
        rows = compare(lineup, prompts, Sampling(MAX_NEW_TOKENS), batch_size=BATCH_SIZE)
        for row, prompt in zip(rows, asked, strict=True):
            for side, answer in row.answers.items():
                rule = None if prompt.form in BY_READING else has_form(prompt, answer.text)
                by_side[side][prompt.id] = (prompt.form, rule, rule and answer.stopped_by_itself)
                saved.append({
                    "adapter": name if side == "sft" else side, "id": prompt.id, "form": prompt.form,
                    "prompt": prompt.prompt, "text": answer.text, "ended": answer.stopped_by_itself, "rule": rule,
                })  # fmt: skip
        for side, judged in by_side.items():
            report(name if side == "sft" else side, list(judged.values()))
        if options.answers:
            options.answers.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in saved), "utf-8")


def report(name: str, judged: list[tuple[str, bool | None, bool | None]]) -> None:
    judged = [entry for entry in judged if entry[1] is not None]
    rule, ended = (sum(bool(entry[at]) for entry in judged) for at in (1, 2))
    print(f"{name}: rule {rule}, and ended {ended} of {len(judged)} ({100 * ended / len(judged):.0f} %)")
    forms = defaultdict(list)
    for form, _, good in judged:
        forms[form].append(bool(good))
    print("   " + ", ".join(f"{form} {sum(good)}/{len(good)}" for form, good in forms.items()), flush=True)


if __name__ == "__main__":
    main()

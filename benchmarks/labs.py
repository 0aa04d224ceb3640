"""The labs with several seeds: trains and measures each by the project's own command, and records what came out.

    python benchmarks/labs.py                    # all labs, seeds 0 to 2
    python benchmarks/labs.py bias --seeds 3 4

It refuses to run while the labs or the program differ from the commit that is checked out: a prediction is in the history
before its results are. Each line of `results/labs.jsonl` is what the command says, with the commit, the date and the
versions. What is done with the same prediction is skipped.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from playground.data.labs import lab_named, labs
from playground.training.record import versions

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "labs.jsonl"
CHECKED = ("datasets/labs", "playground", "benchmarks/labs.py")


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labs", nargs="*", default=[lab.name for lab in labs()])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    known = [json.loads(line) for line in RESULTS.read_text("utf-8").splitlines()] if RESULTS.exists() else []
    done = {(result["prediction_sha256"], result["seed"]) for result in known}
    for seed in options.seeds:
        for name in options.labs:
            if different := git("status", "--porcelain", "--", *CHECKED):
                sys.exit(f"The labs differ from the commit that is checked out, so nothing is run:\n{different}")
            if (lab_named(name).sha256, seed) in done:
                continue
            command = [sys.executable, "-m", "playground", "lab", name, "--seed", str(seed), "--json"]
            said = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
            result = {
                **json.loads(said), "commit": git("rev-parse", "HEAD"), "date": f"{datetime.now(UTC):%Y-%m-%d}",
                "versions": versions(),
            }  # fmt: skip
            with RESULTS.open("a", encoding="utf-8") as file:
                file.write(json.dumps(result, ensure_ascii=False) + "\n")
            print(name, seed, result["verdict"], flush=True)


if __name__ == "__main__":
    main()

"""Figures of the long tests, added up over runs: ``python tests/faults/figures.py`` prints them.

A test adds a line for each of its seeds; the same seed again replaces it. So a run can be broken off and continued,
and ``FAULTS_SEED=1000`` adds to what is there.
"""

import json
import os
import sys
from collections import Counter
from pathlib import Path

FILE = Path(os.environ.get("FAULTS_FIGURES", Path(__file__).parents[2] / "build" / "faults.jsonl"))


def seeds(number):
    """Return the seeds of this run of a test: `number` of them, or FAULTS_SEEDS, from FAULTS_SEED on."""
    first = int(os.environ.get("FAULTS_SEED", "0"))
    return range(first, first + int(os.environ.get("FAULTS_SEEDS", number)))


def done(test, seed):
    """Return whether a test has been run with this seed."""
    return any((line["test"], line["seed"]) == (test, seed) for line in lines())


def add(test, seed, figures):
    """Keep the figures of a test with a seed."""
    others = [line for line in lines() if (line["test"], line["seed"]) != (test, seed)]
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text("".join(json.dumps(line) + "\n" for line in [*others, {"test": test, "seed": seed, **figures}]))


def lines():
    """Return all lines."""
    return [json.loads(line) for line in FILE.read_text().splitlines()] if FILE.is_file() else []


def main():
    """Print the sums, and the number of seeds."""
    sums = {}
    for line in lines():
        figures = Counter({key: value for key, value in line.items() if key not in ("test", "seed")}, seeds=1)
        sums.setdefault(line["test"], Counter()).update(figures)
    for test, figures in sorted(sums.items()):
        sys.stdout.write(f"{test}: {', '.join(f'{value:,} {key}' for key, value in sorted(figures.items()))}\n")


if __name__ == "__main__":
    main()

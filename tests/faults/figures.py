"""Figures of the long tests, added up over runs: ``python tests/faults/figures.py`` prints them.

A test adds a line for each of its seeds; the same seed again replaces it. So a run can be broken off and continued,
and ``FAULTS_SEED=1000`` adds to what is there. Figures of other code say nothing of this one: they are not counted.
"""

import functools
import hashlib
import json
import os
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILE = Path(os.environ.get("FAULTS_FIGURES", ROOT / "build" / "faults.jsonl"))


@functools.cache
def code():
    """Return a digest of the program, of these tests and of what they share with others."""
    digest = hashlib.sha256()
    for where in ("playground/**/*.py", "tests/*.py", "tests/faults/*.py"):
        for file in sorted(ROOT.glob(where)):
            digest.update(hashlib.sha256(str(file.relative_to(ROOT)).encode()).digest())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


def seeds(number):
    """Return the seeds of this run of a test: `number` of them, or FAULTS_SEEDS, from FAULTS_SEED on."""
    first = int(os.environ.get("FAULTS_SEED", "0"))
    return range(first, first + int(os.environ.get("FAULTS_SEEDS", number)))


def done(test, seed):
    """Return whether a test has been run with this seed, on this code."""
    return any((line["test"], line["seed"]) == (test, seed) for line in current())


def add(test, seed, figures):
    """Keep the figures of a test with a seed."""
    others = [line for line in lines() if (line["test"], line["seed"]) != (test, seed)]
    FILE.parent.mkdir(exist_ok=True)
    line = {"test": test, "seed": seed, "code": code(), **figures}
    FILE.write_text("".join(json.dumps(line) + "\n" for line in [*others, line]))


def lines():
    """Return all lines."""
    return [json.loads(line) for line in FILE.read_text().splitlines()] if FILE.is_file() else []


def current():
    """Return the lines of this code."""
    return [line for line in lines() if line.get("code") == code()]


def main():
    """Print the sums, and the number of seeds."""
    sums = {}
    for line in current():
        figures = Counter({key: value for key, value in line.items() if key not in ("test", "seed", "code")}, seeds=1)
        sums.setdefault(line["test"], Counter()).update(figures)
    for test, figures in sorted(sums.items()):
        sys.stdout.write(f"{test}: {', '.join(f'{value:,} {key}' for key, value in sorted(figures.items()))}\n")
    if older := len(lines()) - len(current()):
        sys.stdout.write(f"not counted, because they are of other code: {older} seeds\n")


if __name__ == "__main__":
    main()

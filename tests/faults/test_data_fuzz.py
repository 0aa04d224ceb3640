"""Damaged and odd data: rows read and problems are all rows of a file, and nothing else is ever raised."""

import sys
from collections import Counter
from pathlib import Path

import figures
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from fuzz_data import tried


def test_odd_data_is_read_or_refused_and_counted(tmp_path):
    outcomes = [tried(seed, tmp_path) for seed in range(300)]
    assert {"read", "partly read", "refused"} == set(outcomes)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_very_much_odd_data_is_read_or_refused_and_counted(tmp_path):
    for seed in figures.seeds(10):
        if not figures.done("fuzz, data", seed):
            outcomes = Counter(tried(at, tmp_path) for at in range(10_000 * seed, 10_000 * (seed + 1)))
            figures.add("fuzz, data", seed, {"inputs": 10_000, **outcomes})

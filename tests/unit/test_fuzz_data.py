"""Damaged and odd data: rows read and problems are all rows of a file, and nothing else is ever raised."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from fuzz_data import tried


def test_odd_data_is_read_or_refused_and_counted(tmp_path):
    outcomes = [tried(seed, tmp_path) for seed in range(300)]
    assert {"read", "partly read", "refused"} == set(outcomes)


@pytest.mark.long
def test_very_much_odd_data_is_read_or_refused_and_counted(tmp_path):
    for seed in range(1_000_000, 1_050_000):
        tried(seed, tmp_path)

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playground.data.order import GROUP, Order


def epoch_of(lengths, sha256="data", seed=0, epoch=0, size=8):
    """Return all batches of an epoch."""
    order = Order(len(lengths), sha256, seed, size)
    first = epoch * order.steps_per_epoch
    return [order.batch(first + at, lengths.__getitem__) for at in range(order.steps_per_epoch)]


@given(
    lengths=st.lists(st.integers(1, 50), min_size=1, max_size=80),
    sha256=st.text(),
    seed=st.integers(0, 9),
    epoch=st.integers(0, 9),
    size=st.integers(1, 9),
)
def test_epoch_has_every_row_once_and_at_most_one_short_batch(lengths, sha256, seed, epoch, size):
    batches = epoch_of(lengths, sha256, seed, epoch, size)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert sorted(map(len, batches))[1:] == [size] * (len(batches) - 1)
    assert batches == epoch_of(lengths, sha256, seed, epoch, size)


def test_a_large_epoch_has_one_short_batch_too():
    assert sorted(map(len, epoch_of([1] * 1001, size=4))) == [1] + [4] * 250  # several groups


def test_the_order_depends_on_data_seed_epoch_and_batch_size():
    choices = [("a", 0, 0, 8), ("b", 0, 0, 8), ("a", 1, 0, 8), ("a", 0, 1, 8), ("a", 0, 0, 16)]
    assert len({tuple(row for batch in epoch_of([7] * 64, *choice) for row in batch) for choice in choices}) == 5


def test_order_is_the_same_on_every_machine_and_version():
    # A run started with one version must be resumed by the next with the same rows: never change this.
    assert epoch_of([5, 3, 8, 8, 1, 2, 9], "0f" * 32, 7, 1, 3) == [[6, 3, 2], [0, 1, 5], [4]]


def test_any_step_can_be_computed_without_earlier_ones():
    lengths = [random.Random(n).randint(1, 99) for n in range(3000)]
    whole = epoch_of(lengths) + epoch_of(lengths, epoch=1)
    for step in (0, 374, 375, 749, 100, 400, 31, 32):
        assert Order(3000, "data", 0, 8).batch(step, lengths.__getitem__) == whole[step]


def test_step_reads_only_the_rows_of_one_group():
    asked = set()
    Order(1_000_000, "data", 0, 8).batch(70_000, lambda row: asked.add(row) or 1)
    assert len(asked) == GROUP * 8


def test_batches_need_little_padding_but_are_not_sorted():
    rng = random.Random(1)
    lengths = [rng.randint(10, 200) for _ in range(1000)]
    batches = epoch_of(lengths)
    padded = sum(len(batch) * max(lengths[row] for row in batch) for batch in batches)
    assert padded < 1.1 * sum(lengths)  # 1.8 in a random order
    first_half = [lengths[row] for batch in batches[: len(batches) // 2] for row in batch]
    assert sum(first_half) / len(first_half) == pytest.approx(sum(lengths) / len(lengths), rel=0.15)

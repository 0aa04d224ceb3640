import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playground.data.batches import collate, epoch_batches, micro_batches
from playground.data.encode import IGNORE_INDEX, Encoded

lengths_of_rows = st.lists(st.integers(1, 50), min_size=1, max_size=80)


# The order of an epoch.


@given(
    lengths=lengths_of_rows, sha256=st.text(), seed=st.integers(0, 9), epoch=st.integers(0, 9), size=st.integers(1, 9)
)
def test_an_epoch_sees_every_row_once_in_full_batches_but_one(lengths, sha256, seed, epoch, size):
    batches = epoch_batches(lengths, sha256, seed, epoch, size)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert len(batches) == -(-len(lengths) // size)
    assert sorted(map(len, batches))[1:] == [size] * (len(batches) - 1)
    assert batches == epoch_batches(lengths, sha256, seed, epoch, size)


def test_a_large_epoch_has_one_short_batch_too():
    batches = epoch_batches([1] * 1001, "data", 0, 0, 4)  # several groups
    assert sorted(map(len, batches)) == [1] + [4] * 250


def test_the_order_depends_on_data_seed_epoch_and_batch_size():
    lengths = [7] * 64
    orders = {
        tuple(row for batch in epoch_batches(lengths, *arguments) for row in batch)
        for arguments in [("a", 0, 0, 8), ("b", 0, 0, 8), ("a", 1, 0, 8), ("a", 0, 1, 8), ("a", 0, 0, 16)]
    }
    assert len(orders) == 5


def test_the_order_is_that_of_every_other_machine_and_version():
    # A run begun with one version must be resumed by the next with the same rows: never change this.
    assert epoch_batches([5, 3, 8, 8, 1, 2, 9], "0f" * 32, 7, 1, 3) == [[4], [6, 3, 2], [0, 1, 5]]


def test_batches_need_little_padding_but_do_not_go_by_length():
    rng = random.Random(1)
    lengths = [rng.randint(10, 200) for _ in range(1000)]
    batches = epoch_batches(lengths, "data", 0, 0, 8)
    padded = sum(len(batch) * max(lengths[row] for row in batch) for batch in batches)
    assert padded < 1.1 * sum(lengths)  # 1.8 in a random order
    first_half = [lengths[row] for batch in batches[: len(batches) // 2] for row in batch]
    assert sum(first_half) / len(first_half) == pytest.approx(sum(lengths) / len(lengths), rel=0.15)


# Micro-batches.


@given(lengths=lengths_of_rows, max_rows=st.integers(1, 9), max_tokens=st.integers(1, 200))
def test_micro_batches_part_a_batch_within_their_limits(lengths, max_rows, max_tokens):
    pieces = micro_batches(lengths, max_rows, max_tokens)
    assert sorted(at for piece in pieces for at in piece) == list(range(len(lengths)))
    for piece in pieces:
        assert 1 <= len(piece) <= max_rows
        assert len(piece) == 1 or len(piece) * max(lengths[at] for at in piece) <= max_tokens


@pytest.mark.parametrize(
    ("lengths", "max_rows", "max_tokens", "pieces"),
    [
        ([3, 9, 5], 8, 1 << 30, [[1, 2, 0]]),
        ([3, 9, 5], 2, 1 << 30, [[1, 2], [0]]),
        ([3, 9, 5], 8, 18, [[1, 2], [0]]),
        ([3, 9, 5], 8, 17, [[1], [2, 0]]),
        ([300, 9], 8, 100, [[0], [1]]),
        ([2, 2, 2], 1, 100, [[0], [1], [2]]),
    ],
)
def test_rows_of_like_length_share_a_micro_batch(lengths, max_rows, max_tokens, pieces):
    assert micro_batches(lengths, max_rows, max_tokens) == pieces


# Tensors.


def encoded(*labels):
    """Return a row whose ids are made up, distinct and nowhere the padding."""
    ids = tuple(1000 + n if label is None else label for n, label in enumerate(labels))
    return Encoded(ids, tuple(IGNORE_INDEX if label is None else label for label in labels), truncated=False)


rows_strategy = st.lists(
    st.lists(st.none() | st.integers(1, 500), min_size=1, max_size=9).map(lambda labels: encoded(*labels)),
    min_size=1,
    max_size=5,
)


@given(rows=rows_strategy)
def test_positions_are_where_the_token_before_a_learned_one_stands(rows):
    batch = collate(rows, pad_token_id=0)
    flat_ids = batch.input_ids.flatten().tolist()
    width = batch.input_ids.shape[1]
    expected = [
        (r * width + t - 1, rows[r].labels[t])
        for r in range(len(rows))
        for t in range(1, len(rows[r].labels))
        if rows[r].labels[t] != -100
    ]
    assert list(zip(batch.positions.tolist(), batch.targets.tolist(), strict=True)) == expected
    for position, target in expected:
        assert flat_ids[position + 1] == target


@given(rows=rows_strategy)
def test_rows_are_padded_on_the_right_and_the_mask_says_where(rows):
    batch = collate(rows, pad_token_id=0)
    width = max(len(row.input_ids) for row in rows)
    assert batch.input_ids.tolist() == [[*row.input_ids, *[0] * (width - len(row.input_ids))] for row in rows]
    assert batch.num_tokens == sum(len(row.input_ids) for row in rows)
    mask = [[1] * len(row.input_ids) + [0] * (width - len(row.input_ids)) for row in rows]
    if all(map(all, mask)):
        assert batch.attention_mask is None
    else:
        assert batch.attention_mask.tolist() == mask


def test_a_batch_without_padding_needs_no_mask_even_if_a_token_is_the_padding_token():
    batch = collate([encoded(None, 0, 4), encoded(None, None, 0)], pad_token_id=0)
    assert batch.attention_mask is None
    assert batch.positions.tolist() == [0, 1, 4]
    assert batch.targets.tolist() == [0, 4, 0]


def test_tensors_have_the_types_a_model_and_a_loss_take():
    import torch

    batch = collate([encoded(None, None), encoded(None)], pad_token_id=0)
    assert {t.dtype for t in (batch.input_ids, batch.attention_mask, batch.positions, batch.targets)} == {torch.int64}
    assert batch.positions.shape == batch.targets.shape == (0,)

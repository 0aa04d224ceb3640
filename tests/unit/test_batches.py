import pytest
from hypothesis import given
from hypothesis import strategies as st

from playground.data.batches import collate, micro_batches
from playground.data.encode import IGNORE_INDEX, Encoded

lengths_of_rows = st.lists(st.integers(1, 50), min_size=1, max_size=80)


# Micro-batches.


@given(lengths=lengths_of_rows, max_rows=st.integers(1, 9), max_tokens=st.integers(1, 200))
def test_micro_batches_cover_the_batch_within_their_limits(lengths, max_rows, max_tokens):
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
def test_rows_of_similar_length_share_a_micro_batch(lengths, max_rows, max_tokens, pieces):
    assert micro_batches(lengths, max_rows, max_tokens) == pieces


# Tensors.


def encoded(*labels):
    """Return a row whose ids are made up, distinct and nowhere the padding."""
    ids = tuple(1000 + n if label is None else label for n, label in enumerate(labels))
    return Encoded(ids, tuple(IGNORE_INDEX if label is None else label for label in labels))


rows_strategy = st.lists(
    st.lists(st.none() | st.integers(1, 500), min_size=1, max_size=9).map(lambda labels: encoded(*labels)),
    min_size=1,
    max_size=5,
)


@given(rows=rows_strategy)
def test_positions_point_to_the_token_before_each_label(rows):
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
def test_rows_are_padded_on_the_right(rows):
    batch = collate(rows, pad_token_id=0)
    width = max(len(row.input_ids) for row in rows)
    assert batch.input_ids.tolist() == [[*row.input_ids, *[0] * (width - len(row.input_ids))] for row in rows]


def test_trained_token_equal_to_the_padding_token_keeps_loss():
    batch = collate([encoded(None, 0, 4), encoded(None, None, 0)], pad_token_id=0)
    assert batch.positions.tolist() == [0, 1, 4]
    assert batch.targets.tolist() == [0, 4, 0]


def test_tensors_have_the_types_that_model_and_loss_expect():
    import torch

    batch = collate([encoded(None, None), encoded(None)], pad_token_id=0)
    assert {t.dtype for t in (batch.input_ids, batch.positions, batch.targets)} == {torch.int64}
    assert batch.positions.shape == batch.targets.shape == (0,)

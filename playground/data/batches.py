"""Batches: which rows go together, in which order, and as which tensors.

The order is a pure function of the data's sha256, the seed, the epoch and the batch size, so that a
resumed run sees exactly the rows an uninterrupted one would have seen.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from playground.data.encode import IGNORE_INDEX, Encoded

if TYPE_CHECKING:
    import torch

# Rows are sorted by length inside groups of this many batches: long enough that a batch is nearly
# free of padding, short enough that an epoch stays a random order on large sets.
GROUP = 32


def epoch_batches(lengths: Sequence[int], sha256: str, seed: int, epoch: int, batch_size: int) -> list[list[int]]:
    """Return the row indices of each batch of an epoch; every row occurs exactly once.

    Args:
        lengths: Tokens of each row.
        sha256: Hex digest of the data.
        seed: The run's seed.
        epoch: Counted from 0.
        batch_size: Rows per optimiser step. Only one batch may be smaller.
    """
    rng = random.Random(f"{sha256}:{seed}:{epoch}:{batch_size}")  # noqa: S311 - an order, not a secret
    rows = list(range(len(lengths)))
    rng.shuffle(rows)
    batches: list[list[int]] = []
    for start in range(0, len(rows), GROUP * batch_size):
        group = sorted(rows[start : start + GROUP * batch_size], key=lambda row: -lengths[row])
        batches += [group[at : at + batch_size] for at in range(0, len(group), batch_size)]
    rng.shuffle(batches)
    return batches


def micro_batches(lengths: Sequence[int], max_rows: int, max_tokens: int) -> list[list[int]]:
    """Cut a batch into pieces that go through the model one at a time; return positions in the batch.

    How a step is cut changes its memory and its rounding, not its meaning: the loss is averaged over
    the whole step.

    Args:
        lengths: Tokens of each row of the batch.
        max_rows: Rows of a piece at most.
        max_tokens: Tokens of a piece at most, padding included; a longer row is a piece of its own.
    """
    pieces: list[list[int]] = []
    for at in sorted(range(len(lengths)), key=lambda at: -lengths[at]):
        piece = pieces[-1] if pieces else []
        if not piece or len(piece) == max_rows or (len(piece) + 1) * lengths[piece[0]] > max_tokens:
            pieces.append(piece := [])
        piece.append(at)
    return pieces


@dataclass(frozen=True)
class Batch:
    """A right-padded micro-batch and the positions that are learned.

    `positions` index the flattened ``(rows * seq)`` hidden states whose next token is trained and
    `targets` are those tokens, both of shape ``(num_trained,)``. `attention_mask` is None when
    nothing is padded.
    """

    input_ids: torch.Tensor  # (rows, seq)
    attention_mask: torch.Tensor | None  # (rows, seq)
    positions: torch.Tensor
    targets: torch.Tensor
    num_tokens: int  # without padding


def collate(rows: Sequence[Encoded], pad_token_id: int, device: torch.device | str = "cpu") -> Batch:
    """Build the tensors of a micro-batch; the gather indices are made here, on the CPU, once."""
    import torch

    width = max(len(row.input_ids) for row in rows)
    input_ids = torch.full((len(rows), width), pad_token_id)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    positions: list[int] = []
    targets: list[int] = []
    for at, row in enumerate(rows):
        input_ids[at, : len(row.input_ids)] = torch.tensor(row.input_ids)
        mask[at, : len(row.input_ids)] = 1
        for t, label in enumerate(row.labels[1:]):  # hidden state t predicts token t + 1
            if label != IGNORE_INDEX:
                positions.append(at * width + t)
                targets.append(label)
    padded = any(len(row.input_ids) < width for row in rows)
    return Batch(
        input_ids=input_ids.to(device),
        attention_mask=mask.to(device) if padded else None,
        positions=torch.tensor(positions, dtype=torch.long, device=device),
        targets=torch.tensor(targets, dtype=torch.long, device=device),
        num_tokens=sum(len(row.input_ids) for row in rows),
    )

"""Batches: how the rows of a step are cut into pieces, and their tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from playground.data.encode import IGNORE_INDEX, Encoded

if TYPE_CHECKING:
    import torch


def micro_batches(lengths: Sequence[int], max_rows: int, max_tokens: int) -> list[list[int]]:
    """Cut a batch into pieces that go through the model one at a time; return positions in the batch.

    How a step is cut changes its memory and its rounding, not its meaning: the loss is averaged over
    the whole step.

    Args:
        lengths: Tokens of each row of the batch.
        max_rows: The most rows per piece.
        max_tokens: The most tokens per piece, padding included; a longer row is a piece of its own.
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
    """A right-padded micro-batch and its trained positions.

    `positions` index the flattened ``(rows * seq)`` hidden states whose next token is trained and
    `targets` are those tokens, both of shape ``(num_trained,)``. There is no attention mask: a token of a
    causal model only sees what precedes it, and padding is on the right.
    """

    input_ids: torch.Tensor  # (rows, seq)
    positions: torch.Tensor
    targets: torch.Tensor


def collate(rows: Sequence[Encoded], pad_token_id: int, device: torch.device | str = "cpu") -> Batch:
    """Build the tensors of a micro-batch; the gather indices are made here, on the CPU, once."""
    import torch

    width = max(len(row.input_ids) for row in rows)
    input_ids = torch.full((len(rows), width), pad_token_id)
    positions: list[int] = []
    targets: list[int] = []
    for at, row in enumerate(rows):
        input_ids[at, : len(row.input_ids)] = torch.tensor(row.input_ids)
        for t, label in enumerate(row.labels[1:]):  # hidden state t predicts token t + 1
            if label != IGNORE_INDEX:
                positions.append(at * width + t)
                targets.append(label)
    return Batch(
        input_ids=input_ids.to(device),
        positions=torch.tensor(positions, dtype=torch.long, device=device),
        targets=torch.tensor(targets, dtype=torch.long, device=device),
    )

"""What two lanes expect at the same places of a text: exact probabilities, a few places at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from playground.data.encode import Encoder
from playground.errors import PlaygroundError
from playground.events.contrast import TOP, Candidate, Expectation, Position
from playground.inference.engine import Engine, Lane
from playground.models.head import Head

CHUNK_BYTES = 64_000_000  # of float32 logits that are alive at once: 15 places of the demo model


@dataclass(frozen=True, slots=True)
class Pair:
    """Two lanes whose ids end alike, and what comes at their last places.

    Attributes:
        base: The base's lane.
        sft: The lane of the base with an adapter.
        targets: The token that comes after all ids, before it the one that comes after all but one, and so on; None
            where nothing is asked.
    """

    base: Lane
    sft: Lane
    targets: tuple[int | None, ...]


class Cancelled(Exception):
    """Nothing waits for the result any longer."""


@torch.inference_mode()
def contrast(
    engine: Engine, encoder: Encoder, pairs: Sequence[Pair], cancelled: Callable[[], bool] = lambda: False
) -> list[list[Position]]:
    """Return what both lanes of each pair expected in the place of each of its targets, from one forward pass.

    Args:
        engine: The model, whose base is proven first.
        encoder: Says how tokens read.
        pairs: The lanes.
        cancelled: Asked before the forward pass and before each few places.

    Raises:
        Cancelled: If it was.
        PlaygroundError: If the base lane is not the base, or a probability is not finite.
        InputError: If a text does not fit the model's context.
    """
    last = max(len(pair.targets) for pair in pairs)
    if cancelled():
        raise Cancelled
    hidden = engine.read([lane for pair in pairs for lane in (pair.base, pair.sft)], last)  # (2 pairs, last, hidden)
    asked = [
        (number, last - len(pair.targets) + at, target)
        for number, pair in enumerate(pairs)
        for at, target in enumerate(pair.targets)
        if target is not None
    ]
    found: list[list[Position]] = [[] for _ in pairs]
    width = places_at_once(engine.base.head)
    for start in range(0, len(asked), width):
        if cancelled():
            raise Cancelled
        numbers, places, targets = zip(*asked[start : start + width], strict=True)
        states = torch.cat([hidden[[2 * n + side for n in numbers], places] for side in (0, 1)])  # base, then sft
        lanes = [pairs[n].base for n in numbers] + [pairs[n].sft for n in numbers]
        sides, divergences = _measure(engine.base.head, states, targets, [engine.ends(lane) for lane in lanes])
        for at, (number, place) in enumerate(zip(numbers, places, strict=True)):
            ids = pairs[number].sft.prompt_ids
            before = ids[: len(ids) - (last - 1 - place)]
            both = (sides[at], sides[len(numbers) + at])
            found[number].append(_position(encoder, before, targets[at], both, divergences[at]))
    return found


def places_at_once(head: Head) -> int:
    """Return how many places are measured together, so that at most `CHUNK_BYTES` of logits are alive."""
    copies = 4 if head.softcap is None else 8  # logits of both sides with their exponentials; a soft cap makes copies
    return max(1, CHUNK_BYTES // (4 * copies * len(head.weight)))


@dataclass(frozen=True, slots=True)
class _Side:
    """One side at one place: the numbers of an `Expectation`, with ids instead of words."""

    log_p: float
    rank: int
    entropy: float
    p_end: float
    ids: list[int]
    p: list[float]
    ends: frozenset[int]


def _measure(
    head: Head, states: torch.Tensor, targets: Sequence[int], ends: Sequence[frozenset[int]]
) -> tuple[list[_Side], list[float]]:
    """Return both sides at each place, base first, and KL(sft || base) at each place.

    All logits are shifted so that the highest is 0, and sums are small numbers: what float32 loses in a logarithm of
    a sum would be more than a small divergence.

    Args:
        head: The head.
        states: ``(2 places, hidden)``.
        targets: The token at each place.
        ends: What ends each of the ``2 places`` texts.
    """
    logits = head.logits(states)  # (2 places, vocab)
    top, ids = logits.topk(min(TOP, logits.shape[1]))
    highest = top[:, :1].clone()
    target = torch.tensor([*targets, *targets], device=logits.device)[:, None]
    ranks = (logits > logits.gather(1, target)).sum(1) + 1
    logits.sub_(highest)
    weighed = logits.exp()
    total = weighed.sum(1)
    log_total = total.double().log()
    if not torch.isfinite(log_total).all():
        raise PlaygroundError("The probabilities are not finite.", "The adapter is damaged, or a step was too large.")
    log_p = logits.gather(1, target)[:, 0].double() - log_total
    entropy = log_total - _dot(weighed, logits).double() / total
    p_end = torch.stack([row[sorted(end)].sum() for row, end in zip(weighed, ends, strict=True)]) / total
    p = (top - highest).exp() / total[:, None]
    places = len(targets)
    difference = logits[places:].sub_(logits[:places])
    divergence = _dot(weighed[places:], difference).double() / total[places:]
    divergence -= log_total[places:] - log_total[:places]
    columns = (column.tolist() for column in (log_p, ranks, entropy, p_end, ids, p))
    sides = [_Side(*numbers) for numbers in zip(*columns, ends, strict=True)]
    return sides, divergence.clamp_min(0).tolist()


def _dot(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the product of each row of `x` with that of `y`, without a copy of their size."""
    return torch.bmm(x[:, None], y[:, :, None]).flatten()


def _position(
    encoder: Encoder, before: Sequence[int], target: int, both: tuple[_Side, _Side], divergence: float
) -> Position:
    base, sft = both
    word, *words = encoder.pieces_after(before, [target, *base.ids, *sft.ids])
    return Position(
        id=target,
        text=word,
        is_end=target in sft.ends,
        base=_expectation(base, words[: len(base.ids)]),
        sft=_expectation(sft, words[len(base.ids) :]),
        kl=divergence,
    )


def _expectation(side: _Side, words: Sequence[str]) -> Expectation:
    top = tuple(
        Candidate(token, word, p, token in side.ends) for token, word, p in zip(side.ids, words, side.p, strict=True)
    )
    return Expectation(math.exp(side.log_p), side.log_p, side.rank, side.entropy, side.p_end, top)

"""The lens: base and sft at each token of an answer, of the base's own text, and at the first word of many answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch

from playground.data.encode import Encoded
from playground.data.prompts import Prompt
from playground.errors import UsageError
from playground.events.answers import Sampling
from playground.events.contrast import Position
from playground.events.lens import Lens, Moved, Reading, Walk, WordsMoved
from playground.events.values import Progress
from playground.inference.contrast import Pair, contrast, places_at_once
from playground.inference.engine import Lane
from playground.inference.lineup import Lineup, lanes_for

WORDS = 10  # raised, and as many lowered
LEAST = 1e-4  # a mean probability that moves by less is not worth a word
PROMPTS_AT_ONCE = 16


class Sides(NamedTuple):
    """The lanes of one prompt: the base fed as typed, the base styled, and an adapter."""

    raw: Lane
    control: Lane
    sft: Lane


def sides(lineup: Lineup, prompt: Prompt) -> Sides:
    """Return the lanes of a prompt.

    Raises:
        UsageError: Unless there is exactly one adapter.
    """
    if len(lineup.adapters) != 1:
        raise UsageError("The lens needs one adapter.", "Train one: sft-playground train --data mini.jsonl.")
    return Sides(*lanes_for(lineup, prompt))


def answers(lineup: Lineup, lanes: Sides, max_new_tokens: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the ids of the greedy answers of base, fed as typed, and sft, each with its end token if it ended.

    Raises:
        PlaygroundError: If the base lane is not the base, or the prompt does not fit the model's context.
    """
    (_, base), (_, sft) = lineup.engine.said([lanes.raw, lanes.sft], Sampling(max_new_tokens))
    return base, sft


class Looker:
    """Looks at what a prompt's lanes expected of texts that exist already.

    Args:
        lineup: The base and its adapters.
        prompt: The prompt, for the events.
        adapter: The name of the adapter of the sft lane.
        lanes: The lanes up to where an answer begins.
        cancelled: Whether nothing waits for the result any longer.
    """

    def __init__(
        self,
        lineup: Lineup,
        prompt: str,
        adapter: str,
        lanes: Sides,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        self._lineup, self._prompt, self._adapter, self._lanes = lineup, prompt, adapter, lanes
        self._cancelled = cancelled

    def look(self, answer: Sequence[int], reading: Reading) -> Lens:
        """Return what base and sft expected in the place of each token of sft's answer, from one forward pass.

        Args:
            answer: The ids of the answer, at least one.
            reading: What the base is fed.

        Raises:
            Cancelled: If it was.
            PlaygroundError: If the base lane is not the base, or the text does not fit the model's context.
        """
        raw, control, sft = self._lanes
        base = control if reading == "training" else raw
        (positions,) = self._contrast(base, sft, answer[:-1], tuple(answer))
        engine = self._lineup.engine
        return Lens(
            prompt=self._prompt,
            reading=reading,
            model=engine.base.identity.description,
            adapter=self._adapter,
            style=self._lineup.style,
            fingerprint=engine.fingerprint.digest[:12] if engine.fingerprint else "",
            positions=tuple(positions),
        )

    def walk(self, said: Sequence[int]) -> Walk:
        """Return where sft would have ended the text with which the base continued the prompt, from one forward pass.

        Args:
            said: The ids of that text.

        Raises:
            Cancelled: If it was.
            PlaygroundError: If the base lane is not the base, or the text does not fit the model's context.
        """
        raw, _, sft = self._lanes
        lineup = self._lineup
        ids = tuple(said[:-1] if said and said[-1] in lineup.engine.ends(raw) else said)
        (positions,) = self._contrast(raw, sft, ids, (*ids, lineup.engine.base.end_token_id))
        return Walk(
            prompt=self._prompt,
            adapter=self._adapter,
            texts=tuple(text for text, _ in lineup.raw.pieces(Encoded(ids, ids))),
            base_p_end=tuple(position.base.p_end for position in positions),
            sft_p_end=tuple(position.sft.p_end for position in positions),
            sft_would_end=tuple(position.sft.would_end for position in positions),
        )

    def _contrast(self, base: Lane, sft: Lane, ids: Sequence[int], targets: tuple[int, ...]) -> list[list[Position]]:
        pair = Pair(continued(base, ids), continued(sft, ids), targets)
        return contrast(self._lineup.engine, self._lineup.raw, [pair], self._cancelled)


def continued(lane: Lane, ids: Sequence[int]) -> Lane:
    """Return the lane with `ids` after its prompt."""
    return replace(lane, prompt_ids=(*lane.prompt_ids, *ids))


@torch.inference_mode()
def words_moved(lineup: Lineup, prompts: Sequence[Prompt], progress: Progress) -> WordsMoved:
    """Return which tokens an adapter raises and lowers most as the first of an answer, in the mean over `prompts`.

    Both sides get the styled prompt. After the token differences of diffing-toolkit: what is raised whatever the
    prompt was, the adapter was trained for.

    Raises:
        PlaygroundError: If the base lane is not the base, or a prompt does not fit the model's context.
    """
    engine, head = lineup.engine, lineup.engine.base.head
    total = torch.zeros(2, len(head.weight), dtype=torch.float64, device=head.weight.device)  # base, sft
    at_once = min(PROMPTS_AT_ONCE, places_at_once(head))
    for at in range(0, len(prompts), at_once):
        progress(f"reading {len(prompts):,} prompts", at / len(prompts))
        lanes = [lane for prompt in prompts[at : at + at_once] for lane in sides(lineup, prompt)[1:]]
        hidden = engine.read(lanes, 1)[:, 0]  # (2 prompts, hidden): base and sft by turns
        for side in (0, 1):
            total[side] += head.logits(hidden[side::2]).softmax(1).sum(0)
    base, sft = total / len(prompts)
    change = sft - base
    ends = engine.ends(lanes[-1])

    def moved(largest: bool) -> tuple[Moved, ...]:
        values, found = change.topk(min(WORDS, len(change)), largest=largest)
        ids = found[values.abs() >= LEAST].tolist()
        words = lineup.raw.pieces_after(lanes[-1].prompt_ids, ids)
        return tuple(
            Moved(token, word, token in ends, float(base[token]), float(sft[token]))
            for token, word in zip(ids, words, strict=True)
        )

    raised = tuple(word for word in moved(True) if word.change > 0)
    lowered = tuple(word for word in moved(False) if word.change < 0)
    return WordsMoved(engine.base.identity.description, lineup.adapters[0], len(prompts), raised, lowered)

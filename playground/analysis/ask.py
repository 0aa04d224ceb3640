"""What base and scratch adapter answer to a prompt, and the lens on what the adapter said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from playground.data.prompts import Prompt
from playground.events.answers import Sampling
from playground.events.five_steps import Answered
from playground.events.lens import Lens
from playground.inference.lens import Looker, sides
from playground.inference.lineup import Lineup


def ask(lineup: Lineup, prompt: str, sampling: Sampling, *, draws: int, base: bool) -> Iterator[Answered | Lens]:
    """Yield what each side answers, then what both expected at each token of each answer of sft.

    Args:
        lineup: The base and one adapter.
        prompt: The prompt.
        sampling: How tokens are chosen.
        draws: How many answers of sft are wanted, each with random numbers of its own.
        base: Whether the base, fed the prompt as typed, answers too.

    Raises:
        PlaygroundError: If the base lane is not the base, or the prompt does not fit the model's context.
    """
    lanes = sides(lineup, Prompt("", prompt))
    asked = [*(replace(lanes.sft, draw=draw) for draw in range(draws)), *([lanes.raw] if base else [])]
    said = lineup.engine.said(asked, sampling)
    yield Answered(prompt, said[draws][0] if base else None, tuple(answer for answer, _ in said[:draws]))
    looker = Looker(lineup, prompt, lineup.adapters[0], lanes)
    for _, ids in said[:draws]:
        yield looker.look(ids, "training")

"""Exchanges: what was asked in the app, what each lane answered, and how a person judged it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from playground.events.answers import Answer, Sampling
from playground.events.values import Json

Mode = Literal["open", "blind", "duel"]
TIE, BOTH_BAD = "tie", "both bad"


@dataclass(frozen=True, slots=True)
class Exchange(Json):
    """One prompt and its answers, with everything that made them.

    Attributes:
        asked_at: ISO 8601, UTC, to the millisecond: no two exchanges of a log have all but the vote in common.
        mode: ``open`` and ``blind`` show base beside sft; a ``duel`` shows answers of one sft model.
        histories: The turns before the prompt, by lane.
        answers: By lane, in the order in which they stood on the screen.
        repeats: Which answers run in circles.
        styled: The conversation before the answer in the adapter's style, without the token that begins it.
        lead_in: What the style puts before an answer.
        fingerprint: Of the base, proven before these answers.
        vote: The lane that won, `TIE`, `BOTH_BAD`, or nothing.
    """

    asked_at: str
    mode: Mode
    prompt: str
    histories: dict[str, tuple[str, ...]]
    answers: dict[str, Answer]
    repeats: dict[str, bool]
    styled: str
    lead_in: str
    model: str
    adapter: str
    style: str
    strength: float
    sampling: Sampling
    fingerprint: str
    vote: str = ""

"""Exchanges: a prompt in the app, each lane's answer, and the user's vote."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from playground.events.answers import Answer, Sampling
from playground.events.values import Json

Mode = Literal["open", "blind", "duel"]
TIE, BOTH_BAD = "tie", "both bad"


@dataclass(frozen=True, slots=True)
class Exchange(Json):
    """One prompt and its answers, with everything that determined them.

    Attributes:
        asked_at: ISO 8601, UTC, to the millisecond: no two exchanges in a log differ only in the vote.
        mode: ``open`` and ``blind`` compare base with sft; a ``duel`` shows answers of one sft model.
        histories: The turns before the prompt, by lane.
        answers: By lane, in the order in which they appeared on screen.
        repeats: Which answers are repetitive.
        styled: The conversation before the answer in the adapter's style, without its start token.
        lead_in: The style's text before an answer.
        fingerprint: The base's fingerprint, proven before these answers.
        vote: The winning lane, `TIE`, `BOTH_BAD`, or empty.
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

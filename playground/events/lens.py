"""The lens: what training changed in an answer, where sft would have stopped, and which words an adapter moved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, Self

from playground.events.contrast import AnalysisEvent, Position
from playground.events.values import Json

# training: both sides on the styled prompt, so that the template explains nothing. whole: the base on the raw prompt.
Reading = Literal["training", "whole"]


@dataclass(frozen=True, slots=True)
class Counts(Json):
    """How many tokens of an answer are of each category; see `contrast.Category`."""

    unshifted: int
    marginal: int
    shifted: int

    @classmethod
    def of(cls, positions: Iterable[Position]) -> Self:
        """Count positions."""
        found = Counter(position.category for position in positions)
        return cls(found["unshifted"], found["marginal"], found["shifted"])

    @property
    def total(self) -> int:
        """All of them."""
        return self.unshifted + self.marginal + self.shifted


@dataclass(frozen=True, slots=True)
class Lens(AnalysisEvent):
    """Each token of sft's answer, and what base and sft expected in its place.

    Attributes:
        prompt: The prompt.
        reading: What the base was fed; sft always gets the styled prompt.
        model: A description of the base.
        adapter: The name of the adapter.
        style: The prompt style.
        fingerprint: The base's fingerprint, proven before this.
        positions: The tokens of the answer, in order.
    """

    prompt: str
    reading: Reading
    model: str
    adapter: str
    style: str
    fingerprint: str
    positions: tuple[Position, ...]

    @property
    def counts(self) -> Counts:
        """The categories of all tokens; in a short answer the end token weighs much."""
        return Counts.of(self.positions)

    @property
    def counts_without_end(self) -> Counts:
        """The categories of all tokens but the one that ends the answer."""
        return Counts.of(position for position in self.positions if not position.is_end)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields and the derived values."""
        return {
            **AnalysisEvent.to_dict(self),
            "positions": [position.to_dict() for position in self.positions],
            "counts": self.counts.to_dict(),
            "counts_without_end": self.counts_without_end.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class Walk(AnalysisEvent):
    """The base's own continuation, and where sft would have ended it.

    The base is on the raw prompt that it continued, sft on the styled one, both followed by the base's text. The three
    tuples have one more entry than `texts`: before the first token, after it, and so on.

    Attributes:
        prompt: The prompt.
        adapter: The name of the adapter.
        texts: The tokens of the base's text, without its end token if it ended.
        base_p_end: The base's probability of ending.
        sft_p_end: The same of sft.
        sft_would_end: Whether ending is sft's first choice.
    """

    prompt: str
    adapter: str
    texts: tuple[str, ...]
    base_p_end: tuple[float, ...]
    sft_p_end: tuple[float, ...]
    sft_would_end: tuple[bool, ...]

    @property
    def ends_after(self) -> int | None:
        """The number of tokens after which sft would have ended first; None if nowhere."""
        return next((at for at, ends in enumerate(self.sft_would_end) if ends), None)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields and the derived value."""
        return {**AnalysisEvent.to_dict(self), "ends_after": self.ends_after}


@dataclass(frozen=True, slots=True)
class Moved(Json):
    """A token, and its mean probability as the first of an answer, under base and sft."""

    id: int
    text: str
    is_end: bool
    base_p: float
    sft_p: float

    @property
    def change(self) -> float:
        """What the adapter adds to it."""
        return self.sft_p - self.base_p


@dataclass(frozen=True, slots=True)
class WordsMoved(AnalysisEvent):
    """What an adapter was trained for: how it moves the first word of answers to prompts that have little in common.

    Attributes:
        model: A description of the base.
        adapter: The name of the adapter.
        num_prompts: How many prompts; both sides get them styled.
        raised: The tokens raised most, first the one that gains most.
        lowered: The tokens lowered most, first the one that loses most.
    """

    model: str
    adapter: str
    num_prompts: int
    raised: tuple[Moved, ...]
    lowered: tuple[Moved, ...]

"""What base and sft expected at the same places of a text: the values of the lens and of the five steps."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from playground.events.values import Json, Named

TOP = 10  # candidates that are kept of each side
# After Lin et al. 2023 (arXiv 2312.01552): the rank of a token of the aligned model's answer under its base.
Category = Literal["unshifted", "marginal", "shifted"]
MARGINAL = 3  # the last rank of "marginal"; rank 1 is "unshifted"


@dataclass(frozen=True, slots=True)
class Candidate(Json):
    """A token that may come next, as it reads there, and its probability among all tokens of the vocabulary."""

    id: int
    text: str
    p: float
    is_end: bool


@dataclass(frozen=True, slots=True)
class Expectation(Json):
    """What one side expected at one place, over its whole vocabulary. Logarithms are natural.

    Attributes:
        p: The probability of the token that came.
        log_p: Its logarithm, which is finite where `p` is too small for a float.
        rank: 1 for the most probable token; equal ones share a rank.
        entropy: Of the whole distribution, in nats.
        p_end: The probability that the text ends here.
        top: The most probable tokens, in order.
    """

    p: float
    log_p: float
    rank: int
    entropy: float
    p_end: float
    top: tuple[Candidate, ...]

    @property
    def loss(self) -> float:
        """What the token that came costs, in nats: -log p; of a certain token 0.0, which reads better than -0.0."""
        return 0.0 - self.log_p

    @property
    def would_end(self) -> bool:
        """Whether ending is the first choice here."""
        return self.top[0].is_end


@dataclass(frozen=True, slots=True)
class Position(Json):
    """A token of a text, and what each side expected in its place.

    Attributes:
        id: The token.
        text: As it reads there; a part of a character reads as the tokenizer writes it.
        is_end: Whether it ends the text.
        base: The base.
        sft: The base with an adapter.
        kl: KL(sft || base) of the two distributions, in nats.
    """

    id: int
    text: str
    is_end: bool
    base: Expectation
    sft: Expectation
    kl: float

    @property
    def log_ratio(self) -> float:
        """The change for the reader: log p_sft - log p_base of the token."""
        return self.sft.log_p - self.base.log_p

    @property
    def category(self) -> Category:
        """The category of the token; unstable where the base is flat, so it is for counting, not for colour."""
        if self.base.rank == 1:
            return "unshifted"
        return "marginal" if self.base.rank <= MARGINAL else "shifted"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields and the derived values."""
        return {**asdict(self), "log_ratio": self.log_ratio, "category": self.category}


@dataclass(frozen=True, slots=True)
class AnalysisEvent(Named):
    """A line of an analysis: the fields and ``"event": <name>``."""

"""Answers, both streaming and compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

from playground.events.values import Json, revive

if TYPE_CHECKING:
    from playground.events.lens import Lens, Walk

FinishReason = Literal["stop", "length", "cancelled", "error"]


@dataclass(frozen=True, slots=True)
class Sampling(Json):
    """How tokens are chosen. Temperature 0 is greedy; `top_p` keeps the smallest set with that probability."""

    max_new_tokens: int = 128
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Answer(Json):
    """A lane's answer and how it ended.

    A model *stopped by itself* when ``finish_reason == "stop"`` and ``stop_reason is None``: it emitted
    its own end token. A `stop_reason` is the string at which the text was cut off for display.
    """

    text: str
    finish_reason: FinishReason
    stop_reason: str | None
    num_tokens: int

    @property
    def stopped_by_itself(self) -> bool:
        """Whether the model emitted its own end token."""
        return self.finish_reason == "stop" and self.stop_reason is None


@dataclass(frozen=True, slots=True)
class Chunk(Json):
    """One more token of one lane; `answer` is set with the last one.

    `text` is the whole text so far, decoded from all ids: a later token may change earlier characters.
    """

    lane: int
    token_id: int
    text: str
    num_tokens: int
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class Compared(Json):
    """One prompt, answered by each side: ``base`` (raw), ``control`` (base with the style), ``sft``.

    With several adapters, their sides are ``sft:NAME``. `repeats` says which answers are repetitive;
    `sample` numbers the answers to one prompt from 0. `ids` has the tokens of answers that will be looked at; what was
    found then, `lens` and `walk`, is no part of the JSON.
    """

    id: str
    prompt: str
    answers: dict[str, Answer]
    answered: dict[str, bool]
    repeats: dict[str, bool]
    sample: int = 0
    ids: dict[str, tuple[int, ...]] = field(default_factory=dict)
    lens: Lens | None = None
    walk: Walk | None = None

    def only(self, *sides: str) -> Self:
        """Return the answers of these sides, in this order."""
        return type(self)(
            self.id,
            self.prompt,
            {side: self.answers[side] for side in sides},
            {side: self.answered[side] for side in sides},
            {side: self.repeats[side] for side in sides},
            self.sample,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return one flat object with one key per side."""
        sides = {
            side: {**answer.to_dict(), "answered": self.answered[side], "repeats": self.repeats[side]}
            for side, answer in self.answers.items()
        }
        for side, ids in self.ids.items():
            sides[side]["token_ids"] = ids
        return {"id": self.id, "prompt": self.prompt, "sample": self.sample, **sides}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Rebuild the value from `to_dict`'s output: the sides are keys next to ``id`` and ``prompt``."""
        sides = {name: side for name, side in data.items() if isinstance(side, dict)}
        answers = {name: Answer.from_dict(side) for name, side in sides.items()}
        judged = {name: side["answered"] for name, side in sides.items()}
        looped = {name: side["repeats"] for name, side in sides.items()}
        ids = {name: revive(tuple[int, ...], side["token_ids"]) for name, side in sides.items() if "token_ids" in side}
        return cls(data["id"], data["prompt"], answers, judged, looped, data["sample"], ids)


@dataclass(frozen=True, slots=True)
class SideSummary(Json):
    """One side over all prompts: shares from 0 to 1, and the mean number of tokens."""

    answered: float
    stopped_by_itself: float
    repeats: float
    mean_tokens: float


@dataclass(frozen=True, slots=True)
class Summary(Json):
    """A whole comparison. `tokens_per_second` counts all lanes together; `settings` describes the sampling in words."""

    num_prompts: int
    sides: dict[str, SideSummary]
    tokens_per_second: float
    seconds: float
    model: str
    adapter: str
    batch_size: int
    settings: str
    fingerprint: str

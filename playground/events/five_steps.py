"""The five steps on one row: forward, compare, loss, backward, update, as events. Losses are in nats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from playground.events.answers import Answer
from playground.events.contrast import AnalysisEvent, Candidate, Position
from playground.events.inspector import MaskedRow
from playground.events.lens import Lens
from playground.events.values import Json


@dataclass(frozen=True, slots=True)
class RowOpened(AnalysisEvent):
    """A row is ready to be taught to a scratch adapter.

    Attributes:
        prompt: The last user turn.
        row: Its tokens, and which of them the mask of training leaves: those of answers, with their end.
        masked: Whether only those carry loss. Without the mask every token does, as in pre-training: the labels differ,
            and nothing else.
        model: A description of the base.
        adapter: Where the scratch adapter started: a copy of this one, or from nothing if empty.
        style: The prompt style.
        lora_r: The rank of the scratch adapter.
        learning_rate: That of the next step.
        max_grad_norm: The gradient norm is clipped to this.
    """

    prompt: str
    row: MaskedRow
    masked: bool
    model: str
    adapter: str
    style: str
    lora_r: int
    learning_rate: float
    max_grad_norm: float


@dataclass(frozen=True, slots=True)
class Probe(Json):
    """What a step did elsewhere: the scratch adapter on a prompt that is not the row's.

    Attributes:
        prompt: The prompt.
        answer: A finished answer to it; empty if the answer has yet to begin.
        base_p_end: The base's probability of ending here.
        p_end: That of the base with the scratch adapter.
        top: What the base with the scratch adapter expects here.
    """

    prompt: str
    answer: str
    base_p_end: float
    p_end: float
    top: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Forward(AnalysisEvent):
    """Steps 1 to 3: what was expected in the place of each trained token, and what that costs.

    Attributes:
        step: Optimiser steps taken before.
        places: The index in the row of each of `positions`.
        positions: The trained tokens; their `sft` side is the base with the scratch adapter.
        loss: The mean of -log p over them, as training computes it.
        elsewhere: Other prompts.
    """

    step: int
    places: tuple[int, ...]
    positions: tuple[Position, ...]
    loss: float
    elsewhere: tuple[Probe, ...]

    @property
    def shares(self) -> tuple[float, ...]:
        """The share of the row's loss that each token has; they sum to 1."""
        total = sum(position.sft.loss for position in self.positions)
        return tuple(position.sft.loss / total if total else 0.0 for position in self.positions)

    @property
    def largest(self) -> int:
        """The index in `positions` of the token with the largest loss."""
        return min(range(len(self.positions)), key=lambda at: self.positions[at].sft.log_p)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields and the derived values."""
        return {
            **AnalysisEvent.to_dict(self),
            "positions": [position.to_dict() for position in self.positions],
            "shares": self.shares,
            "largest": self.largest,
        }


@dataclass(frozen=True, slots=True)
class Backward(AnalysisEvent):
    """Step 4: the gradient of the mean loss, before clipping.

    Attributes:
        step: The number of the step it is for, from 1.
        a: The gradient norm of the A matrices of each kind (``q``, ``k``, …, ``down``), over all layers.
        b: The same of the B matrices.
        num_matrices: How many A matrices there are, and as many B matrices.
        grad_norm: The norm of the whole gradient.
        max_grad_norm: What it is clipped to.
    """

    step: int
    a: dict[str, float]
    b: dict[str, float]
    num_matrices: int
    grad_norm: float
    max_grad_norm: float

    @property
    def clipped(self) -> bool:
        """Whether the gradient is scaled down before it is used."""
        return self.grad_norm > self.max_grad_norm

    def to_dict(self) -> dict[str, Any]:
        """Return the fields and the derived values."""
        return {**AnalysisEvent.to_dict(self), "clipped": self.clipped}


@dataclass(frozen=True, slots=True)
class Updated(AnalysisEvent):
    """Step 5: the optimiser has changed the scratch adapter.

    Attributes:
        step: The number of the step, from 1.
        learning_rate: Its rate.
        loss: The mean loss before it, from the loss module of training.
        finite: Whether loss and gradient were; otherwise nothing was changed.
    """

    step: int
    learning_rate: float
    loss: float
    finite: bool


FIVE_STEPS_EVENTS: dict[str, type[AnalysisEvent]] = {
    cls.__name__: cls for cls in (RowOpened, Forward, Backward, Updated)
}


@dataclass(frozen=True, slots=True)
class Lesson(Json):
    """What is taught, and to what: a row that was typed, or one of a data set.

    Attributes:
        config: The options of training; its data set is read only for a row of it.
        prompt: The prompt of a typed row.
        answer: Its answer.
        line: The line of a row in the config's data set; 0 for a typed one.
        adapter: Start from a copy of this adapter, by name or folder; from nothing if empty.
        model: The base of an adapter whose record does not name it; empty if it does.
    """

    config: dict[str, Any]
    prompt: str = ""
    answer: str = ""
    line: int = 0
    adapter: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class Answered(AnalysisEvent):
    """What a prompt was answered; a `Lens` on each answer of `sft` follows.

    Attributes:
        prompt: The prompt.
        base: What the base, fed the prompt as typed, made of it; None if it was not asked.
        sft: The answers of the base with the scratch adapter.
    """

    prompt: str
    base: Answer | None
    sft: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class TeacherStage(AnalysisEvent):
    """What the teacher child is loading, and the completed share of it; `notice` as in `EngineStage`."""

    stage: str
    share: float
    notice: str = ""


@dataclass(frozen=True, slots=True)
class Served(AnalysisEvent):
    """A request to the teacher child is done, whether or not it could be served; `request` is its number."""

    request: int


@dataclass(frozen=True, slots=True)
class TeacherError(AnalysisEvent):
    """A request that cannot be served, for which nothing has changed; with `request` -1 the child has ended."""

    request: int
    message: str
    hint: str


TEACHER_EVENTS: dict[str, type[AnalysisEvent]] = {
    **FIVE_STEPS_EVENTS,
    **{cls.__name__: cls for cls in (Answered, Lens, TeacherStage, Served, TeacherError)},
}

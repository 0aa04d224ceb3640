"""A training run: the lines of its ``events.jsonl``, and its record."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from playground.events.answers import Answer
from playground.events.plans import Plan
from playground.events.values import Json, Named


@dataclass(frozen=True, slots=True)
class BaseIdentity(Json):
    """Identifies a base model's weights, so that two runs can be checked for the same base.

    `revision` is the hub's commit hash or a sha256 of the weights; `dtype` is the compute dtype. `quantized_on` is
    where the weights were quantised, because two devices need not come to the same values: ``cpu``, ``cuda``, or
    ``files`` if they were stored so; empty without quantisation, and in records that do not say it.
    """

    name: str
    description: str
    revision: str
    quantize: str
    dtype: str
    quantized_on: str = ""

    def quantized_as(self, other: BaseIdentity) -> bool:
        """Return whether both were quantised in one place, or one of them does not say where."""
        return "" in (self.quantized_on, other.quantized_on) or self.quantized_on == other.quantized_on


@dataclass(frozen=True, slots=True)
class Event(Named):
    """A line of ``events.jsonl``: the fields of the event plus ``"event": <its name>``."""

    terminal: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class RunStarted(Event):
    """A run starts (`step` 0) or resumes after `step` optimiser steps; `model` describes its base."""

    run: str
    folder: str
    model: str
    plan: Plan
    step: int
    seconds_load: float


@dataclass(frozen=True, slots=True)
class StepDone(Event):
    """One optimiser step. `loss` is the mean over all trained tokens of the step, in nats.

    `peak_memory` is the process's peak device memory so far, in bytes; 0 in older runs.
    """

    step: int
    epoch: float
    loss: float
    learning_rate: float
    grad_norm: float
    num_tokens: int
    tokens_per_second: float
    seconds_left: float | None
    peak_memory: int = 0


@dataclass(frozen=True, slots=True)
class StepSkipped(Event):
    """The loss or the gradient was not finite, so the weights were not updated.

    `rows` are the lines of the step's rows in the data set; empty in older runs.
    """

    step: int
    reason: str
    rows: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Warned(Event):
    """Something after `step` that the user should know of and that does not end the run, in a sentence."""

    step: int
    message: str


@dataclass(frozen=True, slots=True)
class BatchHalved(Event):
    """Out of memory: the same batch is retried in micro-batches of `micro_batch_size` rows."""

    step: int
    micro_batch_size: int


@dataclass(frozen=True, slots=True)
class Sample(Json):
    """The adapted model's answer to one of the fixed prompts."""

    prompt: str
    answer: Answer
    answered: bool


@dataclass(frozen=True, slots=True)
class Sampled(Event):
    """The fixed prompts, answered at `step` by the adapted model, and at step 0 also by the raw base.

    `seconds` counts from the start of the run's process.
    """

    step: int
    samples: tuple[Sample, ...]
    base: tuple[Sample, ...]
    seconds: float

    @property
    def all_answered(self) -> bool:
        """Whether the adapted model answered every prompt."""
        return all(sample.answered for sample in self.samples)


@dataclass(frozen=True, slots=True)
class Evaluated(Event):
    """The mean loss over all answer tokens of the held-out rows after `step`, in nats."""

    step: int
    eval_loss: float


@dataclass(frozen=True, slots=True)
class CheckpointSaved(Event):
    """Everything needed to resume from `step` is completely on disk."""

    step: int
    path: str


@dataclass(frozen=True, slots=True)
class RunStage(Event):
    """The current stage before the first step, and the completed share of it."""

    stage: str
    share: float


@dataclass(frozen=True, slots=True)
class Paused(Event):
    """The run is paused after `step`, with the model in memory; `Continued` ends the pause."""

    step: int


@dataclass(frozen=True, slots=True)
class Continued(Event):
    """The run continues after `step`, exactly as if it had not paused."""

    step: int


@dataclass(frozen=True, slots=True)
class Replied(Event):
    """A prompt asked while the run was paused, answered by the model after `step`."""

    step: int
    prompt: str
    answers: dict[str, Answer]


@dataclass(frozen=True, slots=True)
class RunEnded(Event):
    """The only terminal event. `seconds` count only this process; `loss` is the last epoch's mean."""

    terminal: ClassVar[bool] = True

    state: Literal["finished", "stopped", "failed", "cancelled"]
    reason: str
    step: int
    loss: float | None
    folder: str
    num_tokens: int
    tokens_per_second: float
    seconds_load: float
    seconds_train: float
    seconds_sample: float
    seconds_save: float

    @classmethod
    def failed(cls, folder: Path, reason: str) -> Self:
        """Return the end of a run that failed before its first step."""
        return cls("failed", reason, 0, None, str(folder), 0, 0.0, 0.0, 0.0, 0.0, 0.0)


EVENTS: dict[str, type[Event]] = {
    cls.__name__: cls
    for cls in (
        RunStage,
        RunStarted,
        StepDone,
        StepSkipped,
        Warned,
        BatchHalved,
        Sampled,
        Evaluated,
        CheckpointSaved,
        Paused,
        Continued,
        Replied,
        RunEnded,
    )
}


def event_from_json(line: str) -> Event:
    """Parse one line of ``events.jsonl``.

    Raises:
        ValueError: If the line is not the JSON of a known event.
    """
    try:
        data = json.loads(line)
        return EVENTS[data["event"]].from_dict(data)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not an event: {line[:80]!r}") from error


@dataclass(frozen=True, slots=True)
class RunRecord(Json):
    """``run.json`` in an adapter's folder: its data, its settings, and how it ended."""

    name: str
    created_at: str
    state: Literal["running", "finished", "stopped", "failed"]
    base: BaseIdentity
    style: str
    data_name: str
    data_sha256: str
    num_examples: int
    single_turn: bool
    step: int
    num_steps: int
    loss: float | None
    exact: bool
    config: dict[str, Any]
    versions: dict[str, str]
    num_skipped: int = 0
    num_eval: int = 0
    eval_loss: float | None = None
    command: str = ""
    device: str = ""

"""Every value that crosses a border (process, file, screen): frozen dataclasses with JSON both ways.

Standard library only, so that a screen or a script can read a run without importing torch. Field
names are Hugging Face's where it has one (``loss``, ``learning_rate``, ``grad_norm``, ``num_tokens``).
"""

from __future__ import annotations

import json
import types
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Literal, Self, Union, get_args, get_origin, get_type_hints

FinishReason = Literal["stop", "length", "cancelled", "error"]


class Json:
    """JSON for a frozen dataclass; nested dataclasses and tuples of them come back as they were."""

    def to_dict(self) -> dict[str, Any]:
        """Return the value as JSON's types."""
        return asdict(self)  # type: ignore[call-overload, no-any-return]

    def to_json(self) -> str:
        """Return one line of JSON. Text stays raw: cleaning is the business of whoever shows it."""
        line = json.dumps(self.to_dict(), ensure_ascii=False)
        try:
            line.encode("utf-8")
        except UnicodeEncodeError:  # half a surrogate pair, as in a file name that is not UTF-8
            line = json.dumps(self.to_dict())
        return line

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Rebuild the value from `data`; unknown keys are ignored, missing ones raise TypeError."""
        hints = get_type_hints(cls)
        known = {f.name for f in fields(cls)}  # type: ignore[arg-type]
        return cls(**{name: _revive(hints[name], value) for name, value in data.items() if name in known})


def _revive(hint: Any, value: Any) -> Any:
    if isinstance(hint, type) and issubclass(hint, Json):
        return hint.from_dict(value)
    origin, args = get_origin(hint), get_args(hint)
    if origin is tuple and isinstance(value, list):
        return tuple(_revive(args[0], item) for item in value)
    if origin is dict and isinstance(value, dict):
        return {key: _revive(args[1], item) for key, item in value.items()}
    if origin in (Union, types.UnionType) and value is not None:
        return _revive(next(arg for arg in args if arg is not type(None)), value)
    return value


@dataclass(frozen=True, slots=True)
class BaseIdentity(Json):
    """Which weights a base model has: enough to say whether two runs mean the same one.

    `revision` is the hub's commit hash or a sha256 of the weights; `dtype` is that of the arithmetic.
    """

    name: str
    description: str
    revision: str
    quantize: str
    dtype: str


@dataclass(frozen=True, slots=True)
class Answer(Json):
    """What a lane said and how it ended.

    A model *stopped by itself* when ``finish_reason == "stop"`` and ``stop_reason is None``: it emitted
    its own end token. A `stop_reason` is the string at which the text was cut for display.
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
class Event(Json):
    """A line of ``events.jsonl``: the fields of the event plus ``"event": <its name>``."""

    terminal: ClassVar[bool] = False

    def to_dict(self) -> dict[str, Any]:
        """Return the fields and the event's name."""
        return {"event": type(self).__name__, **asdict(self)}


@dataclass(frozen=True, slots=True)
class RunStarted(Event):
    """A training begins (`step` 0) or goes on after `step` optimiser steps.

    The three token counts are 0 for a set that is too large to be read beforehand.
    """

    run: str
    folder: str
    model: str
    data: str
    quantize: str
    device: str
    num_examples: int
    num_skipped: int
    num_truncated: int
    num_tokens: int
    num_trained_tokens: int
    num_steps: int
    trainable_parameters: int
    step: int
    seconds_load: float


@dataclass(frozen=True, slots=True)
class StepDone(Event):
    """One optimiser step. `loss` is the mean over all trained tokens of the step, in nats."""

    step: int
    epoch: float
    loss: float
    learning_rate: float
    grad_norm: float
    num_tokens: int
    tokens_per_second: float
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class StepSkipped(Event):
    """The loss or the gradient was not finite, so the weights were left as they were."""

    step: int
    reason: str


@dataclass(frozen=True, slots=True)
class BatchHalved(Event):
    """Memory ran out; the same batch is tried again in micro-batches of `micro_batch_size` rows."""

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
class CheckpointSaved(Event):
    """Everything needed to go on from `step` is on disk, complete."""

    step: int
    path: str


@dataclass(frozen=True, slots=True)
class RunEnded(Event):
    """The one terminal event. `seconds` count only this process; `loss` is the last epoch's mean."""

    terminal: ClassVar[bool] = True

    state: Literal["finished", "stopped", "failed"]
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


@dataclass(frozen=True, slots=True)
class Compared(Json):
    """One prompt, answered by each side: ``base`` (raw), ``control`` (base with the style), ``sft``."""

    id: str
    prompt: str
    answers: dict[str, Answer]
    answered: dict[str, bool]

    def to_dict(self) -> dict[str, Any]:
        """Return one flat object with a key for each side."""
        sides = {side: {**answer.to_dict(), "answered": self.answered[side]} for side, answer in self.answers.items()}
        return {"id": self.id, "prompt": self.prompt, **sides}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Rebuild the value from what `to_dict` made: the sides stand beside ``id`` and ``prompt``."""
        sides = {name: side for name, side in data.items() if isinstance(side, dict)}
        answers = {name: Answer.from_dict(side) for name, side in sides.items()}
        return cls(data["id"], data["prompt"], answers, {name: side["answered"] for name, side in sides.items()})


@dataclass(frozen=True, slots=True)
class SideSummary(Json):
    """One side over all prompts: shares from 0 to 1, and the mean number of tokens."""

    answered: float
    stopped_by_itself: float
    repeats: float
    mean_tokens: float


@dataclass(frozen=True, slots=True)
class Summary(Json):
    """A whole comparison. `tokens_per_second` counts all lanes together."""

    num_prompts: int
    sides: dict[str, SideSummary]
    tokens_per_second: float
    seconds: float
    model: str
    adapter: str
    batch_size: int
    fingerprint: str


EVENTS: dict[str, type[Event]] = {
    cls.__name__: cls for cls in (RunStarted, StepDone, StepSkipped, BatchHalved, Sampled, CheckpointSaved, RunEnded)
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
    """``run.json`` in an adapter's folder: what it was trained on, with what, and how it ended."""

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

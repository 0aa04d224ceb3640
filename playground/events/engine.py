"""What the engine child says: a line of JSON for each of these."""

from __future__ import annotations

from dataclasses import dataclass

from playground.events.answers import Answer
from playground.events.values import Named


@dataclass(frozen=True, slots=True)
class EngineEvent(Named):
    """A line from the engine: the fields and ``"event": <name>``."""


@dataclass(frozen=True, slots=True)
class EngineStage(EngineEvent):
    """What is being done before the model is ready, and the share of it that is done."""

    stage: str
    share: float


@dataclass(frozen=True, slots=True)
class EngineReady(EngineEvent):
    """The model is in memory. `single_turn` says that the adapter has seen no second question."""

    model: str
    adapter: str
    style: str
    single_turn: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class Fed(EngineEvent):
    """What each side of a request is fed: its exact text, by side, and how many tokens that is."""

    request: int
    texts: dict[str, str]
    num_tokens: dict[str, int]
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Spoken(EngineEvent):
    """The whole text of a side so far; `answer` is set with its end, `repeats` says whether it runs in circles."""

    request: int
    side: str
    text: str
    num_tokens: int
    seconds: float
    answer: Answer | None = None
    repeats: bool = False


@dataclass(frozen=True, slots=True)
class EngineError(EngineEvent):
    """Something failed. With `request` -1 the engine could not start and ends."""

    request: int
    message: str
    hint: str


ENGINE_EVENTS: dict[str, type[EngineEvent]] = {
    cls.__name__: cls for cls in (EngineStage, EngineReady, Fed, Spoken, EngineError)
}

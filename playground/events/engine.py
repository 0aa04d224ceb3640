"""What the engine child is asked and what it says: a line of JSON for each of these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from playground.events.answers import Answer, Sampling
from playground.events.values import Json, Named

Side = Literal["base", "control", "sft"]


@dataclass(frozen=True, slots=True)
class LaneRequest(Json):
    """A lane that is asked for.

    Attributes:
        name: What its events carry.
        side: ``base``, ``control`` or ``sft``; with several adapters ``sft:NAME``. It says what the lane is fed, and
            whether an adapter counts.
        texts: The conversation: what the user said and what was answered, in turns; the user has the last word.
        draw: Lanes with equal numbers draw equal random numbers.
    """

    name: str
    side: str
    texts: tuple[str, ...]
    draw: int = 0


@dataclass(frozen=True, slots=True)
class Ask(Json):
    """A request for answers. `strength` (λ) multiplies what the adapter adds."""

    lanes: tuple[LaneRequest, ...]
    strength: float = 1.0
    sampling: Sampling = Sampling()


@dataclass(frozen=True, slots=True)
class EngineEvent(Named):
    """A line from the engine: the fields and ``"event": <name>``."""


@dataclass(frozen=True, slots=True)
class EngineStage(EngineEvent):
    """What is being done before the model is ready, and the share of it that is done.

    `notice` is what a person must have seen before the model is used for the first time: its licence.
    """

    stage: str
    share: float
    notice: str = ""


@dataclass(frozen=True, slots=True)
class AdapterInfo(Json):
    """An adapter that could be used. What its record does not say is empty.

    Attributes:
        folder: Where it is; what `use` takes.
        whose: ``yours`` or ``shipped``.
        model: The base as a command takes it.
        base: The base's name.
        loss: The last training loss, in nats a token.
    """

    name: str
    folder: str
    whose: str
    model: str
    base: str
    data: str
    style: str
    created_at: str
    loss: float | None


@dataclass(frozen=True, slots=True)
class Choices(EngineEvent):
    """The adapters, the newest first and own ones before shipped ones, and the models that are on this machine."""

    adapters: tuple[AdapterInfo, ...]
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EngineReady(EngineEvent):
    """The model is in memory; said again after a change of adapter or style.

    Attributes:
        adapter: Its name; empty for a base without one, which has no side ``sft``.
        single_turn: Whether the adapter has seen no second question.
    """

    model: str
    adapter: str
    style: str
    single_turn: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class Fed(EngineEvent):
    """What each lane of a request is fed: its exact text and how many tokens that is, by name.

    Attributes:
        styled: The last styled lane's text without the token that begins it: what a trainer takes as the prompt.
        lead_in: What the style puts between that and an answer.
        dropped: How many of the oldest texts did not fit the model's context, by lane.
    """

    request: int
    texts: dict[str, str]
    num_tokens: dict[str, int]
    fingerprint: str
    styled: str = ""
    lead_in: str = ""
    dropped: dict[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Spoken(EngineEvent):
    """The whole text of a lane so far; `answer` is set with its end, `repeats` says whether it runs in circles."""

    request: int
    lane: str
    text: str
    num_tokens: int
    seconds: float
    answer: Answer | None = None
    repeats: bool = False


@dataclass(frozen=True, slots=True)
class EngineError(EngineEvent):
    """Something failed. With `request` -1 the engine could not start and ends; 0 is a change that was refused."""

    request: int
    message: str
    hint: str


ENGINE_EVENTS: dict[str, type[EngineEvent]] = {
    cls.__name__: cls for cls in (EngineStage, Choices, EngineReady, Fed, Spoken, EngineError)
}

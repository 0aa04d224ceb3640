"""Requests to the engine child and its events, each one line of JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from playground.events.answers import Answer, Sampling
from playground.events.lens import Lens, Reading, Walk
from playground.events.values import Json, Named

Side = Literal["base", "control", "sft"]


@dataclass(frozen=True, slots=True)
class LaneRequest(Json):
    """A requested lane.

    Attributes:
        name: The name its events carry.
        side: ``base``, ``control`` or ``sft``; with several adapters ``sft:NAME``. It sets what the lane is fed, and
            whether an adapter is active.
        texts: The conversation: alternating user and model turns, ending with the user's.
        draw: Lanes with the same number draw the same random numbers.
    """

    name: str
    side: str
    texts: tuple[str, ...]
    draw: int = 0


@dataclass(frozen=True, slots=True)
class Ask(Json):
    """A request for answers. `strength` (λ) scales the adapter's contribution."""

    lanes: tuple[LaneRequest, ...]
    strength: float = 1.0
    sampling: Sampling = Sampling()


@dataclass(frozen=True, slots=True)
class EngineEvent(Named):
    """A line from the engine: the fields and ``"event": <name>``."""


@dataclass(frozen=True, slots=True)
class EngineStage(EngineEvent):
    """The current stage before the model is ready, and the completed share of it.

    `notice` is what the user must see before using the model for the first time: its licence.
    """

    stage: str
    share: float
    notice: str = ""


@dataclass(frozen=True, slots=True)
class AdapterInfo(Json):
    """An available adapter. Fields missing from its record are empty.

    Attributes:
        folder: Its location; the value for `use`.
        whose: ``yours`` or ``shipped``.
        model: The base, in the form used in a command.
        base: The base's name.
        loss: The last training loss, in nats per token.
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
    """The adapters, newest first and the user's own before shipped ones, and the models on this machine."""

    adapters: tuple[AdapterInfo, ...]
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EngineReady(EngineEvent):
    """The model is in memory; sent again after a change of adapter or style.

    Attributes:
        model: A description for people.
        adapter: Its name, or the names of several; empty for a base without one, which has no side ``sft``.
        style: The template it is fed, or the templates of several.
        single_turn: Whether it was trained on single-turn conversations only.
        source: The model in the form used in a command, as in `AdapterInfo.model`; empty if no record names it.
        sides: The sides that have an adapter: ``sft``, or one ``sft:NAME`` for each of several.
        held: Bytes of its device that are free again when it ends.
    """

    model: str
    adapter: str
    style: str
    single_turn: bool
    seconds: float
    source: str = ""
    sides: tuple[str, ...] = ("sft",)
    held: int = 0


@dataclass(frozen=True, slots=True)
class Fed(EngineEvent):
    """The input of each lane of a request: its exact text and number of tokens, by name.

    Attributes:
        styled: The last styled lane's text without its start token: what a trainer uses as the prompt.
        lead_in: The style's text between that and an answer.
        dropped: How many of the oldest texts did not fit in the model's context, by lane.
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
    """The whole text of a lane so far; `answer` is set at its end, `repeats` says whether it is repetitive."""

    request: int
    lane: str
    text: str
    num_tokens: int
    seconds: float
    answer: Answer | None = None
    repeats: bool = False


@dataclass(frozen=True, slots=True)
class Why(Json):
    """A request to look at finished answers: where sft would have ended the base's text, and what each side expected.

    Attributes:
        of: The request that was answered.
        lane: The name of the lane with the adapter.
        reading: What the base is fed where sft's answer is read.
        branch: Instead of looking, let the base go on after this many tokens of sft's answer.
    """

    of: int
    lane: str
    reading: Reading = "training"
    branch: int | None = None


@dataclass(frozen=True, slots=True)
class Looked(EngineEvent):
    """What was found; `walk` is None if the base was not asked, or if only another reading was wanted."""

    request: int
    why: Why
    lens: Lens
    walk: Walk | None = None


@dataclass(frozen=True, slots=True)
class Branched(EngineEvent):
    """What the base said from a token of sft's answer on, greedily."""

    request: int
    why: Why
    answer: Answer


@dataclass(frozen=True, slots=True)
class EngineError(EngineEvent):
    """Something failed. With `request` -1 the engine failed and exits; 0 is a change that was rejected."""

    request: int
    message: str
    hint: str


ENGINE_EVENTS: dict[str, type[EngineEvent]] = {
    cls.__name__: cls for cls in (EngineStage, Choices, EngineReady, Fed, Spoken, Looked, Branched, EngineError)
}

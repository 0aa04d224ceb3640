"""Every value that crosses a border (process, file, screen): frozen dataclasses with JSON both ways.

Standard library only, so that a screen or a script can read a run without importing torch. Field
names are Hugging Face's where it has one (``loss``, ``learning_rate``, ``grad_norm``, ``num_tokens``).
"""

from playground.events.answers import Answer, Chunk, Compared, FinishReason, Sampling, SideSummary, Summary
from playground.events.data import BINS, DataCheck, Finding, by_kind
from playground.events.engine import (
    ENGINE_EVENTS,
    AdapterInfo,
    Ask,
    Choices,
    EngineError,
    EngineEvent,
    EngineReady,
    EngineStage,
    Fed,
    LaneRequest,
    Side,
    Spoken,
)
from playground.events.exchanges import BOTH_BAD, TIE, Exchange, Mode
from playground.events.models import KnownModel
from playground.events.plans import Choice, Plan
from playground.events.runs import (
    EVENTS,
    BaseIdentity,
    BatchHalved,
    CheckpointSaved,
    Continued,
    Event,
    Paused,
    Replied,
    RunEnded,
    RunRecord,
    RunStage,
    RunStarted,
    Sample,
    Sampled,
    StepDone,
    StepSkipped,
    event_from_json,
)
from playground.events.values import Json

__all__ = [
    "BINS",
    "BOTH_BAD",
    "ENGINE_EVENTS",
    "EVENTS",
    "TIE",
    "AdapterInfo",
    "Answer",
    "Ask",
    "BaseIdentity",
    "BatchHalved",
    "CheckpointSaved",
    "Choice",
    "Choices",
    "Chunk",
    "Compared",
    "Continued",
    "DataCheck",
    "EngineError",
    "EngineEvent",
    "EngineReady",
    "EngineStage",
    "Event",
    "Exchange",
    "Fed",
    "Finding",
    "FinishReason",
    "Json",
    "KnownModel",
    "LaneRequest",
    "Mode",
    "Paused",
    "Plan",
    "Replied",
    "RunEnded",
    "RunRecord",
    "RunStage",
    "RunStarted",
    "Sample",
    "Sampled",
    "Sampling",
    "Side",
    "SideSummary",
    "Spoken",
    "StepDone",
    "StepSkipped",
    "Summary",
    "by_kind",
    "event_from_json",
]

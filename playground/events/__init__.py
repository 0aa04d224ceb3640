"""Every value that crosses a border (process, file, screen): frozen dataclasses with JSON both ways.

Standard library only, so that a screen or a script can read a run without importing torch. Field
names are Hugging Face's where it has one (``loss``, ``learning_rate``, ``grad_norm``, ``num_tokens``).
"""

from playground.events.answers import Answer, Chunk, Compared, FinishReason, SideSummary, Summary
from playground.events.data import BINS, DataCheck, Finding, by_kind
from playground.events.engine import ENGINE_EVENTS, EngineError, EngineEvent, EngineReady, EngineStage, Fed, Spoken
from playground.events.models import KnownModel
from playground.events.plans import Choice, Plan
from playground.events.runs import (
    EVENTS,
    BaseIdentity,
    BatchHalved,
    CheckpointSaved,
    Event,
    RunEnded,
    RunRecord,
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
    "ENGINE_EVENTS",
    "EVENTS",
    "Answer",
    "BaseIdentity",
    "BatchHalved",
    "CheckpointSaved",
    "Choice",
    "Chunk",
    "Compared",
    "DataCheck",
    "EngineError",
    "EngineEvent",
    "EngineReady",
    "EngineStage",
    "Event",
    "Fed",
    "Finding",
    "FinishReason",
    "Json",
    "KnownModel",
    "Plan",
    "RunEnded",
    "RunRecord",
    "RunStarted",
    "Sample",
    "Sampled",
    "SideSummary",
    "Spoken",
    "StepDone",
    "StepSkipped",
    "Summary",
    "by_kind",
    "event_from_json",
]

"""The plan of a training run: what it will do, what it needs, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from playground.events.prompts import Prompt
from playground.events.values import Json


@dataclass(frozen=True, slots=True)
class Choice(Json):
    """An automatically chosen setting, and the reason for it."""

    name: str
    value: Any
    reason: str


@dataclass(frozen=True, slots=True)
class Plan(Json):
    """A fully specified training run.

    `memory` maps each part to bytes; `free` is the total available. `seconds` is None while
    this machine's speed with this model is unknown. `nearest` names the smallest change that would
    fit, if this plan does not. `num_eval` rows are held out and excluded from all other counts. `unread` names columns
    of the data that are not read. The `sample_prompts` are answered before the first step and during training.
    """

    model: str
    data: str
    device: str
    num_examples: int
    num_skipped: int
    num_truncated: int
    num_tokens: int
    num_trained_tokens: int
    longest: int
    num_steps: int
    trainable_parameters: int
    parameters: int
    quantize: str
    learning_rate: float
    max_length: int
    per_device_train_batch_size: int
    gradient_accumulation_steps: int
    gradient_checkpointing: bool
    choices: tuple[Choice, ...]
    memory: dict[str, int]
    free: int
    seconds: float | None
    warnings: tuple[str, ...]
    nearest: str
    num_eval: int = 0
    unread: tuple[str, ...] = ()
    sample_prompts: tuple[Prompt, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the fields and the derived values."""
        return {**Json.to_dict(self), "needed": self.needed, "fits": self.fits}

    @property
    def needed(self) -> int:
        """The total of all parts, in bytes."""
        return sum(self.memory.values())

    @property
    def fits(self) -> bool:
        """Whether it fits in memory."""
        return self.needed <= self.free

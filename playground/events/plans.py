"""A training before it begins: what it will do, what it needs, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from playground.events.values import Json


@dataclass(frozen=True, slots=True)
class Choice(Json):
    """A setting that was left to the program, and why it is what it is."""

    name: str
    value: Any
    reason: str


@dataclass(frozen=True, slots=True)
class Plan(Json):
    """A training, fully decided.

    `memory` maps each part to bytes; `free` is what there is for all of them. `seconds` is None while
    this machine's speed with this model is unknown. `nearest` names the smallest change that would
    fit, where this does not. `num_eval` rows are held out; no other number counts them. `unread` says which columns of
    the data are not read.
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

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, and what follows from them."""
        return {**Json.to_dict(self), "needed": self.needed, "fits": self.fits}

    @property
    def needed(self) -> int:
        """Bytes of all parts together."""
        return sum(self.memory.values())

    @property
    def fits(self) -> bool:
        """Whether there is room for it."""
        return self.needed <= self.free

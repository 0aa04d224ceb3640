"""How a run spends its time: loading, training, sampling, saving."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playground.events.runs import RunEnded
from playground.training.checkpoint import TrainState


class Clock:
    """Stopwatches of one process; `started` is its ``time.monotonic()`` at the start."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.train_seconds = self.sample_seconds = self.save_seconds = self.load_seconds = 0.0
        self._saved = self.started
        self._num_tokens = 0
        self._num_steps = 0
        self._sampling = 0.0  # estimated seconds of the next sampling

    def loaded(self, seconds: float) -> None:
        """Record how long the model took to load."""
        self.load_seconds = seconds
        self._saved = time.monotonic()

    @contextmanager
    def training(self) -> Iterator[None]:
        """Time an optimiser step."""
        began = time.monotonic()
        yield
        self.train_seconds += time.monotonic() - began

    @contextmanager
    def sampling(self, share: float = 1.0) -> Iterator[None]:
        """Time a sampling; the next one is estimated at this fraction of it."""
        began = time.monotonic()
        yield
        took = time.monotonic() - began
        self.sample_seconds += took
        self._sampling = share * took

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Time a checkpoint."""
        began = time.monotonic()
        yield
        self._saved = time.monotonic()
        self.save_seconds += self._saved - began

    def since_save(self) -> float:
        """Return the seconds since the last checkpoint."""
        return time.monotonic() - self._saved

    def stepped(self, num_tokens: int) -> float:
        """Count a step of `num_tokens`; return this process's tokens per second of training."""
        self._num_tokens += num_tokens
        self._num_steps += 1
        return self._speed()

    def seconds_left(self, num_tokens: int | None, num_steps: int, num_samplings: int) -> float | None:
        """Return the estimated seconds left; None before two steps.

        Args:
            num_tokens: Tokens still to be trained, or None if they have not been counted.
            num_steps: Steps still to be taken.
            num_samplings: Samplings still to come.
        """
        if self._num_steps < 2:
            return None
        if num_tokens is None:
            num_tokens = round(self._num_tokens / self._num_steps * num_steps)
        return round(num_tokens * self.train_seconds / self._num_tokens + num_samplings * self._sampling, 1)

    def ended(self, outcome: str, reason: str, state: TrainState, folder: Path) -> RunEnded:
        """Return the terminal event."""
        return RunEnded(
            state=outcome,  # type: ignore[arg-type]
            reason=reason,
            step=state.step,
            loss=state.loss,
            folder=str(folder),
            num_tokens=state.num_tokens,
            tokens_per_second=self._speed(),
            seconds_load=round(self.load_seconds, 3),
            seconds_train=round(self.train_seconds, 3),
            seconds_sample=round(self.sample_seconds, 3),
            seconds_save=round(self.save_seconds, 3),
        )

    def _speed(self) -> float:
        return round(self._num_tokens / self.train_seconds, 2) if self.train_seconds else 0.0

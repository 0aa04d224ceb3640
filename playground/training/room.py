"""Room on the disk: asked for before a run starts, and waited for when it runs out."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from playground.disk import free_space, is_full
from playground.errors import EnvironmentFault
from playground.events.plans import Plan
from playground.events.values import Progress
from playground.report.words import file_size

T = TypeVar("T")
WAIT_SECONDS = 600.0  # then a run ends; whoever watches it has had time to make room
LOOK_SECONDS = 1.0
BLOCK = 4096  # bytes; what a file system gives out at once
CHECKPOINTS = 4  # at most at a time, with the one being written
SMALL_FILES = 1_000_000  # bytes: the record, the card, the events


def require_disk(plan: Plan, folder: Path, kept_steps: int) -> None:
    """Refuse a run whose checkpoints and adapters will not fit on the disk.

    Args:
        plan: The run.
        folder: Where it goes.
        kept_steps: How many of its steps' adapters are kept.

    Raises:
        EnvironmentFault: With the bytes that are missing.
    """
    # A checkpoint holds each weight with its two moments in four bytes, a kept step in two; the adapter itself in four.
    needed = plan.trainable_parameters * (12 * CHECKPOINTS + 2 * kept_steps + 4) + SMALL_FILES
    free = free_space(folder)
    if needed > free:
        raise EnvironmentFault(
            f"This run needs about {file_size(needed)} on the disk of {folder}, but {file_size(free)} are free.",
            f"Free {file_size(needed - free)}, or use another --adapters-dir. --force tries anyway.",
        )


class Room:
    """Writes that wait for room on a full disk, with the model in memory and the last checkpoint untouched.

    Args:
        folder: What is written is below it.
        progress: Told what is waited for.
        stop: If true, nothing is waited for any longer.

    Attributes:
        patient: Whether to wait at all.
    """

    def __init__(self, folder: Path, progress: Progress, stop: Callable[[], bool]) -> None:
        self.patient = True
        self._folder, self._progress, self._stop = folder, progress, stop

    def write(self, write: Callable[[], T], needed: int) -> T:
        """Return what `write` returns; while the disk is full, try again.

        Args:
            write: Writes everything or, raising OSError, nothing.
            needed: Its bytes.

        Raises:
            OSError: If there is no room after ten minutes, or the write fails for another reason.
        """
        began = time.monotonic()
        while True:
            try:
                return write()
            except OSError as error:
                waited = time.monotonic() - began
                if not (is_full(error) and self.patient) or waited > WAIT_SECONDS or self._stop():
                    raise
                missing = file_size(max(BLOCK, needed + BLOCK - free_space(self._folder)))
                self._progress(f"the disk is full, waiting for {missing} in {self._folder}", 0.0)
            time.sleep(LOOK_SECONDS)

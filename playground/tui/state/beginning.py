"""The beginning of a training: first the engine goes, then the training comes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from textual.app import App
from textual.message import Message

from playground.errors import EnvironmentFault, PlaygroundError


class TrainingStarted(Message):
    """A training was started in `folder`; `is_there` says whether its process is."""

    def __init__(self, folder: Path, is_there: Callable[[], bool]) -> None:
        super().__init__()
        self.folder = folder
        self.is_there = is_there


class TrainingNotStarted(Message):
    """A training could not be started."""

    def __init__(self, error: PlaygroundError) -> None:
        super().__init__()
        self.error = error


class Beginning:
    """Starts one training at a time, and only when the engine is gone: it plans with the memory that is free then.

    Args:
        app: Gets a `TrainingStarted` or a `TrainingNotStarted` for each start.
        release: Ends the engine, and calls its argument with whether it is gone, from a thread.
    """

    def __init__(self, app: App[Any], release: Callable[[Callable[[bool], None]], None]) -> None:
        self._app, self._release = app, release
        self._waits = False

    def start(self, config: dict[str, Any], folder: Path, *, resume: bool = False) -> None:
        """Start a training in `folder` as soon as the engine is gone, unless another one is about to start.

        Args:
            config: As stored in a record.
            folder: The run's folder, new or to be resumed.
            resume: Resume from the newest checkpoint.
        """
        if not self._waits:
            self._waits = True
            self._release(partial(self._start, config, folder, resume))

    def require_none(self) -> None:
        """Refuse to use the device while a training is about to start on it.

        Raises:
            EnvironmentFault: If one is.
        """
        if self._waits:
            raise EnvironmentFault("A training is about to start.", "Wait a moment.")

    def done(self) -> None:
        """Let others use the device, and another training start; what became of the last one is on the screen."""
        self._waits = False

    def _start(self, config: dict[str, Any], folder: Path, resume: bool, gone: bool) -> None:
        from playground.jobs.training import start_training

        said: Message
        try:
            if not gone:
                raise EnvironmentFault(
                    "The model of the compare screen does not leave the memory, so the training was not started.",
                    "Leave the app, end what is left of it, and start again.",
                )
            said = TrainingStarted(folder, start_training(config, folder, resume=resume))
        except PlaygroundError as error:
            said = TrainingNotStarted(error)
        self._app.post_message(said)

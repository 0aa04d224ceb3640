"""Training runs that outlive the app: started detached, followed through events, controlled through a socket.

Every reader, including the first, follows ``events.jsonl``; requests go through a Unix socket as
JSON lines. So the app can be closed and reopened, and two apps can watch one run.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from playground import paths
from playground.disk import disk_fault, is_private, make_folder, owner_only
from playground.events.engine import ENGINE_EVENTS, Ask, EngineError, EngineEvent
from playground.events.runs import Event, RunEnded, RunStarted
from playground.runs.folder import LOG, is_busy, read_events

LAST_BYTES = 2_000  # of the log, reported when a run ends without a terminal event
LOOK_SECONDS = 0.2
TELL_SECONDS = 5.0  # a process importing PyTorch answers late


def start_training(config: dict[str, Any], folder: Path, *, resume: bool = False) -> Callable[[], bool]:
    """Start a training run in its own session; its events report what happens.

    Args:
        config: In the form stored in a record.
        folder: The run's folder, new or to be resumed.
        resume: Resume from the newest checkpoint.

    Returns:
        A function that says whether the process is still there: until it has taken its lock nothing else does.

    Raises:
        EnvironmentFault: If the folder cannot be written.
    """
    options = json.dumps({"config": config, "folder": str(folder.absolute()), "resume": resume})
    try:
        make_folder(folder)
        with open(folder / LOG, "ab", opener=owner_only) as log:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-m", "playground.training.child", options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
    except OSError as error:
        raise disk_fault(error, folder) from None
    return lambda: process.poll() is None


class RunLink:
    """A run from the point of view of its watchers.

    Args:
        folder: The run's folder.

    Attributes:
        caught_up: Whether what had happened before the run was followed has been read; what comes then is news.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.caught_up = False
        self._number = 0
        self._closed = False

    def close(self) -> None:
        """Stop watching; the run continues."""
        self._closed = True

    def is_alive(self) -> bool:
        """Return whether a process is loading or training."""
        try:
            self._connect().close()
        except OSError:
            return is_busy(self.folder)
        return True

    def follow(self, is_there: Callable[[], bool] | None = None) -> Iterator[Event]:
        """Yield all past events, then new ones until the run ends. To be read in a thread.

        If the process disappears without a terminal event, yield one that says so, with the last lines of its log.

        Args:
            is_there: Says whether a process that was just started is there; it is not found until it has its lock.
        """
        at, ended = 0, False
        while not self._closed:
            # Checked before reading, so that everything written before exit is read.
            if alive := self.is_alive():
                is_there = None
            starting = is_there is not None and is_there()
            fresh, at = read_events(self.folder, at)
            for event in fresh:
                ended = event.terminal or (ended and not isinstance(event, RunStarted))
                yield event
            self.caught_up = True
            if not alive and not starting and not fresh:
                if not ended:
                    yield self._vanished()
                return
            time.sleep(LOOK_SECONDS)

    def tell(self, do: str) -> bool:
        """Send the run a command; return whether it arrived.

        Args:
            do: ``pause``, ``continue``, ``sample_now``, ``stop`` or ``cancel``.
        """
        try:
            with self._connect() as connection:
                connection.settimeout(TELL_SECONDS)
                connection.sendall(json.dumps({"do": do}).encode() + b"\n")
                return connection.recv(16) != b""
        except OSError:
            return False

    def ask(self, ask: Ask, hear: Callable[[EngineEvent], None]) -> None:
        """Prompt a paused run and pass on its answers as they arrive; returns when they are complete. For a thread."""
        self._number += 1
        request = {"do": "ask", "id": self._number, "ask": ask.to_dict()}
        try:
            with self._connect() as connection, connection.makefile("r", encoding="utf-8") as lines:
                connection.sendall(json.dumps(request).encode() + b"\n")
                for line in lines:
                    with contextlib.suppress(ValueError, KeyError, TypeError):
                        data = json.loads(line)
                        if data["event"] == "done":
                            return
                        hear(ENGINE_EVENTS[data["event"]].from_dict(data))
        except OSError as error:
            hear(EngineError(self._number, f"The run cannot be reached: {error.strerror}.", "It may have ended."))

    def _connect(self) -> socket.socket:
        connection, path = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), paths.run_socket(self.folder)
        try:
            if not is_private(path.parent):
                raise PermissionError(errno.EPERM, "someone else can enter the folder of its socket")
            connection.connect(str(path))
        except OSError:
            connection.close()
            raise
        return connection

    def _vanished(self) -> RunEnded:
        try:
            with (self.folder / LOG).open("rb") as file:
                file.seek(0, os.SEEK_END)
                file.seek(max(0, file.tell() - LAST_BYTES))
                last = " ".join(file.read().decode("utf-8", "replace").split("\n")[-4:]).strip()
        except OSError:
            last = ""
        gone = "" if self.folder.is_dir() else " Its folder was removed."
        return RunEnded.failed(self.folder, f"The training process is gone.{gone} {last}".strip())

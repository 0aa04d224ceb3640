"""A training run as a separate process, which outlives the app that started it.

``python -m playground.training.child OPTIONS`` with OPTIONS a JSON object: ``config``, ``folder`` and ``resume``.
Events go to the folder's ``events.jsonl``; requests come through the socket `paths.run_socket`.
On SIGTERM or SIGINT it finishes the step, saves and exits; on a second one it exits at once.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import socketserver
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from playground import paths
from playground.disk import private_folder
from playground.environ import before_torch, uncollected
from playground.errors import PlaygroundError
from playground.events.engine import Ask, EngineEvent
from playground.events.requests import ENDINGS, VERBS, Request
from playground.events.runs import Event, RunEnded, RunStage
from playground.log import write_log
from playground.runs.folder import EventLog, RunLock
from playground.signals import leave_second_to_the_kernel, second_ends

STAGE_SECONDS = 0.5  # between two progress updates


def main() -> None:
    """Train until the end, or until asked to stop."""
    options = json.loads(sys.argv[1])
    folder = Path(options["folder"])
    try:
        lock = RunLock(
            folder, new=not options["resume"]
        )  # before anything else: another process's socket and events stay untouched
    except PlaygroundError as error:
        print(error.message, error.hint, file=sys.stderr)
        sys.exit(error.exit_code)
    before_torch()
    inbox = Inbox()
    log = _Log(folder)
    with lock, _heeding_signals(inbox):
        try:
            with _listen(folder, inbox):
                log.stage("starting PyTorch", 0.0)
                _train(options, folder, lock, inbox, log)
        except PlaygroundError as error:
            log.failed(f"{error.message} {error.hint}")
            sys.exit(error.exit_code)
        except Exception as error:  # noqa: BLE001 - process boundary: watchers get a line, the log the rest
            where = write_log(error)
            log.failed(f"Something unexpected happened: {type(error).__name__}: {error}. Details: {where}.")
            sys.exit(1)


def _train(options: dict[str, Any], folder: Path, lock: RunLock, inbox: Inbox, log: _Log) -> None:
    with uncollected():
        from playground.config import TrainConfig
        from playground.training.loop import train

    config = TrainConfig.from_dict(options["config"])
    events = train(
        config, folder, resume=options["resume"], stop=inbox.stopping, requests=inbox, progress=log.stage, lock=lock,
    )  # fmt: skip
    for event in events:
        log.seen(event)
        if inbox.ending == "cancel":
            events.close()  # nothing more is written
            log.write(RunEnded("cancelled", "cancelled", 0, None, str(folder), 0, 0.0, 0.0, 0.0, 0.0, 0.0))
            shutil.rmtree(folder, ignore_errors=True)
            return


@contextmanager
def _heeding_signals(inbox: Inbox) -> Iterator[None]:
    """Stop on the first SIGTERM or SIGINT, exit at once on the second, and ignore the end of the terminal."""
    heeded = (signal.SIGTERM, signal.SIGINT)
    for number in heeded:
        signal.signal(number, lambda *_: None)
        leave_second_to_the_kernel(number)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with second_ends(heeded, lambda number: inbox.end("stop")):
        yield


class Inbox:
    """Requests from the socket, taken by the training between two steps."""

    def __init__(self) -> None:
        self.ending = ""  # "stop" or "cancel" once the run is to end
        self._waiting: queue.Queue[Request | None] = queue.Queue()

    def put(self, request: Request) -> None:
        """Add a request.

        Raises:
            ValueError: If there is no such request.
        """
        if request.do not in VERBS:
            raise ValueError(request.do)
        self._waiting.put(request)

    def end(self, how: str) -> None:
        """End the run: "stop" keeps everything, "cancel" nothing."""
        self.ending = how
        self._waiting.put(None)  # wakes a run that waits

    def stopping(self) -> bool:
        """Return whether the run is to end."""
        return bool(self.ending)

    def next(self, *, wait: bool) -> Request | None:
        """Return the next request; None if there is none, or, when waiting, if the run is to stop."""
        if self.ending:
            return None
        try:
            return self._waiting.get(block=wait)
        except queue.Empty:
            return None

    def cancelled(self, number: int) -> bool:
        """Return whether an answer is no longer wanted, which is when the run is to stop."""
        return self.stopping()


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    inbox: Inbox


class _Handler(socketserver.StreamRequestHandler):
    """One connection: a line in, an answer or ``ok`` out."""

    def handle(self) -> None:
        assert isinstance(self.server, _Server)
        inbox = self.server.inbox
        for line in self.rfile:
            try:
                data = json.loads(line)
                do = data["do"]
                if do in ENDINGS:
                    inbox.end(do)
                elif do == "ask":
                    self._ask(inbox, int(data["id"]), Ask.from_dict(data["ask"]))
                    continue
                else:
                    inbox.put(Request(do))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                print(f"not a request: {line[:200]!r}: {error!r}", file=sys.stderr, flush=True)
                return
            self.wfile.write(b"ok\n")

    def _ask(self, inbox: Inbox, number: int, ask: Ask) -> None:
        done = threading.Event()

        def tell(event: EngineEvent | None) -> None:
            with suppress(OSError):  # the client is gone; others read the events
                self.wfile.write(event.to_json().encode() + b"\n" if event else b'{"event": "done"}\n')
            if event is None:
                done.set()

        inbox.put(Request("ask", number, ask, tell))
        while not done.wait(0.5) and not inbox.ending:
            pass


def _listen(folder: Path, inbox: Inbox) -> _Server:
    path = paths.run_socket(folder)
    private_folder(path.parent)
    path.unlink(missing_ok=True)  # left by a killed process: this one holds the run's lock
    before = os.umask(0o177)  # a socket gets its mode when it is bound
    try:
        server = _Server(str(path), _Handler)
    finally:
        os.umask(before)
    server.inbox = inbox
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class _Log:
    """The run's events while the training itself does not write them: before its folder is open."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ended = False
        self._told = ("", 0.0)

    def seen(self, event: Event) -> None:
        """Note what the training wrote."""
        self._ended = self._ended or event.terminal

    def stage(self, stage: str, share: float) -> None:
        """Report the progress of loading, not too often."""
        now = time.monotonic()
        if stage != self._told[0] or now - self._told[1] > STAGE_SECONDS:
            self._told = (stage, now)
            self.write(RunStage(stage, round(share, 3)))

    def failed(self, reason: str) -> None:
        """Write the terminal event, unless the training has."""
        if not self._ended:
            self.write(RunEnded.failed(self._folder, reason))

    def write(self, event: Event) -> None:
        """Append an event."""
        with suppress(OSError), closing(EventLog(self._folder)) as log:
            log.write(event)


if __name__ == "__main__":
    main()

"""The engine as a separate process: requests as JSON lines on standard input, events on standard output.

``python -m playground.inference.child OPTIONS`` with OPTIONS a JSON object, as `service.serve` takes it. It
ends when its standard input does, so it cannot outlive the app; ``{"do": "cancel", "id": 1}`` cancels an answer.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, TextIO

from playground.environ import uncollected
from playground.events.engine import EngineError, EngineEvent, EngineStage
from playground.jobs import border

NICE = 5  # the screen has priority: it needs little, and a key must not wait for a token
REQUESTS = ("answer", "why", "use", "list")


def main() -> None:
    """Serve requests until standard input ends."""
    began = time.monotonic()
    os.nice(NICE)

    def work(send: Callable[[EngineEvent], None]) -> None:
        requests = _Requests(sys.stdin)
        send(EngineStage("starting PyTorch", 0.0))
        with uncollected():
            from playground.inference.service import serve

        serve(requests, json.loads(sys.argv[1]), send, began)

    border.run(work, lambda message, hint: EngineError(-1, message, hint))


class _Requests:
    """Requests in order; a cancellation is seen while the one before it is being answered."""

    def __init__(self, stream: TextIO) -> None:
        self._waiting: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._cancelled: set[int] = set()
        self._ended = False
        threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream: TextIO) -> None:
        for line in stream:
            try:
                request = json.loads(line)
                if request["do"] == "cancel":
                    self._cancelled.add(int(request["id"]))
                elif request["do"] in REQUESTS:
                    self._waiting.put(request)
                else:
                    raise ValueError
            except (ValueError, KeyError, TypeError):
                print(f"not a request: {line[:200]!r}", file=sys.stderr)
        self._ended = True
        self._waiting.put(None)

    def next(self) -> dict[str, Any] | None:
        """Return the next request that was not cancelled meanwhile, or None at the end of the stream."""
        while (request := self._waiting.get()) is not None:
            if request.get("id") not in self._cancelled:
                return request
        return None

    def cancelled(self, number: int) -> bool:
        """Return whether the request of this number has been cancelled, or the stream has ended."""
        return self._ended or number in self._cancelled


if __name__ == "__main__":
    main()

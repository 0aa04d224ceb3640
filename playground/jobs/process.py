"""A child process that reads requests from standard input and writes events to standard output, line by line."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import count
from typing import Any, ClassVar, TypeVar

from playground.events.values import Json

LAST_WORDS = 20  # lines of standard error that are kept
GRACE = 0.15  # seconds; quitting should take half a second in total
KILLED_SECONDS = 5.0  # until a killed process is gone, unless its device's driver does not let it go
E = TypeVar("E", bound=Json)


class LineChild:
    """A child of this process, spawned immediately; it exits when its input ends.

    Args:
        module: The module to run.
        options: Passed to it as JSON.
    """

    # Of all children: what one is told to cancel, or says late, never meets a request of the one that replaced it.
    _numbers: ClassVar = count(1)

    def __init__(self, module: str, options: Mapping[str, Any]) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", module, json.dumps(options)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8",
            errors="replace", start_new_session=True,
        )  # fmt: skip
        self.last_words: deque[str] = deque(maxlen=LAST_WORDS)
        self.exit_code: int | None = None

    def said(self, kinds: Mapping[str, type[E]]) -> Iterator[E]:
        """Yield its events until it exits; then `exit_code` is set. To be read in a separate thread."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        errors = self._process.stderr
        reader = threading.Thread(target=lambda: self.last_words.extend(errors), daemon=True)
        reader.start()
        for line in self._process.stdout:
            try:
                data = json.loads(line)
                event = kinds[data["event"]].from_dict(data)
            except (ValueError, KeyError, TypeError):
                self.last_words.append(f"not an event: {line[:200]}")
                continue
            yield event
        self.exit_code = self._process.wait()
        reader.join(1)

    def request(self, do: str, **what: Any) -> int:
        """Send a request that is answered; return the number that its events carry."""
        number = next(self._numbers)
        self.write({"do": do, "id": number, **what})
        return number

    def why_it_ended(self, name: str) -> str:
        """Return in words how this child ended, and its last words; empty if it ended as it should."""
        if not self.exit_code:
            return ""
        how = f"exited with code {self.exit_code}"
        if self.exit_code < 0:
            how = f"was killed by signal {-self.exit_code}"
            how += ", probably out of memory" if self.exit_code == -9 else ""
        last = " ".join(self.last_words).strip()[-500:]
        return f"{name} {how}. {last}".strip()

    def write(self, request: Mapping[str, Any]) -> None:
        """Send a request; if the child is gone, the request is lost and `said` ends."""
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError):
            return

    def close(self, grace: float = GRACE) -> bool:
        """Close the child's input; if it is still running after `grace` seconds, kill it.

        Return whether it is gone, and with it all that it held: what waits for a driver outlives being killed.
        """
        if self._process.stdin:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(grace)
        except subprocess.TimeoutExpired:
            self._process.kill()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(KILLED_SECONDS)
        return self._process.returncode is not None

"""The engine child, as the app sees it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from playground.events import ENGINE_EVENTS, Ask, EngineError, EngineEvent

LAST_WORDS = 20  # lines of standard error that are kept


class EngineProcess:
    """The engine child, spawned at once; it says what it does from its first moment.

    Args:
        adapter: The adapter's name or folder, or None for the newest.
        adapters_dir: Where adapters are, or None for the usual place.
        model: The base, or None for the adapter's own.
        bare: Load the model without an adapter.
    """

    def __init__(
        self,
        adapter: str | None = None,
        adapters_dir: str | None = None,
        model: str | None = None,
        *,
        bare: bool = False,
    ) -> None:
        options = json.dumps({"adapter": adapter, "adapters_dir": adapters_dir, "model": model, "bare": bare})
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "playground.inference.child", options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8",
            errors="replace", start_new_session=True,
        )  # fmt: skip
        self._number = 0

    def ask(self, ask: Ask) -> int:
        """Ask for answers; return the number that their events carry."""
        self._number += 1
        self._write({"do": "answer", "id": self._number, "ask": ask.to_dict()})
        return self._number

    def use(self, adapter: str | None, style: str | None = None) -> None:
        """Change to another adapter of the same base, or to another style; None is the one there, or its own."""
        self._write({"do": "use", "adapter": adapter, "style": style})

    def list(self) -> None:
        """Ask for `Choices` again."""
        self._write({"do": "list"})

    def cancel(self, number: int) -> None:
        """Stop a request; what was said so far comes as its answer."""
        self._write({"do": "cancel", "id": number})

    def events(self) -> Iterator[EngineEvent]:
        """Yield events until the child ends. To be read in a thread of its own.

        An end that nobody asked for comes as a last `EngineError` with the exit code and the last words.
        """
        import threading

        words: deque[str] = deque(maxlen=LAST_WORDS)
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        errors = self._process.stderr
        reader = threading.Thread(target=lambda: words.extend(errors), daemon=True)
        reader.start()
        failed = False
        for line in self._process.stdout:
            try:
                data = json.loads(line)
                event = ENGINE_EVENTS[data["event"]].from_dict(data)
            except (ValueError, KeyError, TypeError):
                words.append(f"not an event: {line[:200]}")
                continue
            failed = failed or (isinstance(event, EngineError) and event.request == -1)
            yield event
        code = self._process.wait()
        reader.join(1)
        if code and not failed:
            last = " ".join(words).strip()[-500:]
            yield EngineError(-1, f"The engine ended with {code}. {last}", "Start it again with F5.")

    def close(self, grace: float = 0.3) -> None:
        """End the child: its input ends, and if it is still there after `grace` seconds it is killed."""
        if self._process.stdin:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(grace)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def _write(self, request: dict[str, Any]) -> None:
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError):
            return  # it is gone, and `events` says so

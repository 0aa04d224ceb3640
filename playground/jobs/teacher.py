"""The teacher child from the app's side: one row, and a scratch adapter that learns it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from playground.events.contrast import AnalysisEvent
from playground.events.five_steps import TEACHER_EVENTS, Lesson, TeacherError
from playground.jobs.process import LineChild


class TeacherProcess(LineChild):
    """The teacher child. Each request returns its number, with which `Served` says that it is done.

    Args:
        adapters_dir: The folder of the adapters, or None for the default.
    """

    def __init__(self, adapters_dir: str | None = None) -> None:
        super().__init__("playground.analysis.child", {"adapters_dir": adapters_dir})
        self._number = 0

    def open(self, lesson: Lesson) -> int:
        """Load the base, put a scratch adapter on it, and look at the row."""
        return self._ask("open", lesson=lesson.to_dict())

    def row(self, lesson: Lesson) -> int:
        """Teach another row from here on; only the row of `lesson` is read."""
        return self._ask("row", lesson=lesson.to_dict())

    def step(self) -> int:
        """Take one optimiser step."""
        return self._ask("step")

    def undo(self) -> int:
        """Take the last step back."""
        return self._ask("undo")

    def mask(self, *, masked: bool) -> int:
        """Let only answers carry loss, or every token, as in pre-training."""
        return self._ask("mask", masked=masked)

    def rate(self, learning_rate: float) -> int:
        """Take the next steps with this learning rate."""
        return self._ask("rate", learning_rate=learning_rate)

    def restart(self, adapter: str) -> int:
        """Begin again, from a copy of this adapter or, if empty, from nothing."""
        return self._ask("restart", adapter=adapter)

    def events(self) -> Iterator[AnalysisEvent]:
        """Yield its events until it exits. To be read in a separate thread."""
        failed = False
        for event in self.said(TEACHER_EVENTS):
            failed = failed or (isinstance(event, TeacherError) and event.request == -1)
            yield event
        if self.exit_code and not failed:
            last = " ".join(self.last_words).strip()[-500:]
            how = f"exited with code {self.exit_code}"
            if self.exit_code < 0:
                how = f"was killed by signal {-self.exit_code}"
                how += ", probably out of memory" if self.exit_code == -9 else ""
            yield TeacherError(-1, f"The process that computes this {how}. {last}".strip(), "Reopen this screen.")

    def _ask(self, do: str, **what: Any) -> int:
        self._number += 1
        self.write({"do": do, "id": self._number, **what})
        return self._number

"""The teacher child from the app's side: one row, and a scratch adapter that learns it."""

from __future__ import annotations

from collections.abc import Iterator

from playground.events.answers import Sampling
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

    def open(self, lesson: Lesson) -> int:
        """Load the base, put a scratch adapter on it, and look at the row."""
        return self.request("open", lesson=lesson.to_dict())

    def row(self, lesson: Lesson) -> int:
        """Teach another row from here on; only the row of `lesson` is read."""
        return self.request("row", lesson=lesson.to_dict())

    def step(self) -> int:
        """Take one optimiser step."""
        return self.request("step")

    def undo(self) -> int:
        """Take the last step back."""
        return self.request("undo")

    def mask(self, *, masked: bool) -> int:
        """Let only answers carry loss, or every token, as in pre-training."""
        return self.request("mask", masked=masked)

    def rate(self, learning_rate: float) -> int:
        """Take the next steps with this learning rate."""
        return self.request("rate", learning_rate=learning_rate)

    def restart(self, adapter: str) -> int:
        """Begin again, from a copy of this adapter or, if empty, from nothing."""
        return self.request("restart", adapter=adapter)

    def ask(self, prompt: str, sampling: Sampling, *, draws: int, base: bool) -> int:
        """Answer a prompt with the scratch adapter as it is, `draws` times, and with the base if wanted."""
        return self.request("ask", prompt=prompt, sampling=sampling.to_dict(), draws=draws, base=base)

    def events(self) -> Iterator[AnalysisEvent]:
        """Yield its events until it exits. To be read in a separate thread."""
        failed = False
        for event in self.said(TEACHER_EVENTS):
            failed = failed or (isinstance(event, TeacherError) and event.request == -1)
            yield event
        if (ended := self.why_it_ended("The process that computes this")) and not failed:
            yield TeacherError(-1, ended, "Reopen this screen.")

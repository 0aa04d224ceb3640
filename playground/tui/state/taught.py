"""What is known of a row that is taught: built from the teacher's events. Independent of widgets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual.message import Message
from textual.screen import Screen

from playground.events.contrast import AnalysisEvent
from playground.events.five_steps import Backward, Forward, RowOpened, Served, TeacherError, Updated

MOST_WAITING = 8  # steps that may wait for the ones before them
RATES = (1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3)  # learning rates to play with


class Taught:
    """A row, what was expected before and after each step, and the steps.

    Attributes:
        row: The row; None until it is open.
        history: What was expected at the first step with this row and mask, after it, and so on.
        backwards: The gradient of each step that was not undone.
        updates: Those steps, and the last one if it could not be taken.
    """

    def __init__(self) -> None:
        self.row: RowOpened | None = None
        self.history: list[Forward] = []
        self.backwards: list[Backward] = []
        self.updates: list[Updated] = []

    @property
    def step(self) -> int:
        """Steps taken and not undone."""
        return self.history[-1].step if self.history else 0

    @property
    def next_rate(self) -> float:
        """The learning rate that follows the current one; after the largest comes the smallest."""
        now = self.row.learning_rate if self.row is not None else 0.0
        return next((rate for rate in RATES if rate > now * 1.001), RATES[0])

    def hear(self, event: AnalysisEvent) -> None:
        """Keep what an event says."""
        match event:
            case RowOpened():
                if self.row is None or (self.row.row, self.row.masked) != (event.row, event.masked):
                    self.history = []  # of other tokens
                self.row = event
            case Forward():
                # Steps that were undone are forgotten; one that could not be taken was not undone.
                self.history = [*(seen for seen in self.history if seen.step < event.step), event]
                self.backwards = [step for step in self.backwards if step.step <= event.step]
                self.updates = [step for step in self.updates if step.step <= event.step or not step.finite]
            case Backward():
                self.updates = [step for step in self.updates if step.step < event.step]
                self.backwards = [*(step for step in self.backwards if step.step < event.step), event]
            case Updated():
                self.updates.append(event)


class TeacherSaid(Message):
    """An event from a teacher."""

    def __init__(self, event: AnalysisEvent) -> None:
        super().__init__()
        self.event = event


class Teaching:
    """The teacher of a screen, and the requests that it has not served yet.

    Args:
        start: Starts a teacher; called immediately.
        owner: The screen that gets a `TeacherSaid` for each event and passes it to `heard`.

    Attributes:
        alive: Whether the teacher has not ended.
    """

    def __init__(self, start: Callable[[], Any], owner: Screen[Any]) -> None:
        self.alive = True
        self._teacher, self._owner = start(), owner
        self._waiting: set[int] = set()  # the numbers of requests that are not served yet

    @property
    def busy(self) -> bool:
        """Whether a request is being served."""
        return self.alive and bool(self._waiting)

    @property
    def full(self) -> bool:
        """Whether no other request should be made: enough are waiting."""
        return self.alive and len(self._waiting) > MOST_WAITING

    def listen(self) -> None:
        """Begin to pass on the teacher's events; the owner is mounted now."""
        self._owner.run_worker(self._follow, thread=True)

    def _follow(self) -> None:
        for event in self._teacher.events():
            if not self._owner.app.is_running:
                return
            self._owner.post_message(TeacherSaid(event))

    def ask(self, what: str, *args: Any, **named: Any) -> int:
        """Make a request by its name; return its number."""
        number: int = getattr(self._teacher, what)(*args, **named)
        self._waiting.add(number)
        return number

    def heard(self, event: AnalysisEvent) -> None:
        """Keep what an event says about the teacher."""
        if isinstance(event, Served):
            self._waiting.discard(event.request)
        elif isinstance(event, TeacherError) and event.request == -1:
            self.alive = False

    def close(self) -> None:
        """End the teacher with its screen."""
        self._teacher.close()

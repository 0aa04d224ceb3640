"""How far a learner is in the lesson: predictions, and what the teacher said for each page. Independent of widgets."""

from __future__ import annotations

from dataclasses import dataclass, field

from playground.events.contrast import AnalysisEvent
from playground.events.five_steps import Lesson, Served, TeacherError
from playground.report.learn import PAGES, Page
from playground.report.learn_rules import Outcome, Seen
from playground.tui.state.taught import Teaching


@dataclass
class Visit:
    """A page that was opened.

    Attributes:
        page: The page.
        seen: What the teacher said for it.
        waiting: The requests that it has not served yet.
        predicted: The choice of the learner; None if there is none yet, or none was wanted.
        shown: Whether the learner wants to see what came out.
        error: Why the page cannot be shown.
    """

    page: Page
    seen: Seen = field(default_factory=Seen)
    waiting: set[int] = field(default_factory=set)
    predicted: int | None = None
    shown: bool = False
    error: str = ""

    @property
    def measured(self) -> bool:
        """Whether everything that the page wants was computed."""
        return not self.waiting and not self.error

    @property
    def outcome(self) -> Outcome | None:
        """What the model makes of the page, once that is known and wanted."""
        return self.page.judge(self.seen) if self.shown and self.measured else None

    @property
    def can_predict(self) -> bool:
        """Whether a prediction can be made: what is to be judged is on the screen, and the outcome is not."""
        return not self.shown and (self.page.before is None or self.measured)


class Learning:
    """The pages of the lesson, one after the other.

    Args:
        teaching: The teacher; a page's requests are made when it is opened, and only then.
        lesson: The adapter and the options that the lesson is about.

    Attributes:
        at: The index of the open page.
    """

    def __init__(self, teaching: Teaching, lesson: Lesson) -> None:
        self._teaching, self._lesson = teaching, lesson
        self._visits: list[Visit] = []
        self.at = -1
        self.next()

    @property
    def now(self) -> Visit:
        """The open page."""
        return self._visits[self.at]

    @property
    def length(self) -> int:
        """How many pages there are."""
        return len(PAGES)

    @property
    def is_last(self) -> bool:
        """Whether the open page is the last one."""
        return self.at == self.length - 1

    def next(self) -> None:
        """Open the next page; one that was opened before is as it was."""
        self.at += 1
        if self.at == len(self._visits):
            visit = Visit(PAGES[self.at])
            self._visits.append(visit)
            if not self._teaching.alive:
                visit.error = "The process that computes this has ended. Esc leaves the lesson."
                return
            for what, arguments in visit.page.wants(self._lesson):
                visit.waiting.add(self._teaching.ask(what, **arguments))

    def back(self) -> None:
        """Open the page before, if there is one."""
        self.at = max(0, self.at - 1)

    def hear(self, event: AnalysisEvent) -> None:
        """Keep what an event says; requests are served in the order in which they were made."""
        match event:
            case Served(request):
                for visit in self._visits:
                    visit.waiting.discard(request)
            case TeacherError(request):
                failed = [
                    visit for visit in self._visits if request in visit.waiting or (request == -1 and visit.waiting)
                ]
                for visit in failed:
                    visit.error = visit.error or f"{event.message.rstrip('.')}. {event.hint}"
            case _:
                served = next((visit for visit in self._visits if visit.waiting), None)
                if served is not None:
                    served.seen.hear(event)

"""What can be asked of a training between two steps. None of it changes what is learned."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from playground.errors import PlaygroundError
from playground.events.engine import Ask, EngineError, EngineEvent, Spoken
from playground.events.runs import Continued, Event, Paused, Replied
from playground.inference.lineup import Lineup, Side
from playground.inference.service import answer
from playground.models.lanes import Row
from playground.training.session import ADAPTER, Session


@dataclass(frozen=True, slots=True)
class Request:
    """``pause``, ``continue``, ``sample_now``, ``save_now`` or ``ask``.

    Of an ``ask``, `tell` hears the answers as they come, and None behind the last.
    """

    do: str
    number: int = 0
    ask: Ask | None = None
    tell: Callable[[EngineEvent | None], None] = lambda event: None


class Requests(Protocol):
    """Where requests come from."""

    def next(self, *, wait: bool) -> Request | None:
        """Return the next request; None if there is none, or, when waiting, if the run is to stop."""
        ...

    def cancelled(self, number: int) -> bool:
        """Return whether an answer is no longer wanted, or the run is to stop."""
        ...


class NoRequests:
    """Nobody asks anything."""

    def next(self, *, wait: bool) -> Request | None:
        """Return None."""
        return None

    def cancelled(self, number: int) -> bool:
        """Return False."""
        return False


def serve(
    session: Session, requests: Requests, sample: Callable[[], Iterator[Event]], save: Callable[[], Iterator[Event]]
) -> Iterator[Event]:
    """Do what was asked since the last step; while paused, wait for more.

    Args:
        session: The training.
        requests: What is asked.
        sample: Answers the fixed prompts.
        save: Writes a checkpoint.
    """
    paused = False
    while (request := requests.next(wait=paused)) is not None:
        match request.do:
            case "pause" if not paused:
                paused = True
                yield Paused(session.state.step)
            case "continue" if paused:
                paused = False
                yield Continued(session.state.step)
            case "sample_now":
                yield from sample()
            case "save_now":
                yield from save()
            case "ask" if request.ask is not None:
                yield from _reply(session, request, requests)
    if paused:  # it is to stop
        yield Continued(session.state.step)


def _reply(session: Session, request: Request, requests: Requests) -> Iterator[Event]:
    assert request.ask is not None
    encoder = session.encoder
    sides = (Side("base", Row(), None), Side("control", Row(), encoder), Side("sft", Row(ADAPTER), encoder))
    lineup = Lineup(session.engine, sides, ("",), (None,), encoder)
    answers = {}

    def hear(event: EngineEvent) -> None:
        if isinstance(event, Spoken) and event.answer is not None:
            answers[event.lane] = event.answer
        request.tell(event)

    try:
        answer(lineup, request.number, request.ask, hear, requests)
    except PlaygroundError as error:
        request.tell(EngineError(request.number, error.message, error.hint))
        return
    finally:
        request.tell(None)
    yield Replied(session.state.step, request.ask.lanes[0].texts[-1], answers)

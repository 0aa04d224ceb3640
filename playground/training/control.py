"""Requests to a training run between two steps. None of them changes what is learned."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from playground.errors import PlaygroundError
from playground.events.engine import EngineError, Spoken
from playground.events.requests import Request
from playground.events.runs import Continued, Event, Paused, Replied
from playground.inference.lineup import Lineup, Side
from playground.inference.service import answer
from playground.models.lanes import Blend
from playground.models.memory import naming_memory
from playground.training.setup import ADAPTER, Training


class Requests(Protocol):
    """Where requests come from."""

    def next(self, *, wait: bool) -> Request | None:
        """Return the next request; None if there is none, or, when waiting, if the run is to stop."""
        ...

    def cancelled(self, number: int) -> bool:
        """Return whether an answer is no longer wanted, or the run is to stop."""
        ...


class NoRequests:
    """A source without requests."""

    def next(self, *, wait: bool) -> Request | None:
        """There are none."""
        return None

    def cancelled(self, number: int) -> bool:
        """Nothing is cancelled, as nothing was requested."""
        return False


def serve(training: Training, requests: Requests, sample: Callable[[], Event]) -> Iterator[Event]:
    """Serve the requests made since the last step; while paused, wait for more.

    Args:
        training: The training run.
        requests: The source of the requests.
        sample: Answers the fixed prompts.
    """
    paused = False
    while (request := requests.next(wait=paused)) is not None:
        match request.do:
            case "pause" if not paused:
                paused = True
                yield Paused(training.state.step)
            case "continue" if paused:
                paused = False
                yield Continued(training.state.step)
            case "sample_now":
                yield sample()
            case "ask" if request.ask is not None:
                yield from _reply(training, request, requests)
    if paused:  # the run is to stop
        yield Continued(training.state.step)


def _reply(training: Training, request: Request, requests: Requests) -> Iterator[Event]:
    assert request.ask is not None
    encoder = training.encoder
    sides = (Side("base", Blend(), None), Side("control", Blend(), encoder), Side("sft", Blend(ADAPTER), encoder))
    lineup = Lineup(training.engine, sides, ("",), (None,), encoder, ("",))
    answers = {}
    try:
        with naming_memory("answering"):
            for event in answer(lineup, request.number, request.ask, requests):
                if isinstance(event, Spoken) and event.answer is not None:
                    answers[event.lane] = event.answer
                request.tell(event)
    except PlaygroundError as error:
        request.tell(EngineError(request.number, error.message, error.hint))
        return
    finally:
        request.tell(None)
    yield Replied(training.state.step, request.ask.lanes[0].texts[-1], answers)

"""Trying another adapter strength: the last prompt is asked again while the slider moves."""

from __future__ import annotations

from collections.abc import Iterable

from textual.screen import Screen
from textual.timer import Timer

from playground.events.engine import LaneRequest, Spoken
from playground.tui.state.engine import EngineController
from playground.tui.state.session import Session
from playground.tui.widgets.panes import Panes

WAIT_SECONDS = 0.3  # after the last change


class Trial:
    """What the adapter would have said at the slider's strength, in place of its answer.

    A trial is no exchange: it is not saved, continues no conversation, and ends with the next prompt.

    Args:
        screen: Keeps the time.
        session: The round whose prompt is asked again.
        engine: Answers.
    """

    def __init__(self, screen: Screen[None], session: Session, engine: EngineController) -> None:
        self._screen, self._session, self._engine = screen, session, engine
        self._timer: Timer | None = None
        self._request = 0  # of the trial that is wanted; 0 is none
        self._awaited: set[str] = set()  # the lanes of which nothing has come yet
        self._writing: set[str] = set()  # the lanes that have not ended
        self._shown = False  # whether a trial has replaced an answer on screen

    @property
    def shown(self) -> bool:
        """Whether a trial has replaced an answer on screen."""
        return self._shown

    def moved(self) -> None:
        """The strength has changed: try it once it stays as it is; at the round's own, show the answers again."""
        self._cancel()
        now = self._session.round
        if self._session.trial() is not None:
            self._timer = self._screen.set_timer(WAIT_SECONDS, self._ask)
        elif self._shown and now is not None:
            self._shown = False
            self._screen.query_one(Panes).finish(now, _adapted(now.lanes))

    def end(self) -> None:
        """Another prompt or another adapter comes: want no trial any longer."""
        self._cancel()
        self._shown = False

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        if self._writing:
            self._engine.cancel(self._request)
        self._timer, self._request = None, 0
        self._writing.clear()

    def _ask(self) -> None:
        ask = self._session.trial()
        if ask is not None and self._engine.loaded:
            self._writing = {lane.name for lane in _adapted(ask.lanes)}
            self._awaited = set(self._writing)
            self._request = self._engine.ask(ask)

    def heard(self, event: Spoken) -> bool:
        """Show a trial's text; return False if the event belongs to something else."""
        now = self._session.round
        if not self._request or event.request != self._request or now is None:
            return False
        pane = self._screen.query_one(Panes).of(event.lane)
        if pane is None or event.lane not in self._writing:
            return True  # the base, whose answer depends on no strength
        if event.lane in self._awaited:
            self._awaited.discard(event.lane)
            self._shown = True
            pane.try_again(now.answers[event.lane], self._session.strength)
        if event.answer is None:
            pane.say(event.text, event.num_tokens, event.seconds)
            return True
        pane.end(event.answer, event.seconds)
        self._writing.discard(event.lane)
        if not self._writing:
            self._engine.cancel(event.request)  # nothing waits for the base
        return True


def _adapted(lanes: Iterable[LaneRequest]) -> list[LaneRequest]:
    return [lane for lane in lanes if lane.side.startswith("sft")]

"""The panes of a session, one for each lane, in the order of the round."""

from __future__ import annotations

from collections.abc import Iterable

from textual.app import ComposeResult
from textual.containers import Horizontal

from playground.events.engine import LaneRequest
from playground.tui.state.session import LETTERS, Round, Session
from playground.tui.strings import EMPTY, NO_ADAPTER
from playground.tui.widgets.pane import Pane

NARROW = 100  # columns; in narrower windows, panes are stacked


class Panes(Horizontal):
    """Shows a session; the round decides the order of the lanes."""

    def __init__(self, session: Session) -> None:
        super().__init__(id="panes")
        self._session = session
        self._panes = [Pane(number) for number in range(len(LETTERS))]  # the maximum number

    def compose(self) -> ComposeResult:
        yield from self._panes

    @property
    def shown(self) -> list[Pane]:
        """The panes that are on screen, in order."""
        return [pane for pane in self._panes if pane.display]

    def fit(self, width: int) -> None:
        """Stack the panes when the window is too narrow."""
        self.set_class(width < NARROW, "stacked")

    def of(self, lane: str) -> Pane | None:
        """Return the pane of the round's lane with this name, or None."""
        lanes = self._session.round.lanes if self._session.round else ()
        return next((pane for pane, asked in zip(self._panes, lanes, strict=False) if asked.name == lane), None)

    def begin(self, now: Round) -> None:
        """Prepare the panes for a round's answers."""
        self.dress()
        for pane, lane in zip(self.shown, now.lanes, strict=True):
            pane.begin(lane.texts, now.strength)

    def finish(self, now: Round, lanes: Iterable[LaneRequest]) -> None:
        """Show answers of a round that has ended, from their beginnings."""
        for lane in lanes:
            if pane := self.of(lane.name):
                pane.begin(lane.texts, now.strength)
                if now.fed is not None:
                    pane.fed(now.fed, lane.name)
                pane.end(now.answers[lane.name], now.seconds[lane.name])

    def dress(self) -> None:
        """Assign each pane its side: from the current round, or from the next one."""
        now, session = self._session.round, self._session
        if now is not None:
            dressed = [("hidden" if now.hidden else lane.side, _title(now, n)) for n, lane in enumerate(now.lanes)]
        elif session.mode == "open":
            dressed = [(side, side) for side in session.sides()]
        else:
            count = session.duel_lanes if session.mode == "duel" else 2
            dressed = [("hidden" if session.mode == "blind" else "sft", LETTERS[n]) for n in range(count)]
        focused = self.screen.focused
        for n, pane in enumerate(self._panes):
            if n >= len(dressed) and focused is not None and pane in focused.ancestors:
                self.screen.set_focus(self.shown[0].query_one(".said"))
            pane.display = n < len(dressed)
            if pane.display:
                pane.dress(*dressed[n])
                if now is None:
                    pane.empty(EMPTY[dressed[n][0]] if session.has_sft or n == 0 else NO_ADAPTER)


def _title(now: Round, number: int) -> str:
    lane = now.lanes[number]
    if now.mode == "open":
        return lane.name
    won = " ★" if now.vote == lane.name else ""
    return f"{LETTERS[number]}{'' if now.hidden or now.mode == 'duel' else f' · {lane.side}'}{won}"

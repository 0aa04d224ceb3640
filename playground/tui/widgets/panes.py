"""The panes of a session, one for each lane, in the order of the round."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal

from playground.events.engine import LaneRequest
from playground.report.lens import ends_of_base, ends_of_sft
from playground.tui.state.session import LETTERS, MAX_ADAPTERS, Round, Session, side_words
from playground.tui.strings import EMPTY, NO_ADAPTER
from playground.tui.widgets.pane import Pane

View = Literal["raw", "Markdown", "differences"]
CURVE = 16  # columns of the curve of an end's probability
FIRST = 2  # panes that a start shows
NARROW = 100  # columns; in narrower windows, panes are stacked
SINGLE = 60  # columns; in narrower windows one pane is open, and of the others only title and state are shown


class Panes(Horizontal):
    """Shows a session; the round decides the order of the lanes."""

    def __init__(self, session: Session) -> None:
        super().__init__(id="panes")
        self._session = session
        self._panes = [Pane(number) for number in range(2 + MAX_ADAPTERS)]  # base, control and adapters

    def compose(self) -> ComposeResult:
        yield from self._panes[:FIRST]

    def on_mount(self) -> None:
        """Add the panes that no start shows, after the first paint: each takes 20 ms."""
        self.call_after_refresh(self._add_the_others)

    async def _add_the_others(self) -> None:
        for pane in self._panes[FIRST:]:
            pane.display = False
        await self.mount_all(self._panes[FIRST:])
        if len(self._wanted()) > FIRST:
            self.dress()
            if (now := self._session.shown) is not None:  # asked before there were panes for all of its lanes
                for pane, lane in list(zip(self.shown, now.lanes, strict=True))[FIRST:]:
                    pane.begin(lane.texts, now.strength)
                self.finish(now, [lane for lane in now.lanes[FIRST:] if lane.name in now.answers])

    @property
    def shown(self) -> list[Pane]:
        """The panes that are on screen, in order."""
        return [pane for pane in self._panes if pane.display and pane.is_mounted]

    def fit(self, width: int) -> None:
        """Stack the panes when the window is too narrow, or open only one."""
        self.set_class(width < NARROW, "stacked")
        self.set_class(width < SINGLE, "single")
        if not self.query(".pane.open"):
            self._open(self._panes[0])

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Open the pane that Tab has reached."""
        self._open(next(pane for pane in self._panes if pane in event.widget.ancestors))

    def on_pane_clicked(self, event: Pane.Clicked) -> None:
        """Open a pane."""
        self._open(event.pane)

    def _open(self, pane: Pane) -> None:
        for each in self._panes:
            each.set_class(each is pane, "open")

    def of(self, lane: str) -> Pane | None:
        """Return the pane of the round's lane with this name, or None."""
        lanes = self._session.shown.lanes if self._session.shown else ()
        return next((pane for pane, asked in zip(self.shown, lanes, strict=False) if asked.name == lane), None)

    def begin(self, now: Round) -> None:
        """Prepare the panes for a round's answers."""
        self.dress()
        for pane, lane in zip(self.shown, now.lanes, strict=False):  # early, some panes are still to come
            pane.begin(lane.texts, now.strength)

    def show_as(self, view: View) -> None:
        """Show finished answers raw, as Markdown, or with the words marked that another adapter's answer lacks.

        The answers of several adapters are compared with the first one's, and that one with the second's.
        """
        adapted = [pane for pane in self.shown if pane.kind == "sft"]
        others = [adapted[1].text, *[adapted[0].text] * (len(adapted) - 1)] if len(adapted) > 1 else []
        for pane in self._panes:
            if pane.is_mounted:
                pane.show_markdown(view == "Markdown")
        for pane, other in zip(adapted, others, strict=False):
            pane.compare(other if view == "differences" else None)

    def explain(self, now: Round) -> None:
        """Show what was found out about a round's answers: where each could have ended."""
        if (found := now.looked) is None:
            return
        base = next((lane.name for lane in now.lanes if lane.side == "base"), "")
        if (pane := self.of(base)) and found.walk is not None:
            walk = found.walk
            said = "".join(walk.texts[: walk.ends_after or 0]).rstrip()  # a mark after a line break would seem astray
            fits = walk.ends_after is not None and now.answers[base].text.startswith(said)
            curve, cut = ends_of_base(walk, CURVE)
            pane.explain(f"{cut}\n{curve}", len(said) if fits else None)  # low panes show only the first line
        if pane := self.of(found.why.lane):
            pane.explain(ends_of_sft(found.lens, CURVE))

    def finish(self, now: Round, lanes: Iterable[LaneRequest]) -> None:
        """Show answers of a round that has ended, from their beginnings."""
        for lane in lanes:
            if pane := self.of(lane.name):
                pane.begin(lane.texts, now.strength)
                if now.fed is not None:
                    pane.fed(now.fed, lane.name)
                pane.end(now.answers[lane.name], now.seconds[lane.name])
        self.explain(now)

    def _wanted(self) -> list[tuple[str, str]]:
        """Return the kind and the title of each pane that the session shows."""
        now, session = self._session.shown, self._session
        if now is not None:
            return [("hidden" if now.hidden else _kind(lane.side), _title(now, n)) for n, lane in enumerate(now.lanes)]
        if session.mode == "open":
            return [(_kind(side), side_words(side)) for side in session.sides()]
        kind = "sft" if session.mode == "duel" and len(session.adapted()) == 1 else "hidden"
        return [(kind, LETTERS[n]) for n in range(len(session.judged()))]

    def dress(self, why: str = "") -> None:
        """Assign each pane its side: from the round that is shown, or from the next one.

        Args:
            why: Why nothing can be asked, a key of `EMPTY`; empty if it can.
        """
        now, session, dressed = self._session.shown, self._session, self._wanted()
        self.set_class(len(dressed) > 3, "many")
        focused = self.screen.focused
        for n, pane in enumerate(pane for pane in self._panes if pane.is_mounted):
            if n >= len(dressed) and focused is not None and pane in focused.ancestors:
                self.screen.set_focus(self.shown[0].query_one(".said"))
            pane.display = n < len(dressed)
            if not pane.display and pane.has_class("open"):
                self._open(self._panes[0])
            if pane.display:
                pane.dress(*dressed[n])
                if now is None:
                    pane.empty(EMPTY[why or dressed[n][0]] if session.has_sft or n == 0 else NO_ADAPTER)


def _title(now: Round, number: int) -> str:
    lane = now.lanes[number]
    if now.mode == "open":
        return side_words(lane.side)
    won = " ★" if now.vote == lane.name else ""
    return f"{LETTERS[number]}{f' · {side_words(lane.side)}' if now.hides and not now.hidden else ''}{won}"


def _kind(side: str) -> str:
    return side.partition(":")[0]

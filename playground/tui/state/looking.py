"""Looking at finished answers: what each side expected at their tokens, for the lines below them and for the lens."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from textual.screen import Screen

from playground.events.engine import Branched, Looked, Why
from playground.tui.state.engine import EngineController
from playground.tui.state.session import Round, Session

if TYPE_CHECKING:  # imported when it is opened: the first paint does not wait for it
    from playground.events.lens import Reading
    from playground.tui.screens.lens import LensScreen


class Looking:
    """One look at a time; an answer that is wanted does not wait for it.

    Args:
        screen: Opens the lens.
        session: The rounds that are looked at.
        engine: Looks.
    """

    def __init__(self, screen: Screen[None], session: Session, engine: EngineController) -> None:
        self._screen, self._session, self._engine = screen, session, engine
        self._request = 0  # the look that is awaited; 0 is none
        self._asked: Why | None = None  # what it looks at

    def begin(self) -> None:
        """Look at the shown answers, unless they cannot be looked at, are being looked at or were."""
        why, now = self._session.why(), self._session.shown
        if why is not None and now is not None and now.looked is None and self._engine.loaded and why != self._asked:
            self._look(why)

    def _look(self, why: Why) -> None:
        self.stop()
        self._request, self._asked = self._engine.why(why), why

    def stop(self) -> None:
        """Give up a look that has not ended."""
        if self._request:
            self._engine.cancel(self._request)
        self._request, self._asked = 0, None

    def heard(self, event: Looked) -> Round | None:
        """Keep what was found; return the round it is about."""
        if event.request == self._request:
            self._request, self._asked = 0, None
        now = next((now for now in reversed(self._session.rounds) if now.request == event.why.of), None)
        if now is not None and event.why.reading == "training":
            now.looked = event
        if (lens := self._lens) is not None:
            lens.show(event)
        return now

    def branched(self, event: Branched) -> None:
        """Show what the base said from a token on, where the lens is open."""
        if event.request == self._request:
            self._request, self._asked = 0, None
        if (lens := self._lens) is not None:
            lens.show_branch(event)

    def failed(self, request: int, words: str) -> None:
        """The engine could not look, or has ended."""
        if request in (-1, self._request):
            self._request, self._asked = 0, None
        if (lens := self._lens) is not None:
            lens.fail(words)

    def open_lens(self) -> str:
        """Open the lens on the shown answers; return why that cannot be, or an empty string."""
        from playground.tui.screens.lens import LensScreen

        now, why = self._session.shown, self._session.why()
        if now is None or why is None or not self._engine.loaded:
            return self._why_not(now)
        self.begin()

        def ask(reading: Reading, branch: int | None) -> None:
            if reading == "training" and branch is None and now.looked is not None:
                lens.show(now.looked)
            else:
                self._look(replace(why, reading=reading, branch=branch))

        lens = LensScreen(why, now.looked, ask, now.strength)
        self._screen.app.push_screen(lens)
        return ""

    @property
    def _lens(self) -> LensScreen | None:
        from playground.tui.screens.lens import LensScreen

        return self._screen.app.screen if isinstance(self._screen.app.screen, LensScreen) else None

    def _why_not(self, now: Round | None) -> str:
        if now is None or now.going:
            return "The lens looks at finished answers: ask something first."
        if now.hidden:
            return "The lens would tell which side is which: vote first, with F4."
        if not self._session.adapted():
            return "The lens compares base and sft: F6 chooses an adapter."
        return "Nothing is remembered of these answers. F5 asks again."

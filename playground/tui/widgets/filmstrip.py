"""The filmstrip: one sample prompt, and its answer at every sampling step, a row each."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from playground.events.prompts import Prompt
from playground.report.filmstrip import Frame, fit, legend, rows
from playground.text import clean
from playground.tui.content.pieces import coloured
from playground.tui.content.samples import BEFORE, NO_PROMPTS
from playground.tui.state.film import Film


class Filmstrip(Vertical):
    """The strip of one prompt; a click on a row chooses its step."""

    class StepChosen(Message):
        """A row was clicked."""

        def __init__(self, step: int) -> None:
            super().__init__()
            self.step = step

    def __init__(self) -> None:
        super().__init__(id="film")
        self._frames: Sequence[Frame] = ()
        self._row = 0  # of the step that is shown
        self._kept: tuple[object, ...] = ()  # what the strip was scrolled for

    def compose(self) -> ComposeResult:
        yield Static(id="asked", markup=False)
        with VerticalScroll(id="strip", can_focus=False):
            yield Static(id="frames", markup=False)
        yield Static(id="marks", markup=False)

    def show(self, film: Film, prompts: Sequence[Prompt], *, live: bool) -> None:
        """Show the strip of the film's prompt.

        Args:
            film: The prompt and the step that are shown.
            prompts: All sample prompts of the run.
            live: Whether more frames may come.
        """
        self._frames = film.frames
        asked, frames, marks = (self.query_one(name, Static) for name in ("#asked", "#frames", "#marks"))
        if (prompt := film.prompt) is None:
            asked.update("")
            frames.update(coloured([(BEFORE if live else NO_PROMPTS, "faint")]))
            marks.update("")
            return
        width = self.content_region.width
        number = f"{prompts.index(prompt) + 1} of {len(prompts)} ↑↓" if len(prompts) > 1 else ""
        about = " · ".join(filter(None, (clean(prompt.rows), "after its system prompt" * bool(prompt.system), number)))
        text = fit(prompt.prompt, max(1, width - len(about) - 2))
        asked.update(coloured([(text, "strong"), (f"  {about}", "faint")]))
        lines = rows(self._frames, max(1, width - 1), film.shown)  # a cell is left for the scrollbar
        frames.update(Content("\n").join(coloured(line) for line in lines or [[(BEFORE, "faint")]]))
        marks.update(coloured(legend(self._frames, width, live=live)))
        self._row = next((at for at, frame in enumerate(self._frames) if frame.step == film.shown), 0)
        self.call_after_refresh(self._keep_in_sight)  # a row that was just added has no place yet

    def on_resize(self) -> None:
        """The selected row may be out of sight now."""
        self.call_after_refresh(self._keep_in_sight)

    def _keep_in_sight(self) -> None:
        """Scroll to a row when another one is selected; else the strip stays where the reader has scrolled it."""
        row = self._row
        for strip in self.query("#strip").results(VerticalScroll):  # none if the screen was left in the meantime
            height = strip.size.height
            before, self._kept = self._kept, (row, height, strip.virtual_size.height)
            if height and self._kept != before and not strip.scroll_offset.y <= row < strip.scroll_offset.y + height:
                strip.scroll_to(y=row - height + 1 if row >= height else 0, animate=False, force=True)

    def on_click(self, event: events.Click) -> None:
        """Choose the step of the clicked row."""
        film = self.query_one("#frames", Static)
        if event.widget is film and 0 <= (row := event.y) < len(self._frames):
            self.post_message(self.StepChosen(self._frames[row].step))

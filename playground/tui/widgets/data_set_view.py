"""What is in a data set: a summary, rows with their loss masks, findings, the plan."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from playground.events.data import DataCheck
from playground.events.inspector import RowsShown
from playground.events.plans import Plan
from playground.text import clean
from playground.tui.content.dataset import SHORT, begins_to_learn, look_title, look_words, masked, plan_words

MOST_SHOWN = 40  # rows whose masks are on screen
PARTS = ("about", "first", "findings", "whole-plan", "rows")  # from top to bottom


class DataSetView(VerticalScroll):
    """Shows each part as soon as it is known."""

    def compose(self) -> ComposeResult:
        for part in PARTS:
            yield Static(id=part, markup=False)

    def _put(self, part: str, content: Content) -> None:
        widget = self.query_one(f"#{part}", Static)
        widget.update(content)
        widget.set_class(not content.plain, "empty")  # and takes no room

    def clear(self) -> None:
        """Show nothing."""
        for part in PARTS:
            self._put(part, Content(""))

    def say(self, text: str) -> None:
        """Show why there is nothing else to see yet."""
        self._put("about", Content(clean(text)))

    def show_check(self, check: DataCheck, columns: Sequence[str]) -> None:
        """Show what was found in a data set that was read with these `columns`."""
        self._put("about", look_title(check, columns))
        self._put("findings", look_words(check))

    def show_rows(self, rows: RowsShown) -> None:
        """Show which tokens are trained."""
        shown, whole = rows.rows[:MOST_SHOWN], 0
        if shown:
            self._put("first", begins_to_learn(shown[0]))
            whole = int(len(shown[0].texts) <= SHORT)  # and is not repeated below
        self._put("rows", masked(shown[whole:], rows.total - whole))

    def show_plan(self, plan: Plan) -> None:
        """Show the plan; next to the list there is room for it only in a wide window."""
        self._put("whole-plan", plan_words(plan))

    def page(self, by: int) -> None:
        """Scroll by pages."""
        self.scroll_relative(y=by * max(1, self.size.height - 1), animate=False)

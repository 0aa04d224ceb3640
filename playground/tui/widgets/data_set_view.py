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
from playground.tui.widgets.line import put

MOST_SHOWN = 40  # rows whose masks are on screen
PARTS = ("about", "first", "findings", "whole-plan", "rows")  # from top to bottom


class DataSetView(VerticalScroll):
    """Shows each part as soon as it is known."""

    def compose(self) -> ComposeResult:
        for part in PARTS:
            yield Static(id=part, markup=False)

    def clear(self) -> None:
        """Show nothing."""
        for part in PARTS:
            put(self, f"#{part}", Content(""))

    def say(self, text: str) -> None:
        """Show why there is nothing else to see yet."""
        put(self, "#about", Content(clean(text)))

    def show_check(self, check: DataCheck, columns: Sequence[str]) -> None:
        """Show what was found in a data set that was read with these `columns`."""
        put(self, "#about", look_title(check, columns))
        put(self, "#findings", look_words(check))

    def show_rows(self, rows: RowsShown) -> None:
        """Show which tokens are trained."""
        shown, whole = rows.rows[:MOST_SHOWN], 0
        if shown:
            put(self, "#first", begins_to_learn(shown[0]))
            whole = int(len(shown[0].texts) <= SHORT)  # and is not repeated below
        put(self, "#rows", masked(shown[whole:], rows.total - whole))

    def show_plan(self, plan: Plan) -> None:
        """Show the plan; next to the list there is room for it only in a wide window."""
        put(self, "#whole-plan", plan_words(plan))

    def page(self, by: int) -> None:
        """Scroll by pages."""
        self.scroll_relative(y=by * max(1, self.size.height - 1), animate=False)

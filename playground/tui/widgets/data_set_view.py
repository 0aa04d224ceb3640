"""What is in a data set: a summary, rows with their loss masks, findings, the plan."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from playground.events.data import DataCheck
from playground.events.inspector import MaskedRow, RowsShown
from playground.events.plans import Plan
from playground.text import clean
from playground.tui.content.dataset import SHORT, begins_to_learn, look_title, look_words, masked, plan_words, whole
from playground.tui.widgets.line import put

MOST_SHOWN = 40  # rows whose masks are on screen
PARTS = ("about", "first", "findings", "whole-plan", "rows")  # from top to bottom


class DataSetView(VerticalScroll):
    """Shows each part as soon as it is known.

    Attributes:
        rows: The rows whose masks are shown.
    """

    rows: Sequence[MaskedRow] = ()

    def compose(self) -> ComposeResult:
        for part in PARTS:
            yield Static(id=part, markup=False)

    def clear(self) -> None:
        """Show nothing."""
        self.rows = ()
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
        self.rows = rows.rows[:MOST_SHOWN]
        if self.rows:
            put(self, "#first", begins_to_learn(self.rows[0]))
        put(self, "#rows", masked(self.rows[self._below :], rows.total - self._below))

    @property
    def _below(self) -> int:
        """The index of the first row that is shown below the rest: a short first row is not repeated there."""
        return int(bool(self.rows) and len(self.rows[0].texts) <= SHORT)

    def read(self) -> int:
        """Return the index of the row that is being read: the first that begins in sight, else the last one above."""
        below, top = self.query_one("#rows", Static), self.scroll_offset.y
        begins = [(self.query_one("#first", Static).virtual_region.y, 0)]
        at = below.virtual_region.y
        for number, row in enumerate(self.rows[self._below :], self._below):
            begins.append((at, number))
            at += whole(row).get_height({}, max(1, below.size.width)) + 1  # an empty line
        above = max((number for y, number in begins if y < top), default=0)
        return min((number for y, number in begins if top <= y < top + self.size.height), default=above)

    def show_plan(self, plan: Plan) -> None:
        """Show the plan; next to the list there is room for it only in a wide window."""
        put(self, "#whole-plan", plan_words(plan))

    def page(self, by: int) -> None:
        """Scroll by pages."""
        self.scroll_relative(y=by * max(1, self.size.height - 1), animate=False)

"""The losses of several runs in one chart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from playground.runs.folder import read_events
from playground.text import one_line
from playground.tui import glossary
from playground.tui.dialogs.base import Dialog
from playground.tui.state.run_history import RunHistory
from playground.tui.widgets.chart import LETTERS, STYLES, Chart


class CurvesDialog(Dialog[None]):
    """Smoothed losses, and the last loss on the held-out rows.

    Args:
        runs: Their folders; only as many as there are letters are shown.
    """

    HELP = glossary.CURVES
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,c,enter", "dismiss", "back", priority=True, tooltip="Back")
    ]

    def __init__(self, runs: Sequence[Path]) -> None:
        super().__init__()
        self._runs = runs[: len(LETTERS)]

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog large"):
            yield Static("Loss over steps, smoothed", classes="heading", markup=False)
            yield Chart("curves")
            yield Static(id="legend", markup=False)
            yield Static("Esc back", classes="keys", markup=False)

    def on_mount(self) -> None:
        """Read the runs and draw them."""
        curves, pieces = [], []
        for folder, letter, style in zip(self._runs, LETTERS, STYLES, strict=False):
            history = RunHistory()
            for event in read_events(folder)[0]:
                history.add(event)
            curves.append(history.smoothed())
            held_out = f", held out {history.held_out()[-1][1]:.2f}" if history.evaluations else ""
            last = f"{curves[-1][-1][1]:.2f} after {history.step:,} steps{held_out}" if curves[-1] else "no steps yet"
            pieces += [(f"{letter} ", f"bold {style}"), (f"{one_line(folder.name, 30)}: {last}\n", "")]
        self.query_one(Chart).show_together(curves)
        self.query_one("#legend", Static).update(Content.assemble(*pieces))

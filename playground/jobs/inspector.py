"""The inspector child from the app's side: data sets and plans, without a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from playground.events.inspector import INSPECTOR_EVENTS, InspectorError, InspectorEvent
from playground.jobs.process import LineChild


class InspectorProcess(LineChild):
    """The inspector child, started when data sets are opened."""

    def __init__(self) -> None:
        super().__init__("playground.training.inspector", {})

    def list(self) -> int:
        """Ask for the available data sets."""
        return self.request("list")

    def look(self, config: Mapping[str, Any], released: int = 0) -> int:
        """Ask for a check of a config's data set, and for a plan with `released` bytes more than are free now."""
        return self.request("look", config=dict(config), released=released)

    def rows(self, start: int, count: int) -> int:
        """Ask for encoded rows of the data set requested last."""
        return self.request("rows", start=start, count=count)

    def events(self) -> Iterator[InspectorEvent]:
        """Yield its events until it exits. To be read in a separate thread."""
        yield from self.said(INSPECTOR_EVENTS)
        if ended := self.why_it_ended("The inspector"):
            yield InspectorError(-1, ended, "Reopen this screen.")

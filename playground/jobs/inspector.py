"""The inspector child, as the app sees it: data sets and plans, without a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from playground.events.inspector import INSPECTOR_EVENTS, InspectorError, InspectorEvent
from playground.jobs.process import LineChild


class InspectorProcess(LineChild):
    """The inspector child, started when data sets are looked at."""

    def __init__(self) -> None:
        super().__init__("playground.training.inspector", {})
        self._number = 0

    def list(self) -> int:
        """Ask which data sets there are."""
        return self._ask("list")

    def look(self, config: Mapping[str, Any]) -> int:
        """Ask what is in the data of a config, and for the plan of training on it."""
        return self._ask("look", config=dict(config))

    def rows(self, start: int, count: int) -> int:
        """Ask for encoded rows of the data that was looked at last."""
        return self._ask("rows", start=start, count=count)

    def events(self) -> Iterator[InspectorEvent]:
        """Yield what it says until it ends. To be read in a thread of its own."""
        yield from self.said(INSPECTOR_EVENTS)
        if self.exit_code:
            last = " ".join(self.last_words).strip()[-500:]
            yield InspectorError(-1, f"The inspector ended with {self.exit_code}. {last}", "Leave the screen and come back.")

    def _ask(self, do: str, **what: Any) -> int:
        self._number += 1
        self.write({"do": do, "id": self._number, **what})
        return self._number

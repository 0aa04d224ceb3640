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
        self._number = 0

    def list(self) -> int:
        """Ask for the available data sets."""
        return self._ask("list")

    def look(self, config: Mapping[str, Any]) -> int:
        """Ask for a check of a config's data set and for the training plan."""
        return self._ask("look", config=dict(config))

    def rows(self, start: int, count: int) -> int:
        """Ask for encoded rows of the data set requested last."""
        return self._ask("rows", start=start, count=count)

    def events(self) -> Iterator[InspectorEvent]:
        """Yield its events until it exits. To be read in a separate thread."""
        yield from self.said(INSPECTOR_EVENTS)
        if self.exit_code:
            last = " ".join(self.last_words).strip()[-500:]
            yield InspectorError(-1, f"The inspector exited with code {self.exit_code}. {last}", "Reopen this screen.")

    def _ask(self, do: str, **what: Any) -> int:
        self._number += 1
        self.write({"do": do, "id": self._number, **what})
        return self._number

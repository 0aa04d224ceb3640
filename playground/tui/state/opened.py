"""The data set that is open on the training screen: its options, columns and plan, and the inspector that reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from textual.message import Message
from textual.screen import Screen

from playground import settings
from playground.config import TrainConfig
from playground.data.columns import renamings
from playground.errors import PlaygroundError
from playground.events.inspector import DataSets, InspectorError, InspectorEvent, PlanMade, RowsShown, Table, TableFound
from playground.tui.content.advice import in_app

WAIT = "The plan is not ready yet."
UNNAMED = "No row can be read before its columns are chosen: F4 chooses them."


class InspectorSaid(Message):
    """An event from an inspector, which may have been replaced since."""

    def __init__(self, event: InspectorEvent, inspector: Any) -> None:
        super().__init__()
        self.event = event
        self.inspector = inspector


class OpenedData:
    """One data set at a time. Its owner passes each `InspectorSaid` to `heard`, and shows what changed.

    Args:
        start: Starts an inspector; called immediately, and again where reading is cancelled.
        owner: The screen that gets the messages.
        held: Returns the bytes that the app itself gives back before a training starts.

    Attributes:
        data: Its name in a config.
        reading: Whether it is still being read or planned.
        table: Its columns, if there are some to choose from.
        first: The line of the row that is shown first, as soon as one is; 0 before.
        plan: The plan of a training on it, as soon as there is one.
        why_no_plan: The reason while there is none.
    """

    def __init__(self, start: Callable[[], Any], owner: Screen[Any], held: Callable[[], int]) -> None:
        self._start, self._owner, self._held = start, owner, held
        self._inspector = start()
        self._options: dict[str, Any] = {}  # overrides of the saved settings
        self._roles: dict[str, Mapping[str, str]] = {}  # by data set: the columns that were chosen for it
        self._request, self._counted = 0, 0
        self.reading = False
        self.table: Table | None = None
        self.first = 0
        self.plan: PlanMade | None = None
        self.why_no_plan = WAIT
        self.data = ""

    def listen(self) -> None:
        """Begin to pass on the inspector's events, the known data sets first; the owner is mounted now."""
        self._owner.run_worker(partial(self._follow, self._inspector), thread=True)

    def list(self) -> None:
        """Ask for the known data sets."""
        self._inspector.list()

    def _follow(self, inspector: Any) -> None:
        for event in inspector.events():
            if not self._owner.app.is_running:
                return
            self._owner.post_message(InspectorSaid(event, inspector))

    def config(self) -> TrainConfig:
        """Return the config of a training on it.

        Raises:
            PlaygroundError: If the saved settings are invalid.
        """
        options = dict(self._options)
        if "data" in options:  # the settings name columns for their own data set
            options["columns"] = renamings(self._roles.get(self.data, {}))
        config = TrainConfig(**settings.options(options, None))
        self.data = config.data
        return config

    @property
    def roles(self) -> Mapping[str, str]:
        """Which column is the prompt and which the answer: as chosen, else our guess."""
        return self._roles.get(self.data, self.table.roles if self.table else {})

    @property
    def on_the_hub(self) -> bool:
        """Whether it is being fetched, for which the network may let one wait."""
        return self.reading and self.data.startswith("hf:")

    def knows_columns_of(self, data: str) -> bool:
        """Return whether the columns of a data set were chosen."""
        return data in self._roles

    def change(self, data: str | None = None, **options: Any) -> None:
        """Open another data set, or train with other options; nothing is read yet."""
        if data is not None and data != self.data and self.on_the_hub:
            self.cancel()  # what is read there would have to end first
        self._options |= options if data is None else {"data": data, **options}
        self.data = self._options.get("data", self.data)
        self.forget(WAIT)

    def choose(self, data: str, roles: Mapping[str, str]) -> None:
        """Read these columns of a data set."""
        self._roles[data] = roles
        self.change(data)

    def forget(self, why_no_plan: str) -> None:
        """Forget what is known about it."""
        self._request, self.reading, self.first = 0, False, 0
        self.plan, self.table, self.why_no_plan = None, None, why_no_plan

    def look(self) -> None:
        """Ask for a check of it, and for a plan.

        Raises:
            PlaygroundError: If the saved settings are invalid.
        """
        config = self.config()
        self.forget(WAIT)
        self._counted = self._held()
        self._request, self.reading = self._inspector.look(config.to_dict(), self._counted), True

    @property
    def outdated(self) -> bool:
        """Whether the app gives back other memory than the plan counted, as when a model has been loaded since."""
        return self._held() != self._counted

    def heard(self, message: InspectorSaid) -> InspectorEvent | None:
        """Keep what an event says about it; return the event, or None if it is about something else."""
        if message.inspector is not self._inspector:
            return None
        event = message.event
        if isinstance(event, DataSets):
            return event
        if event.request != self._request and not (isinstance(event, InspectorError) and event.request == -1):
            return None
        match event:
            case InspectorError():
                # The whole path is on the screen above, or in the list.
                local = bool(self.data) and not self.data.startswith("hf:")
                said = event.message.replace(self.data, Path(self.data).name) if local else event.message
                first, *more = said.splitlines() or [""]
                others = f" (and {len(more)} more)" if more else ""
                self.reading = False
                self.why_no_plan = f"{in_app(first).rstrip('.')}{others}. {in_app(event.hint)}".strip()
            case TableFound():
                self.table = event.table
                if event.needed:
                    self.reading, self.why_no_plan = False, UNNAMED
            case RowsShown():
                self.first = self.first or next((row.line for row in event.rows), 0)
            case PlanMade():
                self.plan, self.reading = event, False
        return event

    def cancel(self) -> None:
        """End the inspector, which may be waiting for the network, and start another."""
        self._inspector.close()
        self._inspector = self._start()
        self.forget("Cancelled. Enter or a path opens a data set.")
        self.listen()

    def close(self) -> None:
        """End the inspector with its screen."""
        self._inspector.close()


def problem(error: PlaygroundError) -> str:
    """Return an error as a hint of the app."""
    return in_app(f"{error.message} {error.hint}").strip()

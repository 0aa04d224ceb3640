"""The list of data sets: what is in each, what it needs first, and which one is open."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from rich.cells import set_cell_size
from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from playground import paths
from playground.events.inspector import DataSetInfo
from playground.text import count, one_line

NAME, REST = (16, 28), 32  # cells of a name, least and most; of what follows it
READ_AT_ONCE = 2_000  # rows; more are read and planned only when they are chosen


class DataSetList(OptionList, inherit_bindings=False):
    """Data sets, a line each. The highlighted one is the one that is open. Pages turn what is shown of it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        binding
        for binding in OptionList.BINDINGS
        if isinstance(binding, Binding) and binding.key not in {"pageup", "pagedown"}
    ]

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, compact=True)
        self._sets: list[DataSetInfo] = []

    @property
    def current(self) -> DataSetInfo | None:
        """The highlighted data set."""
        return None if self.highlighted is None else self._sets[self.highlighted]

    def put(self, sets: Iterable[DataSetInfo]) -> None:
        """Show these, after those that were opened meanwhile."""
        opened = [info for info in self._sets if info.where == "opened"]
        self._sets = [*opened, *sets]
        self._draw()

    def hold(self, data: str) -> bool:
        """Highlight the data set called `data`; return whether it is in the list. If not, none is highlighted."""
        self.highlighted = self._at(data)
        return self.highlighted is not None

    def is_held(self, data: str) -> bool:
        """Return whether the highlighted data set is the one called `data`."""
        return self.highlighted is not None and _is(self._sets[self.highlighted], data)

    def update_about(self, about: DataSetInfo) -> None:
        """Show what was found in a data set, adding it if it is new, and highlight it."""
        at = self._at(about.path)
        if at is None:
            self._sets.insert(0, about)
        else:
            known = self._sets[at]
            self._sets[at] = replace(about, name=known.name, path=known.path, where=known.where)
        self._draw()
        self.hold(about.path)

    def _at(self, data: str) -> int | None:
        return next((at for at, info in enumerate(self._sets) if _is(info, data)), None)

    def on_resize(self, event: events.Resize) -> None:
        """Give the names the room there is."""
        self._draw()

    def _draw(self) -> None:
        highlighted = self.highlighted
        width = max(NAME[0], min(NAME[1], self.size.width - REST))
        with self.prevent(OptionList.OptionHighlighted):
            self.clear_options()
            self.add_options([Option(_line(info, width)) for info in self._sets])
            self.highlighted = highlighted


def what(info: DataSetInfo) -> str:
    """Return how many rows a data set has, and what keeps them from being trained on."""
    if info.num_rows is None:
        return "large, not counted yet"
    rows = count(info.num_rows, "row")
    if info.columns:
        return f"{rows}, choose the columns"
    return f"{rows}, {info.num_bad:,} cannot be read" if info.num_bad else rows


def _line(info: DataSetInfo, width: int) -> Content:
    rows, comma, problem = what(info).partition(", ")
    name = set_cell_size(one_line(info.name, width), width)
    return Content(f"{name} {rows:>11}{comma}{problem or f'  {info.where}'}")


def _is(info: DataSetInfo, data: str) -> bool:
    if info.path == data or data.startswith("hf:"):
        return info.path == data
    if info.name == data:  # a bundled one needs no path
        return True
    try:
        return paths.find_file(data).resolve() == Path(info.path).resolve()
    except (OSError, ValueError, RuntimeError):
        return False

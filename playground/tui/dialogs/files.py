"""Data files: completed as the path is typed, or picked from a folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from playground import paths
from playground.report.words import file_size
from playground.text import one_line
from playground.tui import glossary
from playground.tui.dialogs.base import Dialog

MOST = 1_000  # rows of the list; what is typed narrows it
WIDEST = 60  # cells of a name


def of_rows(path: Path) -> bool:
    """Return whether a path is a data file or a folder; hidden ones do not count."""
    return not path.name.startswith(".") and (path.name.endswith(paths.DATA_SUFFIXES) or os.path.isdir(path))


class PathSuggester(Suggester):
    """Completes the path of a data file, one part at a time."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        """Return the first path, in order, that starts with the typed text."""
        head, slash, name = value.rpartition("/")
        if value.startswith("hf:"):
            return None
        try:
            folder = Path(f"{head}{slash}" or ".").expanduser()
            found = sorted(path for path in folder.iterdir() if path.name.startswith(name) and of_rows(path))
        except (OSError, ValueError, RuntimeError):  # no such folder, a null byte, an unknown home folder
            return None
        if not found or not name:
            return None
        return f"{head}{slash}{found[0].name}{'/' if found[0].is_dir() else ''}"


class _Filter(Input):
    """What is typed to narrow the list; a backspace with nothing left to delete is told to the dialog."""

    class Emptied(Message):
        """Backspace was pressed in an empty filter."""

    def action_delete_left(self) -> None:
        """Delete a character, or say that there is none."""
        if self.value:
            super().action_delete_left()
        else:
            self.post_message(self.Emptied())


class FilesDialog(Dialog[Path | None]):
    """The folders and data files of one folder, filtered by what is typed; returns a file, or None.

    A filter that ends in ``/`` goes to that folder: ``../``, ``~/``, ``/data/``.

    Args:
        folder: The folder to begin with.
    """

    HELP = glossary.FILES
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "back", tooltip="Back, and change nothing"),
        Binding("up", "move(-1)", "up", show=False, tooltip="The entry before"),
        Binding("down", "move(1)", "down", show=False, tooltip="The next entry"),
        Binding("pageup", "move(-10)", "page up", show=False, tooltip="Ten entries up"),
        Binding("pagedown", "move(10)", "page down", show=False, tooltip="Ten entries down"),
        Binding("ctrl+home", "go('~')", "home", tooltip="Your home folder"),
    ]
    TYPED_INTO = "#filter"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder.absolute()
        self._entries: list[Path] = []  # of the folder
        self._shown: list[Path] = []  # those that match the filter, after the parent folder

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog wide"):
            yield Static(id="folder", markup=False)
            yield _Filter(placeholder="filter, or a folder: ../  ~/  /data/", id="filter", compact=True)
            yield OptionList(id="files", compact=True)
            yield Static("", id="problems", markup=False)
            keys = "↑ ↓ Enter opens or chooses · Backspace up · Ctrl+Home home · Esc back"
            yield Static(keys, classes="keys", markup=False)

    def on_mount(self) -> None:
        self.query_one(OptionList).can_focus = False  # the filter keeps the focus: what is typed is never lost
        self.query_one(Input).focus()
        self._open(self._folder)

    def _open(self, folder: Path) -> None:
        """Show a folder, or say why it cannot be shown."""
        problem = self.query_one("#problems", Static)
        try:
            found = [path for path in folder.iterdir() if of_rows(path)]
        except OSError as error:
            problem.update(f"{one_line(str(folder), 60)} cannot be opened: {error.strerror}.")
            return
        came_from = self._folder
        problem.update("")
        self._folder = folder
        self._entries = sorted(found, key=lambda path: (not path.is_dir(), path.name.casefold()))
        self.query_one("#folder", Static).update(one_line(_from_home(folder), 90))
        with self.prevent(Input.Changed):
            self.query_one(Input).value = ""
        self._show("")
        if came_from in self._entries:  # going up, one sees where one was
            self.query_one(OptionList).highlighted = self._shown.index(came_from)

    def _show(self, filter: str) -> None:
        matching = [path for path in self._entries if filter.casefold() in path.name.casefold()]
        parent = [self._folder.parent] if not filter and self._folder.parent != self._folder else []
        self._shown = [*parent, *matching[:MOST]]
        names = ["../" if path in parent else f"{path.name}{'/' * path.is_dir()}" for path in self._shown]
        width = min(WIDEST, max(map(cell_len, names), default=0))
        options = self.query_one(OptionList)
        options.clear_options()
        for name, path in zip(names, self._shown, strict=True):
            shown = set_cell_size(one_line(name, WIDEST), width)
            size = "" if name.endswith("/") else f"  {_size(path):>8}"
            options.add_option(Option(Content.assemble((shown, "bold" if not size else ""), (size, "dim"))))
        options.highlighted = min(len(parent), len(self._shown) - 1) if self._shown else None
        hidden = len(matching) - MOST
        none = (
            ""
            if matching
            else "No data files or folders here."
            if not filter
            else f"Nothing here is called {filter!r}."
        )
        said = f"and {hidden:,} more: type a part of the name" if hidden > 0 else none
        self.query_one("#problems", Static).update(one_line(said, 90))

    @on(Input.Changed)
    def filter(self, event: Input.Changed) -> None:
        """Show what matches; go to a folder that was typed."""
        if event.value == "~" or event.value.endswith("/"):
            self.action_go(event.value)
        else:
            self._show(event.value)

    @on(Input.Submitted)
    def take(self) -> None:
        """Open the highlighted folder, or return the highlighted file."""
        self._take(self.query_one(OptionList).highlighted)

    @on(OptionList.OptionSelected)
    def click(self, event: OptionList.OptionSelected) -> None:
        """Do the same for a row that is clicked."""
        self._take(event.option_index)

    def _take(self, at: int | None) -> None:
        if at is None:
            return
        path = self._shown[at]
        if path.is_dir():
            self._open(path)
        else:
            self.dismiss(path)

    def action_move(self, by: int) -> None:
        """Move the highlight."""
        options = self.query_one(OptionList)
        if self._shown:
            options.highlighted = max(0, min(len(self._shown) - 1, (options.highlighted or 0) + by))

    def action_go(self, folder: str) -> None:
        """Go to a folder, seen from this one."""
        where = Path(os.path.normpath(self._folder / paths.expanded(folder)))
        if where.is_dir():
            self._open(where)

    @on(_Filter.Emptied)
    def go_up(self) -> None:
        """Go to the parent folder."""
        self._open(self._folder.parent)


def _size(path: Path) -> str:
    try:
        return file_size(path.stat().st_size)
    except OSError:  # it has gone, or is a link to nothing
        return ""


def _from_home(folder: Path) -> str:
    home = Path.home()
    return f"~/{folder.relative_to(home)}".removesuffix("/.") if folder.is_relative_to(home) else str(folder)

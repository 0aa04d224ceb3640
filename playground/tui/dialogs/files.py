"""Data files: completed as the path is typed, or picked from a tree."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from rich.text import Text, TextType
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.suggester import Suggester
from textual.widgets import DirectoryTree, Static

from playground import paths
from playground.text import one_line
from playground.tui.dialogs.base import Dialog


def of_rows(path: Path) -> bool:
    """Return whether a path is a data file or a folder; hidden ones do not count."""
    return not path.name.startswith(".") and (path.name.endswith(paths.DATA_SUFFIXES) or path.is_dir())


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


class _Tree(DirectoryTree):
    """Folders and data files; their names are untrusted text."""

    def filter_paths(self, paths: Iterable[Path]) -> Iterable[Path]:
        """Leave out everything but data files and folders."""
        return [path for path in paths if of_rows(path)]

    def process_label(self, label: TextType) -> Text:
        """Show a name literally: no markup, no control characters."""
        return Text(one_line(str(label), 80))


class FilesDialog(Dialog[Path | None]):
    """A tree of the current folder; returns a file, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "back")]

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog large"):
            yield Static("Data files", classes="heading", markup=False)
            yield _Tree(Path.cwd(), id="files")
            yield Static("↑ ↓ Enter opens or chooses · Esc back", classes="keys", markup=False)

    def on_directory_tree_file_selected(self, event: DirectoryTree.FileSelected) -> None:
        self.dismiss(event.path)

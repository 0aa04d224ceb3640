"""Examples: conversations whose assistant turns are trained, read strictly and reported together.

A set of ordinary size is read and checked whole before any model is loaded. A larger one is read row by
row as needed, so that neither memory nor the time to the first step depends on its length.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from playground import paths
from playground.data import columns as tables
from playground.data import shapes
from playground.data.containers import Rows, open_rows
from playground.data.jsonl import Problem, refuse
from playground.data.shapes import Shape, Turn
from playground.data.unread import Unread, unread
from playground.errors import InputError, UsageError

__all__ = ["Dataset", "Example", "Turn", "UnknownColumns", "read_dataset", "typed_row"]

WHOLE_ROWS = 10_000  # a set of at most this many rows is checked and encoded as a whole before anything else
LOOKED_AT = 1_000  # rows from which the shape is detected; in a larger set also the rows checked at the start


class UnknownColumns(InputError):
    """No row of a table can be read, but some could if its columns were named.

    Args:
        message: What is wrong.
        columns: The option `columns` with our guess.
        num_rows: The number of rows of the table.
    """

    def __init__(self, message: str, columns: Sequence[str], num_rows: int) -> None:
        super().__init__(message, f"Say which is which: {tables.as_flags(columns)}")
        self.columns = tuple(columns)
        self.num_rows = num_rows


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation from `line` of its file: ``[system] (user assistant)+``."""

    turns: tuple[Turn, ...]
    line: int


@dataclass(frozen=True)
class Dataset:
    """The examples of one file or hub data set.

    Attributes:
        name: The name shown to the user.
        path: The name in error messages.
        sha256: The hash of its bytes.
        container: How it is stored, in words.
        shape: The meaning of its columns.
        examples: The rows. In a large set, each is read and checked when it is accessed.
        skipped: The rows that were left out, with the reason; empty unless skipping was requested.
        unread: The columns that are not read; in a large set, those of the rows checked at the start.
    """

    name: str
    path: str
    sha256: str
    container: str
    shape: Shape
    examples: Sequence[Example]
    skipped: tuple[Problem, ...] = ()
    unread: Unread = field(default_factory=Unread)

    @property
    def is_whole(self) -> bool:
        """Whether every row has been read and checked."""
        return not isinstance(self.examples, _Lazy)

    def only(self, places: array[int], skipped: Sequence[Problem]) -> Dataset:
        """Return a large set with the examples at these indices, the others `skipped`."""
        assert isinstance(self.examples, _Lazy)
        good = self.examples.good
        rows = places if good is None else array("Q", (good[at] for at in places))
        return replace(self, examples=replace(self.examples, good=rows), skipped=tuple(skipped))

    @property
    def single_turn(self) -> bool:
        """Whether none of the rows looked at has a second question."""
        seen = islice(self.examples, None if self.is_whole else LOOKED_AT)
        return all(sum(turn.role == "user" for turn in example.turns) == 1 for example in seen)

    def row(self, number: int) -> Example:
        """Return a row that can be trained on, counted from 1.

        Raises:
            InputError: If there are fewer rows.
        """
        if number > len(self.examples):
            raise InputError(f"{self.name} has {len(self.examples):,} trainable rows.", "Lower --row.")
        found: Example = self.examples[number - 1]
        return found


@dataclass(frozen=True)
class _Lazy(Sequence[Example]):
    """The rows of a large set, each checked when it is read."""

    rows: Rows
    path: str
    shape: Shape
    renamed: dict[str, str]
    good: array[int] | None  # indices of the valid rows, if bad ones are left out

    def __len__(self) -> int:
        return len(self.rows) if self.good is None else len(self.good)

    def __getitem__(self, index: Any) -> Any:
        found = as_example(*self.rows.read(index if self.good is None else self.good[index]), self.shape, self.renamed)
        if isinstance(found, Problem):
            raise refuse(self.path, [found], "Check the whole file with 'sft-playground data check'.")
        return found


def read_dataset(name: str | Path, columns: Sequence[str] = (), *, skip_bad: bool = False) -> Dataset:
    """Read the data set called `name`: a path, a bundled set, or ``hf:org/name[:split]``.

    Args:
        name: The data.
        columns: Renamings such as ``"prompt=question"``: the column `question` is read as `prompt`.
        skip_bad: Leave out the rows that cannot be trained instead of refusing the file.

    Raises:
        UnknownColumns: If its columns have to be named first.
        InputError: With every problem in the data, or if it has no rows.
        EnvironmentFault: If it cannot be read.
    """
    path = Path(name) if str(name).startswith("hf:") else paths.find_file(str(name))
    rows = open_rows(str(name), path)
    renamed = renaming(columns)
    first = first_rows(rows)
    if first and (unseen := [c for c in renamed.values() if not any(c in row for row in first)]):
        raise UsageError(f"{path} has no column {unseen[0]!r}.", f"It has {', '.join(sorted(first[0]))[:300]}.")
    shape = shapes.detect((rename(row, renamed) for row in first), renamed)
    if shape is None and (roles := roles_to_name(first, renamed)):
        raise UnknownColumns(f"{path}: {shapes.unknown_columns(first[0])}.", tables.renamings(roles), len(rows))
    whole = len(rows) <= WHOLE_ROWS
    left = Unread()
    examples, problems = _check(islice(rows, None if whole else LOOKED_AT), shape, renamed, left)
    good: array[int] | None = None
    if shape is not None and not whole and skip_bad:
        good, problems = _good_rows(rows, shape, renamed)
    if problems and not (skip_bad and examples):
        error = refuse(str(path), problems, _hint(shape, problems))
        roles = {} if examples else roles_to_name(first, renamed)
        raise UnknownColumns(error.message, tables.renamings(roles), len(rows)) if roles else error
    if not examples or shape is None:
        raise InputError(f"{path} has no rows.", f"A row needs the columns {shapes.ACCEPTED}.")
    kept = tuple(examples) if whole else _Lazy(rows, str(path), shape, renamed, good)
    return Dataset(rows.name, str(path), rows.sha256, rows.container, shape, kept, tuple(problems), left)


def first_rows(rows: Rows) -> list[dict[str, Any]]:
    """Return the first rows that can be parsed: those from which shape and columns are detected."""
    return [row for _, row in islice(rows, LOOKED_AT) if not isinstance(row, Problem)]


def roles_to_name(first: Sequence[dict[str, Any]], renamed: dict[str, str]) -> dict[str, str]:
    """Return our guess of ``{role: column}`` where no row can be read, but some could with it; else nothing."""

    def readable(renamed: dict[str, str]) -> bool:
        shape = shapes.detect((rename(row, renamed) for row in first), renamed)
        return any(isinstance(as_example(0, row, shape, renamed), Example) for row in first)

    if readable(renamed) or not (roles := tables.guess(first)):
        return {}
    return roles if readable(renaming(tables.renamings(roles))) else {}


def _good_rows(rows: Rows, shape: Shape, renamed: dict[str, str]) -> tuple[array[int], list[Problem]]:
    """Check every row of a large set; return the indices of the valid ones, and the problems."""
    good, problems = array("Q"), []
    for index, (line, row) in enumerate(rows):
        if isinstance(found := as_example(line, row, shape, renamed), Problem):
            problems.append(found)
        else:
            good.append(index)
    return good, problems


def _check(
    rows: Iterator[tuple[int, dict[str, Any] | Problem]],
    shape: Shape | None,
    renamed: dict[str, str],
    left: Unread,
) -> tuple[list[Example], list[Problem]]:
    """Return the valid rows and the problems of the others; note in `left` the unread columns of the valid ones."""
    examples: list[Example] = []
    problems: list[Problem] = []
    for line, row in rows:
        found = as_example(line, row, shape, renamed)
        if isinstance(found, Problem):
            problems.append(found)
            continue
        examples.append(found)
        assert shape is not None
        assert not isinstance(row, Problem)
        left.add(line, unread_in(row, shape, renamed))
    return examples, problems


def as_example(
    line: int, row: dict[str, Any] | Problem, shape: Shape | None, renamed: dict[str, str]
) -> Example | Problem:
    """Return `row` as an example, read as `shape`, or the problem with it."""
    if isinstance(row, Problem):
        return row
    row = rename(row, renamed)
    turns = shapes.unknown_columns(row) if shape is None else shapes.read_row(row, shape)
    return Problem(line, turns) if isinstance(turns, str) else Example(turns, line)


def typed_row(prompt: str, answer: str) -> Example | Problem:
    """Return a row that was typed, not read from a file, or the problem with it."""
    (shape,) = (shape for shape in shapes.SHAPES if shape.columns == ("prompt", "response"))
    return as_example(0, {"prompt": prompt, "response": answer}, shape, {})


def unread_words(dataset: Dataset) -> tuple[str, ...]:
    """Return a sentence about each column that is not read."""
    return dataset.unread.words("" if dataset.is_whole else f" of the first {LOOKED_AT:,}")


def unread_in(row: dict[str, Any], shape: Shape, renamed: dict[str, str]) -> dict[str, Any]:
    """Return the parts of a row that are not read, including columns that a renamed one replaces."""
    replaced = {name: row[name] for name in renamed if name in row and name not in renamed.values() and row[name]}
    return {**replaced, **unread(rename(row, renamed), shape.reads)}


def renaming(columns: Sequence[str]) -> dict[str, str]:
    """Return ``{name: column}`` from texts such as ``"prompt=question"``.

    Raises:
        UsageError: If one is not of that form.
    """
    renamed: dict[str, str] = {}
    for text in columns:
        name, equals, column = text.partition("=")
        if not (name and equals and column) or name in renamed:
            raise UsageError(f"--map {text!r} is not valid.", "Write it like --map prompt=question.")
        renamed[name] = column
    return renamed


def rename(row: dict[str, Any], renamed: dict[str, str]) -> dict[str, Any]:
    """Return `row` with its columns renamed."""
    if not renamed:
        return row
    kept = {key: value for key, value in row.items() if key not in renamed.values() and key not in renamed}
    return kept | {name: row[column] for name, column in renamed.items() if column in row}


def _hint(shape: Shape | None, problems: Sequence[Problem]) -> str:
    tools = sum("tools are not trained" in problem.message for problem in problems)
    if tools:
        rows = f"{tools:,} row{'s' if tools > 1 else ''} with tools"
        return f"{rows}: only text turns are trained; --skip-bad trains on the other rows."
    if shape is None:
        return f"A row needs the columns {shapes.ACCEPTED}; name other columns with --map prompt=COLUMN."
    return f"Each row must have {shape}; --skip-bad trains on the valid rows."

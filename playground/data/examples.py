"""Examples: conversations whose assistant turns are trained, read strictly and reported together.

A set of ordinary size is read and checked whole before any model is loaded. A larger one is read row by
row as needed, so that neither memory nor the time to the first step depends on its length.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from playground import paths
from playground.config import TrainConfig
from playground.data import columns as tables
from playground.data.containers import Rows, open_rows
from playground.data.jsonl import Problem, refuse
from playground.data.reading import LEFT_OUT, LOOKED_AT, Example, Reading, first_rows, renaming, require_columns
from playground.data.shapes import TYPED, Shape
from playground.data.talk import Note, Turn
from playground.data.tells import tells
from playground.data.unknown import ACCEPTED
from playground.data.unread import Remarks
from playground.errors import InputError
from playground.events.values import Progress

__all__ = ["Dataset", "Example", "Turn", "UnknownColumns", "read_dataset", "typed_row"]

# A set of at most this many rows is checked and encoded as a whole before anything else; of a larger one, `LOOKED_AT`.
WHOLE_ROWS = 10_000


class UnknownColumns(InputError):
    """No row of a table can be read, but some could if its columns were named.

    Args:
        message: What is wrong.
        columns: The option `columns` with our guess.
        num_rows: The number of rows of the table.
        hint: What these options do.
    """

    def __init__(self, message: str, columns: Sequence[str], num_rows: int, hint: str = "Say which is which") -> None:
        super().__init__(message, f"{hint}: {tables.as_flags(columns)}")
        self.columns = tuple(columns)
        self.num_rows = num_rows


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
        skipped: The rows that were left out, with the reason: on request, or because they say that they are bad.
        remarks: What is to be said about its rows.
        remarks_are_whole: Whether about all of them; else about those checked at the start.
    """

    name: str
    path: str
    sha256: str
    container: str
    shape: Shape
    examples: Sequence[Example]
    skipped: tuple[Problem, ...] = ()
    remarks: Remarks = field(default_factory=Remarks)
    remarks_are_whole: bool = True

    @property
    def is_whole(self) -> bool:
        """Whether every row has been read and checked."""
        return not isinstance(self.examples, _Lazy)

    def require_readable(self, progress: Progress) -> Dataset:
        """Return this data set after every row of it has been read and checked, with what is to be said of all rows.

        Rows that say that they are bad are left out.

        Raises:
            InputError: With every problem in it.
        """
        if not isinstance(self.examples, _Lazy) or self.examples.good is not None:
            return self  # it was read whole, or to find the good rows
        rows = self.examples.rows
        remarks, good, problems = _sorted_out(rows, self.examples.reading, progress)
        if wrong := [problem for problem in problems if not problem.left_out]:
            raise refuse(self.path, wrong, _hint(self.shape, wrong, first_rows(rows), valid=True))
        known = self.only(good, problems) if problems else self
        return replace(known, remarks=remarks, remarks_are_whole=True)

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
    reading: Reading
    good: array[int] | None  # indices of the valid rows, if others are left out

    def __len__(self) -> int:
        return len(self.rows) if self.good is None else len(self.good)

    def __getitem__(self, index: Any) -> Any:
        found = self.reading.example(*self.rows.read(index if self.good is None else self.good[index]))
        if isinstance(found, Problem):
            raise refuse(self.path, [found], "Check the whole file with 'sft-playground data check'.")
        return found


def read_dataset(
    name: str | Path, columns: Sequence[str] = (), *, skip_bad: bool = False, repair: bool = False
) -> Dataset:
    """Read the data set called `name`: a path, a bundled set, or ``hf:org/name[:split]``.

    Args:
        name: The data.
        columns: Renamings such as ``"prompt=question"``: the column `question` is read as `prompt`; ``"context="``
            leaves a column out.
        skip_bad: Leave out the rows that cannot be trained instead of refusing the file.
        repair: Mend rows where that needs no guess.

    Raises:
        UnknownColumns: If its columns have to be named first.
        InputError: With every problem in the data, or if it has no rows.
        EnvironmentFault: If it cannot be read.
    """
    path = Path(name) if str(name).startswith("hf:") else paths.find_file(str(name))
    rows = open_rows(str(name), path)
    renamed = renaming(columns)
    first = first_rows(rows)
    require_columns(str(path), first, renamed)
    reading = Reading.of(first, renamed, repair=repair)
    if reading.shape is None and (way := reading.way(first)):
        raise UnknownColumns(f"{path}: {reading.unknown(first[0])}.", way.columns, len(rows), way.does)
    whole, remarks, good = len(rows) <= WHOLE_ROWS, Remarks(), None
    looked = list(_looked(islice(rows, None if whole else LOOKED_AT), reading, remarks, rows.notes))
    examples = tuple(found for found in looked if isinstance(found, Example))
    problems = [found for found in looked if isinstance(found, Problem)]
    if reading.shape is not None and not whole and (skip_bad or any(map(reading.is_judged, first))):
        remarks, good, problems = _sorted_out(rows, reading)
    wrong = [problem for problem in problems if not problem.left_out]
    if wrong and not (skip_bad and examples):
        error = refuse(str(path), wrong, _hint(reading.shape, wrong, first, valid=bool(examples)))
        unnamed = None if examples else reading.way(first)
        raise UnknownColumns(error.message, unnamed.columns, len(rows), unnamed.does) if unnamed else error
    if problems and not examples:
        raise refuse(str(path), problems, "There is nothing to learn here but bad answers.")
    if not examples or reading.shape is None:
        raise InputError(f"{path} has no rows.", f"A row needs the columns {ACCEPTED}.")
    kept = examples if whole else _Lazy(rows, str(path), reading, good)
    return Dataset(
        rows.name, str(path), rows.sha256, rows.container, reading.shape, kept, tuple(problems), remarks,
        remarks_are_whole=whole or good is not None,
    )  # fmt: skip


def training_data(config: TrainConfig) -> Dataset:
    """Read the data set that a run with this config trains on; see `read_dataset`."""
    return read_dataset(config.data, config.columns, skip_bad=config.skip_bad, repair=config.repair)


def _looked(
    rows: Iterable[tuple[int, dict[str, Any] | Problem]], reading: Reading, remarks: Remarks, notes: tuple[Note, ...]
) -> Iterator[Example | Problem]:
    """Yield each row as an example, or the problem with it; note in `remarks` what is to be said of it, and `notes`."""
    for line, row in rows:
        found, unread = reading.looked(line, row)
        if isinstance(found, Problem):
            remarks.add(line, {}, (LEFT_OUT,) if found.left_out else ())
        else:
            remarks.add(line, unread, (*notes, *found.notes, *tells(found.turns)))
        yield found


def _sorted_out(
    rows: Rows, reading: Reading, progress: Progress = lambda stage, share: None
) -> tuple[Remarks, array[int], list[Problem]]:
    """Return what is to be said of all rows, the indices of those that are examples, and the problems of the others."""
    remarks, good, problems = Remarks(), array("Q"), []
    for index, found in enumerate(_looked(rows, reading, remarks, rows.notes)):
        if index % 1000 == 0:
            progress("checking all rows", index / len(rows))
        if isinstance(found, Problem):
            problems.append(found)
        else:
            good.append(index)
    return remarks, good, problems


def typed_row(prompt: str, answer: str) -> Example | Problem:
    """Return a row that was typed, not read from a file, or the problem with it."""
    return Reading(TYPED).example(0, {"prompt": prompt, "response": answer})


def remarks_in_words(dataset: Dataset) -> tuple[str, ...]:
    """Return a sentence about each column that is not read, and about whatever else is to be said of the rows."""
    return dataset.remarks.words("" if dataset.remarks_are_whole else f" of the first {LOOKED_AT:,}")


def _hint(shape: Shape | None, problems: Sequence[Problem], first: Sequence[dict[str, Any]], *, valid: bool) -> str:
    """Return what to do about the `problems` of rows like `first`; `valid` says whether others can be trained on."""
    tools = sum("tools are not trained" in problem.message for problem in problems)
    if tools:
        rest = "; --skip-bad trains on the other rows" if valid else ""
        return f"{tools:,} row{'s' if tools > 1 else ''} with tools: only text turns are trained{rest}."
    if not first:
        return "A file has a JSON object a line, a JSON array of objects, or a table with the names of its columns."
    if shape is None:
        unnamed = any(problem.message.endswith(ACCEPTED) for problem in problems)  # else each says what to do
        if unnamed and len(tables.columns(first)) > 1:
            return "Name the columns that are meant: --map prompt=COLUMN --map completion=COLUMN."
        return "A row needs a prompt and an answer in columns of their own, or messages with roles."
    mends = any("--repair" in problem.message for problem in problems)
    way = "; --repair mends what needs no guess" if mends else ""
    rest = "; --skip-bad trains on the valid rows" if valid else ""
    return f"Each row must have {shape}{way}{rest}."

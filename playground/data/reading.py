"""Reading: from rows to examples, under one decision about what the columns of a file mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

from playground.data import columns as tables
from playground.data import shapes
from playground.data.containers import Rows
from playground.data.jsonl import Problem
from playground.data.names import CHOSEN, find, is_preference
from playground.data.shapes import Shape
from playground.data.talk import Note, Options, Turn
from playground.data.tells import STRIPPED, without_end
from playground.data.unknown import columns_of, has_several_answers, says_one_message, unknown_columns
from playground.data.unread import judged, unread
from playground.errors import UsageError

LOOKED_AT = 1_000  # rows from which the shape is detected
MOST_NAMED = 40  # columns, where one of them has to be chosen
LEFT_OUT = Note("'label' is false: left out", "the answer was judged bad, and would be learned")


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation from `line` of its file: ``[system] (user assistant)+``, with notes about how it was read."""

    turns: tuple[Turn, ...]
    line: int
    notes: tuple[Note, ...] = ()


class Way(NamedTuple):
    """The option `columns` with which a file can be read, what it does, and why it is needed."""

    columns: tuple[str, ...]
    does: str
    why: str


@dataclass(frozen=True)
class Reading:
    """How the rows of a file are read.

    Attributes:
        shape: What its columns mean; None if that is not known.
        renamed: ``{name: column}``: the column is read as `name`; ``{name: ""}`` leaves it out.
        repair: Whether rows are mended where that needs no guess.
    """

    shape: Shape | None
    renamed: dict[str, str] = field(default_factory=dict)
    repair: bool = False

    @classmethod
    def of(cls, first: Sequence[dict[str, Any]], renamed: dict[str, str], *, repair: bool = False) -> Reading:
        """Decide how to read rows like the `first` ones of a file."""
        shape = shapes.detect((rename(row, renamed) for row in first), (name for name in renamed if renamed[name]))
        return cls(shape, renamed, repair)

    @classmethod
    def of_questions(cls, first: Sequence[dict[str, Any]]) -> Reading:
        """Decide how to read the questions of rows like the `first` ones of a file, which need no answers.

        They are those that training shows; of preferences, those before the better answer.
        """
        as_is = cls.of(first, {})
        ways = (cls.of(first, renaming(columns)) for columns in _preferences(first))
        if found := next((reading for reading in (as_is, *ways) if reading._reads_any(first)), None):
            return found
        return as_is if as_is.shape is not None else cls.of(list(map(shapes.with_answer_only, first)), {})

    @property
    def _options(self) -> Options:
        return Options(frozenset(name for name, column in self.renamed.items() if not column), self.repair)

    def example(self, line: int, row: dict[str, Any] | Problem) -> Example | Problem:
        """Return `row` as an example, or the problem with it."""
        return row if isinstance(row, Problem) else self._example(line, *self._row(row))

    def looked(self, line: int, row: dict[str, Any] | Problem) -> tuple[Example | Problem, dict[str, Any]]:
        """Return `row` as an example, or the problem with it; and of an example, what is `unread`."""
        if isinstance(row, Problem):
            return row, {}
        opened, notes = self._row(row)
        found = self._example(line, opened, notes)
        return found, {} if isinstance(found, Problem) else self._unread(row, opened)

    def _example(self, line: int, row: dict[str, Any], said: tuple[Note, ...]) -> Example | Problem:
        if self.shape is None:
            return Problem(line, unknown_columns(row))
        shape = self.shape.of_row(row)
        read = shapes.read_row(row, shape, self._options)
        if isinstance(read, str):
            return Problem(line, read)
        if judged(row, shape.reads) is False:
            return Problem(line, f"{LEFT_OUT.kind}: {LEFT_OUT.message}", left_out=True)
        turns, notes = read
        if self.repair and (stripped := tuple(map(without_end, turns))) != turns:
            return Example(stripped, line, (*said, *notes, STRIPPED))
        return Example(turns, line, (*said, *notes))

    def asked(self, line: int, row: dict[str, Any]) -> tuple[Turn, ...] | Problem:
        """Return the turns of a row, with an answer in place of its own, which may be missing; or the problem.

        A row that does not have the shape of the others is read by itself.
        """
        if self.shape is None:
            return Problem(line, f"it has {columns_of(row)}; that of its question must be called 'prompt'")
        whole = shapes.with_answer(self._row(row)[0], self.shape)
        if not self.shape.fits(whole) and (alone := Reading.of_questions([row])) != self:
            return alone.asked(line, row)
        read = shapes.read_row(whole, self.shape.of_row(whole), self._options)
        return Problem(line, read) if isinstance(read, str) else read[0]

    def unread(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return what of a row is not read, as ``{name: value}``: columns, those that are replaced, keys of messages.

        A key of messages is called ``column[].key``.
        """
        return self._unread(row, self._row(row)[0])

    def _unread(self, row: dict[str, Any], opened: dict[str, Any]) -> dict[str, Any]:
        assert self.shape is not None
        columns = self.renamed.values()
        replaced = {name: row[name] for name in self.renamed if name in row and name not in columns and row[name]}
        shape = self.shape.of_row(opened)
        return {**replaced, **unread(opened, shape.reads), **shapes.keys_not_read(opened, shape, self._options)}

    def is_judged(self, row: dict[str, Any]) -> bool:
        """Return whether `row` says if its answer is good."""
        assert self.shape is not None
        return judged(rename(row, self.renamed), self.shape.reads) is not None

    def unknown(self, row: dict[str, Any]) -> str:
        """Return why a file whose rows look like `row` cannot be read."""
        return unknown_columns(rename(row, self.renamed))

    def roles_to_name(self, first: Sequence[dict[str, Any]]) -> dict[str, str]:
        """Return our guess of ``{role: column}`` where no row can be read, but some could with it; else nothing."""
        if self._reads_any(first) or any(map(says_one_message, first)) or not (roles := tables.guess(first)):
            return {}
        return roles if self._with(tables.renamings(roles), first)._reads_any(first) else {}

    def way(self, first: Sequence[dict[str, Any]]) -> Way | None:
        """Return how rows can be read of which none can be read like this, if there is a way."""
        if self._reads_any(first):
            return None
        for columns in _preferences(first):
            if self._with(columns, first)._reads_any(first):
                return Way(columns, "To train on its better side", "preference data")
        roles = self.roles_to_name(first)
        return Way(tables.renamings(roles), "Say which is which", "unknown columns") if roles else None

    def roles(self, first: Sequence[dict[str, Any]]) -> dict[str, str]:
        """Return which column has which role: as `way` reads the `first` rows, else our guess; empty without one."""
        if (way := self.way(first)) is None:
            return tables.guess(first)
        named = self._with(way.columns, first)
        roles = dict(named.shape.roles) if named.shape is not None else {}
        return {role: named.renamed.get(roles[role], roles[role]) for role in tables.ROLES if role in roles}

    def _row(self, row: dict[str, Any]) -> tuple[dict[str, Any], tuple[Note, ...]]:
        row = rename(row, self.renamed)
        return (row, ()) if self.shape is None else shapes.opened(row, self.shape)

    def _with(self, columns: Sequence[str], first: Sequence[dict[str, Any]]) -> Reading:
        return Reading.of(first, renaming(columns), repair=self.repair)

    def _reads_any(self, first: Sequence[dict[str, Any]]) -> bool:
        return any(isinstance(self.example(0, row), Example) for row in first)


def _preferences(first: Sequence[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    """Yield the options that may read preference data, if rows are that."""
    row = next((row for row in first if is_preference(row)), None)
    if row is not None:
        chosen = find(CHOSEN, row)
        if not has_several_answers(row):
            yield (f"messages={chosen}",)
        yield (f"completion={chosen}",)
        if find(("prompt",), row):
            return  # another column in its place would lose it
        for asked in ("conversations", "messages", "input", "instruction", "question", "query"):
            if asked in row:
                yield (f"prompt={asked}", f"completion={chosen}")


def first_rows(rows: Rows) -> list[dict[str, Any]]:
    """Return the first rows that can be parsed: those from which shape and columns are detected."""
    return [row for _, row in islice(rows, LOOKED_AT) if not isinstance(row, Problem)]


def require_columns(name: str, first: Sequence[dict[str, Any]], renamed: dict[str, str]) -> None:
    """Refuse renamings of columns that none of the `first` rows of the data called `name` has.

    Raises:
        UsageError: Naming such a column, and those that are there.
    """
    known = dict.fromkeys(tables.columns(first))
    if first and (missing := [column for column in renamed.values() if column and column not in known]):
        raise UsageError(f"{name} has no column {missing[0]!r}.", f"It has {columns_of(known, MOST_NAMED)}.")


def renaming(columns: Sequence[str]) -> dict[str, str]:
    """Return ``{name: column}`` from texts such as ``"prompt=question"``; of ``"context="``, ``{"context": ""}``.

    Raises:
        UsageError: If one is not of that form.
    """
    renamed: dict[str, str] = {}
    for text in columns:
        name, equals, column = text.partition("=")
        if not (name and equals) or name in renamed:
            raise UsageError(f"--map {text!r} is not valid.", "Write it like --map prompt=question.")
        renamed[name] = column
    return renamed


def rename(row: dict[str, Any], renamed: dict[str, str]) -> dict[str, Any]:
    """Return `row` with its columns renamed, without those that are left out."""
    if not renamed:
        return row
    columns = set(filter(None, renamed.values()))
    kept = {key: value for key, value in row.items() if key not in columns and key not in renamed}
    return kept | {name: row[column] for name, column in renamed.items() if column and column in row}

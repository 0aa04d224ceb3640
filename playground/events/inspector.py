"""The inspector child's events about data sets and plans."""

from __future__ import annotations

from dataclasses import dataclass

from playground.events.data import DataCheck
from playground.events.plans import Plan
from playground.events.values import Json, Named


@dataclass(frozen=True, slots=True)
class InspectorEvent(Named):
    """A line from the inspector; `request` is the number of the request it answers."""

    request: int


@dataclass(frozen=True, slots=True)
class DataSetInfo(Json):
    """A data set that could be trained on.

    Attributes:
        path: The value for a config.
        where: Where it was found.
        num_rows: None if it is too large to be counted.
        shape: The meaning of its columns.
        num_bad: Rows that cannot be read.
        columns: The option `columns` with our guess, if its columns have to be named before it can be read.
    """

    name: str
    path: str
    where: str
    num_rows: int | None
    shape: str
    num_bad: int = 0
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DataSets(InspectorEvent):
    """The bundled data sets, those in this folder, and those of recent runs."""

    sets: tuple[DataSetInfo, ...]


@dataclass(frozen=True, slots=True)
class InspectorStage(InspectorEvent):
    """The current stage, and the completed share of it."""

    stage: str
    share: float


@dataclass(frozen=True, slots=True)
class MaskedRow(Json):
    """A row as used in training: each token's text, and whether it carries loss. A held-out row is only evaluated.

    `cut` says what did not fit in `max_length`.
    """

    line: int
    texts: tuple[str, ...]
    trained: tuple[bool, ...]
    cut: str
    held_out: bool = False


@dataclass(frozen=True, slots=True)
class Table(Json):
    """A data set as columns.

    Attributes:
        name: The name shown to the user.
        container: How it is stored, in words.
        num_rows: The number of its rows.
        columns: Their names.
        samples: The texts of the first few rows, in the order of `columns`; empty where a row has none.
        roles: Our guess: ``{"prompt": column, "completion": column}``, possibly with "system" and "context"; or
            ``{"messages": column}``.
    """

    name: str
    container: str
    num_rows: int
    columns: tuple[str, ...]
    samples: tuple[tuple[str, ...], ...]
    roles: dict[str, str]


@dataclass(frozen=True, slots=True)
class TableFound(InspectorEvent):
    """A data set that has more than one column of texts; with `needed`, no row can be read before they are named."""

    table: Table
    needed: bool


@dataclass(frozen=True, slots=True)
class Looked(InspectorEvent):
    """A data set that was read, and the problems found in it."""

    check: DataCheck


@dataclass(frozen=True, slots=True)
class RowsShown(InspectorEvent):
    """Rows from `start` on, out of `total` that can be trained on."""

    start: int
    total: int
    rows: tuple[MaskedRow, ...]


@dataclass(frozen=True, slots=True)
class PlanMade(InspectorEvent):
    """The plan of a training run, and the equivalent command."""

    plan: Plan
    command: str


@dataclass(frozen=True, slots=True)
class InspectorError(InspectorEvent):
    """A request that cannot be served; with `request` -1 the inspector has ended."""

    message: str
    hint: str


INSPECTOR_EVENTS: dict[str, type[InspectorEvent]] = {
    cls.__name__: cls for cls in (DataSets, InspectorStage, TableFound, Looked, RowsShown, PlanMade, InspectorError)
}

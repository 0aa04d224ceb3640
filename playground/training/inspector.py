"""The inspector as a process: data sets, masks and plans, with a tokenizer, without a model, and without a GPU.

``python -m playground.training.inspector {}``. Requests are JSON lines: ``{"do": "list"}``,
``{"do": "look", "config": …}`` and ``{"do": "rows", "start": …, "count": …}``, each with an ``id``. Only the newest
request of a kind is served: an older one still waiting is dropped, because another data set has been opened.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from playground import paths
from playground.config import TrainConfig
from playground.errors import InputError, PlaygroundError
from playground.events.inspector import (
    DataSets,
    InspectorError,
    InspectorEvent,
    InspectorStage,
    Looked,
    MaskedRow,
    PlanMade,
    RowsShown,
    Table,
    TableFound,
)
from playground.jobs import border

if TYPE_CHECKING:
    from playground.data.containers import Rows

MOST_ROWS = 200  # sent at once
# Not seen here: the context on a GPU that a question makes would be missed by a training for as long as this process
# lives. `models.machine` asks in another one.
NO_GPU = {"CUDA_VISIBLE_DEVICES": "-1", "HIP_VISIBLE_DEVICES": "-1"}
SAMPLES, SAMPLE = 3, 300  # rows that show what is in the columns, and the longest text of a cell


def main() -> None:
    """Serve requests until standard input ends."""
    before = dict(os.environ)
    os.environ.update(NO_GPU)

    def work(send: Callable[[InspectorEvent], None]) -> None:
        inspector = Inspector(send, before)
        for request in newest(_lines(sys.stdin)):
            try:
                inspector.serve(request)
            except (ValueError, KeyError, TypeError) as error:
                print(f"not a request: {request!r:.200}: {error!r}", file=sys.stderr)

    border.run(work, lambda message, hint: InspectorError(-1, message, hint))


def _lines(stream: TextIO) -> queue.Queue[dict[str, Any] | None]:
    """Return a queue that a thread fills with the requests of `stream`, and ends with None."""
    waiting: queue.Queue[dict[str, Any] | None] = queue.Queue()

    def read() -> None:
        for line in stream:
            try:
                request = json.loads(line)
                if not isinstance(request, dict):
                    raise TypeError(type(request).__name__)
            except (ValueError, TypeError, RecursionError) as error:
                print(f"not a request: {line[:200]!r}: {error!r}", file=sys.stderr)
                continue
            waiting.put(request)
        waiting.put(None)

    threading.Thread(target=read, daemon=True).start()
    return waiting


def newest(waiting: queue.Queue[dict[str, Any] | None]) -> Iterator[dict[str, Any]]:
    """Yield requests as they come, except those for which a newer one of their kind is already waiting.

    Looking at another data set also drops requests for rows of the previous one.
    """
    pending: list[dict[str, Any]] = []
    open_ended = True
    while open_ended or pending:
        while open_ended and (not pending or not waiting.empty()):
            request = waiting.get()
            if request is None:
                open_ended = False
                break
            gone = {"look": ("look", "rows")}.get(str(request.get("do")), (request.get("do"),))
            pending = [*(older for older in pending if older.get("do") not in gone), request]
        if pending:
            yield pending.pop(0)


class Inspector:
    """Serves requests one by one and keeps the last data set.

    Args:
        send: Receives the events.
        environment: Of processes that see the GPUs.
    """

    def __init__(self, send: Callable[[InspectorEvent], None], environment: Mapping[str, str] = os.environ) -> None:
        self._send, self._environment = send, environment
        self._rows: Any = None
        self._lines: Any = ()
        self._encoder: Any = None

    def serve(self, request: dict[str, Any]) -> None:
        """Serve a request; a problem with its data is sent as an event."""
        number = int(request["id"])
        try:
            match request["do"]:
                case "list":
                    from playground.data.library import data_sets

                    self._send(DataSets(number, tuple(data_sets())))
                case "look":
                    self._look(number, TrainConfig.from_dict(request["config"]), int(request.get("released", 0)))
                case "rows":
                    self._show(number, int(request["start"]), int(request["count"]))
        except PlaygroundError as error:
            self._send(InspectorError(number, error.message, error.hint))

    def _look(self, number: int, config: TrainConfig, released: int) -> None:
        hub = config.data.startswith("hf:")
        self._send(InspectorStage(number, f"reading {config.data} from the hub" if hub else "reading the data", 0.0))
        from playground.data.containers import open_rows
        from playground.data.lint import check
        from playground.data.reading import Reading, first_rows, renaming

        def stage(what: str, share: float) -> None:
            self._send(InspectorStage(number, what, share))

        self._rows = None
        found = open_rows(config.data, paths.find_file(config.data))
        if not len(found):
            raise InputError(f"{config.data} has no rows.", "Name a file with one JSON object per line.")
        first, renamed = first_rows(found), renaming(config.columns)
        known = bool(renamed) and all(any(column in row for row in first) for column in renamed.values())
        needed = not known and Reading.of(first, renamed, repair=config.repair).way(first) is not None
        if table := as_table(found, first, Reading.of(first, {}, repair=config.repair).roles(first)):
            self._send(TableFound(number, table, needed))
            if needed:
                return
        looked = check(found, renamed, None, lambda share: stage("checking the rows", share), repair=config.repair)
        self._send(Looked(number, looked))
        from playground.models.machine import asked  # imports PyTorch: takes seconds, and the check need not wait

        machine = asked(self._environment)
        from playground.training.plan import plan_training

        planned = plan_training(config, stage, released=released, machine=machine)
        self._rows, self._encoder = planned.everything, planned.encoder
        self._lines, self._held_out = planned.dataset.examples, set(planned.held_out)
        self._show(number, 0, MOST_ROWS)
        self._send(PlanMade(number, planned.plan, planned.config.command()))

    def _show(self, number: int, start: int, count: int) -> None:
        if self._rows is None:
            raise InputError("No data set is open.", "Choose one.")
        total = len(self._rows)
        shown = []
        for at in range(max(0, start), min(total, start + min(count, MOST_ROWS))):
            pieces = self._encoder.pieces(self._rows[at])
            texts, trained = zip(*pieces, strict=True)
            line, held_out = self._lines[at].line, at in self._held_out
            shown.append(MaskedRow(line, texts, trained, self._rows[at].cut, held_out))
        self._send(RowsShown(number, start, total, tuple(shown)))


def as_table(rows: Rows, first: Sequence[dict[str, Any]], roles: dict[str, str]) -> Table | None:
    """Return `rows`, of which `first` are an example, as columns; None without `roles` for them."""
    from playground.data import columns

    if not roles:
        return None
    names = columns.columns(first)

    def cell(value: Any) -> str:
        text = value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)
        return text[:SAMPLE]

    samples = tuple(tuple(cell(row.get(name)) for name in names) for row in first[:SAMPLES])
    return Table(rows.name, rows.container, len(rows), names, samples, roles)


if __name__ == "__main__":
    main()

"""The desk as a process: data sets, masks and plans, with a tokenizer and without a model.

``python -m playground.training.desk {}``. Requests are JSON lines: ``{"do": "list"}``, ``{"do": "look", "config": …}``
and ``{"do": "rows", "start": …, "count": …}``, each with an ``id``. Only the newest request matters: one that waits
behind another is left out.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playground import paths
from playground.config import TrainConfig
from playground.environ import before_torch
from playground.errors import InputError, PlaygroundError
from playground.events.desk import (
    DataSetInfo,
    DataSets,
    DeskError,
    DeskEvent,
    DeskStage,
    Looked,
    MaskedRow,
    PlanMade,
    RowsShown,
)
from playground.log import write_log

MOST_ROWS = 200  # that are sent at once
COUNTED_BYTES = 64 << 20  # of a file that is read to be listed


def main() -> None:
    """Serve requests until standard input ends."""
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    before_torch()

    def send(event: DeskEvent) -> None:
        stream.write(event.to_json() + "\n")
        stream.flush()

    desk, code = Desk(send), 0
    try:
        for line in sys.stdin:
            try:
                desk.serve(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                print(f"no request: {line[:200]!r}: {error!r}", file=sys.stderr)
    except BrokenPipeError:
        pass  # the app is gone
    except Exception as error:  # noqa: BLE001 - the border of a child: the app gets a line, the log the rest
        code, log = 1, write_log(error)
        send(DeskError(-1, f"Something unexpected happened: {type(error).__name__}: {error}", f"Details: {log}."))
    finally:
        sys.stderr.flush()
        os._exit(code)


class Desk:
    """Serves requests one by one and keeps what was looked at last.

    Args:
        send: Takes what there is to say.
    """

    def __init__(self, send: Callable[[DeskEvent], None]) -> None:
        self._send = send
        self._rows: Any = None
        self._lines: Any = ()
        self._encoder: Any = None

    def serve(self, request: dict[str, Any]) -> None:
        """Serve a request; what is wrong with its data is an event."""
        number = int(request["id"])
        try:
            match request["do"]:
                case "list":
                    self._send(DataSets(number, tuple(data_sets())))
                case "look":
                    self._look(number, TrainConfig.from_dict(request["config"]))
                case "rows":
                    self._show(number, int(request["start"]), int(request["count"]))
        except PlaygroundError as error:
            self._send(DeskError(number, error.message, error.hint))

    def _look(self, number: int, config: TrainConfig) -> None:
        self._send(DeskStage(number, "reading the data", 0.0))
        from playground.data.containers import open_rows
        from playground.data.examples import renaming
        from playground.data.lint import check
        from playground.training.session import command, plan_training

        def stage(what: str, share: float) -> None:
            self._send(DeskStage(number, what, share))

        self._rows = None
        found = open_rows(config.data, paths.find_file(config.data))
        if not len(found):
            raise InputError(f"{config.data} holds no rows.", "Name a file with one JSON object a line.")
        looked = check(found, renaming(config.columns), None, lambda share: stage("checking the rows", share))
        self._send(Looked(number, looked))
        planned = plan_training(config, stage)
        self._rows, self._encoder = planned.everything, planned.encoder
        self._lines, self._held_out = planned.dataset.examples, set(planned.held_out)
        self._show(number, 0, MOST_ROWS)
        self._send(PlanMade(number, planned.plan, command(config, planned.plan)))

    def _show(self, number: int, start: int, count: int) -> None:
        if self._rows is None:
            raise InputError("No data set was looked at.", "Choose one.")
        total = len(self._rows)
        shown = []
        for at in range(max(0, start), min(total, start + min(count, MOST_ROWS))):
            pieces = self._encoder.pieces(self._rows[at])
            texts, trained = zip(*pieces, strict=True)
            line, held_out = self._lines[at].line, at in self._held_out
            shown.append(MaskedRow(line, texts, trained, self._rows[at].cut, held_out))
        self._send(RowsShown(number, start, total, tuple(shown)))


def data_sets() -> list[DataSetInfo]:
    """Return the data sets that are bundled, in this folder, or were trained on recently; each once."""
    from playground.data.containers import SUFFIXES

    found: dict[str, DataSetInfo] = {}
    for where, folder in (("bundled", paths.bundled("datasets")), ("here", Path())):
        for path in sorted(folder.iterdir()):
            if "".join(path.suffixes[-2:]).endswith(SUFFIXES) and (info := _info(path, where)):
                found.setdefault(str(path.resolve()), info)
    for name in _recent():
        path = paths.find_file(name)
        if name.startswith("hf:"):
            found.setdefault(name, DataSetInfo(name, name, "recent", None, ""))
        elif path.is_file() and (info := _info(path, "recent")):
            found.setdefault(str(path.resolve()), info)
    return list(found.values())


def _info(path: Path, where: str) -> DataSetInfo | None:
    from playground.data.examples import read_dataset

    if path.stat().st_size > COUNTED_BYTES:
        return DataSetInfo(path.name, str(path.absolute()), where, None, "")
    try:
        data = read_dataset(path, skip_bad=True)
    except PlaygroundError:
        return None  # prompts, or anything else that is no training data
    return DataSetInfo(path.name, str(path.absolute()), where, len(data.examples), str(data.shape))


def _recent() -> list[str]:
    from playground.jobs.folders import read_record
    from playground.models.adapters import newest_first

    records = [read_record(folder) for folder in newest_first(paths.adapters_dir())[:20]]
    return list(dict.fromkeys(str(record.config.get("data", "")) for record in records if record))


if __name__ == "__main__":
    main()

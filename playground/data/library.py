"""The known data sets: bundled, in this folder, typed or trained on. Commands and screens use this list."""

from __future__ import annotations

from pathlib import Path

from playground import paths
from playground.data.containers import SUFFIXES
from playground.data.examples import UnknownColumns, read_dataset
from playground.errors import PlaygroundError
from playground.events.inspector import DataSetInfo
from playground.runs.library import list_runs

COUNTED_BYTES = 64 << 20  # a larger file is listed without being read: its rows would take a minute to count
RECENT = 20  # runs whose data sets are listed


def data_sets() -> list[DataSetInfo]:
    """Return the data sets that are bundled, in this folder, typed, or were trained on recently; each once."""
    found: dict[str, DataSetInfo] = {}
    for where, folder in (("bundled", paths.bundled("datasets")), ("here", Path())):
        for path in sorted(folder.iterdir()):
            if "".join(path.suffixes[-2:]).endswith(SUFFIXES) and (info := _info(path, where)):
                found.setdefault(str(path.resolve()), info)
    lessons = paths.lessons_file()
    if lessons.is_file() and (info := _info(lessons, "yours")):
        found.setdefault(str(lessons.resolve()), info)
    for _, record in list_runs(paths.adapters_dir())[:RECENT]:
        name = str(record.config.get("data", ""))
        path = paths.find_file(name)
        if name.startswith("hf:"):
            found.setdefault(name, DataSetInfo(name, name, "recent", None, ""))
        elif path.is_file() and (info := _info(path, "recent")):
            found.setdefault(str(path.resolve()), info)
    return list(found.values())


def _info(path: Path, where: str) -> DataSetInfo | None:
    name, full = path.name, str(path.absolute())
    if path.stat().st_size > COUNTED_BYTES:
        return DataSetInfo(name, full, where, None, "")
    try:
        data = read_dataset(path, skip_bad=True)
    except UnknownColumns as error:
        if where == "bundled":
            return None  # the prompts that are held out: not to be trained on
        return DataSetInfo(name, full, where, error.num_rows, "", columns=error.columns)
    except PlaygroundError:
        return None  # prompts, or anything else that is not training data
    num_bad = len(data.skipped)
    return DataSetInfo(name, full, where, len(data.examples) + num_bad, str(data.shape), num_bad)

"""Finding adapters: by name, by path, or the newest one."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from playground import paths
from playground.errors import InputError
from playground.events import RunRecord

RECORD, CONFIG = "run.json", "adapter_config.json"


def read_record(folder: Path) -> RunRecord | None:
    """Return the record in an adapter's folder, or None if there is none that can be read."""
    try:
        return RunRecord.from_dict(json.loads((folder / RECORD).read_text("utf-8")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def find_adapter(wanted: str | None, adapters_dir: Path) -> Path:
    """Return the folder of the adapter a user means.

    Args:
        wanted: A path, the name of a run, or None for the newest of the user's own adapters, else the
            newest that came with the program.
        adapters_dir: The folder of the user's own adapters.

    Raises:
        InputError: If there is none.
    """
    if wanted is None:
        for folder in (adapters_dir, paths.bundled("adapters")):
            if found := _newest_first(folder):
                return found[0]
        raise InputError(
            f"There is no adapter in {adapters_dir} yet.", "Train one: sft-playground train --data mini.jsonl."
        )
    candidates = [Path(wanted).expanduser(), adapters_dir / wanted, paths.bundled("adapters") / wanted]
    for path in candidates:
        if (path / CONFIG).is_file():
            return path
    for path in candidates[:2]:
        if path.is_dir():
            raise InputError(f"{path} holds no {CONFIG}.", "Its training has not ended yet, or it is no adapter.")
    own = [path.name for path in _newest_first(adapters_dir)[:5]]
    known = f"Your newest: {', '.join(own)}." if own else f"None is in {adapters_dir} yet."
    raise InputError(f"There is no adapter {wanted!r}.", f"Name a folder or a run. {known}")


def _newest_first(folder: Path) -> list[Path]:
    found = [path for path in folder.glob("*") if (path / CONFIG).is_file()] if folder.is_dir() else []
    return sorted(found, key=lambda path: (_created(path), path.name), reverse=True)


def _created(folder: Path) -> str:
    # The record's own time: copying or unpacking a folder changes the file's.
    if record := read_record(folder):
        return record.created_at
    return datetime.fromtimestamp((folder / CONFIG).stat().st_mtime, UTC).isoformat(timespec="seconds")

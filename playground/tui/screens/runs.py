"""What was trained: all runs, the newest first."""

from __future__ import annotations

import json
from pathlib import Path

from playground import paths
from playground.events import RunRecord
from playground.jobs import is_busy
from playground.tui.screens.picker import Picker


def found_runs(adapters_dir: str | None = None) -> list[tuple[Path, RunRecord]]:
    """Return the runs in the user's folder, the newest first; what is no record is left out."""
    home = paths.adapters_dir(adapters_dir)
    found = []
    for folder in home.glob("*/run.json"):
        try:
            record = RunRecord.from_dict(json.loads(folder.read_text("utf-8")))
            found.append((str(record.created_at), folder.parent, record))
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            continue
    return [(folder, record) for _, folder, record in sorted(found, key=lambda item: item[0], reverse=True)]


def run_picker(runs: list[tuple[Path, RunRecord]]) -> Picker:
    """Return a picker of runs."""
    rows = []
    for folder, record in runs:
        state = str(record.state)
        if state == "running" and not is_busy(folder):
            state = "interrupted"  # a process that was killed could not write how it ended
        loss = f"{record.loss:.2f}" if isinstance(record.loss, float) else ""
        when = str(record.created_at)[:16].replace("T", " ")
        rows.append((folder.name, state, f"{record.step}/{record.num_steps}", loss, str(record.data_name), when))
    return Picker(
        "Runs, the newest first",
        ("run", "state", "steps", "loss", "data set", "begun (UTC)"),
        rows,
        "There is no run yet. Esc, choose a data set, and F5 starts one.",
    )

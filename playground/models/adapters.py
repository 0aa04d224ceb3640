"""Finding adapters: by name, by path, on the hub, at a step of a run, or the newest one."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from playground import paths
from playground.errors import InputError
from playground.jobs.folders import STEPS, read_record

CONFIG = "adapter_config.json"
_AT_STEP = re.compile(r"(.+)@(\d{1,9})")


def step_folder(run: Path, step: int) -> Path:
    """Return the folder of a run's adapter as it was after `step` steps."""
    return run / STEPS / f"{step:06d}"


def label(folder: Path) -> str:
    """Return what an adapter is called: its folder's name, ``RUN@step``, or its name on the hub."""
    folder = folder.absolute()
    if folder.parent.name == STEPS and folder.name.isdigit():
        return f"{folder.parent.parent.name}@{int(folder.name)}"
    if folder.parent.name == "snapshots":  # …/models--org--name/snapshots/<commit>
        return folder.parent.parent.name.removeprefix("models--").replace("--", "/")
    return folder.name


def find_adapter(wanted: str | None, adapters_dir: Path) -> Path:
    """Return the folder of the adapter a user means.

    Args:
        wanted: A path, the name of a run, ``RUN@step``, ``hf:org/name``, or None for the newest of the
            user's own adapters, else the newest that came with the program.
        adapters_dir: The folder of the user's own adapters.

    Raises:
        InputError: If there is none.
        EnvironmentFault: If the hub cannot be reached.
    """
    if wanted is None:
        if found := library(adapters_dir):
            return found[0][0]
        raise InputError(
            f"There is no adapter in {adapters_dir} yet.", "Train one: sft-playground train --data mini.jsonl."
        )
    if wanted.startswith("hf:"):
        from playground.models.source import download_adapter

        return download_adapter(wanted)
    candidates = [_path(wanted), adapters_dir / wanted, paths.bundled("adapters") / wanted]
    for path in candidates:
        if (path / CONFIG).is_file():
            return path
    if (match := _AT_STEP.fullmatch(wanted)) and (found_at := _at_step(match[1], int(match[2]), adapters_dir)):
        return found_at
    for path in candidates[:2]:
        if path.is_dir():
            raise InputError(f"{path} holds no {CONFIG}.", "Its training has not ended yet, or it is no adapter.")
    everything = library(adapters_dir)
    own = [path.name for path, whose in everything if whose == "yours"][:5]
    shipped = ", ".join(path.name for path, whose in everything if whose == "shipped")
    known = f"Your newest: {', '.join(own)}." if own else f"None is in {adapters_dir} yet; shipped: {shipped}."
    raise InputError(f"There is no adapter {wanted!r}.", f"Name a folder or a run. {known}")


def kept_steps(run: Path) -> list[int]:
    """Return the steps at which a run's adapter was kept, in order."""
    return sorted(int(path.parent.name) for path in (run / STEPS).glob(f"*/{CONFIG}") if path.parent.name.isdigit())


def library(adapters_dir: Path) -> list[tuple[Path, Literal["yours", "shipped"]]]:
    """Return all adapters, each once: the user's own, the newest first, then those that came with the program.

    In a checkout both lie in one folder.
    """
    found = [*newest_first(adapters_dir), *newest_first(paths.bundled("adapters"))]
    once = {folder.resolve(): folder for folder in reversed(found)}  # of two the user's folder, as the user names it
    every = [folder for folder in found if once[folder.resolve()] is folder]
    own = [folder for folder in every if not paths.is_shipped(folder)]
    return [*((folder, "yours") for folder in own), *((folder, "shipped") for folder in every if folder not in own)]


def newest_first(folder: Path) -> list[Path]:
    """Return the adapters in `folder`, the newest first."""
    found = [path for path in folder.glob("*") if (path / CONFIG).is_file()] if folder.is_dir() else []
    return sorted(found, key=lambda path: (created(path), path.name), reverse=True)


def created(folder: Path) -> str:
    """Return when an adapter was made, as ISO 8601."""
    # The record's own time: copying or unpacking a folder changes the file's.
    if record := read_record(folder):
        return record.created_at
    return datetime.fromtimestamp((folder / CONFIG).stat().st_mtime, UTC).isoformat(timespec="seconds")


def _path(name: str) -> Path:
    try:
        return Path(name).expanduser()
    except RuntimeError:  # the home of nobody
        return Path(name)


def _at_step(name: str, step: int, adapters_dir: Path) -> Path | None:
    for run in (_path(name), adapters_dir / name):
        if run.is_dir():
            if (step_folder(run, step) / CONFIG).is_file():
                return step_folder(run, step)
            steps = ", ".join(map(str, kept_steps(run))) or "none"
            raise InputError(f"The run {run.name} kept no adapter at step {step}.", f"It kept: {steps}.")
    return None

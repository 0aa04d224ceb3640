"""All runs and adapters, the user's own and the shipped ones, for commands, child processes and screens.

Nothing here imports torch, and nothing is downloaded: `playground.models.adapters.find_adapter` does that.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Literal

from playground import paths
from playground.errors import EnvironmentFault, InputError, UsageError
from playground.events.runs import RunRecord
from playground.runs.folder import ADAPTER_CONFIG, created, is_busy, is_file, is_run, read_record, write_record


def list_runs(home: Path) -> list[tuple[Path, RunRecord]]:
    """Return the runs in a folder, newest first; folders without a valid record are left out."""
    folders = [path for path in home.glob("*") if path.is_dir()] if home.is_dir() else []
    found = [(folder, record) for folder in folders if (record := read_record(folder))]
    return sorted(found, key=lambda item: item[1].created_at, reverse=True)


def busy_run(home: Path) -> Path | None:
    """Return the folder of a run that is training, if there is one."""
    return next((folder for folder, _ in list_runs(home) if is_busy(folder)), None)


def require_idle(home: Path) -> None:
    """Raise if a run in this folder is training: two models would compete for the device.

    Raises:
        EnvironmentFault: Naming the run.
    """
    if (busy := busy_run(home)) is not None:
        raise EnvironmentFault(
            f"The run {busy.name} is still training.", "Wait for it or stop it: both would compete for the device."
        )


def adapters(adapters_dir: Path) -> list[tuple[Path, Literal["yours", "shipped"]]]:
    """Return all adapters, each once: the user's own, newest first, then the shipped ones.

    In a checkout both are in one folder.
    """
    found = [*newest_first(adapters_dir), *newest_first(paths.bundled("adapters"))]
    once = {folder.resolve(): folder for folder in reversed(found)}  # for duplicates, keep the user's path
    every = [folder for folder in found if once[folder.resolve()] is folder]
    own = [folder for folder in every if not paths.is_shipped(folder)]
    return [*((folder, "yours") for folder in own), *((folder, "shipped") for folder in every if folder not in own)]


def newest_first(folder: Path) -> list[Path]:
    """Return the adapters in `folder`, newest first."""
    found = [path for path in folder.glob("*") if is_file(path / ADAPTER_CONFIG)] if folder.is_dir() else []
    return sorted(found, key=lambda path: (created(path), path.name), reverse=True)


def own(name: str, home: Path) -> Path:
    """Return the folder of an idle run in `home`; takes names only, so that nothing else can be affected.

    Raises:
        UsageError: If it is none of the user's own.
        EnvironmentFault: If it is still training.
    """
    folder = home / paths.check_name(name)
    if not is_run(folder):
        find(name, home)  # raises with the available names if it does not exist
        raise UsageError(f"{name} is not one of yours in {home}.", "You can only rename or remove your own.")
    if paths.is_shipped(folder):
        raise UsageError(f"{name} is part of the program.", "You can only rename or remove your own.")
    if is_busy(folder):
        raise EnvironmentFault(f"{name} is still training.", "Stop the training first.")
    return folder


def find(name: str, home: Path) -> Path:
    """Return the folder of a run or adapter: from `home`, a shipped one, or a path.

    Raises:
        InputError: If it does not exist.
    """
    for folder in (home / name, paths.bundled("adapters") / name, paths.expanded(name)):
        if is_run(folder):
            return folder
    known = ", ".join(sorted(path.name for path in home.glob("*") if path.is_dir())[:8]) or "none yet"
    raise InputError(f"There is no run or adapter {name!r}.", f"In {home}: {known}.")


def rename(name: str, new_name: str, home: Path) -> Path:
    """Rename one of the user's runs; return its new folder.

    Raises:
        UsageError: If a name is not valid, is a shipped adapter's, or already exists.
        EnvironmentFault: If it is being trained, or the disk refuses.
    """
    folder, target = own(name, home), home / paths.check_new_name(new_name)
    if target.exists():
        raise UsageError(f"{new_name} already exists.", "Choose another name.")
    try:
        if record := read_record(folder):
            write_record(folder, replace(record, name=new_name))
        folder.rename(target)
    except OSError as error:
        raise EnvironmentFault(f"{folder} cannot be renamed: {error.strerror}.", "Check its permissions.") from None
    return target


def remove(name: str, home: Path) -> None:
    """Remove one of the user's runs with everything in its folder.

    Raises:
        UsageError: If it is none of the user's own.
        EnvironmentFault: If it is being trained, or the disk refuses.
    """
    folder = own(name, home)
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise EnvironmentFault(f"{folder} cannot be removed: {error.strerror}.", "Check its permissions.") from None

"""Run folders: listed, renamed and removed, by commands and screens alike. Nothing here imports torch."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Self

from playground import paths
from playground.disk import replace_file
from playground.errors import EnvironmentFault, InputError, UsageError
from playground.events.runs import RunRecord

RECORD, ADAPTER_CONFIG, STEPS, PID = "run.json", "adapter_config.json", "steps", ".pid"
LOCK_SECONDS = 1.0  # whoever asks whether a run is busy holds its lock for a moment


class RunLock:
    """The right to train in a folder. One process has it, until it releases it or ends, however it ends.

    It comes before everything else that a training does there: the socket and the events of a run belong to its holder.

    Args:
        folder: Of the run; made if it is not there.
        new: The run begins; another one that began in this folder since it was chosen is left alone.

    Raises:
        EnvironmentFault: If another process trains in it, or it cannot be written.
        UsageError: If it holds a run although it should be new.
    """

    def __init__(self, folder: Path, *, new: bool = False) -> None:
        import filelock

        self.folder = folder
        self._lock = filelock.FileLock(folder / ".lock")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=LOCK_SECONDS, poll_interval=0.02)
            if new and (folder / RECORD).exists():
                self._lock.release()
                raise UsageError(f"The run {folder.name} already exists.", "Choose another --name.")
            (folder / PID).write_text(str(os.getpid()), "utf-8")
        except filelock.Timeout:
            raise EnvironmentFault(
                f"The run {folder.name} is being trained by {self._holder()}.", "Wait for it, or use another --name."
            ) from None
        except OSError as error:
            self._lock.release()
            raise EnvironmentFault(
                f"{folder} cannot be written: {error.strerror or error}.", "Check its permissions and the disk."
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    def release(self) -> None:
        """Let others train in the folder."""
        with suppress(OSError):
            (self.folder / PID).unlink(missing_ok=True)
        self._lock.release()

    def _holder(self) -> str:
        try:
            number = (self.folder / PID).read_text("utf-8").strip()
        except OSError:
            number = ""
        return f"process {number}" if number else "another process"


def is_busy(folder: Path) -> bool:
    """Return whether a process trains in `folder`, whoever started it."""
    import filelock

    if not (folder / ".lock").exists():
        return False
    lock = filelock.FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        return True
    except OSError:
        return False
    lock.release()
    return False


def read_record(folder: Path) -> RunRecord | None:
    """Return the record of a run or adapter; None if there is none, or one that is not what a record is.

    It may come from anyone, so its values have the right types and nothing is said of its texts. An adapter as it was
    at a step has the record of its run.
    """
    at_step = folder.parent.name == STEPS and folder.name.isdigit() and not (folder / RECORD).exists()
    home = folder.parent.parent if at_step else folder
    try:
        return RunRecord.from_dict(json.loads((home / RECORD).read_text("utf-8")))
    except (OSError, ValueError, TypeError, RecursionError):
        return None


def write_record(folder: Path, record: RunRecord) -> None:
    """Write ``run.json`` whole: at any moment the old record or the new one is there.

    Raises:
        OSError: If the disk refuses; the old record is then as it was.
    """
    replace_file(folder / RECORD, json.dumps(record.to_dict(), indent=2, ensure_ascii=False).encode())


def list_runs(home: Path) -> list[tuple[Path, RunRecord]]:
    """Return the runs in a folder, the newest first; what is no record is left out."""
    folders = [path for path in home.glob("*") if path.is_dir()] if home.is_dir() else []
    found = [(folder, record) for folder in folders if (record := read_record(folder))]
    return sorted(found, key=lambda item: item[1].created_at, reverse=True)


def busy_run(home: Path) -> Path | None:
    """Return the folder of a run in which a process trains, if there is one."""
    return next((folder for folder, _ in list_runs(home) if is_busy(folder)), None)


def require_idle(home: Path) -> None:
    """Refuse to go on while a run of this folder is on: two models would share the device.

    Raises:
        EnvironmentFault: Naming the run.
    """
    if (busy := busy_run(home)) is not None:
        raise EnvironmentFault(
            f"The run {busy.name} is still training.", "Wait for it or stop it: both would compete for the device."
        )


def state_of(folder: Path, record: RunRecord) -> str:
    """Return the state of a run; a process that was killed could not write how it ended."""
    return "interrupted" if record.state == "running" and not is_busy(folder) else record.state


def own(name: str, home: Path) -> Path:
    """Return the folder of a run in `home` in which nobody trains; names only, so that nothing else can be hit.

    Raises:
        UsageError: If it is none of the user's own.
        EnvironmentFault: If it is being trained.
    """
    folder = home / paths.check_name(name)
    if not (folder / RECORD).is_file() and not (folder / ADAPTER_CONFIG).is_file():
        find(name, home)  # says what there is, if it is nothing at all
        raise UsageError(f"{name} is not one of yours in {home}.", "Only your own can be renamed or removed.")
    if paths.is_shipped(folder):
        raise UsageError(f"{name} came with the program.", "Only your own can be renamed or removed.")
    if is_busy(folder):
        raise EnvironmentFault(f"{name} is being trained.", "Stop the training first.")
    return folder


def find(name: str, home: Path) -> Path:
    """Return the folder of a run or adapter: in `home`, shipped, or a path.

    Raises:
        InputError: If there is none.
    """
    for folder in (home / name, paths.bundled("adapters") / name, Path(name).expanduser()):
        if (folder / RECORD).is_file() or (folder / ADAPTER_CONFIG).is_file():
            return folder
    known = ", ".join(sorted(path.name for path in home.glob("*") if path.is_dir())[:8]) or "none yet"
    raise InputError(f"There is no run or adapter {name!r}.", f"In {home}: {known}.")


def rename(name: str, new_name: str, home: Path) -> Path:
    """Rename a run of the user's; return its new folder.

    Raises:
        UsageError: If a name is unsuitable or taken.
        EnvironmentFault: If it is being trained, or the disk refuses.
    """
    folder, target = own(name, home), home / paths.check_name(new_name)
    if target.exists():
        raise UsageError(f"There is a {new_name} already.", "Choose another name.")
    try:
        if record := read_record(folder):
            write_record(folder, replace(record, name=new_name))
        folder.rename(target)
    except OSError as error:
        raise EnvironmentFault(f"{folder} cannot be renamed: {error.strerror}.", "Check its permissions.") from None
    return target


def size(folder: Path) -> int:
    """Return the bytes of all files of a run."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def remove(name: str, home: Path) -> None:
    """Remove a run of the user's with everything in its folder.

    Raises:
        UsageError: If it is none of the user's own.
        EnvironmentFault: If it is being trained, or the disk refuses.
    """
    folder = own(name, home)
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise EnvironmentFault(f"{folder} cannot be removed: {error.strerror}.", "Check its permissions.") from None

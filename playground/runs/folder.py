"""One run's folder: its files and how to read them. Nothing here imports torch.

Adapter folders, the user's or anyone's, are read by the same functions; they may contain only PEFT's two files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from playground.disk import make_folder, replace_file
from playground.errors import EnvironmentFault, UsageError
from playground.events.runs import CheckpointSaved, Event, RunRecord, event_from_json

ADAPTER_CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"  # PEFT's names
RECORD, EVENTS, CARD = "run.json", "events.jsonl", "README.md"
STEPS, CHECKPOINTS = "steps", "checkpoints"  # folders: the adapters from each step, and the files for resuming
LOG, PID, LOCK, RESERVE = "child.log", ".pid", ".lock", ".reserve"
# What a run has left that was killed before it had a record: nothing that anyone could miss.
_LITTER = {LOG, PID, LOCK, RESERVE, EVENTS, f".{RECORD}.new"}
LARGEST = 16_000_000  # bytes of a record or a config that are read
LOCK_SECONDS = 1.0  # checking whether a run is busy holds its lock briefly


class RunLock:
    """A lock for training in a folder. One process holds it until it releases it or exits, however it exits.

    It is acquired before anything else in a run's folder: the socket and the events of a run belong to its holder.

    Args:
        folder: The run's folder; created if it does not exist.
        new: Whether this is a new run; a run that started here since the folder was chosen is left alone.

    Raises:
        EnvironmentFault: If another process is training in it, or it cannot be written.
        UsageError: If it already contains a run although it should be new.
    """

    def __init__(self, folder: Path, *, new: bool = False) -> None:
        import filelock

        self.folder = folder
        self._lock = filelock.FileLock(folder / LOCK)
        try:
            make_folder(folder)
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
        """Release the lock."""
        with suppress(OSError):
            (self.folder / PID).unlink(missing_ok=True)
        self._lock.release()

    def _holder(self) -> str:
        try:
            number = (self.folder / PID).read_text("utf-8").strip()
        except OSError:
            number = ""
        return f"process {number}" if number else "another process"


def may_begin(folder: Path) -> bool:
    """Return whether a new run may have `folder`: nothing is in it but what one left that was killed before its record.

    Raises:
        OSError: If it cannot be listed.
    """
    return not folder.is_dir() or all(path.name in _LITTER and path.is_file() for path in folder.iterdir())


def is_busy(folder: Path) -> bool:
    """Return whether a process is training in `folder`, no matter who started it."""
    import filelock

    if not is_file(folder / LOCK):
        return False
    lock = filelock.FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        return True
    except OSError:
        return False
    lock.release()
    return False


def read_record(folder: Path) -> RunRecord | None:
    """Return the record of a run or adapter; None if it is missing or invalid.

    It is untrusted input: its values have the right types, but its texts are not checked. An adapter from
    a step has the record of its run.
    """
    at_step = _is_step(folder) and not is_file(folder / RECORD)
    try:
        return RunRecord.from_dict(read_json((folder.parent.parent if at_step else folder) / RECORD))
    except (OSError, ValueError, TypeError, RecursionError):
        return None


def read_json(path: Path) -> Any:
    """Return what a file of someone else's says.

    Raises:
        FileNotFoundError: If there is no such file, but perhaps a folder or a pipe, which would be waited for.
        OSError, ValueError, RecursionError: If it cannot be read, is too large, is not JSON or is nested too deep.
    """
    if not path.is_file():
        raise FileNotFoundError(path)
    with path.open("rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ValueError("too large")
    return json.loads(data.decode("utf-8"))


def is_file(path: Path) -> bool:
    """Return whether there is a file that this user can reach; a folder that is closed to others holds none."""
    try:
        return path.is_file()
    except OSError:
        return False


def _is_step(folder: Path) -> bool:
    """Return whether a folder is named like a run's adapter from a step."""
    return folder.parent.name == STEPS and folder.name.isascii() and folder.name.isdigit()


def write_record(folder: Path, record: RunRecord) -> None:
    """Write ``run.json`` atomically: at any moment, either the old or the new record exists.

    Raises:
        OSError: If writing fails; the old record is then unchanged.
    """
    replace_file(folder / RECORD, json.dumps(record.to_dict(), indent=2, ensure_ascii=False).encode(), private=True)


def state_of(folder: Path, record: RunRecord) -> str:
    """Return the state of a run; a killed process could not record how it ended."""
    return "interrupted" if record.state == "running" and not is_busy(folder) else record.state


class EventLog:
    """A run's open ``events.jsonl``, which only its owner can read; whoever opens it holds the `RunLock`.

    Raises:
        OSError: If it cannot be opened.
    """

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(folder / EVENTS, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        os.fchmod(self._descriptor, 0o600)  # earlier versions left it to the umask
        size = os.fstat(self._descriptor).st_size
        if size and os.pread(self._descriptor, 1, size - 1) != b"\n":
            os.write(self._descriptor, b"\n")  # after a line cut by a crash the next one would be lost too

    def write(self, event: Event) -> None:
        """Append an event, whole or not at all; a checkpoint and the end are then on the disk.

        Raises:
            OSError: If there is no room for it.
        """
        line, done = event.to_json().encode() + b"\n", 0
        before = os.fstat(self._descriptor).st_size
        try:
            while done < len(line):
                done += os.write(self._descriptor, line[done:])
            if event.terminal or isinstance(event, CheckpointSaved):
                os.fsync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, before)
            raise

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def read_events(folder: Path, at: int = 0) -> tuple[list[Event], int]:
    """Return a run's events after byte `at` of its log, and the byte offset after them."""
    if not is_file(folder / EVENTS):
        return [], at
    try:
        with (folder / EVENTS).open("rb") as file:
            file.seek(at)
            data = file.read()
    except OSError:
        return [], at
    whole = data.rfind(b"\n") + 1  # a partially written line is left for the next read
    events = []
    for line in data[:whole].decode("utf-8", "replace").split("\n"):  # U+2028 and similar do not end a line of JSON
        with suppress(ValueError):  # lines cut off by a crash, or from another version
            events.append(event_from_json(line))
    return events, at + whole


def is_run(folder: Path) -> bool:
    """Return whether `folder` is a run or an adapter."""
    return is_file(folder / RECORD) or is_file(folder / ADAPTER_CONFIG)


def step_folder(run: Path, step: int) -> Path:
    """Return the folder of a run's adapter from `step`."""
    return run / STEPS / f"{step:06d}"


def kept_steps(run: Path) -> list[int]:
    """Return the steps whose adapters a run kept, in order."""
    return sorted(int(path.parent.name) for path in (run / STEPS).glob(f"*/{ADAPTER_CONFIG}") if _is_step(path.parent))


def label(folder: Path) -> str:
    """Return an adapter's name: its folder's name, ``RUN@step``, or its name on the hub."""
    folder = folder.absolute()
    if _is_step(folder):
        return f"{folder.parent.parent.name}@{int(folder.name)}"
    if folder.parent.name == "snapshots":  # …/models--org--name/snapshots/<commit>
        return folder.parent.parent.name.removeprefix("models--").replace("--", "/")
    return folder.name


def labels(folders: Sequence[Path]) -> list[str]:
    """Return the names of adapters that are used together.

    Raises:
        UsageError: If two have the same name.
    """
    names = [label(folder) for folder in folders]
    if (twice := next((name for name in names if names.count(name) > 1), None)) is not None:
        raise UsageError(f"Two adapters have the same name, {twice}.", "Rename one: 'adapters rename'.")
    return names


def created(folder: Path) -> str:
    """Return when an adapter was created, as ISO 8601; an empty string if it is gone."""
    # Use the record's time: copying or unpacking a folder changes the file times.
    if record := read_record(folder):
        return record.created_at
    try:
        modified = (folder / ADAPTER_CONFIG).stat().st_mtime
        return datetime.fromtimestamp(modified, UTC).isoformat(timespec="seconds")
    except (OSError, ValueError, OverflowError):  # removed meanwhile, or a time that no calendar has
        return ""


def base_name(folder: Path) -> str:
    """Return the base model named in an adapter's config, or an empty string."""
    try:
        config = read_json(folder / ADAPTER_CONFIG)
        return str(config.get("base_model_name_or_path") or "")
    except (OSError, ValueError, AttributeError, RecursionError):
        return ""


def size(folder: Path) -> int:
    """Return the size of all files of a run, in bytes."""
    total = 0
    for file in folder.rglob("*"):
        with suppress(OSError):  # it may be removed meanwhile
            total += file.stat().st_size if file.is_file() else 0
    return total

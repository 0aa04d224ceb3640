"""One run's folder: what lies in it under which name, and how it is read. Nothing here imports torch.

An adapter's folder, the user's or anyone's, is read by the same functions: it may hold no more than PEFT's two files.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from playground.disk import replace_file
from playground.errors import EnvironmentFault, UsageError
from playground.events.runs import Event, RunRecord, event_from_json

ADAPTER_CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"  # PEFT's names
RECORD, EVENTS, CARD = "run.json", "events.jsonl", "README.md"
STEPS, CHECKPOINTS = "steps", "checkpoints"  # folders: adapters as they were at a step, and what resuming needs
LOG, PID, LOCK = "child.log", ".pid", ".lock"
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
        self._lock = filelock.FileLock(folder / LOCK)
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


def is_busy(folder: Path) -> bool:
    """Return whether a process trains in `folder`, whoever started it."""
    import filelock

    if not (folder / LOCK).exists():
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


def state_of(folder: Path, record: RunRecord) -> str:
    """Return the state of a run; a process that was killed could not write how it ended."""
    return "interrupted" if record.state == "running" and not is_busy(folder) else record.state


def read_events(folder: Path, at: int = 0) -> tuple[list[Event], int]:
    """Return the events of a run that stand behind byte `at` of its log, and the byte behind them."""
    try:
        with (folder / EVENTS).open("rb") as file:
            file.seek(at)
            data = file.read()
    except OSError:
        return [], at
    whole = data.rfind(b"\n") + 1  # a line that is being written is left for the next look
    events = []
    for line in data[:whole].decode("utf-8", "replace").split("\n"):  # U+2028 and its like do not end a line of JSON
        with suppress(ValueError):  # what a crash cut, or another version wrote
            events.append(event_from_json(line))
    return events, at + whole


def is_run(folder: Path) -> bool:
    """Return whether `folder` holds a run or an adapter."""
    return (folder / RECORD).is_file() or (folder / ADAPTER_CONFIG).is_file()


def step_folder(run: Path, step: int) -> Path:
    """Return the folder of a run's adapter as it was after `step` steps."""
    return run / STEPS / f"{step:06d}"


def kept_steps(run: Path) -> list[int]:
    """Return the steps at which a run's adapter was kept, in order."""
    return sorted(
        int(path.parent.name) for path in (run / STEPS).glob(f"*/{ADAPTER_CONFIG}") if path.parent.name.isdigit()
    )


def label(folder: Path) -> str:
    """Return what an adapter is called: its folder's name, ``RUN@step``, or its name on the hub."""
    folder = folder.absolute()
    if folder.parent.name == STEPS and folder.name.isdigit():
        return f"{folder.parent.parent.name}@{int(folder.name)}"
    if folder.parent.name == "snapshots":  # …/models--org--name/snapshots/<commit>
        return folder.parent.parent.name.removeprefix("models--").replace("--", "/")
    return folder.name


def created(folder: Path) -> str:
    """Return when an adapter was made, as ISO 8601."""
    # The record's own time: copying or unpacking a folder changes the file's.
    if record := read_record(folder):
        return record.created_at
    return datetime.fromtimestamp((folder / ADAPTER_CONFIG).stat().st_mtime, UTC).isoformat(timespec="seconds")


def base_name(folder: Path) -> str:
    """Return the base model that an adapter's config names; empty if it names none."""
    try:
        config = json.loads((folder / ADAPTER_CONFIG).read_text("utf-8"))
        return str(config.get("base_model_name_or_path") or "")
    except (OSError, ValueError, AttributeError, RecursionError):
        return ""


def size(folder: Path) -> int:
    """Return the bytes of all files of a run."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())

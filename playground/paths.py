"""Where things are: bundled files, adapters, the cache. Small functions; nothing is created here."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from datetime import datetime
from importlib.resources import files
from pathlib import Path

from playground.errors import UsageError

APP = "sft-playground"
_TEXTS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv")
# Of readable data files.
DATA_SUFFIXES = (*_TEXTS, ".parquet", *(text + packed for text in _TEXTS for packed in (".gz", ".bz2", ".xz")))
SHIPPED = ("demo-curated", "demo-mini")  # the adapters that come with the program; the app opens with the first
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def _home() -> Path | None:
    value = os.environ.get("SFT_PLAYGROUND_HOME")
    return _own_folder(value) if value else None


def expanded(name: str) -> Path:
    """Return a path with ``~`` replaced. Where there is no such home folder it stays, and nothing will be found."""
    return Path(os.path.expanduser(name))


def _own_folder(name: str) -> Path:
    """Return the path of a folder that may be created, which must not be one called ``~``.

    Raises:
        UsageError: If there is no such home folder.
    """
    path = expanded(name)
    if str(path).startswith("~"):
        raise UsageError(f"There is no home folder {path.parts[0]}.", f"Check the path {name}.")
    return path


def _users(kind: str) -> Path:
    """Return the user's own folder for this program's ``cache``, ``config``, ``data``, ``log`` or ``state``."""
    import platformdirs

    return Path(getattr(platformdirs, f"user_{kind}_dir")(APP, appauthor=False))


def cache_dir() -> Path:
    """The folder for files that can be regenerated, such as the converted demo model."""
    home = _home()
    return home / "cache" if home else _users("cache")


def settings_file() -> Path:
    """The user's own defaults, if there are any."""
    return (_home() or _users("config")) / "settings.toml"


def log_file() -> Path:
    """The log file for tracebacks of unexpected errors."""
    return (_home() or _users("log")) / "errors.log"


def votes_file() -> Path:
    """The file that records every vote cast in the app."""
    return (_home() or _users("data")) / "votes.jsonl"


def lessons_file() -> Path:
    """The data set of the rows that the user typed and kept."""
    return (_home() or _users("data")) / "lessons.jsonl"


def state_file() -> Path:
    """The file of what the app remembers: theme, last adapter and model, prompts."""
    return (_home() or _users("state")) / "state.json"


def run_socket(folder: Path) -> Path:
    """The control socket of the run in `folder`."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    # Short, because a socket's path has at most 104 bytes, wherever the run is stored.
    name = hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:16]
    where = Path(runtime) if runtime and len(runtime) < 60 else Path(tempfile.gettempdir())
    return where / f"{APP}-{os.getuid()}" / f"{name}.sock"


def adapters_dir(chosen: str | None = None) -> Path:
    """The folder new adapters go to.

    `chosen` (a flag) wins, then ``$SFT_PLAYGROUND_HOME/adapters``, then ``./adapters`` when it exists,
    then the platform's data folder.

    Raises:
        UsageError: If it is below a home folder that does not exist.
    """
    if chosen:
        return _own_folder(chosen)
    home = _home()
    if home:
        return home / "adapters"
    local = Path("adapters")
    if local.is_dir():
        return local
    return _users("data") / "adapters"


def bundled(kind: str) -> Path:
    """The folder of bundled files of a `kind` (``datasets`` or ``adapters``).

    A wheel carries them inside the package; a source checkout has them at its top level.
    """
    packaged = Path(str(files("playground"))) / "_bundled" / kind
    return packaged if packaged.is_dir() else Path(__file__).resolve().parent.parent / kind


def is_shipped(adapter: Path) -> bool:
    """Return whether an adapter's folder came with the program: in a checkout the user's own are next to it."""
    return adapter.name in SHIPPED and adapter.resolve().parent == bundled("adapters").resolve()


def find_file(name: str) -> Path:
    """Return the file a user means by `name`: a path first, then a bundled data set of that name."""
    try:
        path = expanded(name)
        if path.exists() or path.name != name:
            return path
    except OSError:  # the name is too long
        return Path(name)
    shipped = bundled("datasets") / name
    return shipped if shipped.is_file() else path


def check_name(name: str) -> str:
    """Return `name` if it can safely name a folder.

    Raises:
        UsageError: If it contains anything but letters, digits, ``.``, ``_`` and ``-``, or is too long.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is not a valid run name.",
            "Use at most 64 letters, digits, '.', '_' and '-', starting with a letter or digit.",
        )
    return name


def check_new_name(name: str) -> str:
    """Return `name` if a new run may have it.

    Raises:
        UsageError: If it cannot name a folder, or would hide a shipped adapter.
    """
    if name in SHIPPED:
        raise UsageError(f"{name} is an adapter that comes with the program.", "Choose another name.")
    return check_name(name)


def new_run_name(data: Path, folder: Path, now: datetime) -> str:
    """Return a free folder name such as ``mini-1122-1534`` for a run on `data`."""
    stem = re.sub(r"[^A-Za-z0-9._-]", "-", data.name.split(".")[0]).strip("._-") or "run"
    base = f"{stem[:40]}-{now:%m%d-%H%M}"
    name, number = base, 2
    while (folder / name).exists():
        name, number = f"{base}-{number}", number + 1
    return name

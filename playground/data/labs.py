"""Labs: small trainings with a prediction. Each is two bundled files, its rows and what is predicted of them."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

from playground import paths
from playground.errors import UsageError
from playground.events.labs import Lab


def labs() -> list[Lab]:
    """Return all labs."""
    return [_read(path) for path in sorted(_folder().glob("*.toml"))]


def lab_named(name: str) -> Lab:
    """Return a lab.

    Raises:
        UsageError: If there is none of this name.
    """
    found = next((lab for lab in labs() if lab.name == name), None)
    if found is None:
        names = ", ".join(lab.name for lab in labs())
        raise UsageError(f"There is no lab {name!r}.", f"Choose one of {names}.")
    return found


def lab_rows(name: str) -> Path:
    """Return the file with the rows of a lab, or other rows by their own name: an ordinary data set."""
    return _folder() / f"{name}.jsonl"


def _folder() -> Path:
    return paths.bundled("datasets") / "labs"


def _read(path: Path) -> Lab:
    raw = path.read_bytes()
    values = tomllib.loads(raw.decode("utf-8"))
    return Lab.from_dict({**values, "name": path.stem, "sha256": hashlib.sha256(raw).hexdigest()})

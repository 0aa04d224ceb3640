"""What the app remembers from one start to the next: theme, model and adapter, prompts. All of it may be lost."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from playground import disk
from playground.text import clean

MOST_PROMPTS = 500
MOST_CHARACTERS = 100_000  # of all prompts together; the oldest are forgotten first
MOST_BYTES = 8 * MOST_CHARACTERS  # a file with more was not written here


@dataclass(frozen=True, slots=True)
class Remembered:
    """The content of the file; whatever is empty is the default."""

    theme: str = ""
    adapters: tuple[str, ...] = ()  # the folders of those that were chosen last
    model: str = ""  # its base, where that was chosen too
    chosen_at: str = ""  # when, as in a run's record
    prompts: tuple[str, ...] = ()  # the newest last


class Memory:
    """Remembers in memory at once, and in a file soon after. A file that cannot be read or written is no error.

    The file is private to the user. It is read again before it is written, so that two apps add to one history.

    Args:
        file: Where; None remembers nothing.

    Attributes:
        is_new: Whether nothing was ever remembered: this is the first start.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._writer: ThreadPoolExecutor | None = None  # one thread: a sync takes long on some disks
        self.is_new = file is not None and not file.exists()
        self.now = read(file) if file is not None else Remembered()

    def keep_theme(self, theme: str) -> None:
        """Remember a theme."""
        self._keep(theme=theme)

    def keep_engine(self, adapters: tuple[str, ...], model: str | None) -> None:
        """Remember what was chosen to be loaded."""
        if (adapters, model or "") != (self.now.adapters, self.now.model):
            self._keep(adapters=adapters, model=model or "", chosen_at=datetime.now(UTC).isoformat(timespec="seconds"))

    def keep_prompt(self, prompt: str) -> None:
        """Add a prompt to the history."""
        self._keep(clean(prompt))

    def close(self) -> None:
        """Wait until everything is written."""
        if self._writer is not None:
            self._writer.shutdown()

    def _keep(self, prompt: str = "", **changes: str | tuple[str, ...]) -> None:
        self.now = _changed(self.now, prompt, changes)
        if self._file is not None:
            self._writer = self._writer or ThreadPoolExecutor(1)
            self._writer.submit(_write, self._file, prompt, changes)


def read(file: Path) -> Remembered:
    """Return what a file holds; of a file that is missing, broken or somebody else's, whatever makes sense."""
    try:
        with file.open("rb") as stream:
            found: Any = json.loads(stream.read(MOST_BYTES).decode("utf-8", errors="replace"))
    except (OSError, ValueError, RecursionError):
        return Remembered()
    if not isinstance(found, dict):
        return Remembered()
    texts = {name: found.get(name) for name in ("theme", "model", "chosen_at")}
    return Remembered(
        **{name: text for name, text in texts.items() if isinstance(text, str) and "\0" not in text},
        adapters=tuple(folder for folder in _texts(found.get("adapters")) if "\0" not in folder),
        prompts=_newest([clean(prompt) for prompt in _texts(found.get("prompts"))]),
    )


def _texts(found: object) -> list[str]:
    return [text for text in found if isinstance(text, str)] if isinstance(found, list) else []


def last_engine(now: Remembered, home: Path) -> tuple[tuple[str, ...], str | None]:
    """Return the adapters and the model to begin with; neither is the newest adapter on its own base.

    An adapter that is gone is forgotten, and so is a choice that was made before the newest training.
    """
    from playground.runs import library
    from playground.runs.folder import ADAPTER_CONFIG, created

    if not now.adapters and not now.model:
        return (), None
    if not all(folder.startswith("hf:") or (Path(folder) / ADAPTER_CONFIG).is_file() for folder in now.adapters):
        return (), None
    newest = next((folder for folder, whose in library.adapters(home) if whose == "yours"), None)
    if newest is not None and created(newest) > now.chosen_at:
        return (), None
    return now.adapters, now.model or None


def _write(file: Path, prompt: str, changes: dict[str, Any]) -> None:
    new = _changed(read(file), prompt, changes)
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        disk.replace_file(file, json.dumps(asdict(new), ensure_ascii=False, indent=1).encode(), private=True)


def _changed(old: Remembered, prompt: str, changes: dict[str, Any]) -> Remembered:
    if prompt and old.prompts[-1:] != (prompt,):
        old = replace(old, prompts=_newest([*old.prompts, prompt]))
    return replace(old, **changes)


def _newest(prompts: list[str]) -> tuple[str, ...]:
    kept: list[str] = []
    room = MOST_CHARACTERS
    for prompt in reversed(prompts[-MOST_PROMPTS:]):
        room -= len(prompt)
        if room < 0:
            break
        kept.append(prompt)
    return tuple(reversed(kept))

"""The journal of a comparison in progress: finished prompts survive an interruption."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from playground.disk import replace_file
from playground.errors import EnvironmentFault
from playground.events.answers import Compared, Summary
from playground.report.files import WRITERS


class Journal:
    """Finished comparisons, in a hidden file next to `path`, until they are written as a report.

    The journal is kept when a comparison is interrupted; the same comparison then continues after it.
    The file at `path` is always a complete report of everything that was finished.

    Args:
        path: The report, or None to keep nothing.
        key: What makes two comparisons the same: prompts, adapters, sampling.

    Raises:
        EnvironmentFault: If the file cannot be written. This is checked before any model is loaded.
    """

    def __init__(self, path: Path | None, key: Sequence[object]) -> None:
        self._path = path
        self._key = hashlib.sha256(repr(list(key)).encode("utf-8", "surrogatepass")).hexdigest()
        # The key is part of the name: another comparison into the same report does not touch this one.
        self._part = path.with_name(f".{path.name}.{self._key[:8]}.part") if path else None
        self.done: list[Compared] = self._read()
        self._stream = None
        if self._part:
            lines = [json.dumps({"key": self._key}), *(row.to_json() for row in self.done)]
            try:
                replace_file(self._part, "".join(f"{line}\n" for line in lines).encode())
                self._stream = self._part.open("a", encoding="utf-8")
            except OSError as error:
                raise self._fault(error) from None

    def add(self, row: Compared) -> None:
        """Keep a comparison."""
        if self._stream:
            try:
                self._stream.write(row.to_json() + "\n")
                self._stream.flush()
            except OSError as error:
                raise self._fault(error) from None

    def finish(self, rows: Sequence[Compared], summary: Summary, *, whole: bool) -> None:
        """Write the report of `rows`; delete the journal if the comparison is complete."""
        if self._path is None or self._part is None or not rows:
            return  # an early Ctrl-C leaves an older report as it is
        try:
            replace_file(self._path, WRITERS[self._path.suffix](rows, summary).encode())
        except OSError as error:
            raise self._fault(error) from None
        if whole:
            self.close()
            self._part.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file; remove the journal if it has no comparisons."""
        if self._stream:
            self._stream.close()
            self._stream = None
            if self._part and len(self._read()) == 0:
                self._part.unlink(missing_ok=True)

    def _read(self) -> list[Compared]:
        if self._part is None or not self._part.is_file():
            return []
        rows: list[Compared] = []
        try:
            head, *lines = self._part.read_text("utf-8").rstrip("\n").split("\n")
            if json.loads(head)["key"] != self._key:
                return []
            rows.extend(Compared.from_dict(json.loads(line)) for line in lines)
        except (OSError, ValueError, KeyError, TypeError):
            pass  # a line cut off by a crash: the lines before it count
        return rows

    def _fault(self, error: OSError) -> EnvironmentFault:
        return EnvironmentFault(f"{self._path} cannot be written: {error.strerror}.", "Check permissions and space.")

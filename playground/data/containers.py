"""Containers: files and hub data sets as numbered rows, whatever their format.

Only plain JSON Lines may be huge: their rows are read from the file when they are needed, so a
million of them cost eight bytes each. Parquet and hub data sets are memory-mapped by ``datasets``.
Everything else is read whole, up to a limit.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import re
import sys
import zlib
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from playground import paths
from playground.data import hub
from playground.data.json_files import rows_of
from playground.data.jsonl import (
    MAX_LINE_BYTES,
    Problem,
    decode_line,
    parse_line,
    read_bytes,
    refuse_foreign,
)
from playground.data.tables import is_table, read_csv
from playground.data.talk import Note
from playground.errors import EnvironmentFault, InputError

Parsed = dict[str, Any] | Problem
SUFFIXES = paths.DATA_SUFFIXES
SUPPORTED = ".jsonl, .ndjson, .json, .csv and .tsv, also packed as .gz, .bz2 or .xz; .parquet"
MAX_WHOLE_BYTES = 512 << 20  # of a file that must be read whole
KEPT_BYTES = 64 << 20  # of JSON Lines kept in memory; rows of larger files are read from the file
_HUB = re.compile(r"hf:([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?::([\w.\[\]%+:-]+))?")
_BOM = b"\xef\xbb\xbf"
HEAD = 4096  # bytes from which a file is known to be of another kind
# Compressed files, by suffix: their kind and what opens them.
_PACKED: dict[str, tuple[str, Callable[[BinaryIO], Any]]] = {
    ".gz": ("gzip", gzip.open), ".bz2": ("bzip2", bz2.open), ".xz": ("xz", lzma.open),
}  # fmt: skip
_OTHERS = {
    **dict.fromkeys((".xlsx", ".xls", ".ods"), "Save the sheet as 'CSV UTF-8'. "),
    **dict.fromkeys((".zip", ".zst", ".7z", ".tar", ".tgz"), "Unpack it first. "),
    **dict.fromkeys((".arrow", ".feather", ".pkl", ".pickle"), "Convert it to .parquet or .jsonl. "),
    ".txt": "Plain text does not say what is a prompt and what an answer. ",
}  # fmt: skip


@dataclass(frozen=True)
class Rows:
    """Rows by index. `line` counts lines where the file has them, else rows, both from 1.

    Attributes:
        name: The name shown to the user.
        sha256: The hash of the file's bytes; for a hub data set, of what identifies its content.
        container: How it is stored, in words.
        size: Number of rows.
        read: ``index -> (line, object or problem)``.
        notes: What is to be said of all rows.
    """

    name: str
    sha256: str
    container: str
    size: int
    read: Callable[[int], tuple[int, Parsed]]
    notes: tuple[Note, ...] = ()

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[tuple[int, Parsed]]:
        return map(self.read, range(self.size))


def open_rows(name: str, path: Path) -> Rows:
    """Open the data called `name`: ``hf:org/name[:split]``, or the file at `path`.

    Raises:
        InputError: If there is no such data, or its container is unknown or damaged.
        EnvironmentFault: If it cannot be read, or the hub cannot be reached.
    """
    if name.startswith("hf:"):
        return _hub(name)
    packed = path.suffix.lower() in _PACKED
    match Path(path.stem if packed else path.name).suffix.lower():
        case ".parquet" if not packed:
            return _parquet(path)
        case ".csv" | ".tsv" as kind:
            return _csv(path, _unpacked(path) if packed else _whole(path), "\t" if kind == ".tsv" else "")
        case ".json" | ".jsonl" | ".ndjson" as kind if packed:
            return _json(path, _unpacked(path), by_line=kind != ".json")
        case ".json":
            return _json(path, _whole(path))
        case ".jsonl" | ".ndjson" | "" as kind if not packed:
            large = path.is_file() and path.stat().st_size > KEPT_BYTES
            if large:
                return _json_lines(path, None)
            raw = read_bytes(path)
            return _csv(path, raw, "") if kind == "" and is_table(raw) else _json(path, raw, by_line=kind != "")
        case kind:
            if not path.is_file():
                read_bytes(path)  # raises the error about the name
            way = _OTHERS.get(kind or path.suffix.lower(), "")
            raise InputError(f"{path} is not a supported file type.", f"{way}Supported: {SUPPORTED}.")


def _json(path: Path, raw: bytes, *, by_line: bool = False) -> Rows:
    refuse_foreign(raw[:HEAD], str(path))
    if (found := rows_of(raw, str(path), by_line=by_line)) is None:
        return _json_lines(path, raw)
    return _listed(path, found.container, found.rows, raw, found.notes)


def _csv(path: Path, raw: bytes, delimiter: str) -> Rows:
    refuse_foreign(raw[:HEAD], str(path))
    return _listed(path, "CSV", read_csv(raw, delimiter), raw)


def _json_lines(path: Path, raw: bytes | None) -> Rows:
    """Index the lines of a large file, which are not kept, or of the content `raw` of a smaller one."""
    starts, lengths, numbers = array("Q"), array("Q"), array("Q")
    digest = hashlib.sha256()
    at = 0
    with _stream(path, raw) as stream:
        for number, line in enumerate(stream, start=1):
            if number == 1:
                refuse_foreign(line[:HEAD], str(path))
            digest.update(line)
            if line.removeprefix(_BOM if number == 1 else b"").strip():
                starts.append(at)
                lengths.append(len(line))
                numbers.append(number)
            at += len(line)

    def read(index: int) -> tuple[int, Parsed]:
        number, length = numbers[index], lengths[index]
        if length > MAX_LINE_BYTES:
            return number, Problem(number, f"the line is {length:,} bytes long; at most {MAX_LINE_BYTES:,} are read")
        with _stream(path, raw) as stream:
            stream.seek(starts[index])
            text = decode_line(stream.read(length), number)
        return number, text if isinstance(text, Problem) else parse_line(text, number)

    return Rows(path.name, digest.hexdigest(), "JSON Lines", len(starts), read)


def _stream(path: Path, raw: bytes | None) -> BinaryIO:
    try:
        return path.open("rb") if raw is None else io.BytesIO(raw)
    except OSError as error:
        raise EnvironmentFault(f"{str(path)!r} cannot be read: {error.strerror}.", "Check its permissions.") from error


def _listed(
    path: Path, container: str, rows: list[tuple[int, Parsed]], raw: bytes, notes: tuple[Note, ...] = ()
) -> Rows:
    return Rows(path.name, hashlib.sha256(raw).hexdigest(), container, len(rows), rows.__getitem__, notes)


def _whole(path: Path) -> bytes:
    if path.is_file() and path.stat().st_size > MAX_WHOLE_BYTES:
        raise InputError(
            f"{path} has {path.stat().st_size >> 20:,} MB; only JSON Lines and Parquet may be that large.",
            "Convert it to .jsonl: its rows are read as they are needed.",
        )
    return read_bytes(path)


def _unpacked(path: Path) -> bytes:
    kind, opened = _PACKED[path.suffix.lower()]
    try:
        with opened(io.BytesIO(read_bytes(path))) as stream:
            raw = stream.read(MAX_WHOLE_BYTES + 1)
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
        raise InputError(f"{path} is not a complete {kind} file: {error}.", "Download or pack it again.") from None
    if len(raw) > MAX_WHOLE_BYTES:
        raise InputError(
            f"{path} unpacks to more than {MAX_WHOLE_BYTES >> 20} MB.", "Unpack it first, to a .jsonl file."
        )
    return bytes(raw)


def _parquet(path: Path) -> Rows:
    if not path.is_file():
        read_bytes(path)
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return _arrow(path.name, "Parquet", digest, lambda library: library.Dataset.from_parquet(str(path)))


def _hub(name: str) -> Rows:
    match = _HUB.fullmatch(name)
    if match is None:
        raise InputError(f"{name!r} is not a hub data set.", "Write it like hf:org/name or hf:org/name:train[:500].")
    print(f"from the hub: {match[1]}", file=sys.stderr)
    with hub.only_if_there():
        return _arrow(
            name, "a hub data set", None, lambda library: library.load_dataset(match[1], split=match[2] or "train")
        )


def _arrow(name: str, container: str, sha256: str | None, load: Callable[[Any], Any]) -> Rows:
    import datasets

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # errors are reported as ours
    try:
        table = load(datasets)
    except (OSError, ValueError, KeyError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise _explained(name, error) from error
    digest = sha256 or hashlib.sha256(f"{name} {table._fingerprint} {len(table)}".encode()).hexdigest()

    def read(index: int) -> tuple[int, Parsed]:
        try:
            cells = table[index]
        except (OSError, ValueError) as error:  # a damaged page, or text that is not UTF-8
            return index + 1, Problem(index + 1, f"the row cannot be read: {error}")
        # Arrow gives absent cells as None; a column that is absent in this row is left out.
        return index + 1, {key: json_like(value) for key, value in cells.items() if value is not None}

    return Rows(name, digest, container, len(table), read)


def json_like(value: Any) -> Any:
    """Return a nested Arrow value without the absent fields that its schema adds to every struct."""
    if isinstance(value, dict):
        return {key: json_like(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [json_like(item) for item in value]
    return value


def _explained(name: str, error: Exception) -> InputError | EnvironmentFault:
    first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    if name.startswith("hf:"):
        kind = type(error).__name__
        if isinstance(error, ConnectionError) or "Offline" in kind or "Connection" in kind:
            return EnvironmentFault(
                f"{name} is not in the local cache and the hub cannot be reached.",
                "Check the network and HF_HUB_OFFLINE, or use a local file.",
            )
        if "Gated" in kind:
            return InputError(f"{name} is gated.", "Accept its terms on its hub page, then set HF_TOKEN.")
        return InputError(f"{name} cannot be loaded: {first}", "Check the id and the split: hf:org/name:split.")
    return InputError(f"{name} cannot be read: {first}", "Write the file again, or convert it to .jsonl.")

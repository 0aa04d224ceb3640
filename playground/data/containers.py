"""Containers: files and hub data sets as numbered rows, whatever their format.

Only plain JSON Lines may be huge: their rows are read from the file when they are needed, so a
million of them cost eight bytes each. Parquet and hub data sets are memory-mapped by ``datasets``.
Everything else is read whole, up to a limit.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
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
from playground.data.jsonl import (
    MAX_LINE_BYTES,
    Problem,
    decode_line,
    parse_line,
    parse_value,
    read_bytes,
    refuse_utf16,
    shown,
)
from playground.errors import EnvironmentFault, InputError

Parsed = dict[str, Any] | Problem
SUFFIXES = paths.DATA_SUFFIXES
MAX_WHOLE_BYTES = 512 << 20  # of a file that must be read whole
KEPT_BYTES = 64 << 20  # of JSON Lines kept in memory; rows of larger files are read from the file
_HUB = re.compile(r"hf:([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?::([\w.\[\]%+:-]+))?")
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Rows:
    """Rows by index. `line` counts lines where the file has them, else rows, both from 1.

    Attributes:
        name: The name shown to the user.
        sha256: The hash of the file's bytes; for a hub data set, of what identifies its content.
        container: How it is stored, in words.
        size: Number of rows.
        read: ``index -> (line, object or problem)``.
    """

    name: str
    sha256: str
    container: str
    size: int
    read: Callable[[int], tuple[int, Parsed]]

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
    suffix = "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix
    match suffix.lower():
        case ".parquet":
            return _parquet(path)
        case ".csv" | ".tsv":
            return _listed(path, "CSV", _csv(_whole(path), "\t" if suffix.lower() == ".tsv" else ""))
        case ".json":
            raw = _whole(path)
            return _listed(path, "a JSON array", _array(raw, str(path))) if _is_array(raw) else _json_lines(path, raw)
        case ".jsonl.gz" | ".json.gz":
            return _json_lines(path, _unzipped(path))
        case ".jsonl" | ".ndjson" | "":
            return _json_lines(path, None if path.is_file() else read_bytes(path))
        case _:
            if not path.is_file():
                read_bytes(path)  # raises the error about the name
            raise InputError(f"{path} is not a supported file type.", f"Supported: {', '.join(SUFFIXES)}.")


def _json_lines(path: Path, raw: bytes | None) -> Rows:
    """Index the lines of a file, or of its content `raw`; the lines of a large file are not kept."""
    if raw is None and path.stat().st_size <= KEPT_BYTES:
        raw = read_bytes(path)
    starts, lengths, numbers = array("Q"), array("Q"), array("Q")
    digest = hashlib.sha256()
    at = 0
    with _stream(path, raw) as stream:
        for number, line in enumerate(stream, start=1):
            if number == 1:
                refuse_utf16(line, str(path))
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


def _listed(path: Path, container: str, rows: list[tuple[int, Parsed]]) -> Rows:
    return Rows(path.name, hashlib.sha256(read_bytes(path)).hexdigest(), container, len(rows), rows.__getitem__)


def _whole(path: Path) -> bytes:
    if path.is_file() and path.stat().st_size > MAX_WHOLE_BYTES:
        raise InputError(
            f"{path} has {path.stat().st_size >> 20:,} MB; only JSON Lines and Parquet may be that large.",
            "Convert it to .jsonl: its rows are read as they are needed.",
        )
    return read_bytes(path)


def _unzipped(path: Path) -> bytes:
    try:
        with gzip.open(io.BytesIO(read_bytes(path))) as stream:
            raw = stream.read(MAX_WHOLE_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} is not a complete gzip file: {error}.", "Download or pack it again.") from None
    if len(raw) > MAX_WHOLE_BYTES:
        raise InputError(f"{path} unpacks to more than {MAX_WHOLE_BYTES >> 20} MB.", "Unpack it first: gunzip FILE.gz")
    return raw


def _is_array(raw: bytes) -> bool:
    return raw.removeprefix(_BOM).lstrip()[:1] == b"["


def _array(raw: bytes, path: str) -> list[tuple[int, Parsed]]:
    """Parse a JSON array one element at a time, so that each keeps the line it starts on."""
    refuse_utf16(raw, path)
    try:
        text = raw.removeprefix(_BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}:{line}: byte 0x{raw[error.start]:02x} is not UTF-8.", "Save it as UTF-8.") from None
    rows: list[tuple[int, Parsed]] = []
    blank = re.compile(r"[ \t\r\n]*")
    at = blank.match(text, text.index("[") + 1).end()  # type: ignore[union-attr]
    line, counted = 1, 0
    while text[at : at + 1] != "]":
        line += text.count("\n", counted, at)
        counted = at
        value, at = parse_value(text, at, line)
        rows.append((line, value))
        if at < 0:  # nothing after a syntax error can be trusted
            return rows
        at = blank.match(text, at).end()  # type: ignore[union-attr]
        if text[at : at + 1] == ",":
            at = blank.match(text, at + 1).end()  # type: ignore[union-attr]
            if text[at : at + 1] == "]":
                line += text.count("\n", counted, at)
                return [*rows, (line, Problem(line, "a comma before the end of the array: is a row missing?"))]
        elif text[at : at + 1] != "]":
            line += text.count("\n", counted, at)
            return [*rows, (line, Problem(line, "the array is cut off or a comma is missing"))]
    end = blank.match(text, at + 1).end()  # type: ignore[union-attr]
    if end < len(text):
        line += text.count("\n", counted, end)
        message = f"there is more after the end of the array: {shown(text[end : end + 80])}; two files in one?"
        rows.append((line, Problem(line, message)))
    return rows


def _csv(raw: bytes, delimiter: str) -> list[tuple[int, Parsed]]:
    """Read a table with a header; every cell stays text. An empty cell counts as absent."""
    try:
        text = raw.removeprefix(_BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return [(line, Problem(line, f"byte 0x{raw[error.start]:02x} is not UTF-8; save the file again as UTF-8"))]
    head = text.split("\n", 1)[0]
    # A comma or, as some spreadsheets write it, a semicolon.
    delimiter = delimiter or (";" if head.count(";") > head.count(",") else ",")
    csv.field_size_limit(MAX_LINE_BYTES)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[tuple[int, Parsed]] = []
    try:
        header = [name.strip() for name in next(reader, [])]
        if len(set(header)) != len(header):
            return [(1, Problem(1, f"a column name appears twice: {shown(header)}"))]
        begun = reader.line_num
        for cells in reader:
            line, begun = begun + 1, reader.line_num
            if len(cells) == len(header):
                rows.append((line, {name: cell for name, cell in zip(header, cells, strict=True) if cell}))
            elif cells:
                rows.append((line, Problem(line, f"{len(cells)} cells, but the header has {len(header)}")))
    except csv.Error as error:
        rows.append((reader.line_num, Problem(reader.line_num, f"not CSV: {error}")))
    return rows


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

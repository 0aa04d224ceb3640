"""Strict JSON Lines: each line is one object or one problem, reported with its line; nothing is guessed.

``load_dataset("json")`` turns a 5,000-digit number into infinity, keeps the last of two equal keys and
numbers rows from the start of a chunk, so the reader is our own.
"""

from __future__ import annotations

import json
import re
import reprlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from playground.errors import EnvironmentFault, InputError

MAX_LINE_BYTES = 4 << 20
MAX_DEPTH = 64
MAX_SHOWN, MAX_ALIKE = 20, 5  # problems that differ; other lines with the same one
MAX_DIGITS = 1000
MAX_STREAM_BYTES = 512 << 20  # of standard input, and of anything else whose length is not known before
# How files begin that are mistaken for text: gzip, zip, …, with what to do.
_UNPACK, _AGAIN = "Unpack it, or name it for what it is: .jsonl.gz, .csv.xz, …", "Download the data itself."
_FOREIGN = (
    (b"\x1f\x8b", "a gzip file", _UNPACK), (b"BZh", "a bzip2 file", _UNPACK), (b"\xfd7zXZ", "an xz file", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "a zstd file", "Unpack it: unzstd FILE"),
    (b"PK\x03\x04", "a zip file or a spreadsheet", "Unpack it, or save the sheet as 'CSV UTF-8'."),
    (b"PAR1", "a Parquet file", "Name it .parquet."), (b"ARROW1", "an Arrow file", "Convert it to .parquet or .jsonl."),
    (b"version https://git-lfs", "a Git LFS pointer, not the data", "Fetch it: git lfs pull"),
    (b"<!doctype html", "an HTML page", _AGAIN), (b"<html", "an HTML page", _AGAIN),
)  # fmt: skip
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?')
_KINDS = {type(None): "null", bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "an array"}


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with one line (counted from 1) of a file; line 0 means the file as a whole."""

    line: int
    message: str
    left_out: bool = False  # a row that says itself that it is not to be learned: no reason to refuse the file


def refuse(path: str, problems: Sequence[Problem], hint: str) -> InputError:
    """Return the one error that reports all `problems` of a file together, what they have in common once."""
    alike: dict[str, list[int]] = {}
    for problem in problems:
        alike.setdefault(problem.message, []).append(problem.line)
    lines = [
        f"{path}:{first}: {message}{_also(more)}" if first else f"{path}: {message}"
        for message, (first, *more) in islice(alike.items(), MAX_SHOWN)
    ]
    if rest := sum(map(len, islice(alike.values(), MAX_SHOWN, None))):
        lines.append(f"… and {rest:,} more")
    return InputError("\n".join(lines), hint)


def _also(lines: Sequence[int]) -> str:
    """Return in which other lines a problem is; empty if in none."""
    if not lines:
        return ""
    shown = ", ".join(f"{line:,}" for line in lines[:MAX_ALIKE])
    rest = f" and {len(lines) - MAX_ALIKE:,} more" if len(lines) > MAX_ALIKE else ""
    return f" (also line{'s' * (len(lines) > 1)} {shown}{rest})"


def read_bytes(path: Path) -> bytes:
    """Return the content of `path`, or of standard input for ``-``.

    Raises:
        InputError: If there is no such file.
        EnvironmentFault: If it cannot be read.
    """
    try:
        if str(path) == "-":
            return _bounded(sys.stdin.buffer, "Standard input")
        with path.open("rb") as stream:
            return stream.read() if path.is_file() else _bounded(stream, str(path))
    except FileNotFoundError:
        raise InputError(
            f"There is no file {str(path)!r}.", "Check the name; bundled data sets need no path."
        ) from None
    except IsADirectoryError:
        raise InputError(f"{str(path)!r} is a folder, not a file.", "Name a file inside it.") from None
    except OSError as error:
        raise EnvironmentFault(f"{str(path)!r} cannot be read: {error.strerror}.", "Check its permissions.") from error


def _bounded(stream: BinaryIO, name: str) -> bytes:
    raw = stream.read(MAX_STREAM_BYTES + 1)
    if len(raw) > MAX_STREAM_BYTES:
        raise InputError(f"{name} has more than {MAX_STREAM_BYTES >> 20} MB.", "Write it to a .jsonl file first.")
    return raw


def refuse_foreign(raw: bytes, path: str) -> None:
    """Raise InputError if `raw`, the start of a file, is of a kind that is not text, or is not the data itself."""
    start = raw.removeprefix(b"\xef\xbb\xbf").lstrip()[:64].lower()
    for sign, what, hint in _FOREIGN:
        if raw.startswith(sign) or start.startswith(sign):
            raise InputError(f"{path} is {what}.", hint)
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff") or (len(raw) > 3 and 3 * raw[:64].count(0) > len(raw[:64])):
        raise InputError(f"{path} is UTF-16.", "Save it again as UTF-8; in Excel that is 'CSV UTF-8'.")


def decode_line(line: bytes, number: int) -> str | Problem:
    """Return the text of a line; a byte order mark is accepted before the first one."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        return Problem(number, f"byte 0x{line[error.start]:02x} is not UTF-8; save the file again as UTF-8")
    return (text.removeprefix("\ufeff") if number == 1 else text).strip(" \t\r\n")


def text_lines(raw: bytes, path: str) -> Iterator[tuple[int, str | Problem]]:
    """Yield ``(line, text or problem)`` for each line that is not blank.

    Only a line feed ends a line: U+2028 and its like are legal inside a JSON string.

    Raises:
        InputError: If the file is UTF-16, or no text.
    """
    refuse_foreign(raw, path)
    for number, line in enumerate(raw.split(b"\n"), start=1):
        if text := decode_line(line, number):
            yield number, text


def parse_line(line: str, number: int) -> dict[str, Any] | Problem:
    """Return the object on `line`, or the problem with it."""
    if len(line) > MAX_LINE_BYTES:
        return Problem(number, f"the line is {len(line):,} characters long; at most {MAX_LINE_BYTES:,} are read")
    if _depth(line) > MAX_DEPTH:
        return Problem(number, f"nested deeper than {MAX_DEPTH} levels")
    try:
        value = _DECODER.decode(line)
    except json.JSONDecodeError as error:
        extra = " (several JSON values or a file that is one big array?)" if line.startswith("[") else ""
        extra = " (Python's own notation: json.dumps writes JSON)" if line.startswith("{'") else extra
        extra = " (a comma after the object?)" if line[error.pos :].strip() == "," else extra
        return Problem(number, f"not JSON: {error.msg} at column {error.colno}{extra}")
    except ValueError as error:  # from the hooks
        return Problem(number, str(error))
    return _object(value, number)


def parse_value(text: str, at: int, number: int) -> tuple[dict[str, Any] | Problem, int]:
    """Parse the element of an array that starts at `at`, on line `number`.

    Returns:
        The object or problem, and where it ends; -1 if that is unknown: the rest cannot be read then.
    """
    try:
        value, end = _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        return Problem(error.lineno, f"not JSON: {error.msg} at column {error.colno}; what follows is not read"), -1
    except RecursionError:
        return Problem(number, "nested too deep; what follows is not read"), -1
    except ValueError as error:  # from the hooks: the syntax is right, and what follows can be read
        with suppress(ValueError, RecursionError):
            return Problem(number, str(error)), _LENIENT.raw_decode(text, at)[1]
        return Problem(number, f"{error}; what follows is not read"), -1
    if _depth(text[at:end]) > MAX_DEPTH:
        return Problem(number, f"nested deeper than {MAX_DEPTH} levels"), end
    return _object(value, number), end


def parse_cell(text: str) -> Any:
    """Return the JSON value that a cell of a table holds as text, or the text if it is none."""
    if len(text) > MAX_LINE_BYTES or _depth(text) > MAX_DEPTH:
        return text
    try:
        return _DECODER.decode(text)
    except ValueError:
        return text


def is_cut_off(text: str) -> bool:
    """Return whether `text` begins as a JSON value and ends in the middle of it."""
    try:
        _LENIENT.raw_decode(text)
    except json.JSONDecodeError as error:
        return error.msg.startswith("Unterminated string") or error.pos >= len(text) - len(r"\u0000")
    except (ValueError, RecursionError):  # from the hooks, or nested too deep
        return False
    return False


def _object(value: Any, number: int) -> dict[str, Any] | Problem:
    if not isinstance(value, dict):
        return Problem(number, f"expected a JSON object, not {kind_of(value)}")
    return value


def _depth(line: str) -> int:
    """Return the nesting of `line`, without the recursion a real parse would need; 0 where it cannot be deep."""
    if line.count("[") + line.count("{") <= MAX_DEPTH:
        return 0
    depth = deepest = 0
    for character in re.findall(r"[\[\]{}]", _STRING.sub("", line)):
        depth += 1 if character in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for key, value in pairs:
        if key in row:
            raise ValueError(f"the key {shown(key)} appears twice")
        row[key] = value
    return row


def _int(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a number of {len(digits):,} digits")
    return int(digits)


def kind_of(value: Any) -> str:
    """Return what kind of JSON value `value` is."""
    return _KINDS.get(type(value), "an object")


def shown(value: Any) -> str:
    """Return `value` shortened for a message."""
    return reprlib.repr(value)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=_int)
_LENIENT = json.JSONDecoder(parse_int=str)  # numbers of any length, equal keys, NaN

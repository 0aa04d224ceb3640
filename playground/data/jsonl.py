"""Strict JSON Lines: each line is one object or one problem, reported with its line; nothing is guessed.

``load_dataset("json")`` turns a 5,000-digit number into infinity, keeps the last of two equal keys and
numbers rows from the start of a chunk, so the reader is our own.
"""

from __future__ import annotations

import json
import re
import reprlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playground.errors import EnvironmentFault, InputError

MAX_LINE_BYTES = 4 << 20
MAX_DEPTH = 64
MAX_SHOWN = 20
MAX_DIGITS = 1000
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?')
_KINDS = {type(None): "null", bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "an array"}


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with one line (counted from 1) of a file; line 0 means the file as a whole."""

    line: int
    message: str


def refuse(path: str, problems: list[Problem], hint: str) -> InputError:
    """Return the one error that reports all `problems` of a file together."""
    lines = [f"{path}:{p.line}: {p.message}" if p.line else f"{path}: {p.message}" for p in problems[:MAX_SHOWN]]
    if len(problems) > MAX_SHOWN:
        lines.append(f"… and {len(problems) - MAX_SHOWN:,} more")
    return InputError("\n".join(lines), hint)


def read_bytes(path: Path) -> bytes:
    """Return the content of `path`, or of standard input for ``-``.

    Raises:
        InputError: If there is no such file.
        EnvironmentFault: If it cannot be read.
    """
    if str(path) == "-":
        return sys.stdin.buffer.read()
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(
            f"There is no file {str(path)!r}.", "Check the name; bundled data sets need no path."
        ) from None
    except IsADirectoryError:
        raise InputError(f"{str(path)!r} is a folder, not a file.", "Name a file inside it.") from None
    except OSError as error:
        raise EnvironmentFault(f"{str(path)!r} cannot be read: {error.strerror}.", "Check its permissions.") from error


def refuse_utf16(raw: bytes, path: str) -> None:
    """Raise InputError if `raw`, the start of a file, is UTF-16."""
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError(f"{path} is UTF-16.", "Save it again as UTF-8.")


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
        InputError: If the file is UTF-16.
    """
    refuse_utf16(raw, path)
    for number, line in enumerate(raw.split(b"\n"), start=1):
        if text := decode_line(line, number):
            yield number, text


def parse_lines(raw: bytes, path: str) -> Iterator[tuple[int, dict[str, Any] | Problem]]:
    """Yield ``(line, object or problem)`` for each line that is not blank."""
    for number, line in text_lines(raw, path):
        yield number, line if isinstance(line, Problem) else parse_line(line, number)


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
        return Problem(number, f"not JSON: {error.msg} at column {error.colno}{extra}")
    except ValueError as error:  # from the hooks
        return Problem(number, str(error))
    return _object(value, number)


def parse_value(text: str, at: int, number: int) -> tuple[dict[str, Any] | Problem, int]:
    """Parse the element of an array that starts at `at`, on line `number`.

    Returns:
        The object or problem, and where it ends; -1 if that is unknown.
    """
    try:
        value, end = _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        return Problem(error.lineno, f"not JSON: {error.msg} at column {error.colno}"), -1
    except RecursionError:
        return Problem(number, "nested too deep"), -1
    except ValueError as error:
        return Problem(number, str(error)), -1
    return _object(value, number), end


def _object(value: Any, number: int) -> dict[str, Any] | Problem:
    if not isinstance(value, dict):
        return Problem(number, f"expected a JSON object, not {_KINDS[type(value)]}")
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


def shown(value: Any) -> str:
    """Return `value` shortened for a message."""
    return reprlib.repr(value)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=_int)

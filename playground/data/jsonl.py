"""Strict JSON Lines: each line is one object or one problem, named by its line; nothing is guessed.

``load_dataset("json")`` turns a 5,000-digit number into infinity, keeps the last of two equal keys and
numbers rows from the start of a chunk, so the reader is our own.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playground.errors import EnvironmentFault, InputError

MAX_LINE_BYTES = 4 << 20
MAX_DEPTH = 64
MAX_SHOWN = 20


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
            f"There is no file {str(path)!r}.", "Check the name; bundled sets go by a bare name."
        ) from None
    except IsADirectoryError:
        raise InputError(f"{str(path)!r} is a folder, not a file.", "Name a file inside it.") from None
    except OSError as error:
        raise EnvironmentFault(f"{str(path)!r} cannot be read: {error.strerror}.", "Check its rights.") from error


def decode(raw: bytes, path: str) -> str:
    """Return `raw` as text.

    Raises:
        InputError: If it is not UTF-8 (a byte order mark is accepted), naming line and byte.
    """
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError(f"{path} is UTF-16.", "Save it again as UTF-8.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        byte = raw[error.start]
        raise InputError(f"{path}:{line}: byte 0x{byte:02x} is not UTF-8.", "Save the file again as UTF-8.") from None


def parse_lines(text: str) -> Iterator[tuple[int, dict[str, Any] | Problem]]:
    """Yield ``(line, object or problem)`` for each line that is not blank.

    Only a line feed ends a line: U+2028 and its like are legal inside a JSON string.
    """
    for number, line in enumerate(text.split("\n"), start=1):
        if stripped := line.strip(" \t\r"):
            yield number, _parse(stripped, number)


def _parse(line: str, number: int) -> dict[str, Any] | Problem:
    if len(line) > MAX_LINE_BYTES:
        return Problem(number, f"the line is {len(line):,} characters long; at most {MAX_LINE_BYTES:,} are read")
    if _depth(line) > MAX_DEPTH:
        return Problem(number, f"nested deeper than {MAX_DEPTH} levels")
    try:
        value = json.loads(line, object_pairs_hook=_unique, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        extra = " (several JSON values or a file that is one big array?)" if line.startswith("[") else ""
        return Problem(number, f"not JSON: {error.msg} at column {error.colno}{extra}")
    except ValueError as error:  # from the two hooks, or an absurdly long number
        return Problem(number, str(error))
    if not isinstance(value, dict):
        kind = "array" if isinstance(value, list) else type(value).__name__
        return Problem(number, f"a JSON object is needed, not a {kind}")
    return value


def _depth(line: str) -> int:
    """Return an upper bound of the nesting of `line`, without the recursion a real parse would need."""
    depth = deepest = 0
    for character in line:
        if character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest if line.count("[") + line.count("{") > MAX_DEPTH else 0


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    twice = {key for key in keys if keys.count(key) > 1} if len(set(keys)) < len(keys) else set()
    if twice:
        raise ValueError(f"the key {sorted(twice)[0]!r} stands there twice")
    return dict(pairs)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")

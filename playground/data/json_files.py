"""JSON files that are no JSON Lines: arrays, pretty-printed objects, and what libraries write around their rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from playground.data import shapes
from playground.data.jsonl import Problem, decode_line, parse_line, parse_value, shown
from playground.data.names import READ, fold
from playground.errors import InputError

Numbered = list[tuple[int, dict[str, Any] | Problem]]
_BOM = b"\xef\xbb\xbf"
_BLANK = re.compile(r"[ \t\r\n]*")
_ONE = "one JSON object"
_WRAPPERS = {"rows", "data", "examples", "train", "instances", "items", "records", "dataset"}


def rows_of(raw: bytes, path: str) -> tuple[str, Numbered] | None:
    """Return the container in words and the numbered rows of `raw`; None if its lines have to be read one by one.

    Raises:
        InputError: If it is not UTF-8.
    """
    start = raw.removeprefix(_BOM).lstrip()[:1]
    if start not in (b"[", b"{") or (start == b"{" and _has_rows_as_lines(raw)):
        return None
    try:
        text = raw.removeprefix(_BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}:{line}: byte 0x{raw[error.start]:02x} is not UTF-8.", "Save it as UTF-8.") from None
    found = ("a JSON array", _array(text)) if start == b"[" else _objects(text)
    return None if found[0] == _ONE and "\n" not in text.strip() else found


def _has_rows_as_lines(raw: bytes) -> bool:
    """Return whether the first line is an object and not the only one, or is broken otherwise than by a line break."""
    lines = raw.strip().split(b"\n", 2)
    first = decode_line(lines[0], 1)
    whole = isinstance(first, str) and not isinstance(parse_line(first, 1), Problem)
    return len(lines) > 1 if whole else isinstance(first, Problem) or len(first) > 1


def _array(text: str) -> Numbered:
    """Parse a JSON array one element at a time, so that each keeps the line it starts on."""
    rows: Numbered = []
    at = _after_blank(text, text.index("[") + 1)
    line, counted = 1, 0

    def number(to: int) -> int:
        nonlocal line, counted
        line, counted = line + text.count("\n", counted, to), to
        return line

    while text[at : at + 1] != "]":
        begun = number(at)
        value, at = parse_value(text, at, begun)
        rows.append((begun, value))
        if at < 0:  # nothing after a syntax error can be trusted
            return rows
        at = _after_blank(text, at)
        if text[at : at + 1] == ",":
            at = _after_blank(text, at + 1)
            if text[at : at + 1] == "]":
                return [*rows, _problem(number(at), "a comma before the end of the array: is a row missing?")]
        elif text[at : at + 1] != "]":
            return [*rows, _problem(number(at), "the array is cut off or a comma is missing")]
    end = _after_blank(text, at + 1)
    if end < len(text):
        rest = shown(text[end : end + 80])
        rows.append(_problem(number(end), f"there is more after the end of the array: {rest}; two files in one?"))
    return rows


def _objects(text: str) -> tuple[str, Numbered]:
    """Read objects that follow each other, each over several lines as a pretty-printer writes them."""
    rows: Numbered = []
    at, line, counted = _after_blank(text, 0), 1, 0
    while at < len(text):
        line, counted = line + text.count("\n", counted, at), at
        value, at = parse_value(text, at, line)
        rows.append((line, value))
        if at < 0:
            break
        at = _after_blank(text, at)
        if text[at : at + 1] == ",":  # between objects, as if they were in an array
            at = _after_blank(text, at + 1)
    if len(rows) == 1 and isinstance(rows[0][1], dict):
        return _one_object(rows[0][1])
    return "JSON objects, each over several lines", rows


def _one_object(found: dict[str, Any]) -> tuple[str, Numbered]:
    """Return the rows of a file that is one object: a row, or what holds the rows."""
    values = list(found.values())
    if isinstance(found.get("columns"), list) and _is_grid(found.get("data"), len(found["columns"])):
        return "a JSON table", _counted([dict(zip(found["columns"], cells, strict=True)) for cells in found["data"]])
    lists = {key: value for key, value in found.items() if _are_rows(value)}
    lists = {key: value for key, value in lists.items() if key in _WRAPPERS or fold(key) not in READ["messages"]}
    if len(lists) == 1:
        ((key, items),) = lists.items()
        return f"a JSON object with rows in {shown(key)}", _counted([_unwrapped(item) for item in items])
    if len(lists) > 1:
        names = ", ".join(shown(key) for key in lists)
        return "a JSON object", [
            _problem(1, f"rows are in {names}: write the ones to train on into a file of their own")
        ]
    if values and all(isinstance(value, dict) and value for value in values):
        if shapes.detect(values):
            return "a JSON object of rows", _counted(values)
        keys = list(values[0])
        if all(list(value) == keys for value in values) and all(key.isdigit() for key in keys):
            return "a JSON table", _counted([{name: column[key] for name, column in found.items()} for key in keys])
    if len(values) > 1 and all(isinstance(value, list) and value for value in values):
        flat = not any(isinstance(cell, list | dict) for value in values for cell in value)
        if flat and len({len(value) for value in values}) == 1:
            return "a JSON table", _counted(
                [dict(zip(found, cells, strict=True)) for cells in zip(*values, strict=True)]
            )
    return _ONE, [(1, found)]


def _is_grid(data: Any, width: int) -> bool:
    return isinstance(data, list) and bool(data) and all(isinstance(row, list) and len(row) == width for row in data)


def _are_rows(value: Any) -> bool:
    if not isinstance(value, list) or not value or not all(isinstance(item, dict) for item in value):
        return False
    return shapes.detect(_unwrapped(item) for item in value) is not None


def _unwrapped(item: dict[str, Any]) -> dict[str, Any]:
    """Return the row that the hub's viewer puts into an object of its own."""
    return item["row"] if isinstance(item.get("row"), dict) and "row_idx" in item else item


def _counted(rows: Sequence[dict[str, Any]]) -> Numbered:
    return list(enumerate(rows, start=1))


def _problem(line: int, message: str) -> tuple[int, Problem]:
    return line, Problem(line, message)


def _after_blank(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    assert match is not None
    return match.end()

"""JSON files that are no JSON Lines: arrays, pretty-printed objects, and what libraries write around their rows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from playground.data import shapes
from playground.data.jsonl import MAX_LINE_BYTES, Problem, decode_line, kind_of, parse_line, parse_value, shown
from playground.data.names import MEANINGFUL, fold, is_empty, not_read
from playground.data.tables import NAMES_READ, named_twice
from playground.data.talk import Note
from playground.data.unknown import listed
from playground.errors import InputError

Numbered = list[tuple[int, dict[str, Any] | Problem]]


class Found(NamedTuple):
    """What a JSON file holds: the container in words, the rows, and notes on what is next to them."""

    container: str
    rows: Numbered
    notes: tuple[Note, ...] = ()


_BOM = b"\xef\xbb\xbf"
_BLANK = re.compile(r"[ \t\r\n]*")
_ONE = "one JSON object"
_WRAPPERS = {"rows", "data", "examples", "train", "instances", "items", "records", "dataset"}
_ABOUT_COLUMNS = {"schema", "features", "columns", "index"}  # what libraries write next to rows
_MEANINGFUL = NAMES_READ | MEANINGFUL.keys()


def rows_of(raw: bytes, path: str, *, by_line: bool = False) -> Found | None:
    """Return what `raw` holds; None if its lines have to be read one by one.

    Args:
        raw: The content of the file.
        path: Its name in errors.
        by_line: Whether its name says that a line is a row: an object that could be a row is one then.

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
    found = Found("a JSON array", _array(text)) if start == b"[" else _objects(text, by_line)
    return None if found.container == _ONE and "\n" not in text.strip() else found


def _has_rows_as_lines(raw: bytes) -> bool:
    """Return whether the first line is an object and not the only one, or is broken otherwise than by a line break."""
    first, _, rest = raw.removeprefix(_BOM).strip().partition(b"\n")
    line = decode_line(first, 1)
    if isinstance(line, Problem):
        return True
    if not isinstance(parse_line(line, 1), Problem):
        return bool(rest)
    if not rest:
        return len(first) <= MAX_LINE_BYTES  # too long for a row, but it may hold rows
    text = b"\n".join((first, rest)).decode("utf-8", "replace")
    value, end = parse_value(text, 0, 1)
    if end >= 0:
        return "\n" not in text[:end]
    # Where an object over several lines is damaged, its next line is no object; after a row that is cut off it is one.
    return not isinstance(value, Problem) or value.line == 1 or rest.lstrip()[:1] == b"{"


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
        start = number(at)
        value, at = parse_value(text, at, start)
        rows.append((start, value))
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


def _objects(text: str, by_line: bool) -> Found:
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
        return _one_object(rows[0][1], by_line)
    return Found("JSON objects, each over several lines", rows)


def _one_object(found: dict[str, Any], by_line: bool) -> Found:
    """Return the rows of a file that is one object: a row, or what holds the rows."""
    values = list(found.values())
    names, cells = found.get("columns"), found.get("data")
    table = isinstance(names, list) and isinstance(cells, list) and all(isinstance(row, list) for row in cells)
    lists = {key: value for key, value in found.items() if _are_rows(value)}
    held = {"columns", "data"} if table else set(lists)
    if held and shapes.detect([{key: value for key, value in found.items() if key not in held}]):
        return Found(_ONE, [(1, found)])  # it can be trained on without them
    if table:
        return _with_more("a JSON table", _grid(found["columns"], found["data"]), found, "data")
    lists = {key: value for key, value in lists.items() if key in _WRAPPERS or fold(key) not in NAMES_READ}
    if by_line and not lists.keys() & _WRAPPERS:
        lists = {}
    if len(lists) == 1:
        ((key, items),) = lists.items()
        if by_line and shapes.detect([found]):
            way = "rows, or one conversation? Name the file .json for rows, or the list 'messages' for a conversation"
            return Found("a JSON object", [_problem(1, f"{shown(key)} holds questions with answers: {way}")])
        return _with_more(f"a JSON object with rows in {shown(key)}", _counted(map(_checked, items)), found, key)
    if len(lists) > 1:
        said = ", ".join(shown(key) for key in lists)
        way = "write the ones to train on into a file of their own"
        return Found("a JSON object", [_problem(1, f"rows are in {said}: {way}")])
    if values and all(isinstance(value, dict) and value for value in values):
        if shapes.detect(values) and not shapes.detect([found]):
            return Found("a JSON object of rows", _counted(values))
        keys = list(values[0])
        if all(list(value) == keys for value in values) and all(key.isdigit() for key in keys):
            rows = [{name: column[key] for name, column in found.items()} for key in keys]
            return Found("a JSON table", _counted(rows))
    if len(values) > 1 and all(isinstance(value, list) and value for value in values):
        flat = not any(isinstance(cell, list | dict) for value in values for cell in value)
        if flat and len({len(value) for value in values}) == 1:
            return Found(
                "a JSON table", _counted(dict(zip(found, row, strict=True)) for row in zip(*values, strict=True))
            )
    return Found(_ONE, [(1, found)])


def _with_more(container: str, rows: Numbered, found: dict[str, Any], of: str) -> Found:
    """Return `rows`, which are `found[of]`, with a note on what else is there, or why they are none with it there."""
    more = not_read(found, {of, *_ABOUT_COLUMNS})
    if means := next((key for key in more if fold(key) in _MEANINGFUL), ""):
        way = f"which is not read there: write it into each row of {shown(of)}, or remove it"
        return Found(container, [_problem(1, f"the file has {shown(means)} next to its rows, {way}")])
    notes = (Note(f"next to its rows the file has {listed(more)}", "only the rows are read"),) if more else ()
    return Found(container, rows, notes)


def _grid(names: list[Any], cells: list[list[Any]]) -> Numbered:
    """Return the rows of a table as pandas splits it."""
    texts = [str(name) if type(name) is int else name for name in names]
    for number, name in enumerate(texts, start=1):
        if not isinstance(name, str):
            return [_problem(1, f"the name of column {number} is {kind_of(name)}: write a text, or remove the column")]
    if problem := named_twice(texts):
        return [_problem(1, problem)]
    width = len(texts)
    return [
        (line, dict(zip(texts, row, strict=True)))
        if len(row) == width
        else _problem(line, f"{len(row)} cells, but there are {width} columns")
        for line, row in enumerate(cells, start=1)
    ]


def _are_rows(value: Any) -> bool:
    if not isinstance(value, list) or not value or not all(isinstance(item, dict) for item in value):
        return False
    return shapes.detect(map(_unwrapped, value)) is not None


def _unwrapped(item: dict[str, Any]) -> dict[str, Any]:
    """Return the row that the hub's viewer puts into an object of its own."""
    return item["row"] if isinstance(item.get("row"), dict) and "row_idx" in item else item


def _checked(item: dict[str, Any]) -> dict[str, Any] | str:
    """Return a row, or what is wrong with it: the hub's viewer does not give long cells whole."""
    row = _unwrapped(item)
    if row is item or is_empty(cut := item.get("truncated_cells")):
        return row
    return f"the hub's viewer has cut off the cells {shown(cut)}: read the data set itself, as hf:NAME"


def _counted(rows: Iterable[dict[str, Any] | str]) -> Numbered:
    return [_problem(n, row) if isinstance(row, str) else (n, row) for n, row in enumerate(rows, start=1)]


def _problem(line: int, message: str) -> tuple[int, Problem]:
    return line, Problem(line, message)


def _after_blank(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    assert match is not None
    return match.end()

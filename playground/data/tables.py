"""Tables as text: CSV and TSV as spreadsheets and libraries write them. Every cell stays text."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from playground.data.jsonl import MAX_LINE_BYTES, Problem, shown
from playground.data.names import HARMLESS, READ, fold

NAMES_READ = {name for names in READ.values() for name in names}
KNOWN = NAMES_READ | HARMLESS
LONGEST_NAME = 60  # characters of the name of a column
_BOM = b"\xef\xbb\xbf"
_SEPARATOR = re.compile(r"\Asep=(.)\r?\n")  # a line that Excel reads and writes before the header


def read_csv(raw: bytes, delimiter: str) -> list[tuple[int, dict[str, Any] | Problem]]:
    """Read a table with a header. An empty cell counts as absent, and so does an empty column without a name.

    Args:
        raw: The content of the file.
        delimiter: What separates cells; found out from the header if it is empty.
    """
    try:
        text = raw.removeprefix(_BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return [(line, Problem(line, f"byte 0x{raw[error.start]:02x} is not UTF-8; save the file again as UTF-8"))]
    skipped = 0
    if told := _SEPARATOR.match(text):
        delimiter, text, skipped = told[1], text[told.end() :], 1
    head = text.split("\n", 1)[0]
    # A comma or, as some spreadsheets write it, a semicolon or a tab.
    delimiter = delimiter or max((",", ";", "\t"), key=head.count)
    csv.field_size_limit(MAX_LINE_BYTES)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[tuple[int, dict[str, Any] | Problem]] = []
    try:
        header = [name.strip() for name in next(reader, [])]
        if problem := named_twice([name for name in header if name]):
            line = 1 + skipped
            return [(line, Problem(line, problem))]
        if not any(fold(name) in KNOWN for name in header) and any(map(_is_sentence, header)):
            way = f"prompt{delimiter}completion".replace("\t", " and, after a tab, ")
            line = 1 + skipped
            said = f"the first line looks like a row, not like the names of columns: write {way} into a line above it"
            return [(line, Problem(line, said))]
        taken = set(header)
        names = [name or _unnamed(n, taken) for n, name in enumerate(header)]
        start = reader.line_num
        for cells in reader:
            line, start = start + 1 + skipped, reader.line_num
            if cells:
                rows.append((line, _row(names, cells, line)))
    except csv.Error as error:
        line = reader.line_num + skipped
        rows.append((line, Problem(line, f"not CSV: {error}; what follows is not read")))
    return rows


def named_twice(names: Sequence[str]) -> str:
    """Return what is wrong with columns of which two have one name; empty if none have."""
    twice = next((name for name, times in Counter(names).items() if times > 1), None)
    return "" if twice is None else f"a column name appears twice: {shown(twice)}: rename one of the two"


def _unnamed(number: int, taken: set[str]) -> str:
    """Return the name that pandas gives a column without one: as that of its index, and no name that is taken."""
    name = f"Unnamed: {number}"
    while name in taken:
        name += ".1"
    return name


def _is_sentence(name: str) -> bool:
    return len(name) > LONGEST_NAME or name.endswith((".", "?", "!", "。", "？", "！"))


def is_table(raw: bytes) -> bool:
    """Return whether the first line of `raw` has names of columns, one of which is known."""
    head = raw.removeprefix(_BOM).lstrip().split(b"\n", 1)[0][:MAX_LINE_BYTES].decode("utf-8", "replace")
    names = [fold(name.strip('" ')) for name in re.split(r"[,;\t]", head.strip())]
    return len(names) > 1 and head[:1] not in ("{", "[") and any(name in KNOWN for name in names)


def _row(names: Sequence[str], cells: Sequence[str], line: int) -> dict[str, Any] | Problem:
    if len(cells) < len(names) or any(cells[len(names) :]):
        return Problem(line, f"{len(cells)} cells, but the header has {len(names)}")
    return {name: cell for name, cell in zip(names, cells, strict=False) if cell}

"""Damaged and odd data, made from a seed: every row of a file is read or a problem, and nothing ends in a traceback.

``python tests/fuzz_data.py FIRST NUMBER`` tries the seeds from FIRST on and prints how many inputs of each kind were
read, refused or partly read; any other outcome is an error with its seed.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playground.data.containers import open_rows
from playground.data.jsonl import Problem
from playground.data.lint import check
from playground.data.names import CONTENT_KEYS, MEANINGFUL, PAIRS, READ, ROLE_KEYS, ROLES, TOOL_ROLES, WEIGHTS
from playground.data.reading import Reading, first_rows
from playground.errors import InputError, UsageError

COLUMNS = sorted(
    {*(name for names in READ.values() for name in names), *MEANINGFUL, "label", "chosen", "rejected", "text", "id"}
)
TEXTS = [
    "a",
    "",
    " ",
    "nan",
    "None",
    "User: a\nAssistant:",
    "<|im_end|>",
    "a END",
    "é你\U0001f600",
    "\u2028",
    "[{",
    "x" * 300,
]
ODD = [None, True, False, 0, 1.5, 10**30, [], {}, ["a"], [["a", "b"]], {"parts": [{"text": "a"}]}, [{"type": "image"}]]
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": lambda raw: gzip.compress(raw, 1),
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}
# Elements that are wrong in meaning; what follows them can be read all the same.
WRONG = [
    "1",
    "null",
    "[]",
    '{"a": 1, "a": 2}',
    '{"a": NaN}',
    f'{{"a": {"9" * 4000}}}',
    f'{{"a": {"[" * 90}{"]" * 90}}}',
]


def spelled(name: str, chance: random.Random) -> str:
    words = name.replace("_", chance.choice(["_", " ", "-"]))
    return chance.choice([str, str.upper, str.title, lambda text: f" {text} "])(words)


def a_value(chance: random.Random) -> Any:
    return chance.choice(TEXTS) if chance.random() < 0.7 else chance.choice(ODD)


def a_message(chance: random.Random) -> Any:
    if chance.random() < 0.05:
        return a_value(chance)
    said = spelled(chance.choice([*ROLES, *ROLES, *TOOL_ROLES, "x"]), chance)
    message = {chance.choice(ROLE_KEYS): said, chance.choice(CONTENT_KEYS): a_value(chance)}
    if chance.random() < 0.3:
        message[chance.choice([*WEIGHTS, *READ["reasoning"], "tool_calls", "images", "name"])] = a_value(chance)
    return message


def a_good_row(chance: random.Random) -> dict[str, Any]:
    """Return a row that can be trained on, with names in any spelling, and now and then something more."""
    if chance.random() < 0.5:
        roles = [chance.choice([said for said in ROLES if ROLES[said] == role]) for role in ("user", "assistant")]
        keys = chance.choice(ROLE_KEYS), chance.choice(CONTENT_KEYS)
        talk = [{keys[0]: spelled(roles[n % 2], chance), keys[1]: f"text {n}"} for n in range(2 * chance.randint(1, 2))]
        row: dict[str, Any] = {chance.choice(["messages", "conversations"]): talk}
    else:
        pair = chance.choice(PAIRS)
        row = {spelled(pair[0], chance): "a question", spelled(pair[1], chance): "an answer"}
    more = chance.choice([{}, {}, {"id": 1}, {"notes": "n"}, {"context": "c"}, {"system": "s"}, {"label": False}])
    return {**row, **more}


def a_row(chance: random.Random) -> dict[str, Any]:
    if chance.random() < 0.5:
        return a_good_row(chance)
    row = {spelled(name, chance): a_value(chance) for name in chance.sample(COLUMNS, chance.randint(1, 4))}
    if chance.random() < 0.4:
        talk = [a_message(chance) for _ in range(chance.randint(0, 5))]
        row[spelled(chance.choice(READ["messages"]), chance)] = json.dumps(talk) if chance.random() < 0.2 else talk
    return row


def a_file(chance: random.Random) -> tuple[str, bytes, int | None]:
    """Return the name of a file, its content, and how many rows it has; None where damage makes that unknown."""
    rows = [a_row(chance) for _ in range(chance.randint(1, 8))]
    if chance.random() < 0.7:  # like each other, as rows are
        first = rows[0]
        odd = {name: a_value(chance) for name in first if chance.random() < 0.1}
        rows = [first if chance.random() < 0.7 else {**first, **odd} for _ in rows]
    kind = chance.choice(["jsonl", "json", "json", "csv", "tsv"])
    if kind in ("csv", "tsv"):
        stream = io.StringIO()
        header = sorted({name.strip() for row in rows for name in row})
        cells = [[json.dumps(v) if isinstance(v, list | dict) else str(v) for v in row.values()] for row in rows]
        table = [header, *([*line, *[""] * len(header)][: len(header)] for line in cells)]
        csv.writer(stream, delimiter="," if kind == "csv" else "\t").writerows(table)
        raw = stream.getvalue().encode()
        number = (
            sum(
                bool(line)
                for line in csv.reader(io.StringIO(stream.getvalue()), delimiter="," if kind == "csv" else "\t")
            )
            - 1
        )
    else:
        items = [json.dumps(row, ensure_ascii=chance.random() < 0.5) for row in rows]
        items = [chance.choice(WRONG) if chance.random() < 0.15 else item for item in items]
        number = len(items)
        if kind == "json":
            raw = f"[{chance.choice([', ', chr(10), ',' + chr(10)]).replace(chr(10), ',' + chr(10)).replace(',,', ',').join(items)}]".encode()
        else:
            items[0] = json.dumps(rows[0])
            raw = "\n".join([items[0], *items]).encode()  # one line alone may be rows in an object
            number += 1
    known: int | None = number
    if chance.random() < 0.3:
        known, damaged = None, bytearray(raw)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(damaged))
            match chance.randrange(4):
                case 0:
                    damaged[at] = chance.randrange(256)
                case 1:
                    del damaged[at:]
                case 2:
                    damaged[at:at] = chance.choice([b'"', b"]", b"}", b"\n", b"\x00", b"\xff", b",", b"[" * 2000])
                case _:
                    damaged += bytes(damaged[at:])
            damaged = damaged or bytearray(b" ")
        raw = bytes(damaged)
    name = f"fuzz.{kind}"
    if chance.random() < 0.15:
        packed = chance.choice(sorted(PACKERS))
        name, raw = name + packed, PACKERS[packed](raw)
        if chance.random() < 0.5:
            cut = bytearray(raw)
            cut[chance.randrange(len(cut))] = chance.randrange(256)
            raw, known = bytes(cut), None
    return name, raw, known


def tried(seed: int, folder: Path) -> str:
    """Return what happened to the file of this seed: ``read``, ``partly read`` or ``refused``; raise what must not."""
    chance = random.Random(seed)
    name, raw, known = a_file(chance)
    path = folder / name
    path.write_bytes(raw)
    try:
        rows = open_rows(str(path), path)
    except InputError as error:
        if known is not None and raw:
            raise AssertionError("a sound file is refused") from error
        return "refused"
    found = [row for _, row in rows]
    assert known is None or len(found) == known, f"{len(found)} rows and problems of {known}"
    if not found:
        return "refused"
    first = first_rows(rows)
    there = sorted({column for row in first for column in row})
    renamed = {"prompt": chance.choice([*there, "absent"])} if chance.random() < 0.1 else {}
    repair = chance.random() < 0.5
    reading = Reading.of(first, renamed, repair=repair)
    reading.way(first)
    try:
        looked = check(rows, renamed, repair=repair)
    except UsageError as error:
        if "absent" not in renamed.values():
            raise AssertionError("a column that is there is refused") from error
        return "refused"
    problems = sum(isinstance(reading.example(0, row), Problem) for row in found)
    assert looked.num_sound == len(found) - problems, (
        f"{looked.num_sound} sound rows, {problems} problems of {len(found)}"
    )
    return "read" if not problems else "partly read" if problems < len(found) else "refused"


def main(first: int, number: int) -> None:
    """Try the seeds and print what happened."""
    tally: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, first + number):
            try:
                tally[tried(seed, Path(folder))] += 1
            except Exception as error:
                raise SystemExit(f"seed {seed}: {type(error).__name__}: {error}") from error
    print(f"seeds {first} to {first + number - 1}: {dict(tally)}")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))

"""The same rows out of every container, with their places and their problems."""

import bz2
import csv
import gzip
import io
import json
import lzma
import random
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from playground.data.containers import open_rows
from playground.data.examples import LOOKED_AT, WHOLE_ROWS, read_dataset, remarks_in_words
from playground.data.jsonl import Problem
from playground.data.lint import check
from playground.errors import EnvironmentFault, InputError, UsageError

ROWS = [{"prompt": f'p{n}, "é"', "completion": f"c{n}\nsecond line"} for n in range(3)]


def as_jsonl(rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def as_array(rows):
    return json.dumps(rows).encode()


def as_csv(rows, separator=","):
    quoted = [[f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in row.values()] for row in rows]
    return "\r\n".join(separator.join(cells) for cells in [["prompt", "completion"], *quoted]).encode()


def write_parquet(path, rows):
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)


def as_split(columns, data=None, **more):
    """Return a table as pandas splits it."""
    data = [[f"{n}" for n, _ in enumerate(columns)]] if data is None else data
    return json.dumps({"columns": columns, "index": [*range(len(data))], "data": data, **more}).encode()


@pytest.mark.parametrize(
    ("name", "content", "lines"),
    [
        ("a.jsonl", as_jsonl(ROWS), [1, 2, 3]),
        ("a.ndjson", b"\xef\xbb\xbf\n" + as_jsonl(ROWS), [2, 3, 4]),
        ("a.JSONL", as_jsonl(ROWS), [1, 2, 3]),
        ("a.json", json.dumps(ROWS).encode(), [1, 1, 1]),
        ("a.json", json.dumps(ROWS, indent=1).encode(), [2, 6, 10]),
        ("a.json", b"\xef\xbb\xbf \n[ " + b" ,\n".join(as_jsonl([row]).strip() for row in ROWS) + b"\n]\n", [2, 3, 4]),
        ("a.json", as_jsonl(ROWS), [1, 2, 3]),
        ("a.jsonl.gz", gzip.compress(as_jsonl(ROWS), mtime=0), [1, 2, 3]),
        ("a.csv", as_csv(ROWS), [2, 4, 6]),
        ("a.csv", b"\xef\xbb\xbf" + as_csv(ROWS, ";"), [2, 4, 6]),
        ("a.tsv", as_csv(ROWS, "\t"), [2, 4, 6]),
        ("a.csv", as_csv(ROWS, "\t"), [2, 4, 6]),
        ("a.csv", b"\xef\xbb\xbfsep=;\r\n" + as_csv(ROWS, ";"), [3, 5, 7]),
        ("a.csv", as_csv(ROWS).replace(b'\r\n"p', b',,\r\n"p') + b",,", [2, 4, 6]),
        ("no-suffix", as_csv(ROWS), [2, 4, 6]),
        ("no-suffix", as_jsonl(ROWS), [1, 2, 3]),
        ("a.csv.gz", gzip.compress(as_csv(ROWS), mtime=0), [2, 4, 6]),
        ("a.tsv.bz2", bz2.compress(as_csv(ROWS, "\t")), [2, 4, 6]),
        ("a.ndjson.xz", lzma.compress(as_jsonl(ROWS)), [1, 2, 3]),
        ("a.json.gz", gzip.compress(as_array(ROWS), mtime=0), [1, 1, 1]),
        ("a.jsonl", json.dumps(ROWS, indent=1).encode(), [2, 6, 10]),
        ("a.jsonl", "\n".join(json.dumps(row, indent=1) for row in ROWS).encode(), [1, 5, 9]),
        ("a.json", ",\n".join(json.dumps(row, indent=1) for row in ROWS).encode(), [1, 5, 9]),
        # What libraries and services write around their rows.
        ("a.json", json.dumps({"version": 1, "data": ROWS}).encode(), [1, 2, 3]),
        ("a.json", json.dumps({"train": ROWS}, indent=2).encode(), [1, 2, 3]),
        (
            "a.json",
            json.dumps({"rows": [{"row_idx": n, "row": row} for n, row in enumerate(ROWS)]}).encode(),
            [1, 2, 3],
        ),
        (
            "a.json",
            json.dumps({name: {str(n): ROWS[n][name] for n in range(3)} for name in ROWS[0]}).encode(),
            [1, 2, 3],
        ),
        ("a.json", json.dumps({str(n): row for n, row in enumerate(ROWS)}).encode(), [1, 2, 3]),
        ("a.json", json.dumps({name: [row[name] for row in ROWS] for name in ROWS[0]}).encode(), [1, 2, 3]),
        (
            "a.json",
            json.dumps(
                {"columns": list(ROWS[0]), "index": [0, 1, 2], "data": [list(row.values()) for row in ROWS]}
            ).encode(),
            [1, 2, 3],
        ),
        ("a.json", "\n".join(json.dumps(row).replace('", "', '",\n"') for row in ROWS).encode(), [1, 3, 5]),
        ("a.json", json.dumps({"items": ROWS}).encode(), [1, 2, 3]),
        ("a.jsonl", json.dumps({"rows": ROWS}).encode(), [1, 2, 3]),
    ],
)
def test_rows_keep_their_text_and_their_lines(tmp_path, name, content, lines):
    path = tmp_path / name
    path.write_bytes(content)
    assert list(open_rows(str(path), path)) == list(zip(lines, ROWS, strict=True))


def test_parquet_rows_are_read_as_written(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    talk = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "train": False}]}
    write_parquet(tmp_path / "a.parquet", [talk, talk])
    rows = open_rows("a.parquet", tmp_path / "a.parquet")
    assert [rows.read(n) for n in (1, 0)] == [(2, talk), (1, talk)]  # no absent field is invented


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.json", b'[{"a": 1}, {"a": 2', ["a.json:1", "not JSON"]),
        ("a.json", b'[\n{"a": 1}\n{"a": 2}]', ["a.json:3", "comma"]),
        ("a.json", b'[\n{"a": 1}', ["a.json:2", "cut off"]),
        ("a.json", b"[1]", ["object", "number"]),
        ("a.json", as_array(ROWS) + b"\n" + as_array(ROWS), ["a.json:2", "more after the end", "two files in one"]),
        ("a.json", as_array(ROWS) + b' rubbish "]', ["a.json:1", "more after the end"]),
        ("a.json", as_array(ROWS)[:-1] + b"\n,\n]", ["a.json:3", "comma before the end"]),
        ("a.json", b"[" * 100_000, ["a.json:1"]),
        ("a.json", '[\n"é"]'.encode("latin-1"), ["a.json:2", "UTF-8"]),
        ("a.csv", b"prompt,completion\n1,2,3\n", ["a.csv:2", "3 cells", "2"]),
        ("a.csv", b"prompt,prompt\na,b\n", ["twice"]),
        ("a.csv", b'prompt,completion\n"a,b\n', ["not CSV"]),
        ("a.csv", b"prompt,completion\n\xe9,b\n", ["a.csv:2", "UTF-8"]),
        ("a.csv", b"", ["no rows"]),
        ("a.jsonl.gz", b"plain", ["gzip"]),
        ("a.jsonl.gz", gzip.compress(b"a" * 100, mtime=0)[:-5], ["gzip"]),
        ("a.jsonl.gz", b"\x1f\x8b\x08\x00\xba{*\x06k\x04\xff", ["gzip"]),
        ("a.parquet", b"PAR1", ["a.parquet", "cannot be read"]),
        ("a.csv.gz", b"plain", ["not a complete gzip"]),
        ("a.csv.bz2", b"BZhplain", ["not a complete bzip2"]),
        ("a.jsonl.xz", lzma.compress(b"a" * 100)[:-5], ["not a complete xz"]),
        ("a.csv", "\ufeffprompt\tcompletion\n".encode("utf-16-le"), ["UTF-16"]),
        ("a.csv", "prompt\tcompletion\n".encode("utf-16-le"), ["UTF-16"]),
        ("a.jsonl", gzip.compress(b"a", mtime=0), ["is a gzip file"]),
        ("a.csv", b"PK\x03\x04rest", ["a zip file or a spreadsheet"]),
        ("a.json", b"version https://git-lfs.github.com/spec/v1\noid", ["Git LFS pointer"]),
        ("a.jsonl", b"\n<!DOCTYPE html><html>", ["an HTML page"]),
        ("a.json", json.dumps({"train": ROWS, "test": ROWS}).encode(), ["'train', 'test'", "file of their own"]),
        ("a.json", json.dumps({"name": "x", "n": 3}, indent=2).encode(), ["a.json", "the columns 'n', 'name'"]),
        (
            "a.json",
            json.dumps({"rows": ROWS, "tools": [{}]}).encode(),
            ["'tools' next to its rows", "write it into each"],
        ),
        ("a.json", json.dumps({"data": ROWS, "instruction": "Do."}).encode(), ["'instruction' next to its rows"]),
        ("a.json", as_split(["prompt", "completion"], system="s"), ["'system' next to its rows"]),
        ("a.json", as_split(["prompt", "completion", "prompt"]), ["'prompt'", "twice", "rename"]),
        ("a.json", as_split([0, "completion", "0"]), ["'0'", "twice"]),
        ("a.json", as_split(["prompt", ["completion", "x"]]), ["column 2 is an array", "write a text"]),
        ("a.json", as_split(["prompt", None]), ["column 2 is null"]),
        ("a.json", as_split(["prompt", True]), ["column 2 is a boolean"]),
        ("a.json", as_split(["prompt", "completion"], [["p", "c"], ["p"]]), ["a.json:2", "1 cells", "2 columns"]),
        ("a.json", as_split(["prompt", "completion"], []), ["no rows"]),
        (
            "a.json",
            json.dumps({"rows": [{"row_idx": 0, "row": ROWS[0], "truncated_cells": ["prompt"]}]}).encode(),
            ["a.json:1", "cut off", "'prompt'", "hf:"],
        ),
        ("a.jsonl", json.dumps({"data": ROWS}).encode(), ["rows, or one conversation", ".json for rows", "'messages'"]),
        ("a.jsonl.gz", gzip.compress(json.dumps({"turns": ROWS}).encode(), mtime=0), ["the column 'turns'"]),
        ("a.json", json.dumps({"history": ROWS}).encode(), ["the column 'history'"]),
        ("a.jsonl", b'{"prompt": "p",\n"completion" "c"}\n', ["a.jsonl:2", "what follows is not read"]),
        ("a.jsonl", b'{"prompt": "p",\n' + as_jsonl(ROWS), ["a.jsonl:1", "not JSON"]),
        ("a.json", json.dumps(ROWS, indent=2)[:-20].encode(), ["a.json:12", "what follows is not read"]),
        ("a.csv", b'prompt,completion\n"a"b,c\nd,e\n', ["not CSV", "what follows is not read"]),
        ("a.xlsx", b"PK", ["a.xlsx", "not a supported file type"]),
        ("a.jsonl", b'{"text": "only"}\n', ["'text'", "SFT trains only answers"]),
    ],
)
def test_damaged_container_is_refused_with_a_reason(tmp_path, monkeypatch, name, content, words):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_dataset(tmp_path / name)
    assert all(word in caught.value.message for word in words), caught.value.message
    assert caught.value.hint


def test_what_a_file_has_next_to_its_rows_is_named(tmp_path):
    viewer = {
        "features": [{"name": "prompt"}], "rows": [{"row_idx": n, "row": row} for n, row in enumerate(ROWS)],
        "partial": False, "num_rows_total": 3, "truncated_cells": [], "version": 2,
    }  # fmt: skip
    (path := tmp_path / "a.json").write_text(json.dumps(viewer))
    said = "next to its rows the file has 'num_rows_total', 'partial'"
    assert remarks_in_words(read_dataset(path)) == (f"{said} (3 rows): only the rows are read",)
    (finding,) = check(open_rows(str(path), path), {}).findings
    assert (finding.level, finding.kind, finding.rows) == ("warning", said, 3)


@pytest.mark.parametrize("key", ["examples", "shots", "data"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_row_that_holds_a_list_of_rows_stays_a_row(tmp_path, name, key):
    (path := tmp_path / name).write_text(json.dumps({"prompt": "p", "completion": "c", key: ROWS}))
    dataset = read_dataset(path)
    assert [example.turns[0].content for example in dataset.examples] == ["p"]
    assert [*dataset.remarks.columns] == [key]


def test_row_of_two_objects_is_no_object_of_rows(tmp_path):
    talk = [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}]
    row = {"prompt": {"messages": talk[:1]}, "completion": {"messages": talk[1:]}}
    (path := tmp_path / "a.json").write_text(json.dumps(row))
    assert [turn.content for turn in read_dataset(path).examples[0].turns] == ["u", "a"]


def test_row_with_a_history_of_objects_is_refused_as_one(tmp_path):
    (path := tmp_path / "a.jsonl").write_text(json.dumps({"prompt": "p", "completion": "c", "history": ROWS}))
    with pytest.raises(InputError, match="pair 1 of 'history' is not"):
        read_dataset(path)


def test_object_on_a_line_too_long_for_a_row_may_hold_rows(tmp_path, monkeypatch):
    for module in ("jsonl", "json_files", "containers"):
        monkeypatch.setattr(f"playground.data.{module}.MAX_LINE_BYTES", 60)
    (path := tmp_path / "a.json").write_text(json.dumps({"version": 1, "data": ROWS}))
    assert [row for _, row in open_rows(str(path), path)] == ROWS
    path.write_text(json.dumps({"prompt": "p" * 60, "completion": "c"}))
    with pytest.raises(InputError, match="the line is"):
        read_dataset(path)


def test_number_as_the_name_of_a_column_is_a_name(tmp_path):
    (path := tmp_path / "a.json").write_bytes(as_split(["prompt", "completion", 7]))
    assert [row for _, row in open_rows(str(path), path)] == [{"prompt": "0", "completion": "1", "7": "2"}]


def test_column_without_a_name_takes_none_that_is_there(tmp_path):
    (path := tmp_path / "a.csv").write_text(",Unnamed: 0,prompt,completion\n1,2,p,c\n")
    row = {"Unnamed: 0.1": "1", "Unnamed: 0": "2", "prompt": "p", "completion": "c"}
    assert [row for _, row in open_rows(str(path), path)] == [row]
    assert remarks_in_words(read_dataset(path)) == ()


def test_wide_table_without_names_is_read_at_once(tmp_path):
    (path := tmp_path / "a.csv").write_text(f"prompt,completion{',' * 40_000}\np,c{',' * 40_000}\n")
    began = time.process_time()
    assert read_dataset(path).examples and time.process_time() - began < 5.0


def test_a_gzip_file_that_unpacks_to_more_than_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("playground.data.containers.MAX_WHOLE_BYTES", 1000)
    (tmp_path / "bomb.jsonl.gz").write_bytes(gzip.compress(b"\n" * 100_000))
    with pytest.raises(InputError, match="unpacks to more"):
        read_dataset(tmp_path / "bomb.jsonl.gz")
    (tmp_path / "big.json").write_bytes(b"[" + b" " * 1000 + b"]")
    with pytest.raises(InputError, match="JSON Lines"):
        read_dataset(tmp_path / "big.json")


def test_one_finding_for_a_file_that_is_misread(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"text": "a", "notes": ["b"] * 50}, indent=2))
    with pytest.raises(InputError) as caught:
        read_dataset(tmp_path / "a.json")
    assert caught.value.message.count("\n") == 0


@pytest.mark.parametrize("name", ["-", "/dev/zero"])
def test_endless_input_is_refused_at_a_limit(monkeypatch, name):
    monkeypatch.setattr("playground.data.jsonl.MAX_STREAM_BYTES", 1 << 20)
    with open("/dev/zero", "rb") as zero:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(zero))
        with pytest.raises(InputError, match="more than 1 MB"):
            open_rows(name, Path(name))


# Rows that are read and problems together are all rows of the file, whatever is wrong with some of them.

GOOD = '{"prompt": "p", "completion": "c"}'
BAD = [
    "1", "null", "[]", '["a"]', '"a"', '{"a": 1, "a": 2}', '{"a": NaN}', '{"a": -Infinity}', f'{{"a": {"9" * 4000}}}',
    f'{{"a": {"[" * 70}{"]" * 70}}}', f'{{"a": {"[" * 400}{"]" * 400}}}', r'{"prompt": "\ud800"}', "{}",
]  # fmt: skip


def counted(path):
    found = [row for _, row in open_rows(str(path), path)]
    return sum(isinstance(row, dict) for row in found), sum(isinstance(row, Problem) for row in found)


@settings(max_examples=150)
@given(
    items=st.lists(st.sampled_from([GOOD] * 8 + BAD), min_size=1, max_size=30),
    gap=st.sampled_from([",", ", ", ",\n", "\n ,\n\n"]),
    packed=st.booleans(),
)
def test_every_element_of_an_array_is_a_row_or_a_problem(tmp_path_factory, items, gap, packed):
    path = tmp_path_factory.getbasetemp() / ("fuzz.json.gz" if packed else "fuzz.json")
    raw = f"[{gap.join(items)}]".encode()
    path.write_bytes(gzip.compress(raw, 1) if packed else raw)
    sound = sum(item in (GOOD, "{}", BAD[11]) for item in items)
    assert counted(path) == (sound, len(items) - sound)


@settings(max_examples=150)
@given(items=st.lists(st.sampled_from([GOOD] * 8 + BAD + ["oops", '{"a', "\x00"]), min_size=2, max_size=30))
def test_every_line_is_a_row_or_a_problem(tmp_path_factory, items):
    path = tmp_path_factory.getbasetemp() / "fuzz.jsonl"
    items[0] = GOOD  # else the file may be one array over several lines
    path.write_text("\n".join(items))
    sound = sum(item in (GOOD, "{}", BAD[11]) for item in items)
    assert counted(path) == (sound, len(items) - sound)


@settings(max_examples=150)
@given(table=st.lists(st.lists(st.text('ab",\n\r;\t é', max_size=4), min_size=1, max_size=4), max_size=20))
def test_every_record_of_a_table_is_a_row_or_a_problem(tmp_path_factory, table):
    path = tmp_path_factory.getbasetemp() / "fuzz.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["prompt", "completion"], *table])
    with path.open(newline="", encoding="utf-8") as stream:
        records = sum(bool(cells) for cells in csv.reader(stream)) - 1
    assert sum(counted(path)) == records


def test_unreachable_or_invalid_hub_data_sets_are_refused():
    with pytest.raises(EnvironmentFault, match="hf:nobody/nothing is not in the local cache"):
        read_dataset("hf:nobody/nothing")
    with pytest.raises(InputError, match="not a hub data set"):
        read_dataset("hf:nothing")
    with pytest.raises(InputError, match="not a hub data set"):
        read_dataset("hf:../x")


# Large sets.


@pytest.fixture
def large(tmp_path, monkeypatch):
    """Return a large file that is read in place, with one bad row near its end."""
    monkeypatch.setattr("playground.data.containers.KEPT_BYTES", 1000)
    rows = [{"prompt": f"p{n}", "completion": f"c{n}"} for n in range(WHOLE_ROWS + 10)]
    rows[-2] = {"prompt": "p"}
    path = tmp_path / "large.jsonl"
    path.write_bytes(as_jsonl(rows))
    return path


def test_rows_of_a_large_set_are_read_and_checked_lazily(large):
    dataset = read_dataset(large)
    assert not dataset.is_whole
    assert len(dataset.examples) == WHOLE_ROWS + 10
    assert dataset.examples[WHOLE_ROWS].turns[1].content == f"c{WHOLE_ROWS}"
    with pytest.raises(InputError, match=f"large.jsonl:{WHOLE_ROWS + 9}: "):
        dataset.examples[WHOLE_ROWS + 8]


def test_bad_rows_of_a_large_set_are_skipped_on_request(large):
    dataset = read_dataset(large, skip_bad=True)
    assert len(dataset.examples) == WHOLE_ROWS + 9
    assert [problem.line for problem in dataset.skipped] == [WHOLE_ROWS + 9]
    assert dataset.examples[WHOLE_ROWS + 8].line == WHOLE_ROWS + 10


def test_bad_row_near_the_start_of_a_large_set_is_found_early(large):
    lines = large.read_bytes().splitlines(keepends=True)
    lines[LOOKED_AT // 2] = b"oops\n"
    large.write_bytes(b"".join(lines))
    with pytest.raises(InputError, match=f"large.jsonl:{LOOKED_AT // 2 + 1}: "):
        read_dataset(large)


def test_columns_can_be_mapped_to_other_names(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"q": "a", "a": "b", "prompt": "c"}\n')
    (example,) = read_dataset(tmp_path / "a.jsonl", ["prompt=q", "completion=a"]).examples
    assert [turn.content for turn in example.turns] == ["a", "b"]
    with pytest.raises(InputError):
        read_dataset(tmp_path / "a.jsonl")


def test_mapped_column_decides_the_shape_and_must_exist(tmp_path):
    talk = '"messages": [{"role": "user", "content": "m"}, {"role": "assistant", "content": "n"}]'
    (tmp_path / "a.jsonl").write_text(f'{{"prompt": "p", "chosen": "c", {talk}}}\n')
    (example,) = read_dataset(tmp_path / "a.jsonl", ["completion=chosen"]).examples
    assert [turn.content for turn in example.turns] == ["p", "c"]
    with pytest.raises(UsageError, match="no column 'typo'"):
        read_dataset(tmp_path / "a.jsonl", ["prompt=typo"])


def test_damaged_gzip_gives_an_input_error_or_the_rows(tmp_path):
    whole = gzip.compress(as_jsonl(ROWS))
    path, chance, refused = tmp_path / "a.jsonl.gz", random.Random(0), 0
    for _ in range(500):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        path.write_bytes(damaged[: chance.randint(1, len(damaged))])
        try:
            read_dataset(path)
        except InputError:
            refused += 1
    assert refused > 400


def test_table_with_invalid_utf_8_names_the_row(tmp_path):
    import pyarrow
    import pyarrow.parquet

    bad = pyarrow.array([b"fine", b"\xff\xfe", b"fine too"]).view(pyarrow.string())
    pyarrow.parquet.write_table(pyarrow.table({"prompt": bad, "completion": bad}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="a.parquet:2: the row cannot be read"):
        read_dataset(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("says", "there"), [(b"HTTP/1.0 503 No\r\n\r\n", True), (b"HTTP/1.0 200 OK\r\n\r\n", True), (b"", False)]
)
def test_hub_that_answers_anything_is_there(monkeypatch, says, there):
    import socket
    import threading

    from huggingface_hub import constants

    from playground.data import hub

    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            connection, _ = server.accept()
            connection.recv(1000)
            connection.sendall(says)
            connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        assert hub.answers() == there
        thread.join()
    assert not hub.answers(), "where nothing listens, nothing is there"


def test_hub_that_says_nothing_is_not_waited_for(monkeypatch):
    import socket
    import time

    from huggingface_hub import constants

    from playground.data import hub

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        began = time.monotonic()
        assert not hub.answers() and time.monotonic() - began < 5

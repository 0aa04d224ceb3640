"""Which data sets there are, and which requests about them are served."""

import json
import queue

import pytest
from click.testing import CliRunner

from playground.cli.data import data
from playground.data import library
from playground.training.inspector import newest

ROW = json.dumps({"prompt": "a", "completion": "b"}) + "\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SFT_PLAYGROUND_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_large_file_is_listed_without_being_read(folder, monkeypatch):
    monkeypatch.setattr(library, "COUNTED_BYTES", 1000)
    (folder / "large.jsonl").write_text(ROW * 100)
    (folder / "small.jsonl").write_text(ROW * 3)
    (folder / "prompts.csv").write_text("nothing,here\n1,2\n")
    read = []
    real = library.read_dataset
    monkeypatch.setattr(
        library, "read_dataset", lambda path, **options: (read.append(path.name), real(path, **options))[1]
    )
    found = {info.name: info.num_rows for info in library.data_sets() if info.where == "here"}
    assert found == {"large.jsonl": None, "small.jsonl": 3} and "large.jsonl" not in read


def test_command_and_screen_list_the_same_data_sets(folder):
    (folder / "mine.jsonl").write_text(ROW * 3)
    lines = CliRunner().invoke(data, ["list"], standalone_mode=False).stdout.splitlines()
    assert [line.split()[0] for line in lines if line.startswith("  ")] == [info.name for info in library.data_sets()]
    assert "  mine.jsonl                       3 rows  prompt and completion" in lines


def requests(*asked, end=True):
    waiting = queue.Queue()
    for number, do in enumerate(asked, start=1):
        waiting.put({"do": do, "id": number})
    if end:
        waiting.put(None)
    return waiting


@pytest.mark.parametrize(
    ("asked", "served"),
    [
        ((), []),
        (("list",), [1]),
        (("list", "list", "list"), [3]),
        (("list", "look", "look", "look"), [1, 4]),
        (("look", "rows", "look"), [3]),
        (("look", "rows", "rows"), [1, 3]),
        (("look", "list", "rows", "look", "rows"), [2, 4, 5]),
    ],
)
def test_only_the_newest_request_of_a_kind_is_served(asked, served):
    assert [request["id"] for request in newest(requests(*asked))] == served


def test_newest_request_made_while_serving_is_served_next():
    waiting = requests("look", end=False)
    served = newest(waiting)
    assert next(served)["id"] == 1
    for number in (2, 3):
        waiting.put({"do": "look", "id": number})
    waiting.put(None)
    assert [request["id"] for request in served] == [3]

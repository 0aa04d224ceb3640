"""Tables whose columns have other names: the guess, what it is offered as, and that it works."""

import json

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from playground.cli.data import data
from playground.config import TrainConfig
from playground.data import library
from playground.data.columns import as_flags, guess, renamings
from playground.data.examples import UnknownColumns, read_dataset
from playground.errors import InputError
from playground.events.inspector import DataSetInfo
from playground.training.inspector import Inspector

CSV = "frage,antwort,datum\n" + "".join(f"Was ist {n}?,Die Zahl {n} und mehr.,2024-01-0{n}\n" for n in range(1, 9))
TALK = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
FLAGS = "--map prompt=frage --map completion=antwort"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SFT_PLAYGROUND_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.csv").write_text(CSV)
    return tmp_path


@pytest.mark.parametrize(
    ("row", "prompt", "completion", "more"),
    [
        pytest.param({"frage": "a", "antwort": "b", "datum": "2024-01-02"}, "frage", "antwort", {}, id="German"),
        pytest.param({"respuesta": "b", "pregunta": "a"}, "pregunta", "respuesta", {}, id="Spanish"),
        pytest.param({"问题": "甲", "答案": "乙"}, "问题", "答案", {}, id="Chinese"),
        pytest.param({"input": "a", "output": "b"}, "input", "output", {}, id="input and output"),
        pytest.param({"Best Answer": "b", "userQuestion": "a"}, "userQuestion", "Best Answer", {}, id="last words"),
        pytest.param({"question_id": "a1", "question_text": "b", "reply": "c"}, "question_text", "reply", {}, id="an id"),
        pytest.param({"prompt": "a", "rejected": "b", "chosen": "c"}, "prompt", "chosen", {}, id="preferences"),
        pytest.param({"text": "a longer text", "label": "good"}, "text", "label", {}, id="a classification"),
        pytest.param({"b": "a longer text", "a": "short"}, "a", "b", {}, id="shorter first"),
        pytest.param({"b": "me", "a": "And who asks?"}, "a", "b", {}, id="questions first"),
        pytest.param({"n": "17", "link": "https://example.org/a/b", "a": "hm", "b": "hmm"}, "a", "b", {}, id="no texts"),
        pytest.param({"antwort": "b", "art": "x", "thema": "a longer text"}, "thema", "antwort", {}, id="one named"),
        pytest.param(
            {"instruction": "a", "context": "c", "response": "b", "category": "qa"},
            "instruction", "response", {"context": "context"}, id="Dolly",
        ),
        pytest.param({"query": "a", "system": "s", "bot": "b"}, "query", "bot", {"system": "system"}, id="system"),
    ],
)  # fmt: skip
def test_columns_are_guessed_from_names_then_from_texts(row, prompt, completion, more):
    assert guess([row] * 3) == {"prompt": prompt, "completion": completion, **more}


@pytest.mark.parametrize("row", [{}, {"text": "a"}, {"a": "1", "b": "2"}, {"a": "x", "b": 2}, {"a": ["x"], "b": {}}])
def test_nothing_is_guessed_without_two_columns_of_texts(row):
    assert guess([row] * 3) == {}


cell = st.none() | st.text(max_size=9) | st.integers() | st.lists(st.integers(), max_size=2)
name = st.text(min_size=1, max_size=9) | st.sampled_from(["system", "context", "frage", "antwort", "input", "a=b"])


@settings(max_examples=40)
@given(rows=st.lists(st.dictionaries(name, cell, max_size=5), max_size=4))
def test_a_guess_names_different_columns_that_are_there(rows):
    roles = guess(rows)
    assert not roles or {"prompt", "completion"} <= roles.keys()
    assert len(set(roles.values())) == len(roles) and all(any(c in row for row in rows) for c in roles.values())


@pytest.mark.parametrize("kind", ["csv", "tsv", "json", "jsonl", "parquet"])
@pytest.mark.parametrize(
    ("row", "turns"),
    [
        ({"frage": "q", "antwort": "a", "datum": "1.2.24"}, ["q", "a"]),
        ({"aufgabe": "q", "kontext": "c", "antwort": "a"}, ["q\n\nc", "a"]),
        ({"Frage an uns": "q", "antwort": "a", "system": "s"}, ["s", "q", "a"]),
    ],
)
def test_the_error_ends_with_options_that_work(tmp_path, kind, row, turns):
    path = tmp_path / f"rows.{kind}"
    separator = {"csv": ",", "tsv": "\t"}.get(kind)
    if kind == "parquet":
        import datasets

        datasets.Dataset.from_list([row] * 3).to_parquet(path)
    elif separator:
        path.write_text("\n".join(separator.join(cells) for cells in (row, *[row.values()] * 3)))
    else:
        path.write_text(json.dumps([row] * 3) if kind == "json" else (json.dumps(row) + "\n") * 3)
    with pytest.raises(UnknownColumns) as refused:
        read_dataset(path)
    assert refused.value.message.count("\n") == 0, "said once, not once per row"
    assert refused.value.hint.endswith(as_flags(refused.value.columns))
    dataset = read_dataset(path, refused.value.columns)
    assert [turn.content for turn in dataset.examples[0].turns] == turns and len(dataset.examples) == 3


def test_options_are_quoted_for_a_shell():
    assert as_flags(renamings({"prompt": "the question", "completion": "a"})) == (
        "--map 'prompt=the question' --map completion=a"
    )


def test_broken_rows_are_no_reason_to_choose_columns(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "a", "completion": ""}\n' * 3)
    with pytest.raises(InputError) as refused:
        read_dataset(path)
    assert not isinstance(refused.value, UnknownColumns)


def test_check_says_once_which_options_read_the_table(folder):
    said = CliRunner().invoke(data, ["check", "mine.csv"], standalone_mode=False)
    assert said.return_value == 1 and f"say which is which: {FLAGS}" in said.stdout and "8 rows" in said.stdout
    assert said.stdout.count("antwort") == 1


def test_tables_and_broken_files_are_listed_with_what_they_need(folder):
    (folder / "broken.jsonl").write_text('{"prompt": "a", "completion": "b"}\noops\noops\n{}\n')
    found = {info.name: info for info in library.data_sets() if info.where == "here"}
    assert (found["broken.jsonl"].num_rows, found["broken.jsonl"].num_bad) == (4, 3)
    assert (found["mine.csv"].num_rows, as_flags(found["mine.csv"].columns)) == (8, FLAGS)
    lines = CliRunner().invoke(data, ["list"], standalone_mode=False).stdout.splitlines()
    assert f"  mine.csv                         8 rows  choose the columns: {FLAGS}" in lines
    assert "  broken.jsonl                     4 rows, 3 cannot be read  prompt and completion" in lines
    assert DataSetInfo.from_dict(found["mine.csv"].to_dict()) == found["mine.csv"]


def test_inspector_asks_for_columns_before_it_checks_or_plans(folder):
    events = []
    Inspector(events.append).serve({"do": "look", "id": 1, "config": TrainConfig(data="mine.csv").to_dict()})
    stage, found = events
    assert stage.stage == "reading the data" and found.needed
    assert found.table.columns == ("frage", "antwort", "datum") and found.table.num_rows == 8
    assert (
        found.table.samples[2] == ("Was ist 3?", "Die Zahl 3 und mehr.", "2024-01-03") and len(found.table.samples) == 3
    )
    assert found.table.roles == {"prompt": "frage", "completion": "antwort"}


@pytest.mark.parametrize(
    ("row", "columns"),
    [
        ({"chosen": TALK, "rejected": TALK}, ("messages=chosen",)),
        ({"prompt": "q", "chosen": TALK, "rejected": TALK, "note": "a longer text"}, ("messages=chosen",)),
        ({"input": TALK[:1], "chosen": TALK[1:], "rejected": TALK[1:]}, ("prompt=input", "completion=chosen")),
    ],
)
def test_inspector_offers_the_better_side_of_preferences(folder, row, columns):
    (folder / "rows.jsonl").write_text(json.dumps(row) + "\n")
    events = []
    Inspector(events.append).serve({"do": "look", "id": 1, "config": TrainConfig(data="rows.jsonl").to_dict()})
    found = events[-1]
    assert found.needed and renamings(found.table.roles) == columns
    assert read_dataset("rows.jsonl", columns).examples[0].turns[-1].content == "a"

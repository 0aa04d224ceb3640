import io
import json
import sys
from pathlib import Path

import pytest

from playground.data.prompts import KINDS, STORY, Prompt, as_prompt, read_prompts
from playground.errors import InputError


def write(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_text_file_has_one_prompt_per_line_numbered_by_line(tmp_path):
    path = write(tmp_path, "p.txt", "\ufeffFirst?\r\n\n  Second: {} [x]  \n")
    assert read_prompts(path) == [Prompt("1", "First?"), Prompt("3", "Second: {} [x]")]


def test_standard_input_is_read_as_text(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("één\nzwei\n".encode()), "latin-1"))
    assert read_prompts(Path("-")) == [Prompt("1", "één"), Prompt("2", "zwei")]


def test_json_lines_carry_ids_and_expectations(tmp_path):
    rows = [
        {"prompt": "A?"},
        {"prompt": "B?", "id": "b", "kind": "fact", "expect": ["x", "y"]},
        {"prompt": "C?", "id": 7, "kind": "list", "items": 3, "note": "unknown keys are fine"},
    ]
    path = write(tmp_path, "p.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert read_prompts(path) == [
        Prompt("1", "A?"),
        Prompt("b", "B?", "fact", ("x", "y")),
        Prompt("7", "C?", "list", (), 3),
    ]


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        (
            {"question_id": 81, "category": "writing", "turns": ["First.", "Then."], "reference": []},
            Prompt("81", "First."),
        ),
        ({"question": "A?", "answer": "b"}, Prompt("1", "A?")),
        ({"Instruction": "A?", "dataset": "own"}, Prompt("1", "A?")),
        ({"id": "x", "turns": ["Only."]}, Prompt("x", "Only.")),
        ({"system_prompt": "Be brief.", "question": "A?"}, Prompt("1", "A?", system="Be brief.")),
    ],
)
def test_prompts_of_published_benchmarks_are_read(tmp_path, capsys, row, prompt):
    assert read_prompts(write(tmp_path, "p.jsonl", json.dumps(row) + "\n")) == [prompt]
    assert ("the first turn of 1 conversation is asked" in capsys.readouterr().err) == (len(row.get("turns", [])) > 1)


ASKED = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "A?"}]


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        ({"instruction": "A?", "input": "i", "output": "b"}, Prompt("1", "A?\n\ni")),
        ({"instruction": "A?", "input": "", "output": ""}, Prompt("1", "A?")),
        ({"instruction": "A?", "input": "i"}, Prompt("1", "A?\n\ni")),
        ({"question": "A?", "context": "c", "answers": {"text": ["b"]}}, Prompt("1", "A?\n\nc")),
        ({"question": "A?", "answer": 5, "solution": "b", "reasoning": [1]}, Prompt("1", "A?")),
        ({"prompt": ASKED, "completion": [{"role": "assistant", "content": "b"}]}, Prompt("1", "A?", system="Be brief.")),
        ({"messages": ASKED}, Prompt("1", "A?", system="Be brief.")),
        ({"turns": ASKED}, Prompt("1", "A?", system="Be brief.")),
        ({"system": "Be brief.", "messages": ASKED[1:]}, Prompt("1", "A?", system="Be brief.")),
        ({"chosen": [*ASKED, {"role": "assistant", "content": "b"}], "rejected": "c"}, Prompt("1", "A?", system="Be brief.")),
        ({"prompt": "A?", "chosen": ["b", "c"], "rejected": ["d", "e"]}, Prompt("1", "A?")),
        ({"prompt": "A?", "completion": "b", "label": False, "kind": "QA"}, Prompt("1", "A?")),
    ],
)  # fmt: skip
def test_row_of_data_is_asked_as_training_shows_it(tmp_path, row, prompt):
    assert read_prompts(write(tmp_path, "p.jsonl", json.dumps(row) + "\n")) == [prompt]


def test_first_question_of_each_conversation_is_asked(tmp_path, capsys):
    rows = [
        {"prompt": "B?", "history": [["A?", "a"]], "completion": "b"},
        {"messages": [*ASKED, {"role": "assistant", "content": "a"}, {"role": "user", "content": "B?"}]},
        {"prompt": "A?", "completion": "a"},
    ]
    path = write(tmp_path, "p.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert [prompt.prompt for prompt in read_prompts(path)] == ["A?"] * 3, "rows may differ in shape"
    assert "the first turn of 2 conversations is asked" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"question": "A?", "choices": ["b", "c"]}, "'choices', which is not read here: write it into the prompt"),
        ({"question": "A?", "document": "b", "answer": "c"}, "'document', which is not read here"),
        ({"messages": ASKED, "tools": ["f"]}, "tools are not trained here"),
        ({"messages": [*ASKED, ASKED[1]]}, "message 3 is from user; expected assistant"),
        ({"frage": "A?"}, "it has the column 'frage'; that of its question must be called 'prompt'"),
    ],
)
def test_question_without_what_it_needs_is_refused(tmp_path, row, words):
    with pytest.raises(InputError) as caught:
        read_prompts(write(tmp_path, "p.jsonl", json.dumps(row) + "\n"))
    assert words in caught.value.message and "--" not in caught.value.message, "there are no such options here"


def test_prompts_are_read_from_every_container(tmp_path):
    expected = [Prompt("1", "A?"), Prompt("2", "B?")]
    rows = [{"id": "1", "prompt": "A?"}, {"id": "2", "prompt": "B?"}]
    assert read_prompts(write(tmp_path, "p.json", json.dumps(rows, indent=1))) == expected
    assert read_prompts(write(tmp_path, "p.csv", "id;prompt\n1;A?\n2;B?\n")) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_known(tmp_path, kind):
    path = write(tmp_path, "p.jsonl", json.dumps({"prompt": "a", "kind": kind, "items": 2}))
    assert read_prompts(path)[0].kind == kind


@pytest.mark.parametrize(
    ("row", "word"),
    [
        ("oops", "not JSON"),
        ('["a"]', "object"),
        ('{"text": "a"}', "'prompt'"),
        ('{"prompt": 5}', "'prompt'"),
        ('{"prompt": " "}', "'prompt'"),
        (r'{"prompt": "a\u0000"}', "'prompt'"),
        (r'{"prompt": "\ud800"}', "'prompt'"),
        ('{"prompt": "a", "id": ""}', "'id'"),
        ('{"prompt": "a", "id": null}', "'id'"),
        ('{"prompt": "a", "id": ["x"]}', "'id'"),
        (r'{"prompt": "a", "id": "\udc00"}', "'id'"),
        ('{"prompt": "a", "kind": "riddle"}', "riddle"),
        ('{"prompt": "a", "expect": "Paris"}', "'expect'"),
        ('{"prompt": "a", "expect": [""]}', "'expect'"),
        ('{"prompt": "a", "expect": [5]}', "'expect'"),
        ('{"prompt": "a", "kind": "list"}', "'items'"),
        ('{"prompt": "a", "items": -1}', "'items'"),
        ('{"prompt": "a", "items": "3"}', "'items'"),
    ],
)
def test_bad_prompt_is_refused_with_its_line(tmp_path, row, word):
    path = write(tmp_path, "p.jsonl", f'{{"prompt": "fine"}}\n{row}\n')
    with pytest.raises(InputError) as caught:
        read_prompts(path)
    (problem,) = caught.value.message.split("\n")
    assert problem.startswith(f"{path}:2: ")
    assert word in problem


def test_duplicate_id_is_refused(tmp_path):
    path = write(tmp_path, "p.jsonl", '{"prompt": "a", "id": "x"}\n{"prompt": "b", "id": "x"}\n')
    with pytest.raises(InputError, match=r"p\.jsonl:2: .*'x'.*twice"):
        read_prompts(path)


def test_all_problems_of_a_file_are_reported_together(tmp_path):
    path = write(tmp_path, "p.jsonl", '{}\n{"prompt": "a"}\noops\n{"prompt": "a", "kind": "x"}\n')
    with pytest.raises(InputError) as caught:
        read_prompts(path)
    lines = caught.value.message.split("\n")
    assert [line.removeprefix(f"{path}:").partition(":")[0] for line in lines] == ["1", "3", "4"]


@pytest.mark.parametrize("content", ["", "\n \n\t\r\n"])
@pytest.mark.parametrize("name", ["p.txt", "p.jsonl"])
def test_a_file_without_prompts_is_refused(tmp_path, name, content):
    with pytest.raises(InputError, match="no prompts"):
        read_prompts(write(tmp_path, name, content))


@pytest.mark.parametrize(
    ("content", "words"), [("a\n".encode("utf-16"), "UTF-16"), (b"a\ncaf\xe9\n", "p.txt:2: .*0xe9")]
)
def test_other_encodings_are_refused(tmp_path, content, words):
    with pytest.raises(InputError, match=words):
        read_prompts(write(tmp_path, "p.txt", content))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="no file"):
        read_prompts(tmp_path / "absent.txt")


def test_only_story_prompts_have_expected_answers():
    assert as_prompt("What's the capital of France?").expect == ("Paris",)
    assert {prompt.kind for prompt in STORY} <= set(KINDS)
    assert as_prompt("Something else.") == Prompt("", "Something else.")

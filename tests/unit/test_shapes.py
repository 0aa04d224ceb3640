"""Each shape of data: golden turns, ids and labels."""

import json

import pytest

from playground.data.encode import IGNORE_INDEX, Encoder
from playground.data.examples import Example
from playground.data.reading import Reading
from playground.data.shapes import detect, opened, read_row
from playground.data.styles import chat_style

S = {"role": "system", "content": "s"}
U, A = {"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}
U2, A2 = {"role": "user", "content": "u2"}, {"role": "assistant", "content": "a2"}
GPT = [{"from": "human", "value": "u"}, {"from": "gpt", "value": "a"}]
ONE, BOTH, LAST = ["User: u\nAssistant:", (" a",)], None, None
ONE = ["User: u\nAssistant:", (" a",)]
SYSTEM = ["System: s\nUser: u\nAssistant:", (" a",)]
BOTH = [*ONE, "\nUser: u2\nAssistant:", (" a2",)]


@pytest.mark.parametrize(
    ("name", "row", "expected"),
    [
        ("prompt and completion", {"prompt": "u", "completion": "a"}, ONE),
        ("prompt and completion", {"prompt": "u", "response": "a"}, ONE),
        ("prompt and completion", {"question": "u", "answer": "a", "id": 3}, ONE),
        ("prompt and completion", {"prompt": [U], "completion": [A]}, ONE),
        ("prompt and completion", {"prompt": [S, U], "completion": [A]}, SYSTEM),
        (
            "prompt and completion",
            {"prompt": [U, A, U2], "completion": [A2]},
            ["User: u\nAssistant:", " a", 1, "\nUser: u2\nAssistant:", (" a2",)],
        ),
        ("Alpaca", {"instruction": "u", "output": "a"}, ONE),
        ("Alpaca", {"instruction": "u", "input": "", "output": "a", "system": "", "history": []}, ONE),
        ("Alpaca", {"instruction": "x", "input": "y", "output": "a"}, ["User: x\n\ny\nAssistant:", (" a",)]),
        ("Alpaca", {"instruction": "u", "output": "a", "system": "s"}, SYSTEM),
        ("Alpaca", {"instruction": "u2", "output": "a2", "history": [["u", "a"]]}, BOTH),
        ("messages", {"messages": [U, A]}, ONE),
        ("messages", {"messages": [S, U, A]}, SYSTEM),
        ("messages", {"messages": [U, A], "system": "s"}, SYSTEM),
        ("messages", {"messages": [U, A, U2, A2], "tools": "[]"}, BOTH),
        (
            "messages",
            {"messages": [U, {**A, "loss_weight": 0.0}, U2, {**A2, "loss_weight": 1.0}]},
            ["User: u\nAssistant:", " a", 1, "\nUser: u2\nAssistant:", (" a2",)],
        ),
        ("messages", {"messages": [U, {"role": "assistant", "content": [{"type": "text", "text": "a"}]}]}, ONE),
        ("messages", {"messages": [U, {"role": "assistant", "content": [{"type": "text", "value": "a"}]}]}, ONE),
        ("messages", {"messages": [{"role": "human", "content": "u"}, {"role": "bot", "content": "a"}]}, ONE),
        ("ShareGPT", {"conversations": GPT}, ONE),
        ("ShareGPT", {"conversations": [{"from": "system", "value": "s"}, *GPT]}, SYSTEM),
        ("ShareGPT", {"conversations": GPT, "system": "s"}, SYSTEM),
        ("ShareGPT", {"conversations": [U, A]}, ONE),
        # Other names of the same.
        ("prompt and completion", {"instruction": "u", "response": "a", "context": ""}, ONE),
        (
            "prompt and completion",
            {"Instruction": "x", "Response": "a", "Context": "y"},
            ["User: x\n\ny\nAssistant:", (" a",)],
        ),
        ("prompt and completion", {"question": "u", "response": "a", "system_prompt": "s"}, SYSTEM),
        ("prompt and completion", {"query": "u2", "response": "a2", "history": [["u", "a"]]}, BOTH),
        ("prompt and completion", {"input": "u", "output": "a"}, ONE),
        ("prompt and completion", {"prompt": "u", "completion": "a", "label": True}, ONE),
        ("prompt and completion", {"prompt": "u", "completion": [A]}, ONE),
        ("prompt and completion", {"prompt": {"messages": [U]}, "completion": A}, ONE),
        ("messages", {"messages": [{"role": "User", "content": "u"}, {"role": "AI", "content": "a"}]}, ONE),
        ("messages", {"messages": [{"role": "developer", "content": "s"}, U, A]}, SYSTEM),
        ("messages", {"messages": json.dumps([U, A])}, ONE),
        ("messages", {"dialogue": [{"speaker": "human", "text": "u"}, {"speaker": "bot", "text": "a"}]}, ONE),
        ("messages", {"conversation": [{"system": "s", "input": "u", "output": "a"}]}, SYSTEM),
        (
            "messages",
            {"messages": [U, {**A, "training": False}, U2, A2]},
            ["User: u\nAssistant:", " a", 1, "\nUser: u2\nAssistant:", (" a2",)],
        ),
        (
            "messages",
            {
                "systemInstruction": {"parts": [{"text": "s"}]},
                "contents": [{"role": "user", "parts": [{"text": "u"}]}, {"role": "model", "parts": [{"text": "a"}]}],
            },
            SYSTEM,
        ),
    ],
)
def test_each_shape_gives_these_ids_and_labels(byte_tokenizer, name, row, expected):
    shape = detect([row])
    assert shape is not None
    assert shape.name == name
    read = read_row(opened(row, shape)[0], shape)
    assert not isinstance(read, str), read
    turns, notes = read
    assert notes == ()
    encoded = Encoder(byte_tokenizer, chat_style(), 1, 1000).example(Example(turns, 1))
    ids, labels = [2], [IGNORE_INDEX]
    for part in expected:  # text, (learned text,) with its end token, or the id of an end token that is not learned
        piece = [part] if isinstance(part, int) else [3 + byte for byte in "".join(part).encode()]
        piece += [1] if isinstance(part, tuple) else []
        ids += piece
        labels += piece if isinstance(part, tuple) else [IGNORE_INDEX] * len(piece)
    assert (list(encoded.input_ids), list(encoded.labels)) == (ids, labels)


def test_columns_of_other_shapes_are_no_part_of_the_one_chosen():
    pair, talk = {"prompt": "a", "completion": "b"}, {"messages": [U, A], "system": "s", "context": "c"}
    assert str(detect([pair, talk, pair])) == "prompt and completion"
    assert str(detect([pair, talk, {**pair, "context": "c"}])) == "prompt and completion with context"


@pytest.mark.parametrize(
    ("row", "turns", "columns"),
    [
        ({"prompt": json.dumps([S, U]), "completion": json.dumps([A])}, ["s", "u", "a"], ["prompt", "completion"]),
        ({"prompt": "u", "completion": json.dumps(A)}, ["u", "a"], ["completion"]),
        (
            {"question": f" {json.dumps({'messages': [U, A, U2]})}", "answer": "a2"},
            ["u", "a", "u2", "a2"],
            ["question"],
        ),
    ],
)
def test_messages_in_cells_are_read_as_turns_and_that_is_said(row, turns, columns):
    read = Reading.of([row], {}).example(1, row)
    assert [turn.content for turn in read.turns] == turns
    answers = [turn.trained for turn in read.turns if turn.role == "assistant"]
    assert answers == [False] * (len(answers) - 1) + [True], "messages of the prompt carry no loss"
    assert [note.kind for note in read.notes] == [f"{column!r} has messages as JSON" for column in columns]


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "Ann", "role": "admin"}', '["a", "b"]', "[]", "{", '{"role": "user"}', '[{"from": "a", "text": "b"}]',
        pytest.param(" " * 1_000_000 + "x", id="a million spaces"),
    ],
)  # fmt: skip
def test_other_json_in_a_cell_stays_text(text):
    row = {"prompt": text, "completion": text}
    read = Reading.of([row], {}).example(1, row)
    assert [turn.content for turn in read.turns] == [text, text] and read.notes == ()


@pytest.mark.parametrize(
    "text",
    [
        '{"speaker": "user", "text": "Hi"}', '{"author": "Claude", "text": "Water lilies"}', '{"from": "bot", "message": "x"}',
        f"{U}\nis a message.", f"messages = {[U, A]}", f"{[U, A]}\nprint(client.chat(messages))",
        f"{json.dumps(U)} is a \"message", '{"role": "user" ... What is this?',
    ],
)  # fmt: skip
def test_text_that_shows_a_message_stays_text(text):
    row = {"prompt": text, "completion": text}
    read = Reading.of([row], {}).example(1, row)
    assert [turn.content for turn in read.turns] == [text, text] and read.notes == ()


CUT_OFF = [json.dumps([U, A])[:end] for end in (-1, -2, -3, -6)]


@pytest.mark.parametrize(
    "text",
    [
        *CUT_OFF, repr([U, A]), repr(U), "[{'content': 'u',\n 'role': 'user'}\n {}]", json.dumps([{**U, "content": "é"}])[:-5],
        json.dumps(U)[:-1],
    ],
)  # fmt: skip
@pytest.mark.parametrize("column", ["prompt", "completion"])
def test_messages_that_are_no_json_are_not_trained_as_text(column, text):
    row = {"prompt": "u", "completion": "a", column: text}
    read = Reading.of([row], {}).example(1, row)
    assert f"{column!r} is a text that looks like messages" in read.message and "json.dumps" in read.message


def test_system_text_in_parts_is_read_next_to_a_pair_too():
    parts = [{"type": "text", "text": "s", "cache_control": {"type": "x"}}]
    row = {"prompt": "u", "completion": "a", "system": parts}
    found, unread = Reading.of([row], {}).looked(1, row)
    assert [turn.content for turn in found.turns] == ["s", "u", "a"] and set(unread) == {"system[].cache_control"}


def test_odd_role_in_a_cell_is_refused_as_in_a_list():
    row = {"prompt": json.dumps([{"role": "alien", "content": "x"}, U]), "completion": "a"}
    assert "has the role 'alien'" in Reading.of([row], {}).example(1, row).message


def test_tool_turns_in_cells_are_refused():
    for turn in ({"role": "tool", "content": "x"}, {"role": "assistant", "tool_calls": [{}]}):
        row = {"prompt": json.dumps([U, turn]), "completion": "a"}
        assert "tools are not trained here" in Reading.of([row], {}).example(1, row).message


def test_cells_are_parsed_once(monkeypatch):
    parsed = []
    monkeypatch.setattr("playground.data.shapes.parse_cell", lambda text: parsed.append(text) or json.loads(text))
    row = {"messages": json.dumps([U, {**A, "mood": "x"}])}
    found, unread = Reading.of([row], {}).looked(1, row)
    assert len(found.turns) == 2 and unread == {"messages[].mood": "x"} and len(parsed) == 1


def test_a_file_has_the_shape_of_most_of_its_rows():
    pair, talk = {"prompt": "a", "completion": "b"}, {"messages": [U, A]}
    assert str(detect([talk, pair, pair])) == "prompt and completion"
    assert detect([{}, {"text": "a"}]) is None
    assert "this row is messages" in read_row(talk, detect([pair]))

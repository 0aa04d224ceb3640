"""Each shape of data: golden turns, ids and labels."""

import json

import pytest

from playground.data.encode import IGNORE_INDEX, Encoder
from playground.data.examples import Example
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
    read = read_row(opened(row, shape), shape)
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


def test_a_file_has_the_shape_of_most_of_its_rows():
    pair, talk = {"prompt": "a", "completion": "b"}, {"messages": [U, A]}
    assert str(detect([talk, pair, pair])) == "prompt and completion"
    assert detect([{}, {"text": "a"}]) is None
    assert "this row is messages" in read_row(talk, detect([pair]))

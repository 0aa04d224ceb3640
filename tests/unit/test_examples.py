import hashlib
import itertools
import json
import re
import time

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from playground.data import examples, reading
from playground.data.containers import open_rows
from playground.data.examples import Turn, UnknownColumns, read_dataset, remarks_in_words
from playground.data.jsonl import MAX_SHOWN, Problem, shown
from playground.data.lint import check
from playground.data.names import MEANINGFUL, PER_PART, READ, WEIGHTS, fold, is_harmless
from playground.data.reading import Reading, renaming
from playground.errors import InputError, UsageError

PAIR = '{"prompt": "Hi", "completion": "Hello"}'
ALPACA = '{"instruction": "Hi", "output": "Hello"}'
NUMBER, CLOSING = "1" * 5000, "]" * 5000
TALK = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
DEEP = "[" * 5000 + "1" + CLOSING


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("data") / "rows.jsonl"


@pytest.fixture
def read(scratch):
    def read(content):
        scratch.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_dataset(scratch).examples

    return read


@pytest.fixture
def problems(scratch, read):
    """Return a function from a refused file to its problems: a list of (line, message)."""

    def problems(content):
        with pytest.raises(InputError) as caught:
            read(content)
        assert caught.value.hint
        found = []
        for problem in caught.value.message.split("\n"):
            where, _, message = problem.removeprefix(f"{scratch}:").partition(": ")
            assert where.isdigit(), problem
            found.append((int(where), message))
        return found

    return problems


def messages(*turns, **more):
    return json.dumps({"messages": [{"role": role, "content": content, **more} for role, content in turns]})


# What is accepted.


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        pytest.param(f"{PAIR}\n{PAIR}\n", [1, 2], id="plain"),
        pytest.param(f"\ufeff{PAIR}\n", [1], id="byte order mark"),
        pytest.param(f"{PAIR}\r\n{PAIR}\r\n", [1, 2], id="CRLF"),
        pytest.param(f"\n{PAIR}\n\n  \t\n{PAIR}\n\n", [2, 5], id="blank lines"),
        pytest.param(f"{PAIR}\n{PAIR}", [1, 2], id="no final newline"),
    ],
)
def test_harmless_differences_between_files_are_accepted(read, content, lines):
    examples = read(content)
    assert [example.line for example in examples] == lines
    assert {example.turns for example in examples} == {(Turn("user", "Hi"), Turn("assistant", "Hello"))}


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\u0085", "\x0b"])
def test_only_a_line_feed_ends_a_line(read, separator):
    row = json.dumps({"prompt": f"a{separator}b", "completion": "c"}, ensure_ascii=separator == "\x0b")
    (example,) = read(row + "\n")
    assert example.turns[0].content == f"a{separator}b"


@pytest.mark.parametrize(
    ("row", "prompt", "completion"),
    [
        ({"prompt": "p", "completion": "c"}, "p", "c"),
        ({"prompt": "p", "response": "c"}, "p", "c"),
        ({"instruction": "p", "output": "c"}, "p", "c"),
        ({"instruction": "p", "output": "c", "input": ""}, "p", "c"),
        ({"instruction": "p", "output": "c", "input": "i"}, "p\n\ni", "c"),
        ({"prompt": "p", "completion": "c", "id": 7, "source": None, "system": ""}, "p", "c"),
        ({" Prompt": "p", "COMPLETION": "c"}, "p", "c"),
        ({"userMessage": "p", "assistant message": "c"}, "p", "c"),
        ({"input": "p", "output": "c"}, "p", "c"),
        ({"query": "p", "target": "c"}, "p", "c"),
        ({"prompt": "p", "completion": "c", "context": "i"}, "p\n\ni", "c"),
        ({"instruction": "p", "response": "c", "context": "i", "category": "qa"}, "p\n\ni", "c"),
        ({"instruction": "p", "output": "c", "Context": "i"}, "p\n\ni", "c"),
        ({"question": "p", "answer": "c", "passage": "i"}, "p\n\ni", "c"),
        ({"question": "p", "answer": "c", "thinking": "t"}, "p", "<think>\nt\n</think>\n\nc"),
        ({"prompt": " p ", "completion": "\nc"}, " p ", "\nc"),
        pytest.param({"prompt": "[" * 100, "completion": "{" * 100}, "[" * 100, "{" * 100, id="brackets"),
    ],
)
def test_each_spelling_of_a_pair_is_read(read, row, prompt, completion):
    (example,) = read(json.dumps(row))
    assert example.turns == (Turn("user", prompt), Turn("assistant", completion))


def test_a_conversation_keeps_its_turns_in_order(read):
    turns = [("system", "s"), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]
    (example,) = read(messages(*turns))
    assert example.turns == tuple(Turn(role, content) for role, content in turns)


@pytest.mark.parametrize(
    ("fields", "trained"),
    [
        ({}, True),
        ({"loss_weight": 1}, True),
        ({"loss_weight": 1.0}, True),
        ({"train": True}, True),
        ({"loss_weight": 0}, False),
        ({"train": False}, False),
        ({"train": 0}, False),
    ],
)
def test_an_answer_carries_loss_unless_it_says_otherwise(read, fields, trained):
    first = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", **fields}]
    second = [{"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}]
    (example,) = read(json.dumps({"messages": first + second}))
    assert [turn.trained for turn in example.turns if turn.role == "assistant"] == [trained, True]


def test_a_data_set_knows_its_name_and_the_hash_of_its_bytes(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + PAIR.encode() + b"\r\n")
    dataset = read_dataset(path)
    assert (dataset.name, dataset.sha256) == ("mine.jsonl", hashlib.sha256(path.read_bytes()).hexdigest())


# What is refused. Every file has a good first row, so the problems are on line 2.


@pytest.mark.parametrize(
    ("line", "words"),
    [
        pytest.param('{"prompt": "Hi", "comple', ["not JSON", "column"], id="truncated last line"),
        pytest.param("oops", ["not JSON"], id="not JSON"),
        pytest.param('{"prompt": "a", "completion": "b",}', ["not JSON", "column"], id="trailing comma"),
        pytest.param(f"[{PAIR}, {PAIR}]", ["object", "array"], id="array"),
        pytest.param("null", ["object"], id="null"),
        pytest.param(f'{{"data": [{PAIR}]}}', ["data", "prompt", "completion"], id="wrapper object"),
        pytest.param('{"prompt": "a"}', ["prompt", "completion"], id="no completion"),
        pytest.param("{}", ["prompt", "completion"], id="empty object"),
        pytest.param('{"prompt": 5, "completion": "b"}', ["'prompt'", "string"], id="prompt int"),
        pytest.param('{"prompt": "a", "completion": null}', ["'completion'", "missing"], id="completion null"),
        pytest.param('{"prompt": "a", "completion": " \\n"}', ["'completion'", "empty"], id="completion blank"),
        pytest.param(
            '{"prompt": "a", "completion": "b", "choices": ["c"]}', ["'choices'", "into the prompt"], id="choices"
        ),
        pytest.param(
            '{"prompt": "a", "completion": "b", "input": "c"}', ["'input'", "--map context=input"], id="unclear input"
        ),
        pytest.param('{"instruction": "a", "output": "b", "input": 5}', ["'input'", "string"], id="input int"),
        pytest.param('{"messages": "[]"}', ["'messages'", "list"], id="messages a string"),
        pytest.param('{"messages": []}', ["'messages'", "list"], id="no messages"),
        pytest.param('{"messages": ["a"]}', ["message 1", "object"], id="message a string"),
        pytest.param(messages(("user", 5), ("assistant", "b")), ["message 1", "string"], id="content int"),
        pytest.param(messages(("user", "a"), ("assistant", None)), ["message 2", "missing"], id="content null"),
        pytest.param(messages(("user", [{"type": "text"}]), ("assistant", "b")), ["message 1", "missing"], id="parts"),
        pytest.param(messages(("system", "s")), ["system"], id="system only"),
        pytest.param(
            messages(("user", "a"), ("assistant", "b"), ("user", "c")), ["ends with user"], id="ends with user"
        ),
        pytest.param(messages(("user", "a"), ("assistant", "")), ["message 2", "empty"], id="empty assistant"),
        pytest.param(messages(("assistant", "b")), ["message 1", "user"], id="assistant first"),
        pytest.param(messages(("user", "a"), ("user", "b")), ["message 2", "assistant"], id="user twice"),
        pytest.param(messages(("user", "a"), ("system", "s")), ["message 2", "assistant"], id="system second"),
        pytest.param(messages(("alien", "a"), ("gpt", "b")), ["message 1", "'alien'"], id="unknown role"),
        pytest.param(messages(("user", "a"), ("tool", "b")), ["message 2", "tool turn"], id="tool turn"),
        pytest.param(
            '{"messages": [{"role": "user", "content": [{"type": "image", "url": "x"}]}]}',
            ["message 1", "'image'"],
            id="picture",
        ),
        pytest.param('{"instruction": "a", "output": "b", "history": [["c"]]}', ["pair 1", "history"], id="half pair"),
        pytest.param('{"instruction": "a", "output": "b", "tools": "[{}]"}', ["tools"], id="tools"),
        pytest.param(
            messages(("user", "a"), ("assistant", "b"))[:-1] + ', "context": "c"}',
            ["'context'", "--map context="],
            id="context next to messages",
        ),
        pytest.param('{"prompt": "<image>a", "completion": "b", "images": ["c.png"]}', ["'images'"], id="pictures"),
        pytest.param('{"prompt": "a", "completion": "b", "audio": {"path": "c"}}', ["'audio'"], id="sound"),
        pytest.param(
            '{"messages": [{"role": "user", "content": "a", "images": ["c.png"]}, {"role": "assistant", "content": "b"}]}',
            ["message 1", "'images'"],
            id="a picture of a message",
        ),
        pytest.param(
            '{"messages": [{"role": "user", "content": "a"},'
            ' {"role": "assistant", "content": "b", "train_detail": [{"begin_offset": 0}]}]}',
            ["message 2", "'train_detail'"],
            id="loss on a part",
        ),
        pytest.param('{"messages": [{"role": ["user"], "content": "a"}]}', ["role", "user"], id="role a list"),
        pytest.param(
            '{"prompt": [{"role": "user", "content": "a"}], "completion": [{"role": "assistant", "content": "b"}],'
            ' "tools": [{}]}',
            ["tools"],
            id="tools next to a talk",
        ),
        pytest.param('{"text": "a b c"}', ["'text'", "answer"], id="text only"),
        pytest.param('{"prompt": "a", "chosen": "b", "rejected": "c"}', ["preference"], id="preferences"),
        pytest.param(messages(("user", "a"), ("assistant", "b"), loss_weight=0), ["loss"], id="nothing trained"),
        pytest.param(messages(("user", "a"), ("assistant", "b"), loss_weight=0.5), ["weight", "0.5"], id="half weight"),
        pytest.param(r'{"prompt": "a\u0000", "completion": "b"}', ["'prompt'", "NUL"], id="NUL"),
        pytest.param(r'{"prompt": "\ud800", "completion": "b"}', ["'prompt'", "surrogate"], id="lone surrogate"),
        pytest.param('{"prompt": "a", "completion": "b", "x": NaN}', ["NaN"], id="NaN"),
        pytest.param('{"prompt": "a", "completion": "b", "x": -Infinity}', ["Infinity"], id="Infinity"),
        pytest.param(f'{{"prompt": "a", "completion": "b", "x": {NUMBER}}}', ["digits"], id="5000 digits"),
        pytest.param('{"prompt": "a", "prompt": "b", "completion": "c"}', ["'prompt'", "twice"], id="duplicate key"),
        pytest.param(f'{{"prompt": {DEEP}, "completion": "b"}}', ["nested"], id="deep nesting"),
        pytest.param(f'{{"text": "{CLOSING}", "prompt": {DEEP}}}', ["nested"], id="hidden nesting"),
        pytest.param(json.dumps({"prompt": "a" * 5_000_000, "completion": "b"}), ["long"], id="5 MB line"),
        pytest.param(f"{PAIR}\r{PAIR}", ["not JSON"], id="CR only"),
    ],
)
def test_bad_row_is_refused_with_its_line_and_a_reason(problems, line, words):
    # The other rows have the shape of the bad one: a file has one.
    good = messages(("user", "a"), ("assistant", "b")) if '"messages"' in line else PAIR
    good = ALPACA if '"instruction"' in line else good
    ((number, message),) = problems(f"{good}\n{line}\n{good}\n")
    assert number == 2
    assert [word for word in words if word not in message] == []
    assert len(message) < 300
    assert message.isprintable()
    assert not any(jargon in message for jargon in ("NoneType", "sys.", "Error(", "Traceback"))


@pytest.mark.parametrize(
    "row",
    [{"k" * 100_000: 1}, {f"k{n}": n for n in range(1000)}, {"messages": [{"role": "r" * 100_000, "content": "a"}]}],
    ids=["long key", "many keys", "long role"],
)
def test_message_stays_short_for_a_long_bad_value(problems, row):
    ((_, message),) = problems(json.dumps(row))
    assert len(message) < 500


def test_all_problems_of_a_file_are_reported_together(problems):
    content = [PAIR, "{", PAIR, messages(("user", "a")), '{"prompt": "a"}', PAIR]
    assert [number for number, _ in problems("\n".join(content))] == [2, 4, 5]


def test_invalid_byte_does_not_hide_the_other_problems(problems):
    content = PAIR.encode() + b'\n{"prompt": "caf\xe9", "completion": "b"}\n' + PAIR.encode() + b"\noops\n"
    assert [number for number, _ in problems(content)] == [2, 4]


def test_only_the_first_problems_are_shown_and_the_rest_counted(scratch, read):
    with pytest.raises(InputError) as caught:
        read(f"{PAIR}\n" + "".join(f'{{"a": {"1" * n}\n' for n in range(1, MAX_SHOWN + 1235)))
    lines = caught.value.message.split("\n")
    assert len(lines) == MAX_SHOWN + 1
    assert "1,234" in lines[-1]


def test_problem_that_many_lines_have_is_said_once(scratch, read):
    with pytest.raises(InputError) as caught:
        read(f"{PAIR}\noops\n{{}}\noops\n" + "oops\n" * 10)
    first, second = caught.value.message.removeprefix(f"{scratch}:").split(f"\n{scratch}:")
    assert first.startswith("2: not JSON") and first.endswith(" (also lines 4, 5, 6, 7, 8 and 6 more)")
    assert second.startswith("3: it has no columns")


def test_a_latin_1_byte_is_named_with_its_line(problems):
    ((number, message),) = problems(PAIR.encode() + b'\n{"prompt": "caf\xe9", "completion": "b"}\n')
    assert number == 2
    assert "0xe9" in message


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_refused(scratch, read, encoding):
    with pytest.raises(InputError) as caught:
        read(f"{PAIR}\n".encode(encoding))
    assert str(scratch) in caught.value.message


@pytest.mark.parametrize("mark", ["utf-16-le", "utf-16-be"])
def test_utf_16_with_a_bom_is_refused_with_a_hint(read, mark):
    with pytest.raises(InputError, match="UTF-16") as caught:
        read(f"\ufeff{PAIR}\n".encode(mark))
    assert "UTF-8" in caught.value.hint


@pytest.mark.parametrize("content", ["", "\n", " \r\n\t\n", "\ufeff"])
def test_a_file_without_rows_is_refused(scratch, read, content):
    with pytest.raises(InputError, match="no rows"):
        read(content)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(InputError, match="no file"):
        read_dataset(tmp_path / "absent.jsonl")
    with pytest.raises(InputError, match="folder"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(f'{{"prompt": {DEEP}}}', id="deep nesting"),
        pytest.param(
            json.dumps({f"k{n}": 1 for n in range(15_000)})[:-1] + ', "k1": 2}', id="one of 15,000 keys twice"
        ),
        pytest.param("[" * 5_000_000, id="5 MB of brackets"),
    ],
)
def test_a_hostile_line_is_refused_fast(problems, line):
    began = time.process_time()
    assert len(problems(line)) == 1
    assert time.process_time() - began < 1.0


# Whatever comes, the reader answers with sound examples or an InputError.

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.sampled_from(["system", "user", "assistant"])
)
pair_keys = st.sampled_from(["prompt", "completion", "response", "instruction", "output", "input", "system", "x"])
keys = pair_keys | st.sampled_from(["messages", "role", "content", "loss_weight", "train"])
rows = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4))


def sound(example):
    roles = [turn.role for turn in example.turns]
    talk = roles[1:] if roles[0] == "system" else roles
    return (
        talk == ["user", "assistant"] * (len(talk) // 2)
        and len(talk) > 1
        and all(turn.content.strip() for turn in example.turns)
        and any(turn.trained for turn in example.turns if turn.role == "assistant")
    )


@given(content=st.lists(rows, max_size=4).map(lambda rows: "\n".join(map(json.dumps, rows)).encode()) | st.binary())
def test_any_file_gives_sound_rows_or_an_input_error(scratch, content):
    scratch.write_bytes(content)
    try:
        examples = read_dataset(scratch).examples
    except InputError:
        return
    assert examples
    assert all(map(sound, examples))


well_formed = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant"]), "content": st.sampled_from(["a", "b", " "])},
    optional={"loss_weight": st.sampled_from([0, 1, 2, None])},
)


@given(talk=st.lists(well_formed, min_size=1, max_size=5))
def test_a_conversation_is_accepted_only_if_it_is_sound(scratch, talk):
    scratch.write_text(json.dumps({"messages": talk}))
    try:
        (example,) = read_dataset(scratch).examples
    except InputError:
        return
    assert sound(example)


def numbers(dataset):
    return {name: rows for name, (_, _, rows) in dataset.remarks.columns.items()}


def test_unread_columns_are_named_with_their_rows(tmp_path):
    talk = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "mood": "c", "id": 1}]
    rows = [
        {"messages": talk, "notes": "x", "id": 1, "Source": "web", "empty": "", "nothing": None, "none": []},
        {"messages": talk, "label": "B", "notes": "y"},
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    dataset = read_dataset(path)
    assert numbers(dataset) == {"notes": 2, "label": 1, "messages[].mood": 2}
    assert remarks_in_words(dataset)[-1].startswith("'label' is not read"), "the most frequent first"
    assert "'notes' is not read (2 rows)" in remarks_in_words(dataset)


known_names = sorted({*itertools.chain(*READ.values(), MEANINGFUL, ("label", "chosen", "rejected", "notes", "text"))})
a_name = (
    st.just("")
    | st.text(min_size=1, max_size=12)
    | st.sampled_from(known_names)
    | st.sampled_from(known_names).map(str.title)
)
GOOD = [
    {"prompt": "a", "completion": "b"},
    {"question": "a", "answer": "b"},
    {"Input": "a", "Output": "b"},
    {"instruction": "a", "output": "b"},
    {"instruction": "a", "response": "b", "context": "c"},
    {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
    {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]},
    {"conversation": [{"input": "a", "output": "b"}]},
    {"prompt": [{"role": "user", "content": "a"}], "completion": [{"role": "assistant", "content": "b"}]},
]


@settings(max_examples=300)
@given(name=a_name, row=st.sampled_from(GOOD), value=st.sampled_from(["⟪x⟫", ["⟪x⟫"], {"y": "⟪x⟫"}]))
def test_no_column_goes_unsaid_it_is_read_named_or_refused(name, row, value):
    assume(name not in row and not is_harmless(name))
    whole = {**row, name: value}
    reading = Reading.of([whole], {})
    read = reading.example(1, whole)
    if isinstance(read, Problem):
        assert "message 1" in read.message or any(repr(column)[1:-1] in read.message for column in whole)
        return
    assert any("⟪x⟫" in turn.content for turn in read.turns) or name in reading.unread(whole)


@settings(max_examples=200)
@given(key=a_name, of=st.sampled_from(["user", "assistant"]), value=st.sampled_from(["⟪x⟫", ["⟪x⟫"]]))
def test_no_key_of_a_message_goes_unsaid(key, of, value):
    assume(not is_harmless(key) and key not in {"role", "content", *WEIGHTS})
    talk = [{"role": role, "content": role, **({key: value} if role == of else {})} for role in ("user", "assistant")]
    reading = Reading.of([{"messages": talk}], {})
    read = reading.example(1, {"messages": talk})
    if isinstance(read, Problem):
        assert key in read.message
        return
    assert any("⟪x⟫" in turn.content for turn in read.turns) or f"messages[].{key}" in reading.unread(
        {"messages": talk}
    )


@settings(max_examples=200)
@given(
    key=a_name | st.sampled_from(sorted(PER_PART)),
    of=st.sampled_from(["user", "assistant"]),
    value=st.sampled_from(["⟪x⟫", ["⟪x⟫"], {"y": "⟪x⟫"}]),
    of_part=st.booleans(),
)
def test_no_key_of_a_part_or_its_holder_goes_unsaid(key, of, value, of_part):
    assume(not is_harmless(key) and key not in {"text", "parts", "role"})
    part, holder = ({key: value}, {}) if of_part else ({}, {key: value})
    said = {"parts": [{"text": "t", **part}], **holder}
    talk = [{"role": role, "content": said if role == of else role} for role in ("user", "assistant")]
    reading = Reading.of([{"messages": talk}], {})
    read = reading.example(1, {"messages": talk})
    if isinstance(read, Problem):
        assert shown(key) in read.message
        return
    where = "[]." if of_part else "."
    assert reading.unread({"messages": talk}) == {f"messages[].content{where}{key}": value}


@settings(max_examples=200)
@given(key=a_name, value=st.sampled_from(["⟪x⟫", ["⟪x⟫"], {"y": "⟪x⟫"}, 7]), split=st.booleans())
def test_nothing_next_to_rows_goes_unsaid(tmp_path_factory, key, value, split):
    assume(not is_harmless(key) and key not in {"columns", "data", "schema", "features"})
    assume(fold(key) not in ("messages", "conversations"))  # with these the object is a row, and refused as one
    path = tmp_path_factory.getbasetemp() / "next.json"
    rows = {"columns": ["prompt", "completion"], "data": [["a", "b"]]} if split else {"data": [GOOD[0]]}
    path.write_text(json.dumps({key: value, **rows}))
    try:
        said = remarks_in_words(read_dataset(path))
    except InputError as error:
        said = (error.message,)
    assert [shown(key) in words for words in said] == [True]


def test_reasoning_of_a_row_is_trained_in_any_order(read, scratch):
    row = {"prompt": "p", "completion": "c", "thinking": "Hm.", "reasoning_content": "t"}
    for columns in (row, dict(reversed(row.items()))):
        (example,) = read(json.dumps(columns))
        assert example.turns[-1].content == "<think>\nt\n</think>\n\nc"
        assert numbers(read_dataset(scratch)) == {"thinking": 1}


def test_other_keys_of_a_prompt_object_are_named(read, scratch):
    message = {"role": "user", "content": "p"}
    row = {"prompt": {"messages": [{**message, "mood": "x"}], "notes": "y", "id": 1}, "completion": message | {"a": 1}}
    row["completion"]["role"] = "assistant"
    assert [turn.content for turn in read(json.dumps(row))[0].turns] == ["p", "p"]
    assert numbers(read_dataset(scratch)) == {"prompt.notes": 1, "prompt.messages[].mood": 1, "completion.a": 1}
    system = {"parts": [{"text": "s", "style": "x"}], "notes": "y", "role": "system"}
    assert read(json.dumps({"messages": [message, {**message, "role": "assistant"}], "system": system}))
    assert numbers(read_dataset(scratch)) == {"system[].style": 1, "system.notes": 1}


@pytest.mark.parametrize("key", ["tools", "context", "images", "system"])
def test_prompt_object_with_more_is_refused_with_a_way_out(read, scratch, key):
    row = {"prompt": {"messages": [{"role": "user", "content": "p"}], key: "x"}, "completion": "c"}
    with pytest.raises(InputError, match=f"in 'prompt', it has '{key}'.*--map {key}= leaves it out"):
        read(json.dumps(row))
    dataset = read_dataset(scratch, [f"{key}="])
    assert len(dataset.examples) == 1 and numbers(dataset) == {f"prompt.{key}": 1}


def test_axolotl_answer_with_training_false_carries_no_loss(tmp_path):
    talk = [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]
    messages = [{"role": role, "content": text, "training": text != "b"} for role, text in talk]
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"messages": messages}) + "\n")
    dataset = read_dataset(path)
    assert [turn.trained for turn in dataset.examples[0].turns if turn.role == "assistant"] == [False, True]
    assert not dataset.remarks.columns


def test_column_without_a_name_is_read_as_nothing_and_named(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"prompt": "p", "completion": "c", "": "x", "context": "i"}) + "\n")
    for columns, asked in (((), "p\n\ni"), (("context=",), "p")):
        dataset = read_dataset(path, columns)
        assert dataset.examples[0].turns == (Turn("user", asked), Turn("assistant", "c"))
        assert numbers(dataset) == {"": 1, **({"context": 1} if columns else {})}
    path.write_text(json.dumps({"conversation": [{"input": "p", "output": "c", "": "x"}]}) + "\n")
    assert numbers(read_dataset(path)) == {"conversation[].": 1}


def test_column_replaced_by_a_mapped_one_is_named(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"prompt": "p", "question": "q", "answer": "a"}) + "\n")
    dataset = read_dataset(path, ("prompt=question", "completion=answer"))
    assert dataset.examples[0].turns[0].content == "q" and numbers(dataset) == {"prompt": 1}


def test_very_many_columns_are_counted_and_not_all_named(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"prompt": "p", "completion": "c", f"x{n}": n}) + "\n" for n in range(300)))
    words = remarks_in_words(read_dataset(path))
    assert len(words) == 11 and words[-1] == "290 other columns are not read (1 row)"


@pytest.mark.parametrize("blank", ["", "  ", "[]", None, [], {}])
def test_empty_cell_is_not_a_context(tmp_path, blank):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"question": "q", "answer": "a", "context": blank}) + "\n")
    assert len(read_dataset(path).examples) == 1


@pytest.mark.parametrize("column", ["input", "document", "choices"])
def test_refused_column_can_be_read_or_left_out_as_the_error_says(tmp_path, column):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"prompt": "q", "completion": "a", column: "c"}) + "\n")
    with pytest.raises(InputError) as refused:
        read_dataset(path)
    ways = re.findall(r"--map (\S+=[^\s;.]*)", refused.value.message)
    read = [read_dataset(path, [way]).examples[0].turns[0].content for way in ways]
    assert ways == [f"context={column}", f"{column}="] and read == ["q\n\nc", "q"]
    assert numbers(read_dataset(path, ways[1:])) == {column: 1}, "what is left out on request is named as well"


@pytest.mark.parametrize(
    ("row", "ways"),
    [
        ({"question": "q", "choices": ["a", "b"], "answer": "b"}, ["choices="]),
        ({"question": "q", "context": "c", "choices": "a, b", "answer": "b"}, ["choices="]),
        ({"messages": TALK, "choices": "a, b"}, ["choices="]),
        ({"messages": TALK, "context": "c"}, ["context="]),
        ({"prompt": TALK[:1], "completion": TALK[1:], "document": "d"}, ["document="]),
    ],
)
def test_context_is_advised_only_where_it_can_be_read(tmp_path, row, ways):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(InputError) as refused:
        read_dataset(path)
    assert re.findall(r"--map (\S+=[^\s;.]*)", refused.value.message) == ways
    assert read_dataset(path, ways).examples


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "q", "completion": ["a", "b"]},
        {"prompt": ["q", "a", "q"], "completion": "b"},
        {"prompt": "q", "chosen": ["a", "b"], "rejected": ["c", "d"]},
        {"text": "a"},
    ],
)
def test_no_column_is_advised_where_none_can_be_read(tmp_path, row):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(InputError) as refused:
        read_dataset(path)
    said = f"{refused.value.message} {refused.value.hint}"
    assert "--map" not in said and "--skip-bad" not in said, said


def test_prompt_of_a_preference_is_never_advised_away(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "q", "input": "c", "chosen": "a", "rejected": "b"}\n' * 2)
    with pytest.raises(UnknownColumns) as refused:
        read_dataset(path)
    assert refused.value.columns == ("prompt=prompt", "context=input", "completion=chosen")
    assert [turn.content for turn in read_dataset(path, refused.value.columns).examples[0].turns] == ["q\n\nc", "a"]


def test_turns_of_a_preference_are_not_called_several_answers(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"chosen": ["q", "a"], "rejected": ["q", "b"]}\n' * 2)
    with pytest.raises(UnknownColumns, match=r"it is preference data\.$") as refused:
        read_dataset(path)
    assert read_dataset(path, refused.value.columns).examples


def test_key_of_a_part_is_named_with_the_whole_way_to_it(tmp_path):
    path = tmp_path / "rows.jsonl"
    content = [{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}]
    path.write_text(json.dumps({"messages": [{"role": "user", "content": content}, *TALK[1:2]]}))
    assert remarks_in_words(read_dataset(path)) == ("'messages[].content[].cache_control' is not read (1 row)",)


def test_skip_bad_is_advised_if_other_rows_are_valid(tmp_path):
    path = tmp_path / "rows.jsonl"
    tools = json.dumps({"messages": TALK, "tools": [{"name": "f"}]})
    for bad in ('{"prompt": "a", "completion": ""}', tools):
        good = json.dumps({"messages": TALK}) if bad == tools else PAIR
        for lines, advised in ([bad, bad], False), ([good, bad], True):
            path.write_text("\n".join(lines))
            with pytest.raises(InputError) as refused:
                read_dataset(path)
            assert ("--skip-bad" in refused.value.hint) == advised
        assert len(read_dataset(path, skip_bad=True).examples) == 1


def test_column_that_is_not_there_is_refused_by_all_who_read(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(f'{PAIR}\n{{"prompt": "a", "completion": "b", "Note": "c"}}\n')
    for look in (
        lambda columns: read_dataset(path, columns),
        lambda columns: check(open_rows(str(path), path), renaming(columns)),
    ):
        for columns in ["prompt=zzz"], ["prompt=prompt", "other=zzz"]:
            with pytest.raises(UsageError, match="has no column 'zzz'") as refused:
                look(columns)
            assert refused.value.hint == "It has the columns 'Note', 'completion', 'prompt'."
        look(["prompt=prompt"])


def test_answers_judged_bad_are_left_out_and_counted(tmp_path):
    path = tmp_path / "rows.jsonl"
    row = {"prompt": "p", "completion": "c"}
    labels = [True, False, "true", "FALSE", None, "B"]
    path.write_text("".join(json.dumps({**row, "label": label}) + "\n" for label in labels))
    dataset = read_dataset(path)
    assert [example.line for example in dataset.examples] == [1, 3, 5, 6]
    assert [problem.line for problem in dataset.skipped] == [2, 4]
    assert numbers(dataset) == {"label": 1}, "a label that is no verdict is only named"
    assert any("'label' is false: left out (2 rows)" in words for words in remarks_in_words(dataset))
    path.write_text(json.dumps({**row, "label": False}) + "\n")
    with pytest.raises(InputError, match="judged bad"):
        read_dataset(path)


def test_bad_answer_deep_in_a_large_set_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(examples, "WHOLE_ROWS", 20)
    monkeypatch.setattr(reading, "LOOKED_AT", 5)
    path = tmp_path / "rows.jsonl"
    rows = ({"prompt": f"{n}", "completion": "c", "label": n != 17} for n in range(30))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    dataset = read_dataset(path)
    assert not dataset.is_whole and len(dataset.examples) == 29
    assert [problem.line for problem in dataset.skipped] == [18]


def test_first_bad_answer_deep_in_a_large_set_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(examples, "WHOLE_ROWS", 20)
    monkeypatch.setattr(reading, "LOOKED_AT", 5)
    monkeypatch.setattr(examples, "LOOKED_AT", 5)
    path = tmp_path / "rows.jsonl"
    rows = [{"prompt": f"{n}", "completion": "c", **({"label": n != 17} if n > 15 else {})} for n in range(30)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    dataset = read_dataset(path).require_readable(lambda stage, share: None)
    assert not dataset.is_whole and [problem.line for problem in dataset.skipped] == [18]
    assert [example.line for example in dataset.examples] == [line for line in range(1, 31) if line != 18]
    assert any("'label' is false: left out (1 row)" in words for words in remarks_in_words(dataset))
    rows[20]["completion"] = ""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InputError, match="rows.jsonl:21: ") as caught:
        read_dataset(path).require_readable(lambda stage, share: None)
    assert "label" not in caught.value.message, "a row that is left out is no problem"


def test_context_first_seen_deep_in_a_large_set_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(examples, "WHOLE_ROWS", 20)
    monkeypatch.setattr(reading, "LOOKED_AT", 5)
    path = tmp_path / "rows.jsonl"
    rows = ({"prompt": "p", "completion": "c", **({"context": "i"} if n == 25 else {})} for n in range(30))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_dataset(path).examples[25].turns[0].content == "p\n\ni"


def test_column_deep_in_a_large_set_is_named_once_all_rows_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(examples, "WHOLE_ROWS", 20)
    monkeypatch.setattr(reading, "LOOKED_AT", 5)
    monkeypatch.setattr(examples, "LOOKED_AT", 5)
    path = tmp_path / "rows.jsonl"
    rows = ({"prompt": f"{n}", "completion": "c", "early": "x", **({"deep": "x"} if n > 25 else {})} for n in range(30))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    dataset = read_dataset(path)
    assert remarks_in_words(dataset) == ("'early' is not read (5 rows of the first 5)",)
    for known in (dataset.require_readable(lambda stage, share: None), read_dataset(path, skip_bad=True)):
        assert remarks_in_words(known) == ("'early' is not read (30 rows)", "'deep' is not read (4 rows)")

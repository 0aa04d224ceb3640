"""Lists of messages: who speaks, what is read of a message, and what can be mended."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playground.data.talk import AS_IS, Options, Turn, turns_of, unread_keys

REPAIR = Options(repair=True)
S, U, A = (Turn(role, role[0]) for role in ("system", "user", "assistant"))


def talk(letters, **more):
    roles = {"s": "system", "u": "user", "a": "assistant"}
    return [{"role": roles[letter], "content": f"{letter}{n}", **more} for n, letter in enumerate(letters)]


@pytest.mark.parametrize(
    ("said", "role"),
    [
        ("User", "user"), (" HUMAN ", "user"), ("human:", "user"), ("prompter", "user"), ("developer", "system"),
        ("Chatbot", "assistant"), ("AI", "assistant"), ("GPT", "assistant"), ("model", "assistant"), ("Bot", "assistant"),
    ],
)  # fmt: skip
def test_roles_are_known_in_every_spelling(said, role):
    order = {"user": "{}a", "assistant": "u{}", "system": "{}ua"}[role]
    messages = [{"role": said, "content": "x"} if letter == "x" else talk(letter)[0] for letter in order.format("x")]
    read = turns_of(messages)
    assert not isinstance(read, str), read
    assert Turn(role, "x") in read[0]


@pytest.mark.parametrize("said", ["tool", "Function", "tool-response", "ipython"])
def test_tool_roles_are_refused_in_every_spelling(said):
    assert "tool turn" in turns_of([*talk("ua"), {"role": said, "content": "x"}])


@pytest.mark.parametrize(
    ("letters", "way", "mended", "kinds"),
    [
        ("aua", "--repair leaves it out", "u1 a2", ["an answer before the first question left out"]),
        ("saua", "--repair leaves it out", "s0 u2 a3", ["an answer before the first question left out"]),
        ("asaua", "--repair leaves it out", "s1 u3 a4", ["an answer before the first question left out"]),
        ("uau", "--repair leaves its last turn out", "u0 a1", ["a question without an answer left out"]),
        ("uua", "--repair joins them", "u0+u1 a2", ["turns of one role in a row joined"]),
        ("uaaua", "--repair joins them", "u0 a1+a2 u3 a4", ["turns of one role in a row joined"]),
        (
            "auuau", "--repair leaves it out", "u1+u2 a3",
            [
                "turns of one role in a row joined", "an answer before the first question left out",
                "a question without an answer left out",
            ],
        ),
    ],
)  # fmt: skip
def test_turns_out_of_order_are_mended_on_request(letters, way, mended, kinds):
    assert way in turns_of(talk(letters))
    turns, notes = turns_of(talk(letters), REPAIR)
    assert [turn.content for turn in turns] == [text.replace("+", "\n\n") for text in mended.split()]
    assert [note.kind for note in notes] == [f"repaired: {kind}" for kind in kinds]


@pytest.mark.parametrize("letters", ["usa", "uasua", "s", "u", "a", "su", "sa", "uu", "aa"])
def test_what_needs_a_guess_is_refused_with_repair_too(letters):
    assert isinstance(turns_of(talk(letters), REPAIR), str)


@given(st.text("sua", min_size=1, max_size=9))
def test_repair_changes_only_what_is_refused_and_adds_nothing(letters):
    as_is, mended = turns_of(talk(letters)), turns_of(talk(letters), REPAIR)
    if isinstance(as_is, str):
        texts = [] if isinstance(mended, str) else [t for turn in mended[0] for t in turn.content.split("\n\n")]
        order = [f"{letter}{n}" for n, letter in enumerate(letters)]
        assert [text for text in order if text in texts] == texts, "in order, and nothing new"
    else:
        assert as_is == mended


def test_answers_with_and_without_loss_are_not_joined():
    messages = [*talk("u"), *talk("a", train=False), *talk("a")]
    assert "expected user" in turns_of(messages, REPAIR)


@given(st.lists(st.tuples(st.sampled_from("sua"), st.booleans()), min_size=1, max_size=7))
def test_repair_is_named_only_where_it_mends(turns):
    messages = [message for letter, loss in turns for message in talk(letter, train=loss)]
    as_is = turns_of(messages)
    if isinstance(as_is, str):
        assert ("--repair" in as_is) == (not isinstance(turns_of(messages, REPAIR), str)), as_is


def test_part_of_a_message_that_is_a_number_is_refused():
    messages = [*talk("u"), {"role": "assistant", "content": [5, "a"]}]
    assert turns_of(messages) == turns_of(messages, REPAIR), "a repair would lose the other parts"
    assert "type 'a number'" in turns_of(messages)


def test_messages_of_the_prompt_carry_no_loss_after_a_repair_either():
    turns, _ = turns_of([*talk("uuau"), *talk("a")], REPAIR, given=4)
    assert [turn.trained for turn in turns if turn.role == "assistant"] == [False, True]


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning", "thinking", "Thinking"])
def test_reasoning_is_trained_before_the_answer_or_left_out(key):
    messages = [*talk("u"), {**talk("a")[0], key: " It is so. "}]
    turns, (note,) = turns_of(messages)
    assert turns[-1].content == "<think>\nIt is so.\n</think>\n\na0" and f"--map {key}=" in note.message
    assert turns_of(messages, Options(frozenset({key})))[0][-1].content == "a0"


@pytest.mark.parametrize("order", [1, -1])
def test_likelier_of_two_reasonings_is_read_in_any_order(order):
    thoughts = {"reasoning_content": "It is so.", "thinking": "Hm."}
    messages = [*talk("u"), {**talk("a")[0], **dict(list(thoughts.items())[::order])}]
    turns, (note,) = turns_of(messages)
    assert turns[-1].content == "<think>\nIt is so.\n</think>\n\na0" and "--map reasoning_content=" in note.message
    assert unread_keys(messages, AS_IS) == {"thinking": "Hm."}


@pytest.mark.parametrize(
    ("first", "name"),
    [
        ({"text": "It is so.", "thought": True}, "thought"),
        ({"type": "thinking", "thinking": "It is so."}, "thinking"),
        ({"type": "reasoning", "text": "It is so."}, "reasoning"),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_reasoning_in_the_first_parts_is_kept_as_reasoning(first, name, wrapped):
    parts = [first, {"text": "a0", "thought": False}]
    messages = [*talk("u"), {"role": "model", "content": {"parts": parts} if wrapped else parts}]
    turns, (note,) = turns_of(messages)
    assert turns[-1].content == "<think>\nIt is so.\n</think>\n\na0" and f"--map {name}=" in note.message
    assert unread_keys(messages, AS_IS) == {}
    left_out = Options(frozenset({name}))
    assert turns_of(messages, left_out)[0][-1].content == "a0"
    assert list(unread_keys(messages, left_out).values()) == ["It is so."], "what is left out is named as well"


@pytest.mark.parametrize("kind", ["text", "input_text", "output_text"])
@pytest.mark.parametrize("lone", [False, True])
def test_part_that_calls_itself_text_is_read(kind, lone):
    part = {"type": kind, "text": "a0", "annotations": [], "seen": "x"}
    messages = [*talk("u"), {"role": "assistant", "content": part if lone else [part]}]
    assert turns_of(messages)[0][-1].content == "a0"
    assert unread_keys(messages, AS_IS) == {"content[].seen": "x"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([{"text": "a0", "image_url": "x.png"}], "'image_url'"),
        ([{"type": "text", "text": "a0", "image": {"bytes": "x"}}], "'image'"),
        ([{"image_url": "x.png", "value": "low"}], "'image_url'"),
        ([{"detail": "low", "image_url": "x.png"}], "'image_url'"),
        ([{"text": "a0"}, {"fileData": {"fileUri": "x"}, "videoMetadata": {}}], "'fileData'"),
        ([{"text": "a0", "functionCall": {"name": "f"}}], "'functionCall'"),
        ([{"kind": "x", "body": "y"}], "'kind'"),
        ({"parts": [{"text": "a0"}], "images": ["x.png"]}, "'images'"),
        ([{"text": "a0"}, {"text": "It is so.", "thought": True}], "'thought'"),
    ],
)
def test_part_that_is_more_than_text_is_refused_by_name(content, words):
    assert f"a part of the type {words}" in turns_of([*talk("u"), {"role": "assistant", "content": content}])


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({"answer": "a"}, "must be a string, not an object"),
        (True, "must be a string, not a boolean"),
        (7, "must be a string, not a number; --repair writes numbers as text"),
        ([{"text": ["a"]}], "has a part of the type 'an array'; only text is trained"),
    ],
)
def test_content_that_is_no_text_is_called_what_json_calls_it(content, why):
    said = turns_of([*talk("u"), {"role": "assistant", "content": content}])
    assert said == f"the content of message 2 (assistant) {why}"


def test_other_keys_of_parts_are_named():
    parts = {"parts": [{"text": "a0", "citations": ["x"], "image": None}, "more"], "content_type": "x"}
    messages = [*talk("u"), {"role": "assistant", "content": parts}]
    assert turns_of(messages)[0][-1].content == "a0more"
    assert unread_keys(messages, AS_IS) == {"content[].citations": ["x"], "content.content_type": "x"}
    parts["content_type"] = "text"
    assert set(unread_keys(messages, AS_IS)) == {"content[].citations"}


@pytest.mark.parametrize("key", ["images", "tools", "train_detail"])
def test_refused_key_of_a_message_can_be_left_out_as_said(key):
    messages = [*talk("u"), {**talk("a")[0], key: ["x"]}]
    assert f"--map {key}= leaves it out" in turns_of(messages)
    left_out = Options(frozenset({key}))
    assert turns_of(messages, left_out)[0][-1].content == "a0" and unread_keys(messages, left_out) == {key: ["x"]}


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"reasoning": "r", "content": [{"thought": True, "text": "x"}, "a"]}, "--map reasoning= leaves it out"),
        ({"train": False, "weight": 1}, "loss weight"),
        ({"function_call": {"name": "f"}}, "tool turn"),
        ({"content": [{"inlineData": {}}]}, "'inlineData'"),
        ({"content": 4}, "--repair"),
        ({"thinking": [1]}, "reasoning"),
    ],
)
def test_message_that_says_two_things_or_no_text_is_refused(message, words):
    assert words in turns_of([*talk("u"), {**talk("a")[0], **message}])


def test_texts_without_roles_are_read_in_turn_and_noted():
    turns, (note,) = turns_of(["q", "a", "q2", "a2"], AS_IS)
    assert [(turn.role[0], turn.content) for turn in turns] == [("u", "q"), ("a", "a"), ("u", "q2"), ("a", "a2")]
    assert note.kind == "messages have no roles"

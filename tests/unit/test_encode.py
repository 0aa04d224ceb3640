import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playground.data import examples
from playground.data.encode import IGNORE_INDEX, Encoder, encode_all
from playground.data.examples import Dataset, Example, Turn, read_dataset
from playground.data.shapes import TYPED
from playground.data.styles import chat_style
from playground.errors import InputError

PAD, EOS, BOS = 0, 1, 2
SPECIAL = ["<pad>", "<eos>", "<bos>"]


def b(text):
    """Return the ids of `text` in the byte tokenizer: byte b is token 3 + b."""
    return tuple(3 + byte for byte in text.encode())


def talk(*contents, system=None, trained=()):
    """Return an example; contents alternate between user and assistant; `trained` are answers' flags."""
    flags = dict(enumerate(trained))
    turns = [
        Turn("assistant", content, flags.get(n // 2, True)) if n % 2 else Turn("user", content)
        for n, content in enumerate(contents)
    ]
    return Example((Turn("system", system), *turns) if system else tuple(turns), line=1)


def golden(*parts):
    """Return ids and labels from strings that are not learned and tuples that are."""
    ids, labels = [BOS], [IGNORE_INDEX]
    for part in parts:
        learned = part if isinstance(part, tuple) else ()
        piece = learned or b(part)
        ids += piece
        labels += learned or [IGNORE_INDEX] * len(piece)
    return tuple(ids), tuple(labels)


def dataset(examples):
    return Dataset("some", "some.jsonl", "0" * 64, "JSON Lines", TYPED, tuple(examples))


@pytest.fixture(scope="module")
def encoder(byte_tokenizer):
    def make(max_length=10_000, train_on="all", tokenizer=byte_tokenizer):
        return Encoder(tokenizer, chat_style(), EOS, max_length, train_on)

    return make


# Ids and labels.


@pytest.mark.parametrize(
    ("example", "expected"),
    [
        pytest.param(talk("Hi", "Hé"), golden("User: Hi\nAssistant:", (*b(" Hé"), EOS)), id="one turn"),
        pytest.param(
            talk("Hi", "Hello", system="Be kind."),
            golden("System: Be kind.\nUser: Hi\nAssistant:", (*b(" Hello"), EOS)),
            id="one turn with system",
        ),
        pytest.param(
            talk("a", "b", "c", "d"),
            golden("User: a\nAssistant:", (*b(" b"), EOS), "\nUser: c\nAssistant:", (*b(" d"), EOS)),
            id="two turns",
        ),
        pytest.param(
            talk("a", "b", "c", "d", system="s"),
            golden("System: s\nUser: a\nAssistant:", (*b(" b"), EOS), "\nUser: c\nAssistant:", (*b(" d"), EOS)),
            id="two turns with system",
        ),
    ],
)
def test_only_answers_and_their_end_tokens_are_trained(encoder, example, expected):
    encoded = encoder().example(example)
    assert (encoded.input_ids, encoded.labels) == expected
    assert encoded.num_trained == sum(label != IGNORE_INDEX for label in expected[1])
    assert not encoded.cut


@pytest.mark.parametrize(
    ("train_on", "trained", "learned"),
    [
        ("all", (True, True), [" b", " d"]),
        ("all", (False, True), [" d"]),
        ("all", (True, False), [" b"]),
        ("last", (True, True), [" d"]),
        ("last", (False, True), [" d"]),
        ("last", (True, False), []),
    ],
)
def test_answers_without_loss_are_context_only(encoder, train_on, trained, learned):
    plain = encoder().example(talk("a", "b", "c", "d"))
    encoded = encoder(train_on=train_on).example(talk("a", "b", "c", "d", trained=trained))
    assert encoded.input_ids == plain.input_ids
    labels = [label for label in encoded.labels if label != IGNORE_INDEX]
    assert labels == [token for text in learned for token in (*b(text), EOS)]


# The same text in training and in chat.

texts = st.text(max_size=12) | st.lists(st.sampled_from([*SPECIAL, "a", " ", "\n"]), max_size=6).map("".join)
contents = texts.filter(lambda text: text.strip())
pairs = st.lists(st.tuples(contents, contents), min_size=1, max_size=3)
conversations = st.builds(
    lambda system, pairs: talk(*(content for pair in pairs for content in pair), system=system),
    st.none() | contents,
    pairs,
)


@given(example=conversations)
def test_chat_prompts_equal_the_training_prefix(encoder, example):
    encoder = encoder()
    encoded = encoder.example(example)
    at = 0
    for number, turn in enumerate(example.turns):
        if turn.role == "assistant":
            prompt = encoder.prompt(example.turns[:number])
            assert encoded.input_ids[: len(prompt)] == prompt
            assert set(encoded.labels[at : len(prompt)]) == {IGNORE_INDEX}
            at = len(prompt) + len(b(f" {turn.content.strip()}")) + 1
            assert encoded.labels[len(prompt) : at] == encoded.input_ids[len(prompt) : at]
            assert encoded.input_ids[len(prompt) : at] == (*b(f" {turn.content.strip()}"), EOS)
    assert at == len(encoded.input_ids)


@given(example=conversations)
def test_typed_text_never_becomes_a_control_token(encoder, example):
    ids = encoder().example(example).input_ids
    assert ids.count(BOS) == 1
    assert ids.count(EOS) == sum(turn.role == "assistant" for turn in example.turns)
    assert ids.count(PAD) == 0


def test_typed_control_tokens_stay_text(encoder):
    typed = "<eos><bos>"
    assert encoder().text(typed) == b(typed)
    assert encoder().raw(typed) == (BOS, *b(typed))
    assert encoder().prompt([Turn("user", typed)]) == (BOS, *b(f"User: {typed}\nAssistant:"))


def test_encoding_does_not_change_the_tokenizer(encoder, byte_tokenizer):
    encoder().text("<eos>")
    assert byte_tokenizer("a<eos>")["input_ids"] == [BOS, *b("a"), EOS]


@pytest.mark.parametrize(
    ("template", "head"), [("<bos> $A", (BOS,)), ("$A", ()), ("$A <eos>", ()), ("<bos> $A <eos>", (BOS,))]
)
def test_texts_begin_with_the_prefix_of_the_tokenizer(encoder, byte_tokenizer, template, head):
    from tokenizers import Tokenizer, processors
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer.from_str(byte_tokenizer.backend_tokenizer.to_str())
    backend.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[("<bos>", BOS), ("<eos>", EOS)]
    )
    other = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<bos>", eos_token="<eos>")
    assert encoder(tokenizer=other).raw("a") == (*head, *b("a"))
    assert encoder(tokenizer=other).prompt([Turn("user", "a")]) == (*head, *b("User: a\nAssistant:"))


# Truncation.


def test_oldest_turns_are_dropped_first_and_whole(encoder):
    example = talk("first?", "one", "second?", "two", "third?", "three", system="s")
    for kept in (1, 2):
        rest = encoder().example(talk(*("first?", "one", "second?", "two", "third?", "three")[-2 * kept :], system="s"))
        longer = encoder().example(
            talk(*("first?", "one", "second?", "two", "third?", "three")[-2 * kept - 2 :], system="s")
        )
        for max_length in (len(rest.input_ids), len(longer.input_ids) - 1):
            encoded = encoder(max_length).example(example)
            assert (encoded.input_ids, encoded.labels) == (rest.input_ids, rest.labels)
            assert encoded.turns_dropped == 6 - 2 * kept and "turns left out" in encoded.cut
            assert not encoded.prompt_shortened and not encoded.answer_cut


def test_long_user_text_is_cut_in_the_middle_not_the_answer(encoder):
    user = "".join(chr(ord("a") + n % 26) for n in range(200))
    encoded = encoder(100).example(talk("old?", "old", user, "The end.", system="s"))
    room = 100 - 1 - len("System: s\nUser: \nAssistant:") - len(b("…")) - len(" The end.") - 1
    shorter = f"{user[: (room + 1) // 2]}…{user[-(room // 2) :]}"
    expected = golden(f"System: s\nUser: {shorter}\nAssistant:", (*b(" The end."), EOS))
    assert (encoded.input_ids, encoded.labels) == expected
    assert (encoded.turns_dropped, encoded.prompt_shortened, encoded.answer_cut) == (2, True, False)


def test_long_answer_is_cut_before_the_question(encoder, byte_tokenizer):
    question = "What is the capital of France?"
    answer = "Paris. " + " ".join(f"word{n}" for n in range(39))
    prompt = f"User: {question}\nAssistant:"
    encoded = encoder(1 + len(prompt) + len(answer) // 2).example(talk(question, answer))
    text = byte_tokenizer.decode(encoded.input_ids)
    assert text == f"<bos>{prompt} {answer[: len(answer) // 2 - 1]}"
    assert EOS not in encoded.input_ids and encoded.num_trained == len(answer) // 2
    assert (encoded.prompt_shortened, encoded.answer_cut) == (False, True)
    assert encoded.cut == "the end of the answer cut off"


def test_long_system_prompt_shortens_the_user_text_first(encoder, byte_tokenizer):
    encoded = encoder(200).example(talk("q" * 90, "The answer is short.", system="s" * 120))
    text = byte_tokenizer.decode(encoded.input_ids)
    assert text.endswith("\nAssistant: The answer is short.<eos>") and 20 < text.count("q") < 30
    assert (encoded.prompt_shortened, encoded.answer_cut) == (True, False)


def test_user_text_keeps_at_least_half_of_the_room(encoder):
    encoded = encoder(120).example(talk("q" * 400, "a" * 400))
    room = 120 - 1 - len("User: \nAssistant: ") - 1
    assert encoded.input_ids.count(b("q")[0]) == room // 2
    assert encoded.prompt_shortened and encoded.answer_cut and encoded.num_trained > 40
    assert encoded.cut == "the prompt shortened, the end of the answer cut off"


@pytest.mark.parametrize("user", ["é" * 60, "日本" * 30, "🙂" * 30], ids=["2 bytes", "3 bytes", "4 bytes"])
def test_truncation_leaves_no_broken_character(encoder, byte_tokenizer, user):
    for max_length in range(60, 70):
        encoded = encoder(max_length).example(talk(user, "yes"))
        assert encoded.input_ids[-1] == EOS
        assert encoded.prompt_shortened
        assert "\ufffd" not in byte_tokenizer.decode(encoded.input_ids)


def test_long_answer_is_cut_and_gets_no_end_token(encoder):
    answer = "0123456789" * 20
    encoded = encoder(100).example(talk("What?", answer))
    start = encoded.labels.index(b(" ")[0])
    assert len(encoded.input_ids) == 100
    assert encoded.input_ids[start:] == encoded.labels[start:] == b(f" {answer}")[: 100 - start]
    assert encoded.input_ids[: len(b("User: ")) + 1] == (BOS, *b("User: "))
    assert encoded.input_ids[:start][-len(b("\nAssistant:")) :] == b("\nAssistant:")
    assert encoded.answer_cut


@given(example=conversations, max_length=st.integers(8, 120), train_on=st.sampled_from(["all", "last"]))
def test_truncated_examples_fit_and_are_labelled_correctly(encoder, example, max_length, train_on):
    whole = encoder(train_on=train_on).example(example)
    encoded = encoder(max_length, train_on).example(example)
    assert len(encoded.input_ids) == len(encoded.labels) <= max_length
    assert encoded.input_ids[0] == BOS
    assert all(label in (IGNORE_INDEX, token) for label, token in zip(encoded.labels, encoded.input_ids, strict=True))
    assert bool(encoded.cut) == (len(whole.input_ids) > max_length)
    if not encoded.cut:
        assert encoded == whole
        return
    # The last user text keeps its tokens, or half of the room that is left to it and its answer.
    system = len(example.turns) % 2
    kept = Example((*example.turns[:system], *example.turns[system + encoded.turns_dropped :]), 1)
    rest = encoder(train_on=train_on).example(kept)
    last = [len(b(turn.content.strip())) for turn in kept.turns[system : system + 2]]
    whole_rest = encoder(train_on="all").example(kept)
    room = max(0, max_length - (len(whole_rest.input_ids) - sum(last)))
    if last[0] <= room // 2:
        assert not encoded.prompt_shortened
        assert encoded.input_ids == rest.input_ids[:max_length]
    # The end token says that the answer is whole.
    assert encoded.answer_cut == (encoded.input_ids[-1] != EOS)
    assert not encoded.answer_cut or len(rest.input_ids) > max_length


# A row that teaches nothing.


def test_all_rows_that_train_nothing_are_refused_together(encoder):
    examples = [
        Example(talk("a", "b").turns, line=1),
        Example(talk("a", "b", system="s" * 100).turns, line=4),
        Example(talk("a", "b").turns, line=5),
        Example(talk("a", "b", system="t" * 100).turns, line=9),
    ]
    with pytest.raises(InputError) as caught:
        encode_all(encoder(50), dataset(examples))
    message = caught.value.message
    assert message.startswith("some.jsonl:4: ") and message.endswith(" (also line 9)")
    assert "max_length 50" in message
    assert caught.value.hint == "Raise --max-length or shorten the row; or leave such rows out with --skip-bad."


def test_sound_rows_come_back_encoded_in_order(encoder):
    examples = [talk("a", "b"), talk("c", "d", "e", "f")]
    rows, kept = encode_all(encoder(), dataset(examples))
    assert rows == [encoder().example(example) for example in examples]
    assert kept.skipped == ()


def test_rows_that_train_nothing_are_skipped_on_request(encoder):
    good, bad = talk("a", "b"), Example(talk("a", "b", system="s" * 100).turns, line=4)
    rows, kept = encode_all(encoder(50), dataset([good, bad, good]), skip_bad=True)
    assert rows == [encoder().example(good)] * 2
    assert kept.examples == (good, good)
    assert [problem.line for problem in kept.skipped] == [4]
    with pytest.raises(InputError) as caught:  # nothing would be left
        encode_all(encoder(50), dataset([bad]), skip_bad=True)
    assert caught.value.hint == "Raise --max-length or shorten the row."


def test_row_without_loss_is_not_blamed_on_its_length(encoder):
    row = talk("a", "b", "c", "d", trained=(True, False))
    with pytest.raises(InputError) as caught:
        encode_all(encoder(train_on="last"), dataset([row]))
    assert "some.jsonl:1: " in caught.value.message
    assert "max_length" not in caught.value.message
    assert caught.value.hint == "Train on earlier answers with --train-on all."
    assert encode_all(encoder(train_on="all"), dataset([row]))[0]


def test_pieces_pair_the_text_of_each_token_with_its_mask(encoder):
    row = encoder().example(talk("Hé", "日本"))
    pieces = encoder().pieces(row)
    assert "".join(text for text, _ in pieces) == "<bos>User: Hé\nAssistant: 日本<eos>"
    assert "".join(text for text, trained in pieces if trained) == " 日本<eos>"
    assert len(pieces) == len(row.input_ids)


def test_token_that_the_tokenizer_does_not_know_reads_as_its_number(encoder, byte_tokenizer):
    unknown = len(byte_tokenizer) + 7
    assert encoder().pieces_after(encoder().text("a"), [unknown]) == [f"<{unknown}>"]


def test_large_set_without_a_trainable_row_is_refused(encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(examples, "WHOLE_ROWS", 0)

    def read(*rows):
        turns = [[{"role": turn.role, "content": turn.content} for turn in row.turns] for row in rows]
        path = tmp_path / "some.jsonl"
        path.write_text("".join(json.dumps({"messages": talked}) + "\n" for talked in turns))
        return read_dataset(path, skip_bad=True)

    bad, good, more = talk("a", "b", system="s" * 100), talk("a", "b"), talk("c", "d")
    with pytest.raises(InputError, match=r"some.jsonl:1"):
        encode_all(encoder(50), read(bad, bad), skip_bad=True)
    rows, kept = encode_all(encoder(50), read(bad, good, bad, more), skip_bad=True)
    assert [problem.line for problem in kept.skipped] == [1, 3] and not kept.is_whole
    assert [rows[at] for at in range(len(rows))] == [encoder().example(row) for row in (good, more)]
    assert [kept.examples[at].line for at in range(len(rows))] == [2, 4], "a row and its example have one index"

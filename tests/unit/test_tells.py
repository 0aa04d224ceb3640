"""What texts betray: templates, end markers, missing values; and words where there are no spaces."""

import time

import pytest

from playground.data.reading import Reading
from playground.data.talk import Turn
from playground.data.tells import num_words, tells, without_end


def kinds(prompt, answer):
    return [note.kind for note in tells((Turn("user", prompt), Turn("assistant", answer)))]


@pytest.mark.parametrize(
    "prompt",
    [
        "### Instruction:\nName a sea.\n\n### Response:\n", "User: Name a sea.\nAssistant:", "\n\nHuman: Hi\n\nAssistant:",
        "Q: Name a sea.\nA:", "USER: Hi ASSISTANT:", "Below is an instruction.\n\n### Instruction:\nHi\n\n### Response:",
    ],
)  # fmt: skip
def test_prompt_that_has_a_template_is_told(prompt):
    assert kinds(prompt, "a") == ["prompt has a template already"]


@pytest.mark.parametrize("prompt", ["<image>What is it?", "Look: <image>\n", "<audio>"])
def test_text_that_refers_to_a_picture_is_told(prompt):
    assert kinds(prompt, "A boat.") == ["picture or sound is missing"]


@pytest.mark.parametrize(
    "prompt",
    ["Name a sea.", "What does Q: mean?", "User: what is that?", "Write a dialogue.\nUser: hi\nBob: ho", "### Input"],
)
def test_ordinary_prompt_is_not_suspected(prompt):
    assert kinds(prompt, "The Aral Sea.") == []


@pytest.mark.parametrize(
    ("answer", "kind", "kept"),
    [
        ("Aral. END", "end marker typed into answers", "Aral."),
        ("Aral.\n###", "end marker typed into answers", "Aral."),
        ("Aral.</s>", "control token typed as text", "Aral."),
        ("Aral. <|im_end|>\n", "control token typed as text", "Aral."),
        ("Aral.<|endoftext|></s>", "control token typed as text", "Aral."),
        ("And so to bed. THE END", "", "And so to bed. THE END"),
        ("BACKEND", "", "BACKEND"),
        ("END", "", "END"),
        ("Say <|im_end|> twice.", "control token typed as text", "Say <|im_end|> twice."),
    ],
)
def test_end_marker_is_told_and_stripped_on_request(answer, kind, kept):
    assert kinds("p", answer) == ([kind] if kind else [])
    row = {"prompt": "p", "completion": answer}
    read = Reading.of([row], {}, repair=True).example(1, row)
    assert read.turns[1].content == kept
    assert [note.kind for note in read.notes] == (
        ["repaired: end markers stripped from answers"] if kept != answer else []
    )


@pytest.mark.parametrize("cell", ["nan", "NaN", "None", "NULL", "N/A", "<NA>"])
def test_missing_value_is_noted_or_left_out_and_never_an_answer(cell):
    row = {"instruction": "p", "input": cell, "output": "c"}
    read = Reading.of([row], {}).example(1, row)
    assert [note.kind for note in read.notes] == ["looks like a missing value"]
    read = Reading.of([row], {}, repair=True).example(1, row)
    assert read.turns[0].content == "p" and "left out" in read.notes[0].kind
    row = {"prompt": "p", "completion": cell}
    read = Reading.of([row], {}).example(1, row)
    refused = cell in ("nan", "NaN", "<NA>")
    assert (
        ("missing value" in read.message)
        if refused
        else [note.kind for note in read.notes] == ["looks like a missing value"]
    )


TALK = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]


@pytest.mark.parametrize(
    ("row", "texts"),
    [
        ({"prompt": 1, "completion": 0.5}, ["1", "0.5"]),
        ({"prompt": "p", "completion": "c", "context": 2}, ["p\n\n2", "c"]),
        ({"prompt": "p", "completion": "c", "history": [[1, 2]]}, ["1", "2", "p", "c"]),
        ({"messages": [TALK[0], {"role": "assistant", "content": 7}]}, ["q", "7"]),
        ({"messages": TALK, "system": 3}, ["3", "q", "a"]),
    ],
)
def test_numbers_become_text_on_request(row, texts):
    assert "--repair" in Reading.of([row], {}).example(1, row).message
    read = Reading.of([row], {}, repair=True).example(1, row)
    assert [turn.content for turn in read.turns] == texts
    assert [note.kind for note in read.notes] == ["repaired: numbers written as text"], "once for a row"


def test_repair_leaves_a_sound_row_of_two_lists_alone():
    row = {"prompt": TALK[:1], "completion": [TALK[1], *TALK]}
    as_is, repaired = (Reading.of([row], {}, repair=repair).example(1, row) for repair in (False, True))
    assert as_is == repaired and len(as_is.turns) == 4


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("q <|im_end|>", "a END"), ("q", "a <|x|> b</s>"), ("q", "a <pad>"), ("q", "</s>"), ("q", "###"), ("q </s>", "a"),
        ("q", "a</s>"), ("q", "a END ###"), ("q", "a" + "<|endoftext|>" * 40),
    ],
)  # fmt: skip
def test_repair_is_named_for_what_it_strips_only(prompt, answer):
    row = {"prompt": prompt, "completion": answer}
    before, after = (Reading.of([row], {}, repair=repair).example(1, row).turns for repair in (False, True))
    advised = {note.kind for note in tells(before) if "--repair" in note.message}
    assert bool(advised) == (before != after)
    assert not advised & {note.kind for note in tells(after)}
    assert not any("--repair" in note.message for note in tells(after))
    assert len({note.kind for note in tells(before)}) == len(list(tells(before))), "each kind once"


@pytest.mark.parametrize("role", ["user", "assistant"])
def test_turn_without_an_end_marker_is_not_copied(role):
    turn = Turn(role, "a b")
    assert without_end(turn) is turn


def test_missing_prompt_or_answer_is_told_without_a_repair():
    row = {"prompt": "None", "completion": "null"}
    assert not any("--repair" in note.message for note in Reading.of([row], {}).example(1, row).notes)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("two words", 2),
        ("zwei Wörter", 2),
        ("你好，世界", 5),
        ("これは 本です", 6),
        ("สวัสดี", 6),
        ("안녕 세계", 2),
        ("GPT很好", 3),
        ("", 0),
    ],
)
def test_words_are_counted_where_there_are_no_spaces_too(text, words):
    assert num_words(text) == words


@pytest.mark.parametrize(
    "text", [" " * 1_000_000, "\n" * 1_000_000, "User:\n" * 200_000, "### Response:" * 90_000, " END" * 300_000]
)
def test_hostile_texts_are_looked_at_fast(text):
    began = time.process_time()
    kinds(text, text)
    num_words(text + "é")
    assert time.process_time() - began < 2.0

import pytest

from playground.data.answered import answered, count_items, holds_word, repeated_share, repeats_from, repeats_itself
from playground.data.prompts import Prompt
from playground.events.answers import Answer

FACT = Prompt("1", "What's the capital of France?", "fact", ("Paris",))
EXPLAIN = Prompt("2", "Explain quantum physics.", "explain", ("energy", "particles"))
ADVICE = Prompt("3", "How can I sleep better at night?", "advice", ("bed", "dark"))
POEM = Prompt("4", "Write a short poem about autumn.", "poem", ("leaf", "leaves"))
LIST = Prompt("5", "List three fruits.", "list", ("apple", "banana"), 3)
FREE = Prompt("6", "Who are you?")

EXPLANATION = (
    "Quantum physics describes how very small things behave. Electrons and other particles do not follow "
    "single paths; they spread like waves, and their energy comes in steps."
)
ADVISED = "Go to bed at the same hour every day, keep the room dark and cool, and leave your phone outside."
VERSE = "The leaves come down in red and gold,\nThe evening air is clear and cold.\nThe year is slow and soft and old."


def said(text, finish_reason="stop", stop_reason=None):
    return Answer(text, finish_reason, stop_reason, num_tokens=9)


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        (FACT, "Paris"),
        (FACT, "The capital of France is Paris."),
        (FACT, " It is PARIS, as it has been for centuries.\n"),
        (EXPLAIN, EXPLANATION),
        (EXPLAIN, f"Why does light come in lumps, you ask. {EXPLANATION}"),
        (ADVICE, ADVISED),
        (POEM, VERSE),
        (POEM, VERSE.replace("clear and cold.", "cold. Why so?")),
        (LIST, "1. Apple\n2. Banana\n3. Cherry"),
        (LIST, "- apple\n- pear\n- plum"),
        (LIST, "apple, banana and cherry"),
        (LIST, "Three fruits: apple, banana, and cherry."),
        (LIST, "apple\npear\nplum"),
        (LIST, "Here are three fruits:\napple\npear\nplum"),
        (FREE, "I am a small language model."),
        (Prompt("7", "Hello!"), "Hello! It is lovely to meet you."),
        (Prompt("8", "Hi"), "His name is Tom, and mine is Ann."),
        (Prompt("9", "…?!"), "I did not understand that."),
    ],
)
def test_an_answer_answers(prompt, text):
    assert answered(prompt, said(text))


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        pytest.param(EXPLAIN, "Sure!", id="too little for an explanation"),
        pytest.param(EXPLAIN, "It is about energy and particles.", id="a phrase for an explanation"),
        pytest.param(ADVICE, "Go to bed.", id="too little for advice"),
        pytest.param(POEM, "Golden leaves fall.", id="too little for a poem"),
        pytest.param(FACT, FACT.prompt + " Paris.", id="the prompt again"),
        pytest.param(FACT, "What's the  capital of france", id="the prompt again, other case"),
        pytest.param(EXPLAIN, f"Explain quantum physics. {EXPLANATION}", id="the prompt, then more"),
        pytest.param(FACT, "Paris: what's the capital of France then.", id="the long prompt in the middle"),
        pytest.param(FACT, "What is the capital of Spain? Paris.", id="another question first"),
        pytest.param(FACT, "Paris. What is the capital of Spain?", id="another question last"),
        pytest.param(FACT, 'Paris. "What is the capital of Spain?"', id="another question in quotes"),
        pytest.param(FACT, " ".join(["Paris"] * 40), id="one word 40 times"),
        pytest.param(EXPLAIN, " ".join(["the energy of particles is"] * 8), id="one phrase 8 times"),
        pytest.param(LIST, "1. Apple\n2. Banana", id="too few items"),
        pytest.param(LIST, "- apple\n- banana\n- pear\n- plum", id="too many items"),
        pytest.param(LIST, "apple and banana", id="too few items on a line"),
        pytest.param(LIST, "An apple.", id="one item"),
        pytest.param(FACT, "", id="nothing"),
        pytest.param(FACT, " \n", id="blank"),
        pytest.param(FREE, "…!", id="no word"),
        pytest.param(FACT, "Paris.\nUser: And of Spain?\nAssistant: Madrid.", id="turns of its own"),
        pytest.param(FACT, "User: Paris", id="a user's turn"),
        pytest.param(FACT, "Paris\nQ: Spain\nA: Madrid", id="an exam sheet"),
        pytest.param(FACT, "The capital of France is Lyon.", id="without the expected word"),
        pytest.param(FACT, "It lies in the comparison.", id="the expected word inside another"),
        pytest.param(
            EXPLAIN, EXPLANATION.replace("particles", "parts").replace("energy", "energetics"), id="form only"
        ),
    ],
)
def test_an_answer_does_not_answer(prompt, text):
    assert not answered(prompt, said(text))


@pytest.mark.parametrize(
    ("finish_reason", "stop_reason"), [("stop", "\nUser:"), ("length", None), ("cancelled", None), ("error", None)]
)
def test_answer_that_did_not_stop_by_itself_does_not_count(finish_reason, stop_reason):
    assert answered(FACT, said("Paris."))
    assert not answered(FACT, said("Paris.", finish_reason, stop_reason))


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("", 0.0),
        ("a a a a", 0.0),  # one 4-gram: nothing it could repeat
        ("a a a a a", 0.5),
        ("a b c d e f g h", 0.0),
        ("a b c d a b c d", 0.2),  # abcd bcda cdab dabc abcd
        ("A b, c! D: a B c d", 0.2),
        ("one two three four " * 2 + "one two three four", 5 / 9),
    ],
)
def test_the_repeated_share_counts_4_grams_that_occurred_before(text, share):
    assert repeated_share(text) == pytest.approx(share)


@pytest.mark.parametrize(
    ("text", "loops"),
    [
        (EXPLANATION, False),
        (VERSE, False),
        ("", False),
        ("no no no", False),
        ("go " * 9, True),
        ("Explain quantum physics. " * 5, True),
        ("yes no " * 4, True),
    ],
)
def test_looping_answers_are_detected(text, loops):
    assert repeats_itself(said(text)) == loops


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1. Apple\n2. Pear\n3. Plum", 3),
        ("1) Apple\n2) Pear", 2),
        ("- Apple\n* Pear\n• Plum", 3),
        ("  - Apple\n  - Pear", 2),
        ("Here are some:\n\n- Apple\n- Pear\n\nEnjoy!", 2),
        ("Apple\nPear\n\nPlum", 3),
        ("Here are three:\nApple\nPear\nPlum", 3),
        ("Apple, pear, plum", 3),
        ("Apple, pear, and plum.", 3),
        ("Apple, pear and plum.", 3),
        ("Fruits: apple; pear; plum", 3),
        ("Brandy, sandcastles and Andes", 3),
        ("Apple", 1),
        ("", 0),
        ("…", 0),
    ],
)
def test_items_of_a_list_are_counted(text, number):
    assert count_items(text) == number


@pytest.mark.parametrize(
    ("text", "words", "holds"),
    [
        ("The symbol is O.", ["O"], True),
        ("Of course not", ["O"], False),
        ("a (twenty-four) hour day", ["24", "twenty-four"], True),
        ("1365 days", ["365"], False),
        ("Shakespeare's plays", ["Shakespeare"], True),
        ("H2O", ["h2o"], True),
        ("C++ is old", ["C++"], True),
        ("anything", [], False),
    ],
)
def test_whole_words_are_matched_case_insensitively(text, words, holds):
    assert holds_word(text, words) == holds


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("One two three four five six seven.", 0),
        ("The sky is blue. " * 6, 5),
        ("Once I saw it. " + "The sky is blue. " * 6, 9),
        ("a b c", 0),
    ],
)
def test_a_loop_begins_where_it_says_a_4_gram_again(text, word):
    assert repeats_from(text) == word

"""Where two texts differ."""

import pytest

from playground.report.differences import differing_words, first_difference


@pytest.mark.parametrize(
    ("text", "other", "word"),
    [
        ("Paris is big.", "Paris is big.", None),
        ("Paris is", "Paris is big.", None),
        ("Paris is old.", "Paris is big.", "old."),
        ("Paris is big. Yes.", "Paris is big.", "Yes."),
        ("Paris  is\nold.", "Paris is big.", "old."),
        ("", "Paris", None),
        ("Rome", "", "Rome"),
    ],
)
def test_first_word_that_differs_is_found(text, other, word):
    assert [text[slice(*span)] for span in first_difference(text, other)] == ([word] if word else [])


def test_half_a_word_at_the_end_of_growing_text_is_no_difference():
    assert first_difference("Paris is bi", "Paris is big.", grows=True) == []
    assert first_difference("Paris is bi", "Paris is big.") == [(9, 11)]
    assert first_difference("Paris is bo", "Paris is big.", grows=True) == [(9, 11)]


def test_words_that_are_not_in_the_other_text_are_found_in_order():
    text = "The capital of France is the old city of Paris."
    spans = differing_words(text, "The capital of France is Paris.")
    assert [text[slice(*span)] for span in spans] == ["the", "old", "city", "of"]
    assert differing_words("a b c", "a b c") == differing_words("a x", "a b c", grows=True) == []

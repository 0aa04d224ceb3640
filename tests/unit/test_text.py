import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playground.text import clean, count, one_line

BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
BIDI_MARKS = {"\u061c", "\u200e", "\u200f"}
# Surrogates and controls are rare among all characters, so they get alternatives of their own.
anything = st.text(st.one_of(st.characters(), st.characters(categories=["Cs", "Cc", "Cf"])))


def acts_on_a_terminal(character):
    category = unicodedata.category(character)
    return (
        (category in ("Cc", "Cs") and character not in "\n\t")
        or unicodedata.bidirectional(character) in BIDI
        or character in BIDI_MARKS
        or 0xE0000 <= ord(character) <= 0xE007F  # tags: invisible ASCII
    )


def test_no_unicode_character_that_acts_on_a_terminal_remains():
    everything = clean("".join(map(chr, range(0x110000))))
    assert [hex(ord(c)) for c in set(everything) if acts_on_a_terminal(c)] == []


@given(anything, anything)
def test_cleaning_does_not_depend_on_stream_chunks(a, b):
    assert clean(a) + clean(b) == clean(a + b)


@given(anything)
def test_cleaned_text_is_clean_and_can_be_written(text):
    cleaned = clean(text)
    assert clean(cleaned) == cleaned
    cleaned.encode("utf-8")


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b]52;c;Zm9v\x1b\\", "␛]52;c;Zm9v␛\\"),
        ("\x1b[31mred", "␛[31mred"),
        ("\x9b31m", "<U+009B>31m"),
        ("a\x00b\x07\x08", "a␀b␇␈"),
        ("over\rwrite", "over␍write"),
        ("\x7f", "␡"),
        ("\u202etxt.exe", "<U+202E>txt.exe"),
        ("\u2066x\u2069", "<U+2066>x<U+2069>"),
        ("\ud800", "\ufffd"),
        ("\ufeffx", "<U+FEFF>x"),
        ("\U000e0041", "<U+E0041>"),
    ],
)
def test_terminal_controls_are_shown_as_visible_symbols(hostile, shown):
    assert clean(hostile) == shown


@pytest.mark.parametrize(
    "text",
    [
        "plain ASCII ~",
        "two\nlines\tand a tab",
        "caf\u00e9, cafe\u0301",
        "a\u00a0b",
        "日本語、中文。",
        "\U0001f469\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f",
        "می\u200cخواهم",
        "क्\u200dष",
        "עברית العربية",
        "[/red] [b]",
        "",
    ],
)
def test_ordinary_text_is_unchanged(text):
    assert clean(text) == text


@pytest.mark.parametrize(
    ("text", "width", "line"),
    [
        ("short", 5, "short"),
        ("longer", 5, "long…"),
        ("two\nlines\there", 20, "two↵lines here"),
        ("\x1b[0m", 20, "␛[0m"),
    ],
)
def test_one_line_is_flat_and_within_the_width(text, width, line):
    assert one_line(text, width) == line


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((0, "row"), "0 rows"),
        ((1, "row"), "1 row"),
        ((1234, "row"), "1,234 rows"),
        ((2, "entry", "entries"), "2 entries"),
    ],
)
def test_nouns_agree_with_their_count(args, words):
    assert count(*args) == words

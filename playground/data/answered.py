"""What counts as answered: the one definition, used for samples, comparisons and gates.

It judges form, not truth: the model ended by itself and did what was asked instead of continuing the
text. Where a prompt says what to expect, that is checked too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from playground.data.prompts import Prompt
from playground.events.answers import Answer

MIN_WORDS = {"explain": 15, "advice": 15, "poem": 15}
_WORD = re.compile(r"\w+(?:['’-]\w+)*")
_TURN = re.compile(r"^\s*(?:user|assistant|human|system|question|answer|q|a)\s*:", re.IGNORECASE | re.MULTILINE)
_ITEM = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+\S", re.MULTILINE)


def answered(prompt: Prompt, answer: Answer) -> bool:
    """Return whether `answer` answers `prompt`.

    It must end with the model's own end token; not be empty, nor echo the prompt, ask a question or
    open another turn; and repeat fewer than half of its 4-grams. By `kind`: an explanation, a piece of
    advice or a poem has at least 15 words, a list the number of items asked for; and where words are
    expected, one of them occurs as a whole word.
    """
    text = answer.text.strip()
    return (
        answer.stopped_by_itself
        and bool(_WORD.search(text))
        and not _echoes(prompt.prompt, text)
        and not _asks(text)
        and not _TURN.search(text)
        and repeated_share(text) < 0.5
        and len(_WORD.findall(text)) >= MIN_WORDS.get(prompt.kind, 1)
        and (prompt.kind != "list" or count_items(text) == prompt.items)
        and (not prompt.expect or holds_word(text, prompt.expect))
    )


def repeated_share(text: str) -> float:
    """Return the share of 4-grams of words that occurred before in `text`; 0 below five words."""
    words = [word.lower() for word in _WORD.findall(text)]
    grams = [tuple(words[at : at + 4]) for at in range(len(words) - 3)]
    return 1 - len(set(grams)) / len(grams) if len(grams) > 1 else 0.0


def repeats_from(text: str) -> int:
    """Return the word, counted from 1, from which `text` says nothing new; 0 if it does not repeat itself.

    It repeats itself if half of its 4-grams or more occurred before, or one word fills it.
    """
    words = [word.lower() for word in _WORD.findall(text)]
    if repeated_share(text) < 0.5:
        return int(_stutters(words))
    seen: set[tuple[str, ...]] = set()
    first = last_new = 0
    for at in range(len(words) - 3):
        gram = tuple(words[at : at + 4])
        if gram not in seen:
            last_new = at
        elif not first:
            first = at + 1
        seen.add(gram)
    # A text that leaves its loop in the end says something new there: then its first repetition counts.
    return last_new + 2 if last_new < len(words) - 4 else first


def repeats_itself(answer: Answer) -> bool:
    """Return whether an answer repeats itself."""
    return repeats_from(answer.text) > 0


def holds_word(text: str, words: Iterable[str]) -> bool:
    """Return whether one of `words` occurs in `text` as a whole word, ignoring case."""
    return any(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE) for word in words)


def count_items(text: str) -> int:
    """Return the number of list items: marked lines, else comma-separated words of a single line."""
    marked = len(_ITEM.findall(text))
    if marked:
        return marked
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 1:
        return len(lines) - lines[0].rstrip().endswith(":")
    listed = text.rsplit(":", maxsplit=1)[-1]
    return len([part for part in re.split(r",|;|\band\b|\bor\b", listed) if _WORD.search(part)])


def _echoes(prompt: str, text: str) -> bool:
    said, asked = (_WORD.findall(part.lower()) for part in (text, prompt))
    if len(asked) < 2:  # "Hello!" may be answered by a greeting, "Gravity" by a sentence that starts with it
        return said == asked
    within = len(said) if len(asked) > 3 else 1
    return any(said[at : at + len(asked)] == asked for at in range(within))


def _asks(text: str) -> bool:
    """Return whether the answer starts or ends with a question; one in the middle may be rhetorical."""
    sentences = re.findall(r"[^.!?\n]+[.!?]*", text)
    return bool(sentences) and (sentences[0].rstrip().endswith("?") or text.rstrip(" \"'”’)").endswith("?"))


def _stutters(words: list[str]) -> bool:
    """Return whether one word fills the text: a loop too short to give more than one 4-gram."""
    return len(words) >= 8 and len(set(words)) <= len(words) // 4

"""Where two texts differ, word by word."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import Protocol

_WORD = re.compile(r"\S+")
Span = tuple[int, int]


class Mark(Protocol):
    """Finds the words to mark, each by where it begins and ends."""

    def __call__(self, text: str, other: str, *, grows: bool = False) -> list[Span]:
        """Return words of `text`; with `grows` it is still being written."""
        ...


def first_difference(text: str, other: str, *, grows: bool = False) -> list[Span]:
    """Return where the first word of `text` is that `other` does not have there.

    There is none if the texts are equal, or `text` is the shorter one and equal so far.

    Args:
        text: The text that is shown.
        other: What it is compared with.
        grows: `text` is still being written, and its last word may be a part of one.
    """
    theirs = _WORD.findall(other)
    for at, word in enumerate(_WORD.finditer(text)):
        same = theirs[at] if at < len(theirs) else ""
        unfinished = grows and word.end() == len(text) and same.startswith(word[0])
        if word[0] != same and not unfinished:
            return [word.span()]
    return []


def differing_words(text: str, other: str, *, grows: bool = False) -> list[Span]:
    """Return where those words of `text` are that `other` does not have in the same order; none while it grows."""
    if grows:
        return []
    mine, theirs = list(_WORD.finditer(text)), _WORD.findall(other)
    matcher = SequenceMatcher(None, [word[0] for word in mine], theirs, autojunk=False)
    return [
        word.span()
        for change, begin, end, _, _ in matcher.get_opcodes()
        if change in ("replace", "delete")
        for word in mine[begin:end]
    ]

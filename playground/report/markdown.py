"""Untrusted text inside Markdown."""

from __future__ import annotations

import re

from playground.text import clean


def cell(text: str) -> str:
    """Return text on one line, with all Markdown markup escaped."""
    return re.sub(r"([\\`*_{}\[\]<>#|!&~])", r"\\\1", clean(text).replace("\n", " "))


def block(text: str) -> list[str]:
    """Return the lines of a code block with `text`, which cannot end the block early."""
    cleaned = clean(text)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", cleaned)), default=0))
    return [f"{fence}text", cleaned, fence]

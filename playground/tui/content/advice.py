"""Advice for the app: where an error names a flag of the command line, the place where the app has it."""

from __future__ import annotations

import re
from dataclasses import fields

from playground.config import TrainConfig, flag_of, labels
from playground.data.columns import ROLES

_SENTENCE = re.compile(r"(?<=[.;])\s+")
_FLAG = re.compile(r"--[a-z][a-z-]+")
# What the dialog of the columns can do; anything else that --map does needs the command line.
_ROLE = r"--map (?:'(?:{0})=[^']*'|(?:{0})=(?!COLUMN)[^\s.;]+)".format("|".join(ROLES))
_MAP = re.compile(f"{_ROLE}(?: {_ROLE})*")


def in_app(text: str) -> str:
    """Return `text` with options called as the form calls them; sentences about other flags are left out."""
    if "--" not in text:
        return text
    names = {flag_of(f): labels()[f.name] for f in fields(TrainConfig) if f.name in labels()}
    kept, options = [], False
    for sentence in _SENTENCE.split(_MAP.sub("F4 (column)", text)):
        flags = _FLAG.findall(sentence)
        if "--map" in flags:
            kept.append(f"on the command line: {sentence}")
        elif all(flag in names for flag in flags):
            kept.append(_FLAG.sub(lambda match: f"“{names[match[0]]}”", sentence))
            options |= bool(flags)
    said = " ".join(kept)
    return f"{said.rstrip('.')} (F9 opens the options)." if options else said

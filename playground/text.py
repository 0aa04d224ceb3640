"""The one sanitiser: everything untrusted passes through ``clean`` on its way to a terminal.

Model output, data sets, adapters and file names can carry escape sequences that write to the
clipboard, change the title or hide text. The mapping is total and works character by character, so
it is safe however a stream is split: ``clean(a) + clean(b) == clean(a + b)``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# C0 except tab and newline, DEL, C1, lone surrogates, and the format characters that reorder or hide
# text. ZWJ and ZWNJ (U+200C/D) stay: emoji and several scripts need them.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff"
    "\u00ad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb"
    "\U000e0000-\U000e0fff]"
)


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)  # the Unicode "control pictures": ESC becomes ␛
    if code == 0x7F:
        return "\u2421"
    if 0xD800 <= code <= 0xDFFF:
        return "\ufffd"
    return f"<U+{code:04X}>"


def clean(text: str) -> str:
    """Return `text` with every character that could act on a terminal made visible instead."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSAFE.sub(_visible, text)


def one_line(text: str, width: int) -> str:
    """Return cleaned `text` on one line of at most `width` characters, cut with an ellipsis."""
    flat = clean(text).replace("\n", "↵").replace("\t", " ")
    return flat if len(flat) <= width else flat[: max(width - 1, 0)] + "…"


def flow(units: Iterable[str], width: int) -> list[list[str]]:
    """Return `units` in lines of at most `width` characters, two spaces between them; none is broken."""
    lines: list[list[str]] = [[]]
    for unit in units:
        if lines[-1] and len("  ".join([*lines[-1], unit])) > width:
            lines.append([])
        lines[-1].append(unit)
    return lines


def count(number: int, singular: str, plural: str = "") -> str:
    """Return ``"1 row"`` or ``"103 rows"``."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"

"""Text with a role for each piece, which a terminal and the app only colour, each in its own way."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from rich.text import Text

Role = Literal["", "strong", "faint", "good", "warning", "bad", "bar"]
Piece = tuple[str, Role]

_STYLES: dict[Role, str] = {
    "": "", "strong": "bold", "faint": "dim", "good": "green", "warning": "yellow", "bad": "red", "bar": "cyan",
}  # fmt: skip


def coloured(pieces: Iterable[Piece]) -> Text:
    """Return pieces as Rich text."""
    return Text.assemble(*((text, _STYLES[role]) for text, role in pieces))

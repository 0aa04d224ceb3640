"""The app's colours for pieces of text with a role."""

from __future__ import annotations

from collections.abc import Iterable

from textual.content import Content

from playground.report.pieces import Piece, Role

_STYLES: dict[Role, str] = {
    "": "", "strong": "bold", "faint": "$text-quiet", "good": "$text-success", "warning": "$text-warning",
    "bad": "$text-error", "bar": "$text-primary",
}  # fmt: skip


def coloured(pieces: Iterable[Piece]) -> Content:
    """Return pieces as the app's text."""
    return Content.assemble(*((text, _STYLES[role]) for text, role in pieces))

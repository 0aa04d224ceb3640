"""Data sets and plans as text for the screens: rows with loss masks, findings, training requirements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from textual.content import Content

from playground.events.data import DataCheck
from playground.events.inspector import MaskedRow
from playground.events.plans import Plan
from playground.report import plan
from playground.report.data import findings, histogram
from playground.report.pieces import Piece, Role
from playground.text import clean, count, one_line
from playground.tui.content.advice import in_app
from playground.tui.content.pieces import coloured

BAR = 24  # cells of the longest bar
SHORT, BEFORE = 100, 40  # rows up to SHORT tokens are shown whole; longer ones from BEFORE the first trained token
Pieces = list[tuple[str, str]]


def masked(rows: Sequence[MaskedRow], total: int) -> Content:
    """Return rows as tokens: trained ones bright and underlined, the others dim; the end token is visible."""
    pieces: list[Content | tuple[str, str]] = []
    for row in rows:
        pieces += [whole(row), ("\n\n", "")]
    if total > len(rows):
        pieces.append((f"and {total - len(rows):,} more rows", "dim"))
    return Content.assemble(*pieces)


def whole(row: MaskedRow) -> Content:
    """Return a row as `masked` does."""
    return Content.assemble(*_row_title(row), *_tokens(row, 0, len(row.texts)))


def begins_to_learn(row: MaskedRow) -> Content:
    """Return a row as `masked` does; for long rows, only the tokens around the first trained one."""
    return Content.assemble(*_row_title(row)) + learned_tokens(row)


def learned_tokens(row: MaskedRow) -> Content:
    """Return the tokens of a row; of a long one, only those around the first trained one."""
    first = row.trained.index(True) if True in row.trained else 0
    start = max(0, first - BEFORE) if len(row.texts) > SHORT else 0
    end = start + SHORT
    pieces = [("… " if start else "", "dim"), *_tokens(row, start, end)]
    return Content.assemble(*pieces, (" …" if end < len(row.texts) else "", "dim"))


def _row_title(row: MaskedRow) -> Pieces:
    how = f"{sum(row.trained):,} trained{f'; too long: {row.cut}' if row.cut else ''}"
    if row.held_out:
        how = "held out: never trained, only evaluated"
    return [(f"line {row.line} · {count(len(row.texts), 'token')}, {how}\n", "bold")]


def _tokens(row: MaskedRow, start: int, end: int) -> Pieces:
    pieces: Pieces = []
    for text, learned in zip(row.texts[start:end], row.trained[start:end], strict=True):
        shown = clean(text)
        # A trained line break is a token like any other, so it is shown.
        style = "underline" if row.held_out else "bold underline $text-accent"
        pieces.append((shown.replace("\n", "↵\n"), style) if learned else (shown, "dim"))
    return pieces


def look_title(found: DataCheck, columns: Sequence[str] = ()) -> Content:
    """Return a two-line summary of a data set and of how many rows can be trained on.

    Args:
        found: What was found in it.
        columns: The option `columns` it was read with.
    """
    read = ", ".join(columns) or f"read as {found.shape}"
    pieces: list[Piece] = [
        (clean(found.name), "strong"),
        (f"  {found.container}, {one_line(read, 60)}\n", "faint"),
        (f"{count(found.num_rows, 'row')}, {found.num_sound:,} can be trained on", ""),
    ]
    roles: tuple[tuple[str, Role], ...] = (("error", "bad"), ("warning", "warning"))
    for level, role in roles:
        number = sum(finding.level == level for finding in found.findings)
        pieces += [(", ", ""), (count(number, level), role)] if number else []
    return coloured(pieces)


def look_words(found: DataCheck) -> Content:
    """Return a histogram of a data set's lengths, and its errors and warnings."""
    said = tuple(replace(finding, message=in_app(finding.message)) for finding in found.findings)
    return coloured([*histogram(found.lengths, found.unit, BAR), *findings(replace(found, findings=said))])


def plan_short(made: Plan) -> Content:
    """Return a two-line summary of what a training run will do and need."""
    return coloured(plan.summary(made))


def plan_words(made: Plan) -> Content:
    """Return what a training run will do and need, and the reasons for its automatic settings."""
    unread, warnings = tuple(map(in_app, made.unread)), tuple(map(in_app, made.warnings))
    said = replace(made, nearest=in_app(made.nearest), unread=unread, warnings=warnings)
    return coloured(plan.plan(said, bar=8, reason=60))

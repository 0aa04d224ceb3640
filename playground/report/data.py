"""A data set for the terminal: what was found in it, and which tokens of a row carry loss."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from playground.events.data import BINS, DataCheck, Finding, by_kind
from playground.report.pieces import Piece, coloured
from playground.text import clean, count, one_line

BAR = 40  # columns
MOST_SAID, MOST_LINES = 3, 5  # messages of a kind; lines of a message
UNCUT = 10_000  # characters; messages are shorter


def check(result: DataCheck) -> RenderableType:
    """Return what `data check` prints."""
    about = (
        f"{count(result.num_rows, 'row')}, {result.num_sound:,} of them usable for training;"
        f" {result.num_units:,} {result.unit}, {_share(result.num_trained, result.num_units)} of them in answers;"
        f" the longest row has {result.longest:,}\n\n"
    )
    title: list[Piece] = [
        (one_line(result.name, UNCUT), "strong"),
        (f": {result.container}, read as {result.shape}\n", ""),
    ]
    lengths = histogram(result.lengths, result.unit, BAR)
    between: list[Piece] = [("\n", "")] if lengths else []  # where no row can be read, there is nothing to draw
    return coloured([*title, (about, ""), *lengths, *between, *findings(result)])


def histogram(lengths: Sequence[int], unit: str, width: int) -> list[Piece]:
    """Return a histogram of row lengths, a bin a line; the longest bar has `width` cells."""
    pieces: list[Piece] = []
    used = [at for at, number in enumerate(lengths) if number]
    most = max(*lengths, 1)
    for at in range(used[0], used[-1] + 1) if used else ():
        label = f"≤ {BINS[at]:,}" if at < len(BINS) else f"> {BINS[-1]:,}"
        bar = "█" * max(round(width * lengths[at] / most), 1 if lengths[at] else 0)
        pieces += [(f"{label:>8} {unit} ", "faint"), (f"{bar} ", "bar"), (f"{lengths[at]:,}\n", "")]
    return pieces


def findings(result: DataCheck) -> list[Piece]:
    """Return errors and warnings by kind, each message of a kind once, uncut, with its lines."""
    pieces: list[Piece] = []
    for level, kind, number, said in by_kind(result.findings):
        pieces.append((f"{level}: {clean(kind)}, {count(number, 'row')}\n", "bad" if level == "error" else "warning"))
        for message, found in list(said.items())[:MOST_SAID]:
            pieces.append((f"  {_lines(found)}: {one_line(message, UNCUT)}\n", "faint"))
        if rest := list(said.values())[MOST_SAID:]:
            pieces.append((f"  and {sum(finding.rows for found in rest for finding in found):,} more\n", "faint"))
    return pieces or [("no problems found\n", "good")]


def _lines(found: Sequence[Finding]) -> str:
    """Return the lines of findings that say the same."""
    rows, shown = sum(finding.rows for finding in found), found[:MOST_LINES]
    more = f" and {rows - len(shown):,} more" if rows > len(shown) else ""
    return f"line{'s' * (len(shown) > 1)} {', '.join(f'{finding.line:,}' for finding in shown)}{more}"


def preview(pieces: Sequence[tuple[str, bool]], line: int, *, marks: bool, cut: str) -> RenderableType:
    """Return a row as its tokens: trained ones highlighted, the others dim.

    Args:
        pieces: ``(text, trained)`` of each token, in order.
        line: The row's line.
        marks: Put ⟦ ⟧ around what is trained, for output without colours.
        cut: A description of what did not fit.
    """
    trained = sum(learned for _, learned in pieces)
    head = f"line {line}: {count(len(pieces), 'token')}, {trained:,} of them trained"
    head += f"; too long: {cut}" if cut else ""
    text = Text()
    before = False
    for piece, learned in pieces:
        if marks and learned != before:
            text.append("⟦" if learned else "⟧")
        text.append(clean(piece), style="bold magenta" if learned else "dim")
        before = learned
    if marks and before:
        text.append("⟧")
    return Group(Text(head, style="bold"), text, Text())


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "none"

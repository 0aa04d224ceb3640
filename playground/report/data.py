"""A data set for the terminal: what was found in it, and which tokens of a row carry loss."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from playground.events.data import BINS, DataCheck, by_kind
from playground.text import clean, count, one_line

BAR = 40  # columns


def check(result: DataCheck) -> RenderableType:
    """Return what `data check` prints."""
    lines: list[RenderableType] = [
        Text.assemble((clean(result.name), "bold"), f": {result.container}, read as {result.shape}"),
        Text(
            f"{count(result.num_rows, 'row')}, {result.num_sound:,} of them usable for training;"
            f" {result.num_units:,} {result.unit}, {_share(result.num_trained, result.num_units)} of them in answers;"
            f" the longest row has {result.longest:,}"
        ),
        Text(),
        histogram(result.lengths, result.unit),
    ]
    if not result.findings:
        return Group(*lines, Text(), Text("no problems found", style="green"))
    for level, kind, number, first in by_kind(result.findings):
        colour = "red" if level == "error" else "yellow"
        lines += [Text(), Text.assemble((f"{level}: {kind}", f"bold {colour}"), f", {count(number, 'row')}")]
        lines += [Text(f"  line {finding.line}: {one_line(finding.message, 200)}", style="dim") for finding in first]
        if number > len(first):
            lines.append(Text(f"  and {number - len(first):,} more", style="dim"))
    return Group(*lines)


def histogram(lengths: Sequence[int], unit: str) -> RenderableType:
    """Return a histogram of row lengths."""
    table = Table.grid(padding=(0, 1))
    table.add_column(justify="right", style="dim")
    table.add_column()
    table.add_column(justify="right")
    most = max(*lengths, 1)
    used = [at for at, number in enumerate(lengths) if number]
    for at in range(used[0], used[-1] + 1) if used else ():
        label = f"≤ {BINS[at]:,}" if at < len(BINS) else f"> {BINS[-1]:,}"
        bar = "█" * max(round(BAR * lengths[at] / most), 1 if lengths[at] else 0)
        table.add_row(label, Text(bar, style="cyan"), f"{lengths[at]:,}")
    return Group(Text(f"rows by {unit}", style="dim"), table)


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

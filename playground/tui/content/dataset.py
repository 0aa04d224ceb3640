"""Data sets and plans as text for the screens: rows with loss masks, findings, training requirements."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from playground.events.data import BINS, DataCheck, by_kind
from playground.events.inspector import MaskedRow
from playground.events.plans import Plan
from playground.report.words import duration, gigabytes, setting
from playground.text import clean, count, one_line

BAR = 24  # cells of the longest bar
SHORT, BEFORE = 100, 40  # rows up to SHORT tokens are shown whole; longer ones from BEFORE the first trained token
Pieces = list[tuple[str, str]]


def masked(rows: Sequence[MaskedRow], total: int) -> Content:
    """Return rows as tokens: trained ones bright and underlined, the others dim; the end token is visible."""
    pieces: Pieces = []
    for row in rows:
        pieces += [*_row_title(row), *_tokens(row, 0, len(row.texts)), ("\n\n", "")]
    if total > len(rows):
        pieces.append((f"and {total - len(rows):,} more rows", "dim"))
    return Content.assemble(*pieces)


def begins_to_learn(row: MaskedRow) -> Content:
    """Return a row as `masked` does; for long rows, only the tokens around the first trained one."""
    first = row.trained.index(True) if True in row.trained else 0
    start = max(0, first - BEFORE) if len(row.texts) > SHORT else 0
    end = start + SHORT
    pieces = [*_row_title(row), ("… " if start else "", "dim"), *_tokens(row, start, end)]
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
        style = "underline" if row.held_out else "bold underline $accent"
        pieces.append((shown.replace("\n", "↵\n"), style) if learned else (shown, "dim"))
    return pieces


def look_title(found: DataCheck) -> Content:
    """Return a two-line summary of a data set and of how many rows can be trained on."""
    pieces: Pieces = [
        (clean(found.name), "bold"),
        (f"  {found.container}, read as {one_line(found.shape, 60)}\n", "dim"),
        (f"{count(found.num_rows, 'row')}, {found.num_sound:,} can be trained on", ""),
    ]
    for level, style in (("error", "$error"), ("warning", "$warning")):
        number = sum(finding.level == level for finding in found.findings)
        pieces += [(", ", ""), (count(number, level), style)] if number else []
    return Content.assemble(*pieces)


def look_words(found: DataCheck) -> Content:
    """Return a histogram of a data set's lengths, and its errors and warnings."""
    pieces: Pieces = []
    used = [at for at, number in enumerate(found.lengths) if number]
    most = max(*found.lengths, 1)
    for at in range(used[0], used[-1] + 1) if used else ():
        label = f"≤ {BINS[at]:,}" if at < len(BINS) else f"> {BINS[-1]:,}"
        bar = "█" * max(round(BAR * found.lengths[at] / most), 1 if found.lengths[at] else 0)
        pieces += [(f"{label:>8} {found.unit} ", "dim"), (f"{bar} ", "$primary"), (f"{found.lengths[at]:,}\n", "")]
    for level, kind, number, first in by_kind(found.findings):
        pieces.append(
            (f"{level}: {clean(kind)}, {count(number, 'row')}\n", "$error" if level == "error" else "$warning")
        )
        pieces += [(f"  line {finding.line}: {one_line(finding.message, 100)}\n", "dim") for finding in first]
    if not found.findings:
        pieces.append(("no problems found\n", "$success"))
    return Content.assemble(*pieces)


def plan_short(plan: Plan) -> Content:
    """Return a two-line summary of what a training run will do and need."""
    verdict = (f"needs {gigabytes(plan.needed)}; {gigabytes(plan.free)} free", _verdict_style(plan))
    learned = f"; {100 * plan.num_trained_tokens / plan.num_tokens:.0f} % of tokens trained" if plan.num_tokens else ""
    return Content.assemble((f"{_steps(plan)}\n", ""), verdict, (learned, ""))


def plan_words(plan: Plan) -> Content:
    """Return what a training run will do and need, and the reasons for its automatic settings."""
    share = 100 * plan.trainable_parameters / plan.parameters
    pieces: Pieces = [
        ("plan\n", "bold"),
        (f"{_steps(plan)}\n", ""),
        (f"{plan.trainable_parameters:,} parameters trained ({share:.1f} %)\n", ""),
    ]
    if plan.num_eval:
        pieces.append((f"{count(plan.num_examples, 'row')} trained, {plan.num_eval:,} held out\n", ""))
    if plan.num_tokens:
        learned = 100 * plan.num_trained_tokens / plan.num_tokens
        pieces.append((f"{plan.num_tokens:,} tokens, {learned:.0f} % carry loss\n", ""))
    most = max(plan.memory.values(), default=1)
    for name, number in plan.memory.items():
        bar = "▪" * max(1, round(8 * number / max(most, 1)))
        pieces += [(f"{one_line(name, 21):<21} ", "dim"), (f"{gigabytes(number):>8} ", ""), (f"{bar}\n", "$primary")]
    verdict = f"needs {gigabytes(plan.needed)}; {gigabytes(plan.free)} free\n"
    pieces.append((verdict, _verdict_style(plan)))
    for choice in plan.choices:
        pieces.append((f"{choice.name} {setting(choice.value)}: {one_line(choice.reason, 60)}\n", "dim"))
    pieces += [(f"note: {clean(warning)}\n", "$warning") for warning in plan.warnings]
    return Content.assemble(*pieces)


def _steps(plan: Plan) -> str:
    time = f"about {duration(plan.seconds)}" if plan.seconds else "time estimate after two steps"
    update = plan.per_device_train_batch_size * plan.gradient_accumulation_steps
    return f"{plan.num_steps:,} steps of {count(update, 'row')}, {time}"


def _verdict_style(plan: Plan) -> str:
    return "$success" if plan.fits else "$error"

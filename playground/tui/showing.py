"""Data sets and plans as text for the screens: rows with their masks, what is odd, what a training needs."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from playground.events.data import BINS, DataCheck, by_kind
from playground.events.desk import MaskedRow
from playground.events.plans import Plan
from playground.report.words import duration, gigabytes, setting
from playground.text import clean, count, one_line

BAR = 24  # cells of the longest bar
Pieces = list[tuple[str, str]]


def masked(rows: Sequence[MaskedRow], total: int) -> Content:
    """Return rows as their tokens: trained ones lit and underlined, the others dim; the end token is seen."""
    pieces: Pieces = []
    for row in rows:
        trained = sum(row.trained)
        how = f"{trained:,} trained{', cut' if row.truncated else ''}"
        if row.held_out:
            how = "held out: never trained, its answer is only measured"
        pieces.append((f"line {row.line} · {count(len(row.texts), 'token')}, {how}\n", "bold"))
        for text, learned in zip(row.texts, row.trained, strict=True):
            shown = clean(text)
            # A line break that is learned is a token like any other, so it shows.
            style = "underline" if row.held_out else "bold underline $accent"
            pieces.append((shown.replace("\n", "↵\n"), style) if learned else (shown, "dim"))
        pieces.append(("\n\n", ""))
    if total > len(rows):
        pieces.append((f"and {total - len(rows):,} more rows", "dim"))
    return Content.assemble(*pieces)


def look_words(found: DataCheck) -> Content:
    """Return what is in a data set, a histogram of its lengths, and what is wrong or odd in it."""
    pieces: Pieces = [
        (clean(found.name), "bold"),
        (f"  {found.container}, read as {one_line(found.shape, 60)}\n", "dim"),
        (f"{count(found.num_rows, 'row')}, {found.num_sound:,} can be trained\n", ""),
    ]
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
        pieces.append(("nothing is wrong\n", "$success"))
    return Content.assemble(*pieces)


def plan_words(plan: Plan) -> Content:
    """Return what a training will do and need, and what was decided why."""
    share = 100 * plan.trainable_parameters / plan.parameters
    time = f"about {duration(plan.seconds)}" if plan.seconds else "known after two steps"
    update = plan.per_device_train_batch_size * plan.gradient_accumulation_steps
    pieces: Pieces = [
        ("plan\n", "bold"),
        (f"{plan.num_steps:,} steps of {count(update, 'row')}, {time}\n", ""),
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
        pieces += [(f"{one_line(name, 18):<18} ", "dim"), (f"{gigabytes(number):>8} ", ""), (f"{bar}\n", "$primary")]
    verdict = f"needs {gigabytes(plan.needed)}; {gigabytes(plan.free)} are free\n"
    pieces.append((verdict, "$success" if plan.fits else "$error"))
    for choice in plan.choices:
        pieces.append((f"{choice.name} {setting(choice.value)}: {one_line(choice.reason, 60)}\n", "dim"))
    pieces += [(f"note: {clean(warning)}\n", "$warning") for warning in plan.warnings]
    return Content.assemble(*pieces)

"""A plan in words: what will happen, what it needs, and why."""

from __future__ import annotations

from playground.config import labels
from playground.events.plans import Plan
from playground.report.pieces import Piece
from playground.report.words import duration, gigabytes, setting
from playground.text import clean, count, one_line

BAR = 24  # cells of the longest bar
REASON = 200  # characters


def plan(made: Plan, *, bar: int = BAR, reason: int = REASON) -> list[Piece]:
    """Return everything about a plan, a statement a line.

    Args:
        made: The plan.
        bar: Cells of the longest memory bar.
        reason: Characters of the reason for an automatic setting.
    """
    pieces: list[Piece] = [
        ("plan\n", "strong"),
        (f"{clean(made.model)}, {made.parameters / 1e6:,.0f} million parameters, on {made.device}\n", ""),
        (f"{clean(made.data)}: {rows(made)}\n", ""),
        (f"{tokens(made)}\n", ""),
        (f"{steps(made)}\n", ""),
        (f"{trained(made)}\n", ""),
    ]
    most = max(made.memory.values(), default=1)
    width = max((len(name) for name in made.memory), default=0)
    for name, number in made.memory.items():
        cells = max(1, round(bar * number / max(most, 1)))
        pieces += [(f"{name:<{width}} ", "faint"), (f"{gigabytes(number):>8} ", ""), ("▪" * cells + "\n", "bar")]
    text, role = verdict(made)
    pieces.append((f"{text}\n", role))
    if not made.fits:
        fits = f"this would fit: {made.nearest}" if made.nearest else "no setting fits on this machine"
        pieces.append((f"{fits}\n", "bad"))
    pieces.append(("chosen automatically\n" if made.choices else "all settings were given\n", "strong"))
    words = labels()
    for choice in made.choices:
        name = f"{words.get(choice.name, choice.name)} {setting(choice.value)}"
        pieces += [(name, ""), (f" ({choice.name}): {one_line(choice.reason, reason)}\n", "faint")]
    return [*pieces, *notes(made)]


def summary(made: Plan) -> list[Piece]:
    """Return the most important of a plan in two lines."""
    share = f"; {_share(made)} of the tokens trained" if made.num_tokens else ""
    return [(f"{steps(made)}\n", ""), verdict(made), (share, "")]


def rows(made: Plan) -> str:
    """Return how many rows are trained, held out and left out."""
    held_out = f", {made.num_eval:,} held out for evaluation" if made.num_eval else ""
    left_out = f", {made.num_skipped:,} left out as unusable" if made.num_skipped else ""
    return f"{count(made.num_examples, 'row')} to train on{held_out}{left_out}"


def tokens(made: Plan) -> str:
    """Return how many tokens the rows have, and which share of them is trained: carries loss."""
    if not made.num_tokens:
        return "tokens are counted while they are read"
    return f"{count(made.num_tokens, 'token')}, {_share(made)} of them trained; the longest row has {made.longest:,}"


def steps(made: Plan) -> str:
    """Return the number of steps, their size and the time they take."""
    time = f"about {duration(made.seconds)}" if made.seconds else "time estimate after two steps"
    update = made.per_device_train_batch_size * made.gradient_accumulation_steps
    return f"{count(made.num_steps, 'step')} of {count(update, 'row')}, {time}"


def trained(made: Plan) -> str:
    """Return how many parameters are trained."""
    share = 100 * made.trainable_parameters / made.parameters
    return f"{count(made.trainable_parameters, 'parameter')} trained ({share:.1f} % of the base)"


def verdict(made: Plan) -> Piece:
    """Return whether it fits."""
    return f"needs about {gigabytes(made.needed)}; {gigabytes(made.free)} free", "good" if made.fits else "bad"


def notes(made: Plan) -> list[Piece]:
    """Return what a user should know before starting, a note a line."""
    return [(f"note: {clean(note)}\n", "warning") for note in (*made.unread, *made.warnings)]


def _share(made: Plan) -> str:
    return f"{100 * made.num_trained_tokens / made.num_tokens:.0f} %"

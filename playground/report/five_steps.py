"""The five steps on one row in words and numbers: what is expected, what it costs, and what steps change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from rich.cells import set_cell_size

from playground.events.five_steps import Backward, Forward, RowOpened, Updated
from playground.report.pieces import Piece, Role
from playground.report.tokens import END, bar, candidates, chance, token
from playground.report.words import percent
from playground.text import clean, count, one_line

T = TypeVar("T")
WORD, BAR, LOSS, SHARE, CHANCE = 12, 10, 6, 6, 9  # columns
WIDE = 100  # columns, from which several steps have a column of their own
MOST_STEPS = 4  # columns of steps, or lines about gradients


def opened(row: RowOpened) -> list[Piece]:
    """Return which row is taught, with what, and which of its tokens carry loss."""
    start = f"starts from a copy of {clean(row.adapter)}" if row.adapter else "starts from nothing"
    pieces: list[Piece] = [
        ("five steps on one row\n", "strong"),
        (f"{clean(row.model)}, style {row.style}\n", ""),
        (f"scratch adapter: rank {row.lora_r}, {start}; AdamW, learning rate {row.learning_rate:g}\n\n", ""),
    ]
    for text, trained in zip(row.row.texts, learned(row), strict=True):
        pieces.append((clean(text), "strong" if trained else "faint"))
    pieces.append((f"\n{loss_words(row)}\n", "faint"))
    if row.row.cut:
        pieces.append((f"too long: {row.row.cut}\n", "warning"))
    return pieces


def learned(row: RowOpened) -> tuple[bool, ...]:
    """Return which tokens of the row carry loss: with the mask those of answers, without it all but the first."""
    return row.row.trained if row.masked else (False, *(True for _ in row.row.trained[1:]))


def loss_words(row: RowOpened) -> str:
    """Return how many tokens carry loss, and why."""
    mask = "as in training" if row.masked else "no mask, as in pre-training: the first token is never predicted"
    return f"{sum(learned(row))} of {count(len(row.row.texts), 'token')} carry loss ({mask})"


def table(history: Sequence[Forward], width: int) -> list[Piece]:
    """Return steps 1 to 3, a line for each trained token, with its probability after each step.

    Args:
        history: What was expected before the first step that is shown, after it, and so on.
        width: Columns of the terminal.
    """
    first, later = history[0], _some(history[1:], MOST_STEPS if width >= WIDE else 1)
    room = width - WORD - BAR - LOSS - SHARE - CHANCE * (1 + len(later)) - 4
    after = "".join(f"{f'after {forward.step}':>{CHANCE}}" for forward in later)
    head = f"{set_cell_size('1 forward: base says', room)}  {'2 compare':<{WORD}}"
    now = f"after {first.step}" if first.step else "p"
    head += f"  {'3 loss −ln p':<{BAR + LOSS}}{'share':>{SHARE}}{now:>{CHANCE}}{after}\n"
    pieces: list[Piece] = [(head, "faint")]
    losses = [position.sft.loss for position in first.positions]
    for at, (position, loss, share) in enumerate(zip(first.positions, losses, first.shares, strict=True)):
        role: Role = "strong" if at == first.largest else ""
        word = set_cell_size(token(position.text, position.is_end, WORD), WORD)
        chances = [forward.positions[at].sft.p for forward in (first, *later)]
        pieces += [
            (f"{set_cell_size(candidates(position.base.top, room), room)}  ", "faint"),
            (f"{word}  ", role),
            (f"{bar(loss / (max(losses) or 1), BAR):<{BAR}}", "bar"),
            (f"{loss:>{LOSS}.2f}{percent(share):>{SHARE}}", role),
            ("".join(f"{chance(p):>{CHANCE}}" for p in chances) + "\n", ""),
        ]
    mean = f"mean loss of {count(len(losses), 'token')}, in nats"
    means = "".join(f"{forward.loss:>{CHANCE}.2f}" for forward in later)
    pieces.append((f"{mean:>{room + WORD + BAR + 4}}{first.loss:>{LOSS}.2f}{'':>{SHARE + CHANCE}}{means}\n", ""))
    return pieces


def losses(row: RowOpened, forward: Forward) -> list[Piece]:
    """Return the loss of each trained token of a row under base and adapter, on one scale, and the means.

    Args:
        row: The row, and the adapter; without one only the base is shown.
        forward: What both expected, before a step was taken.
    """
    sides = [(position.base, position.sft)[: 2 if row.adapter else 1] for position in forward.positions]
    lists = [[side.loss for side in both] for both in sides]
    most = max(map(max, lists)) or 1
    width = BAR + LOSS + 2
    names = "".join(f"{name:<{width}}" for name in ("−ln p, base", "adapter")[: len(sides[0])])
    pieces: list[Piece] = [(f"{'':{WORD}}  {names}{'p':>7}\n", "faint")]
    for position, both, each in zip(forward.positions, sides, lists, strict=True):
        pieces.append((f"{set_cell_size(token(position.text, position.is_end, WORD), WORD)}  ", ""))
        for loss in each:
            pieces += [(f"{bar(loss / most, BAR):<{BAR}}", "bar"), (f"{loss:>{LOSS}.2f}  ", "")]
        first, *after = (chance(side.p) for side in both)
        pieces.append((" → ".join((f"{first:>{CHANCE}}", *after)) + "\n", "faint"))
    means = (sum(column) / len(lists) for column in zip(*lists, strict=True))
    mean = "".join(f"{value:>{BAR + LOSS}.2f}  " for value in means)
    return [*pieces, (f"{'mean':<{WORD}}  {mean.rstrip()}\n", "strong")]


def findings(row: RowOpened, history: Sequence[Forward]) -> list[Piece]:
    """Return the largest loss, the share of the prompt without a mask, and what became less likely."""
    first = history[0]
    largest = first.positions[first.largest]
    word = token(largest.text, largest.is_end)
    said = f"the largest loss: {word}, {percent(first.shares[first.largest])} of the row's;"
    said += f" p {chance(largest.sft.p)}, choice {largest.sft.rank:,}\n"
    pieces: list[Piece] = [(said, "strong")]
    if not row.masked:
        prompt = sum(share for at, share in zip(first.places, first.shares, strict=True) if not row.row.trained[at])
        pieces.append((f"{percent(prompt)} of the loss would teach it to write the prompt\n", ""))
    return [*pieces, *less_likely(history)]


def less_likely(history: Sequence[Forward]) -> list[Piece]:
    """Return which tokens of the row the first step that did so made less likely; nothing if none did."""
    first = history[0]
    for forward in history[1:]:
        pairs = list(zip(first.positions, forward.positions, strict=True))
        if worse := [(old, new) for old, new in pairs if new.sft.log_p < old.sft.log_p]:
            said = ", ".join(
                f"{token(old.text, old.is_end)} {chance(old.sft.p)} → {chance(new.sft.p)}" for old, new in worse[:3]
            )
            return [(f"step {forward.step} made {len(worse):,} of {len(pairs):,} less likely: {said}\n", "warning")]
    return []


def gradients(steps: Sequence[Backward]) -> list[Piece]:
    """Return step 4: the gradient of each kind of matrix, and how it was clipped."""
    pieces: list[Piece] = [("4 backward: the norm of the gradient\n", "faint")]
    for step in _some(steps, MOST_STEPS):
        clipped = (
            f"clipped to {step.max_grad_norm:g}" if step.clipped else f"not clipped, at most {step.max_grad_norm:g}"
        )
        pieces.append((f"step {step.step}: {step.grad_norm:.2f}, {clipped}\n", ""))
        for name, norms in (("A", step.a), ("B", step.b)):
            zero = not any(norms.values())
            told = "exactly 0" + (", because B starts at 0" if name == "A" and step.step == 1 else "") if zero else ""
            ordered = sorted(norms.items(), key=lambda item: -item[1])
            told = told or "  ".join(f"{one_line(kind, 20)} {norm:.2g}" for kind, norm in ordered)
            pieces.append((f"  {step.num_matrices} {name} matrices: {told}\n", ""))
    return pieces


def updates(steps: Sequence[Updated], history: Sequence[Forward]) -> list[Piece]:
    """Return step 5: the steps taken, and what they changed elsewhere."""
    pieces: list[Piece] = [("5 update: what it changed elsewhere\n", "faint")]
    failed = [step for step in steps if not step.finite]
    pieces += [(f"step {step.step} was not taken: its loss or gradient was not finite\n", "bad") for step in failed]
    for at, probe in enumerate(history[0].elsewhere):
        name = f"“{one_line(probe.prompt, 60)}”"
        probes = [forward.elsewhere[at] for forward in history]
        if probe.answer:
            chain = " → ".join(chance(seen.p_end) for seen in probes)
            pieces.append((f"{name} “{one_line(probe.answer, 60)}”, then {END}: {chain}\n", ""))
            continue
        pieces.append((f"{name}, then\n", ""))
        for forward, seen in _some(list(zip(history, probes, strict=True)), MOST_STEPS + 1):
            after = f"after {forward.step}:" if forward.step else "before:"
            pieces.append((f"  {after:<10} {candidates(seen.top, 60)}\n", ""))
    return pieces


def _some(items: Sequence[T], most: int) -> Sequence[T]:
    """Return at most `most` of `items`: the first ones, and the last."""
    return items if len(items) <= most else [*items[: most - 1], items[-1]]

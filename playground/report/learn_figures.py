"""The lesson's figures: the numbers and texts of the loaded model that a page shows."""

from __future__ import annotations

from collections.abc import Iterator

from rich.cells import set_cell_size

from playground.events.answers import Answer
from playground.report.five_steps import less_likely
from playground.report.learn_rules import (
    FACT,
    MISTAKE,
    NO_ADAPTER,
    Seen,
    begins,
    loss_of,
    losses_of_parts,
    mean,
    place_of,
    sides_of,
)
from playground.report.lens import summary_line
from playground.report.pieces import Piece, Role
from playground.report.tokens import END, bar, candidates, chance, token
from playground.report.words import how_it_ended, percent
from playground.text import clean, count, one_line

WORD, BAR = 14, 24  # columns
TEXT = 150  # characters of an answer
CHOICES, ROWS = 5, 8  # candidates of the base; tokens of a table
NEW = "●"  # a token that is none of the base's first three choices; the lens's ▲ means another thing


def both_answers(seen: Seen) -> list[Piece]:
    """Return what base and sft said, and how that ended."""
    sides = zip(("base", "sft"), sides_of(seen), strict=True)
    return [piece for name, answer in sides if answer is not None for piece in _said(name, answer, TEXT)]


def first_choices(seen: Seen) -> list[Piece]:
    """Return what the base expects where the fact comes."""
    forward = seen.forwards[0]
    at = place_of(forward, FACT)
    if at is None:
        return []
    position = forward.positions[at]
    pieces: list[Piece] = []
    for candidate in position.base.top[:CHOICES]:
        pieces += _bar(token(candidate.text, candidate.is_end, WORD - 1), candidate.p, candidate.id == position.id)
    if position.base.rank > CHOICES:
        pieces += _bar(token(position.text, position.is_end, WORD - 1), position.base.p, True)
        pieces.append((f"which is choice {position.base.rank:,} of the base\n", ""))
    return pieces


def losses(seen: Seen) -> list[Piece]:
    """Return the loss of each token, or of the largest ones, in order."""
    forward = seen.forwards[0]
    order = sorted(range(len(forward.positions)), key=lambda at: forward.positions[at].sft.log_p)
    most = forward.positions[order[0]].sft.loss or 1.0
    pieces: list[Piece] = [(f"{_word('')}{'loss, −ln p':>{BAR + 6}} {'share':>5} {'p':>9}\n", "faint")]
    for at in sorted(order[:ROWS]):
        position, role = forward.positions[at], _strong(at == forward.largest)
        loss = position.sft.loss
        pieces += [
            (_word(token(position.text, position.is_end, WORD - 1)), role),
            (f"{bar(loss / most, BAR):<{BAR}}", "bar"),
            (f"{loss:>6.2f} {percent(forward.shares[at]):>5} {chance(position.sft.p):>9}\n", role),
        ]
    return pieces


def both_parts(seen: Seen) -> list[Piece]:
    """Return the loss of prompt and answer without a mask, and the tokens of the prompt that cost most."""
    parts = losses_of_parts(seen)
    total, most = sum(map(sum, parts)) or 1.0, max(map(mean, parts)) or 1.0
    pieces: list[Piece] = []
    for name, part in zip(("prompt", "answer"), parts, strict=True):
        pieces += [
            (_word(name), "strong"),
            (f"{bar(mean(part) / most, BAR):<{BAR}}", "bar"),
            (f"{mean(part):>6.2f} each · {count(len(part), 'token')} · ", ""),
            (f"{percent(sum(part) / total)} of all\n", "strong"),
        ]
    forward, trained = seen.forwards[-1], seen.rows[-1].row.trained
    asked = [position for at, position in zip(forward.places, forward.positions, strict=True) if not trained[at]]
    worst = sorted(asked, key=lambda position: position.sft.log_p)[:4]
    said = ", ".join(f"{token(p.text, p.is_end, WORD)} {p.sft.loss:.1f}" for p in worst)
    return [*pieces, (f"the largest of the prompt: {said}\n", "faint")]


def before_and_after(seen: Seen) -> list[Piece]:
    """Return how probable the end of another answer was before and after a step, and what else the step did."""
    first, last = seen.forwards[0], seen.forwards[-1]
    probe = first.elsewhere[0]
    pieces: list[Piece] = [
        (f"“{one_line(probe.prompt, 40)}” “{one_line(probe.answer, 40)}” then {END}\n", "strong"),
        *_bar("before", probe.p_end, False),
        *_bar("after", last.elsewhere[0].p_end, True),
    ]
    ends = [(old.sft.p, new.sft.p) for old, new in zip(first.positions, last.positions, strict=True) if old.is_end]
    pieces += [(f"the row itself: {END} {chance(old)} → {chance(new)}\n", "") for old, new in ends[-1:]]
    return [*pieces, *less_likely([first, last])]


def new_tokens(seen: Seen) -> list[Piece]:
    """Return sft's answer with marks on what the base would hardly have said, and the largest change."""
    if not seen.rows[-1].adapter:
        return []
    found = seen.lenses[0]
    pieces: list[Piece] = []
    for position in found.positions:
        shifted = position.category == "shifted"
        word = f" {END}" if position.is_end else clean(position.text).replace("\n", "↵")
        pieces.append((f"{word if pieces else word.lstrip()}{NEW * shifted}", _strong(shifted)))
    most = max(found.positions, key=lambda position: position.kl)
    change = f"{token(most.text, most.is_end)}: base {chance(most.base.p)}, its choice {most.base.rank:,}"
    return [*pieces, ("\n", ""), *summary_line(found), (f"\n{change}; sft {chance(most.sft.p)}\n", "")]


def fact_and_mistake(seen: Seen) -> list[Piece]:
    """Return how probable the fact and the mistake were before and after each step."""
    places = [(forward, place_of(forward, MISTAKE)) for forward in seen.forwards]
    taught = [(forward.step, forward.positions[at].sft) for forward, at in places if at is not None]
    if not taught:
        return []
    facts = []
    for _, side in taught:
        found = next((chance(candidate.p) for candidate in side.top if begins(candidate, FACT)), "")
        facts.append(found or f"≤ {chance(side.top[-1].p)}")
    head = (f"after {step}" if step else "before" for step, _ in taught)
    lines: tuple[tuple[str, list[str], Role], ...] = (
        ("", list(head), "faint"),
        (FACT, facts, ""),
        (MISTAKE, [chance(side.p) for _, side in taught], "strong"),
    )
    pieces: list[Piece] = [(f"{_word(name)}{''.join(f'{p:>11}' for p in row)}\n", role) for name, row, role in lines]
    now = f"now: {candidates(taught[-1][1].top, 60)} (learning rate {seen.rows[-1].learning_rate:g})\n"
    return [*pieces, (now, "faint")]


def two_answers(seen: Seen) -> list[Piece]:
    """Return the two answers, before it is known which the loss prefers, or why there are none."""
    if not seen.rows[-1].adapter or seen.answered is None:
        return [(NO_ADAPTER, "warning")]
    named = zip(("first", "second"), seen.answered.sft, strict=True)
    return [piece for name, answer in named for piece in _said(name, answer, 2 * TEXT)]


def two_losses(seen: Seen) -> list[Piece]:
    """Return the mean loss of each of two answers."""
    if not seen.rows[-1].adapter:
        return []
    said = ", ".join(f"{name} {loss_of(lens):.2f}" for name, lens in zip(("first", "second"), seen.lenses, strict=True))
    return [(f"the model's own loss, in nats for each token: {said}\n", "strong")]


def _said(name: str, answer: Answer, width: int) -> Iterator[Piece]:
    yield name, "strong"
    yield f"  {how_it_ended(answer, False)}\n", "faint"
    yield f"{one_line(answer.text.strip(), width)}\n", ""


def _bar(name: str, p: float, marked: bool) -> list[Piece]:
    """Return a line with a probability as a bar."""
    return [(_word(name), _strong(marked)), (f"{bar(p, BAR):<{BAR}}", "bar"), (f"{chance(p):>9}\n", _strong(marked))]


def _strong(marked: bool) -> Role:
    return "strong" if marked else ""


def _word(text: str) -> str:
    return set_cell_size(text, WORD)

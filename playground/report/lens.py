"""The lens in words and numbers: an answer token by token, the base's text with its ✂, and the words that moved."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import set_cell_size

from playground.events.lens import Counts, Lens, Moved, Walk, WordsMoved
from playground.report.pieces import Piece, Role
from playground.report.tokens import END, bar, candidates, chance, curve, token
from playground.report.words import percent
from playground.text import clean, count, one_line

LAST = 14  # characters that are quoted of a text before its ✂
WORD, CHANCE, CHOICE, NATS, BAR = 14, 9, 8, 7, 8  # columns
READINGS = {
    "training": "training effect: base and sft are both fed the template",
    "whole": "whole effect: base is fed your text as typed, sft the template",
}
LIN = (
    "Unshifted: the base's first choice; marginal: its second or third; shifted: beyond. After Lin et al. 2023 (arXiv"
    " 2312.01552), whose shifted 7.8, 4.8 and 5.2 % are of answers of several hundred tokens, with another template for"
    " the base: compare only the line without the end token, and position by position rather than in total. Where a"
    " base is undecided, a rank says little: the change and the KL say more.\n"
)


def lens(found: Lens, width: int) -> list[Piece]:
    """Return sft's answer token by token, and what of it the base would not have said.

    Args:
        found: The lens.
        width: Columns of the terminal.
    """
    pieces: list[Piece] = [
        (f"{clean(found.prompt)}\n", "strong"),
        (f"{clean(found.model)}, adapter {clean(found.adapter)}, style {found.style}", ""),
        (f"; base proven {found.fingerprint}\n" if found.fingerprint else "\n", ""),
        (f"{READINGS[found.reading]}\n\n", ""),
    ]
    room = max(0, (width - WORD - 2 * CHANCE - CHOICE - NATS - BAR - 2 * NATS - 6) // 2)
    numbers = f"{'base p':>{CHANCE}}{'choice':>{CHOICE}}{'sft p':>{CHANCE}}{'change':>{NATS}}  {'KL':<{BAR + NATS}}"
    beyond = f"  {set_cell_size('base would say', room)}  {'sft would say'}" if room > 12 else ""
    pieces.append((f"{'sft says':<{WORD}}{numbers}{beyond}\n", "faint"))
    most = max(position.kl for position in found.positions)
    for position in found.positions:
        role: Role = "strong" if position.kl == most > 0 else ""
        base, sft = position.base, position.sft
        pieces += [
            (set_cell_size(token(position.text, position.is_end, WORD - 1), WORD), role),
            (f"{chance(base.p):>{CHANCE}}{base.rank:>{CHOICE},}{chance(sft.p):>{CHANCE}}", role),
            (f"{position.log_ratio:>+{NATS}.2f}  ", role),
            (f"{bar(position.kl / (most or 1), BAR):<{BAR}}", "bar"),
            (f"{position.kl:>{NATS}.2f}", role),
        ]
        if beyond:
            said = (set_cell_size(candidates(base.top, room), room), candidates(sft.top, room))
            pieces.append(("  " + "  ".join(said).rstrip(), "faint"))
        pieces.append(("\n", ""))
    return [*pieces, ("\n", ""), *summary(found)]


def summary(found: Lens) -> list[Piece]:
    """Return how many tokens are of each category, with and without the end token, and where the change is."""
    pieces: list[Piece] = [(_counts("all", found.counts), "")]
    if found.counts_without_end != found.counts:
        pieces.append((_counts("without the end token", found.counts_without_end), ""))
    total = sum(position.kl for position in found.positions)
    if total > 0:
        most = max(found.positions, key=lambda position: position.kl)
        share = f"{token(most.text, most.is_end)} has {percent(most.kl / total)} of it"
        pieces.append((f"KL of the whole answer: {total:.1f} nats; {share}\n", "strong"))
    else:
        pieces.append(("base and sft expect exactly the same: the adapter changes nothing here\n", "strong"))
    return [*pieces, (LIN, "faint")]


def _counts(name: str, counts: Counts) -> str:
    parts = (("unshifted", counts.unshifted), ("marginal", counts.marginal), ("shifted", counts.shifted))
    shares = ", ".join(f"{what} {number:,} ({percent(number / max(counts.total, 1))})" for what, number in parts)
    return f"{count(counts.total, 'token')}, {name}: {shares}\n"


def walk(found: Walk) -> list[Piece]:
    """Return the base's own text, with ✂ where sft would have ended it."""
    at, length = found.ends_after, count(len(found.texts), "token")
    pieces: list[Piece] = [("where sft would have stopped in the base's own text\n", "strong")]
    if at is None:
        pieces.append((clean("".join(found.texts)).strip("\n") + "\n", ""))
        most = f"its p of {END} is at most {chance(max(found.sft_p_end))}"
        pieces.append((f"nowhere in these {length}: {most}\n", ""))
    else:
        pieces += [
            (clean("".join(found.texts[:at])).lstrip("\n"), ""),
            ("✂", "bad"),
            (clean("".join(found.texts[at:])).rstrip("\n") + "\n", "faint"),
            (f"✂ after {at:,} of {length}, p of {END} {chance(found.sft_p_end[at])}", "strong"),
        ]
        times = sum(found.sft_would_end)
        pieces.append((f"; ending is its first choice {count(times, 'time')}\n" if times > 1 else "\n", ""))
    pieces.append((f"the base itself: never above {chance(max(found.base_p_end))}\n", ""))
    return pieces


def summary_line(found: Lens) -> list[Piece]:
    """Return in a sentence which of the answer's tokens the base would have said itself, and where the change is."""
    counts = found.counts
    total = sum(position.kl for position in found.positions)
    if total <= 0:
        return [("base and sft expect exactly the same: the adapter changes nothing here", "strong")]
    most = max(found.positions, key=lambda position: position.kl)
    return [
        (f"{count(counts.total, 'token')}: ", ""),
        (f"{counts.unshifted:,} the base's own first choice", "strong"),
        (f" · {counts.marginal:,} its second or third · {counts.shifted:,} it would hardly say. ", ""),
        (f"{token(most.text, most.is_end)} holds {percent(most.kl / total)} of the change.", "strong"),
    ]


def ends_of_base(found: Walk, width: int) -> tuple[str, str]:
    """Return in two lines how probable an end was in the base's own text, and where sft would have ended it.

    Args:
        found: The walk.
        width: Columns of the chart.
    """
    at = found.ends_after
    if at is None:
        cut = f"sft would not have ended here either: {END} never above {chance(max(found.sft_p_end))}"
    elif at == 0:
        cut = "✂ sft would have ended before the first word"
    else:
        said = one_line("".join(found.texts[:at]).strip(), 400)
        cut = f"✂ sft would have ended here, after “{'…' * (len(said) > LAST)}{said[-LAST:]}”"
    most = chance(max(found.base_p_end))
    return f"p(end) {curve(found.base_p_end, width)}  never above {most}", cut


def ends_of_sft(found: Lens, width: int) -> str:
    """Return in a line how probable an end was at each token of sft's answer."""
    p_end = [position.sft.p_end for position in found.positions]
    ended = found.positions[-1].is_end
    words = f"{chance(p_end[-1])} at the end" if ended else f"never above {chance(max(p_end))}"
    return f"p(end) {curve(p_end, width)}  {words}"


def words(found: WordsMoved) -> list[Piece]:
    """Return the words that an adapter raises and lowers most."""
    pieces: list[Piece] = [
        (f"how {clean(found.adapter)} changes the first word of an answer\n", "strong"),
        (f"{clean(found.model)}; mean over {count(found.num_prompts, 'prompt')}, all fed the template\n\n", ""),
    ]
    if not found.raised and not found.lowered:
        return [*pieces, ("no word moves: base and sft begin alike\n", "")]
    for title, moved in (("raised most", found.raised), ("lowered most", found.lowered)):
        pieces.append((f"{title:<{WORD}}{'base':>{CHANCE}}{'sft':>{CHANCE}}{'change':>{CHANCE}}\n", "faint"))
        pieces += _moved(moved)
    return pieces


def _moved(moved: Sequence[Moved]) -> list[Piece]:
    most = max((abs(word.change) for word in moved), default=1.0)
    pieces: list[Piece] = []
    for word in moved:
        name = set_cell_size(token(word.text, word.is_end, WORD - 1), WORD)
        change = f"{'+' if word.change > 0 else '−'}{chance(abs(word.change))}"
        pieces.append((f"{name}{chance(word.base_p):>{CHANCE}}{chance(word.sft_p):>{CHANCE}}{change:>{CHANCE}} ", ""))
        pieces.append((f"{bar(abs(word.change) / most, BAR)}\n", "bar"))
    return pieces

"""Tokens and probabilities as a person reads them, the same everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from rich.cells import cell_len

from playground.events.contrast import Candidate
from playground.text import one_line

END = "■ end"


def chance(p: float) -> str:
    """Return a probability as ``"34.6 %"``; what is small or nearly certain never reads as 0 or 100."""
    hundredths = 100 * p
    if 0 < hundredths < 0.01:
        return "<0.01 %"
    if hundredths >= 99.95 and p < 1:
        return ">99.9 %"
    return f"{hundredths:.2f} %" if 0 < hundredths < 0.995 else f"{hundredths:.1f} %"


def token(text: str, is_end: bool, width: int = 20) -> str:
    """Return a token as a word of at most `width` characters, without the blank before it; blanks alone are shown."""
    if is_end:
        return END
    return one_line(text.removeprefix(" ") if text.strip(" ") else text.replace(" ", "␣") or "…", width)


def bar(share: float, width: int) -> str:
    """Return a bar of ``share * width`` cells, to an eighth of a cell."""
    eighths = round(8 * width * min(max(share, 0.0), 1.0))
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def curve(shares: Sequence[float], width: int) -> str:
    """Return shares from 0 to 1 as at most `width` columns of a bar chart; each shows the highest of its share."""
    columns = min(width, len(shares))
    edges = [at * len(shares) // columns for at in range(columns + 1)] if columns else []
    highest = [max(shares[begin:end]) for begin, end in pairwise(edges)]
    return "".join("▁▂▃▄▅▆▇█"[min(7, int(8 * share))] for share in highest)


def candidates(top: Sequence[Candidate], room: int) -> str:
    """Return the three most probable tokens with their probabilities: as many as fit in `room` columns."""
    said = ""
    for candidate in top[:3]:
        longer = f"{said} · {token(candidate.text, candidate.is_end, 16)} {chance(candidate.p)}".removeprefix(" · ")
        if said and cell_len(longer) > room:
            break
        said = longer
    return said

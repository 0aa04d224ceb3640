"""What the page of a comparison shows of the lens: the ✂ in the base's text, p(end), and an answer token by token."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from playground.events.answers import Compared
from playground.events.contrast import Position
from playground.events.lens import Lens, Walk
from playground.report.lens import READINGS, ends_of_base, ends_of_sft, summary_line
from playground.report.tokens import candidates, chance, token
from playground.text import clean, count

CURVE = 24  # columns of p(end)
SAID = 60  # columns of what a side would have said
STYLE = """
.cut{color:var(--bad);font-weight:700}.after{color:var(--dim)}
.curve{color:var(--dim);font:.78rem/1.4 ui-monospace,SFMono-Regular,Menlo,monospace;margin:.3rem 0 0;
overflow-wrap:anywhere}
.why{margin:.7rem 0 0}.why table{margin:.6rem 0;font-size:.85rem}.why b{color:var(--ink)}
.why td:nth-last-child(-n+2),.why th:nth-last-child(-n+2){text-align:left;color:var(--dim)}
.why .most td{font-weight:650}
"""


def fact(rows: Sequence[Compared]) -> str:
    """Return in a sentence where sft would have ended the base's texts; empty if none was looked at."""
    walks = [row.walk for row in rows if row.walk is not None]
    if not walks:
        return ""
    ended = sum(walk.ends_after is not None for walk in walks)
    most = chance(max(p for walk in walks for p in walk.base_p_end))
    said = f"✂ sft would have ended {ended:,} of {count(len(walks), 'base text')}"
    said += f"; the base's own p(end) is never above {most}"
    return said if len(walks) == len(rows) else f"{said} (the first {len(walks):,} were looked at)"


def marked(text: str, walk: Walk | None) -> str:
    """Return the base's text as HTML, with ✂ where sft would have ended it."""
    before = "".join(walk.texts[: walk.ends_after]) if walk is not None and walk.ends_after is not None else ""
    if walk is None or walk.ends_after is None or not text.startswith(before):
        return _text(text.strip("\n"))
    said, rest = _text(before.lstrip("\n")), _text(text[len(before) :].rstrip("\n"))
    return f'{said}<span class="cut">✂</span><span class="after">{rest}</span>'


def stops(side: str, row: Compared) -> str:
    """Return how probable an end was in the text of a side, as HTML; empty if it was not looked at."""
    lines: Sequence[str] = ()
    if side == "base" and row.walk is not None:
        lines = ends_of_base(row.walk, CURVE)
    elif side == "sft" and row.lens is not None:
        lines = (ends_of_sft(row.lens, CURVE),)
    return "".join(f'<p class="curve">{_text(line)}</p>' for line in lines)


def why(lens: Lens | None) -> str:
    """Return the lens on sft's answer, folded: its tokens under base and sft."""
    if lens is None:
        return ""
    most = max(position.kl for position in lens.positions)
    said = "".join(f"<b>{_text(text)}</b>" if role else _text(text) for text, role in summary_line(lens))
    titles = ("sft says", "base p", "choice", "sft p", "change", "KL", "base would say", "sft would say")
    head = "".join(f"<th>{title}</th>" for title in titles)
    body = "".join(_position(position, position.kl == most > 0) for position in lens.positions)
    return (
        f'<details class="why"><summary>why: {said}</summary><p class="facts">{READINGS[lens.reading]}</p>'
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div></details>'
    )


def _position(position: Position, most: bool) -> str:
    base, sft = position.base, position.sft
    cells = (
        token(position.text, position.is_end), chance(base.p), f"{base.rank:,}", chance(sft.p),
        f"{position.log_ratio:+.2f}", f"{position.kl:.2f}", candidates(base.top, SAID), candidates(sft.top, SAID),
    )  # fmt: skip
    row = "".join(f"<td>{_text(cell)}</td>" for cell in cells)
    return f'<tr class="most">{row}</tr>' if most else f"<tr>{row}</tr>"


def _text(text: str) -> str:
    return escape(clean(text))

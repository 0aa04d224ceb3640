"""A comparison as one page: no script, nothing from the network, readable on a phone and on paper."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from playground.events.answers import Answer, Compared, Summary
from playground.report import html_lens
from playground.report.words import FED, how_it_ended, percent
from playground.text import clean, count

FOLD = 900  # characters; longer answers are folded

_STYLE = """
:root{color-scheme:light dark;--ink:#1c2024;--dim:#60656c;--page:#fbfbfa;--card:#fff;--line:#e3e3df;
--base:#0b6e8f;--control:#6b6f76;--sft:#a0308c;--good:#1d7a3f;--bad:#b3261e}
@media (prefers-color-scheme:dark){:root{--ink:#e8e8e6;--dim:#a2a6ad;--page:#151618;--card:#1d1f22;--line:#34373c;
--base:#5cc3e6;--control:#a2a6ad;--sft:#ec86da;--good:#6fd292;--bad:#ff8a80}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:84rem;padding:1.5rem 1rem 4rem;background:var(--page);color:var(--ink);
font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.5rem;margin:0 0 .3rem}
h2{font-size:1rem;margin:2.4rem 0 .7rem;display:flex;gap:.6rem;align-items:baseline}
h2 .id{font:600 .8rem/1 ui-monospace,monospace;color:var(--dim)}h2 .ask{overflow-wrap:anywhere;white-space:pre-wrap}
.facts{color:var(--dim);font-size:.9rem;margin:.2rem 0}
.scroll{overflow-x:auto}table{border-collapse:collapse;margin:1.2rem 0;font-variant-numeric:tabular-nums}
th,td{padding:.35rem .9rem;border-bottom:1px solid var(--line);text-align:right}
td{white-space:nowrap}th:first-child,td:first-child{text-align:left}
thead th{color:var(--dim);font-weight:500;font-size:.85rem}
.sides{display:grid;align-items:start;grid-template-columns:repeat(auto-fit,minmax(min(100%,17rem),1fr));gap:.8rem}
article{background:var(--card);border:1px solid var(--line);border-top:3px solid var(--side);border-radius:.4rem;
padding:.7rem .9rem;min-width:0}
h3{margin:0 0 .5rem;font-size:.9rem;color:var(--side)}h3 small{color:var(--dim);font-weight:400;margin-left:.4rem}
pre{margin:0;font:.86rem/1.5 ui-monospace,SFMono-Regular,Menlo,monospace;white-space:pre-wrap;overflow-wrap:anywhere;
max-height:24rem;overflow-y:auto}
.end{color:var(--dim);font-size:.82rem;margin:.6rem 0 0}.end b{color:var(--good);font-weight:600}
summary{cursor:pointer;color:var(--dim);font-size:.85rem}
.base{--side:var(--base)}.control{--side:var(--control)}.sft{--side:var(--sft)}
@media (max-width:40rem){th,td{padding:.35rem .4rem}thead th{font-size:.78rem}}
@media print{article{break-inside:avoid}pre{max-height:none}}
"""


def page(rows: Sequence[Compared], summary: Summary) -> str:
    """Return the page. All text is escaped, and a content security policy forbids scripts and everything remote."""
    return "\n".join((
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>Base and fine-tuned: {_text(summary.adapter)}</title>",
        f"<style>{_STYLE}{html_lens.STYLE}</style></head><body>",
        "<h1>Base and fine-tuned, side by side</h1>",
        f'<p class="facts">{_text(summary.model)} · adapter {_text(summary.adapter)}</p>',
        f'<p class="facts">{_text(summary.fingerprint)} · {count(summary.num_prompts, "comparison")} ·'
        f" {summary.tokens_per_second:g} tokens/s over all lanes, {summary.batch_size} prompts a batch ·"
        f" {summary.settings}</p>",
        *(f'<p class="facts">{fact}</p>' for fact in [html_lens.fact(rows)] if fact),
        _table(summary),
        *(_row(row) for row in rows),
        "</body></html>\n",
    ))  # fmt: skip


def _table(summary: Summary) -> str:
    head = "".join(f"<th>{title}</th>" for title in ("", "answered", "stopped by itself", "repeats", "mean tokens"))
    body = "".join(
        f"<tr><td>{_text(side)}</td><td>{percent(values.answered)}</td><td>{percent(values.stopped_by_itself)}</td>"
        f"<td>{percent(values.repeats)}</td><td>{values.mean_tokens:.0f}</td></tr>"
        for side, values in summary.sides.items()
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _row(row: Compared) -> str:
    again = f" · sample {row.sample + 1}" if row.sample else ""
    sides = "".join(_side(row, side, answer) for side, answer in row.answers.items())
    head = f'<span class="id">{_text(row.id)}{again}</span><span class="ask">{_text(row.prompt)}</span>'
    return f'<section><h2>{head}</h2><div class="sides">{sides}</div>{html_lens.why(row.lens)}</section>'


def _side(row: Compared, side: str, answer: Answer) -> str:
    kind = side.split(":", 1)[0]
    mark = "<b>✓ answered</b> · " if row.answered[side] else ""
    text = html_lens.marked(answer.text, row.walk if side == "base" else None) or "(nothing)"
    block = f"<pre>{text}</pre>"
    if len(answer.text) > FOLD:
        block = f"<details><summary>{count(len(answer.text), 'character')}</summary>{block}</details>"
    # The state of a text that was cut off already gives its length.
    length = f" · {count(answer.num_tokens, 'token')}" if answer.finish_reason == "stop" else ""
    state = how_it_ended(answer, row.repeats[side]) + length
    return (
        f'<article class="{kind}"><h3>{_text(side)}<small>{FED[kind]}</small></h3>{block}'
        f'<p class="end">{mark}{state}</p>{html_lens.stops(side, row)}</article>'
    )


def _text(text: str) -> str:
    return escape(clean(text))

"""A session of the app as a file: Markdown to read, JSON Lines to process further."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from playground.events.answers import Sampling
from playground.events.exchanges import BOTH_BAD, TIE, Exchange
from playground.report.markdown import block, cell
from playground.report.words import how_it_ended
from playground.text import count


def sampling_words(sampling: Sampling) -> str:
    """Return how tokens are chosen, as ``greedy · 128 tokens at most``."""
    how = "greedy"
    if sampling.temperature > 0:
        how = f"temperature {sampling.temperature:g} · top-p {sampling.top_p:g} · seed {sampling.seed}"
    return f"{how} · {count(sampling.max_new_tokens, 'token')} at most"


def markdown(exchanges: Sequence[Exchange]) -> str:
    """Return a document; texts are in code blocks, where nothing is a link, a picture or HTML."""
    lines = ["# A session of sft-playground"]
    for number, exchange in enumerate(exchanges, 1):
        lines += ["", f"## {number}. {cell(exchange.prompt[:80])}", "", *_facts(exchange), ""]
        for lane, history in exchange.histories.items():
            if history:
                lines += [f"**{cell(lane)}, before**:", "", *block("\n\n".join(_turns(history))), ""]
        lines += ["**prompt**:", "", *block(exchange.prompt)]
        for lane, answer in exchange.answers.items():
            won = " ★ preferred," if exchange.vote == lane else ""
            state = how_it_ended(answer, exchange.repeats[lane])
            lines += ["", f"**{cell(lane)}**:{won} {state}, {count(answer.num_tokens, 'token')}", ""]
            lines += block(answer.text)
        if exchange.vote in (TIE, BOTH_BAD):
            lines += ["", f"Judged: {exchange.vote}."]
    return "\n".join(lines) + "\n"


def _turns(history: Sequence[str]) -> list[str]:
    return [f"{'›' if at % 2 == 0 else '‹'} {text.strip()}" for at, text in enumerate(history)]


def _facts(exchange: Exchange) -> list[str]:
    adapter = f"adapter {cell(exchange.adapter)}, style {cell(exchange.style)}, λ {exchange.strength:g}"
    return [
        f"- {exchange.asked_at}, {exchange.mode}, {sampling_words(exchange.sampling)}",
        f"- {cell(exchange.model)}, {adapter if exchange.adapter else 'no adapter'}",
        f"- base proven {cell(exchange.fingerprint)}" if exchange.fingerprint else "- base not checked",
    ]


def jsonl(exchanges: Sequence[Exchange]) -> str:
    """Return one object per exchange, with the raw text."""
    return "".join(exchange.to_json() + "\n" for exchange in exchanges)


WRITERS: dict[str, Callable[[Sequence[Exchange]], str]] = {".md": markdown, ".jsonl": jsonl}

"""Comparisons as files: JSON Lines, Markdown, CSV and LLM Comparator's JSON. The HTML page is in `html`.

JSON carries the raw text; everything a person or a spreadsheet opens carries cleaned text, and nothing
in it is markup or a formula.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence

from playground.events.answers import Compared, Summary
from playground.report.html import page
from playground.report.markdown import block, cell
from playground.report.words import how_it_ended, percent
from playground.text import clean, count

Writer = Callable[[Sequence[Compared], Summary], str]


def jsonl(rows: Sequence[Compared], summary: Summary) -> str:
    """Return one object per prompt."""
    return "".join(row.to_json() + "\n" for row in rows)


def markdown(rows: Sequence[Compared], summary: Summary) -> str:
    """Return a document; texts are in code blocks, where nothing is a link, a picture or HTML."""
    lines = ["# Base and fine-tuned, side by side", "", *_facts(summary), ""]
    lines += ["| side | answered | stopped by itself | repeats | mean tokens |", "|---|---:|---:|---:|---:|"]
    for side, shares in summary.sides.items():
        values = (percent(shares.answered), percent(shares.stopped_by_itself), percent(shares.repeats))
        lines.append(f"| {cell(side)} | {' | '.join(values)} | {shares.mean_tokens:.0f} |")
    for row in rows:
        again = f" (sample {row.sample + 1})" if row.sample else ""
        lines += ["", f"## {cell(row.id)}{again}", "", *block(row.prompt)]
        for side, answer in row.answers.items():
            mark = "✓ answered, " if row.answered[side] else ""
            state = how_it_ended(answer, row.repeats[side])
            lines += ["", f"**{cell(side)}**: {mark}{state}, {count(answer.num_tokens, 'token')}", ""]
            lines += block(answer.text)
    return "\n".join(lines) + "\n"


def table(rows: Sequence[Compared], summary: Summary) -> str:
    """Return CSV as in RFC 4180, a line for each prompt and side; no cell is a formula."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\r\n")
    columns = (
        "id",
        "sample",
        "prompt",
        "side",
        "text",
        "finish_reason",
        "stop_reason",
        "num_tokens",
        "answered",
        "repeats",
    )
    writer.writerow(columns)
    for row in rows:
        for side, answer in row.answers.items():
            texts = (row.id, row.sample, row.prompt, side, answer.text, answer.finish_reason, answer.stop_reason or "")
            cells = [_harmless(value) if isinstance(value, str) else value for value in texts]
            writer.writerow([*cells, answer.num_tokens, int(row.answered[side]), int(row.repeats[side])])
    return stream.getvalue()


def comparator(rows: Sequence[Compared], summary: Summary) -> str:
    """Return a file for PAIR's LLM Comparator: base compared with the last side, scored by whether each answered.

    The score is +1 where only base answered, -1 where only the other did, 0 otherwise.
    """
    other = list(summary.sides)[-1]
    name = clean(other)
    examples = [
        {
            "input_text": clean(row.prompt),
            "tags": [f"sample {row.sample + 1}"] if row.sample else [],
            "output_text_a": clean(row.answers["base"].text),
            "output_text_b": clean(row.answers[other].text),
            "score": int(row.answered["base"]) - int(row.answered[other]),
            "individual_rater_scores": [],
            "custom_fields": {
                "id": clean(row.id),
                "base ended": how_it_ended(row.answers["base"], row.repeats["base"]),
                f"{name} ended": how_it_ended(row.answers[other], row.repeats[other]),
            },
        }
        for row in rows
    ]
    fields = [{"name": field, "type": "string"} for field in ("id", "base ended", f"{name} ended")]
    document = {
        "metadata": {"source_path": "sft-playground", "custom_fields_schema": fields},
        "models": [{"name": f"base: {clean(summary.model)}"}, {"name": f"{name}: {clean(summary.adapter)}"}],
        "examples": examples,
    }
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


WRITERS: dict[str, Writer] = {
    ".jsonl": jsonl,
    ".md": markdown,
    ".csv": table,
    ".html": page,
    ".json": comparator,
}


def _facts(summary: Summary) -> list[str]:
    return [
        f"- model: {cell(summary.model)}",
        f"- adapter: {cell(summary.adapter)}",
        f"- {summary.fingerprint}",
        f"- {summary.settings}",
        f"- {count(summary.num_prompts, 'comparison')}, {summary.batch_size} prompts a batch,"
        f" {summary.tokens_per_second:g} tokens/s over all lanes",
    ]


def _harmless(text: str) -> str:
    cleaned = clean(text)
    return f"'{cleaned}" if cleaned[:1] in tuple("=+-@\t") else cleaned

"""A comparison as a table for the terminal. All text is cleaned, none of it is markup."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from playground.events.answers import Answer, Compared, Summary
from playground.report.words import FED, how_it_ended, percent
from playground.text import clean, count

SIDE_BY_SIDE = 100  # columns; below this the answers are one above the other
MAX_LINES = 10
STYLES = {"base": "cyan", "control": "bright_black", "sft": "magenta"}


def comparison(row: Compared, width: int) -> RenderableType:
    """Return one prompt with its answers: in columns if there is room, otherwise one above the other."""
    sides = list(row.answers)
    again = f" sample {row.sample + 1} " if row.sample else " "
    head = Text.assemble((f" {clean(row.id)}{again}", "bold reverse"), " ", (clean(row.prompt), "bold"))
    if width < SIDE_BY_SIDE:
        parts: list[RenderableType] = [head]
        for side in sides:
            parts += [_title(side), Padding(_answer(row.answers[side], width - 2), (0, 0, 0, 2))]
            parts.append(Padding(_state(row, side), (0, 0, 0, 2)))
        return Group(*parts, Text())
    table = Table(box=box.SIMPLE_HEAD, expand=True, padding=(0, 1), show_edge=False)
    for side in sides:
        table.add_column(_title(side), ratio=1, overflow="fold")
    cell = (width - 2 * len(sides)) // len(sides) - 2
    table.add_row(*(_answer(row.answers[side], cell) for side in sides))
    table.add_row(*(_state(row, side) for side in sides))
    return Group(head, table, Text())


def _title(side: str) -> Text:
    kind = side.split(":", 1)[0]
    return Text.assemble((clean(side), f"bold {STYLES[kind]}"), ("  " + FED[kind], "dim"))


def _answer(answer: Answer, width: int) -> Text:
    """Return the text of an answer, cut to a few lines, with the number of lines left out."""
    text = Text(clean(answer.text).strip("\n") or "(nothing)")
    lines = text.wrap(Console(width=max(width, 8)), max(width, 8))
    if len(lines) <= MAX_LINES:
        return text
    kept = Text("\n").join(lines[: MAX_LINES - 1])
    return kept.append(f"\n… {len(lines) - MAX_LINES + 1} more lines", style="dim italic")


def _state(row: Compared, side: str) -> Text:
    answer = row.answers[side]
    mark = "✓ answered · " if row.answered[side] else ""
    # The state of a text that was cut off already gives its length.
    length = f" · {count(answer.num_tokens, 'token')}" if answer.finish_reason == "stop" else ""
    return Text(f"{mark}{how_it_ended(answer, row.repeats[side])}{length}", style="italic dim")


def summary(result: Summary) -> RenderableType:
    """Return the shares of each side as a small table, with what they were measured on."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False)
    table.add_column(count(result.num_prompts, "prompt"))
    for title in ("answered", "stopped by itself", "repeats", "mean tokens"):
        table.add_column(title, justify="right")
    for side, values in result.sides.items():
        table.add_row(
            Text(clean(side), style=STYLES[side.split(":", 1)[0]]),
            percent(values.answered),
            percent(values.stopped_by_itself),
            percent(values.repeats),
            f"{values.mean_tokens:.0f}",
        )
    facts: Sequence[str] = (
        f"{clean(result.model)} · adapter {clean(result.adapter)} · {result.fingerprint}",
        f"{result.tokens_per_second:g} tokens/s over all lanes · {result.batch_size} prompts a batch"
        f" · {result.seconds:g} s · {result.settings}",
    )
    return Group(table, *(Text(line, style="dim") for line in facts))

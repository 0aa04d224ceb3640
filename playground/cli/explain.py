"""``sft-playground explain``: the five steps of training on one row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from playground import paths, settings
from playground.cli.options import adapters_dir_option, typed
from playground.config import PORTUGAL, TrainConfig
from playground.errors import InputError, UsageError
from playground.events.contrast import AnalysisEvent
from playground.events.five_steps import Backward, Forward, RowOpened, Updated
from playground.events.values import Progress
from playground.text import count

if TYPE_CHECKING:
    from playground.analysis.five_steps import FiveSteps
    from playground.data.examples import Example


@click.command(short_help="The five steps of training on one row, in numbers.")
@click.option("--data", metavar="FILE", help="Take the row from this data set.")
@click.option("--row", "number", type=click.IntRange(1), help="Which row, counted from 1. [default: the first]")
@click.option("--prompt", metavar="TEXT", help="Or type a row: its prompt …")
@click.option("--answer", metavar="TEXT", help="… and the answer that is taught.")
@click.option("--steps", type=click.IntRange(0, 100), default=3, show_default=True, help="Optimiser steps to take.")
@click.option("--learning-rate", type=click.FloatRange(0, 1, min_open=True), help="[default: as in training]")
@click.option("--no-mask", is_flag=True, help="Let every token carry loss, as in pre-training.")
@click.option("--adapter", metavar="NAME", help="Start from a copy of this adapter. [default: from nothing]")
@adapters_dir_option
@click.option("--model", metavar="MODEL", help="The base model. [default: as in training]")
@click.option("--json", "as_json", is_flag=True, help="Write events as JSON lines to standard output.")
@click.pass_context
def explain(
    ctx: click.Context,
    /,
    *,
    data: str | None,
    number: int | None,
    prompt: str | None,
    answer: str | None,
    steps: int,
    learning_rate: float | None,
    no_mask: bool,
    adapter: str | None,
    adapters_dir: str | None,
    model: str | None,
    as_json: bool,
) -> int:
    """Show the five steps of training on one row: forward, compare, loss, backward, update.

    Every number is computed from the model: which tokens it expects, the loss of each token of the answer, the
    gradient, and what a real optimiser step changes, here and after other prompts. The steps change a scratch adapter
    that is never saved. Without a row, it is one about the capital of Portugal.
    """
    if (prompt is None) != (answer is None):
        raise UsageError("--prompt and --answer belong together.", "Give both, or --data with --row.")
    if prompt is not None and (data is not None or number is not None):
        raise UsageError(
            "A row is either typed or taken from a file.", "Give --prompt and --answer, or --data and --row."
        )
    given = {key: value for key, value in typed(ctx).items() if key in ("data", "learning_rate", "model")}
    config = TrainConfig(**settings.options(given, None))
    from playground.data.examples import training_data, typed_row
    from playground.data.jsonl import Problem

    example: Example | Problem
    if data is not None or number is not None:
        example = training_data(replace(config, skip_bad=True)).row(number or 1)
    else:
        example = typed_row(*((prompt, answer) if prompt is not None and answer is not None else PORTUGAL))
    if isinstance(example, Problem):
        words = example.message.replace("'prompt'", "--prompt").replace("'response'", "--answer")
        raise InputError(f"{words}.", "Type a prompt and an answer with text in them.")
    from playground.cli.narrate import Narrator

    events: list[AnalysisEvent] = []
    with Narrator() as narrator:
        narrator.progress("starting PyTorch", 0.0)
        from playground.analysis.five_steps import FiveSteps
        from playground.models.adapters import find_adapter

        folder = find_adapter(adapter, paths.adapters_dir(adapters_dir)) if adapter is not None else None
        session = FiveSteps.load(config, example, narrator.progress, adapter=folder, model=model)
        for event in _taught(session, example, steps, narrator.progress, masked=not no_mask):
            events.append(event)
            if as_json:
                click.echo(event.to_json())
    if not as_json:
        _show(events)
    return 0


def _taught(
    session: FiveSteps, example: Example, steps: int, progress: Progress, *, masked: bool
) -> Iterator[AnalysisEvent]:
    yield session.set_row(example, masked=masked)
    progress("the forward pass", 0.0)
    yield session.forward()
    for step in range(steps):
        progress(f"taking {count(steps, 'step')}", step / steps)
        yield from session.step()


def _show(events: Sequence[AnalysisEvent]) -> None:
    from playground.cli.streams import output
    from playground.report import five_steps as report
    from playground.report.pieces import Piece, coloured

    (opened,) = (event for event in events if isinstance(event, RowOpened))
    forwards = [event for event in events if isinstance(event, Forward)]
    backwards = [event for event in events if isinstance(event, Backward)]
    updates = [event for event in events if isinstance(event, Updated)]
    console = output(120)
    blank: list[Piece] = [("\n", "")]
    pieces = [*report.opened(opened), *blank, *report.table(forwards, console.width)]
    pieces += [*blank, *report.findings(opened, forwards)]
    if updates:
        pieces += [*blank, *report.gradients(backwards), *blank, *report.updates(updates, forwards)]
    console.print(coloured(pieces), end="", soft_wrap=True)

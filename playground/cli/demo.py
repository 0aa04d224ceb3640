"""``sft-playground demo``: the whole story in one command."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

import click

from playground import paths
from playground.cli.options import adapters_dir_option
from playground.config import TrainConfig


@click.command(short_help="Show the whole story in a few minutes.")
@adapters_dir_option
def demo(adapters_dir: str | None) -> int:
    """Show the whole story: a base model, its training, its answers.

    Prepares the demo model (once), lets the base model answer three prompts, fine-tunes it for two epochs
    on mini.jsonl, or until it answers all three, and compares both. Then it shows what more rows would have given:
    the adapter that comes with the program; and, step by step, how the answers changed. A few minutes on two CPU cores.
    """
    from playground.cli.compare import answer_all, show
    from playground.cli.narrate import Narrator
    from playground.cli.options import interruptible
    from playground.cli.train import run_training
    from playground.data.prompts import read_prompts
    from playground.report.words import duration
    from playground.runs.folder import read_record
    from playground.text import count

    began = time.monotonic()
    home = paths.adapters_dir(adapters_dir)
    folder = home / paths.new_run_name(Path("demo"), home, datetime.now())
    click.secho(
        "1. A base model continues text. Training on good answers teaches it to answer, and to stop.",
        bold=True,
        err=True,
    )
    # Two epochs, so that the rate is low at the end: stopped midway through three, it answers less (docs/decisions).
    if code := run_training(TrainConfig(num_train_epochs=2), folder, until_answered=True):
        return code
    click.secho("2. The same weights, with and without the adapter, side by side.", bold=True, err=True)
    shipped = paths.bundled("adapters") / paths.SHIPPED[0]
    with interruptible("stopping") as interrupt, Narrator() as narrator:
        from playground.events.answers import Sampling
        from playground.inference.lineup import load_lineup

        prompts = read_prompts(paths.find_file("prompts.txt"))
        record = read_record(folder)
        # Where there is no bitsandbytes, yours was trained without NF4, and the shipped one is shown on the same base.
        lineup = load_lineup([folder, shipped], narrator.progress, quantize=record.base.quantize if record else None)
        compared, summary = answer_all(lineup, prompts, Sampling(max_new_tokens=96), narrator, cancelled=interrupt)
    *before, mine, more = (side.name for side in lineup.sides)
    show([row.only(*before, mine) for row in compared])
    _what_more_rows_give(folder, shipped)
    show([row.only(mine, more) for row in compared], summary)
    click.secho("4. How your adapter came to answer, step by step.", bold=True, err=True)
    _show_filmstrip(folder)
    click.secho(f"5. That took {duration(time.monotonic() - began)}. Next:", bold=True, err=True)
    click.echo(f"   sft-playground --compare YOUR_PROMPTS.txt --adapter {folder.name}", err=True)
    click.echo("   sft-playground train --data YOUR_DATA.jsonl", err=True)
    if (record := read_record(folder)) and record.state == "stopped":
        rest = f"   # the remaining {count(record.num_steps - record.step, 'step')}"
        click.echo(f"   sft-playground train --resume {folder.name}{rest}", err=True)
    return interrupt.exit_code


def _what_more_rows_give(mine: Path, shipped: Path) -> None:
    """Say what the second table compares: the new adapter and the one that comes with the program."""
    from playground.runs.folder import read_record

    records = [read_record(folder) for folder in (mine, shipped)]
    rows = [f"{record.num_examples:,} rows" if record else "other rows" for record in records]
    said = (
        f"3. Your adapter, trained on {rows[0]}, next to {shipped.name}, trained on {rows[1]} that have more forms: "
        "letters, stories, lists with a condition. More good rows gave it forms, and no new knowledge."
    )
    stored = [record.base.quantize for record in records if record]
    if len(set(stored)) > 1:
        own, other = stored
        said += f" {shipped.name} was trained with --quantize {other} and is shown on the base of yours, {own}."
    click.secho(said, bold=True, err=True)


def _show_filmstrip(folder: Path) -> None:
    """Print the answers at all sampling steps, as the app shows them."""
    from playground.cli.streams import output
    from playground.events.runs import Evaluated, Sampled
    from playground.report import filmstrip
    from playground.report.pieces import coloured
    from playground.runs.folder import read_events

    events, _ = read_events(folder)
    samplings = {event.step: event for event in events if isinstance(event, Sampled)}
    held_out = {event.step: event.eval_loss for event in events if isinstance(event, Evaluated)}
    console = output(120)
    console.print(coloured(filmstrip.report(samplings, held_out, min(console.width, 100))), end="")

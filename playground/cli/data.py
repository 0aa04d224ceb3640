"""``sft-playground data``: look at data sets before training on them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any

import click

from playground import paths
from playground.cli.options import adapters_dir_option, typed
from playground.config import STYLES, TrainConfig
from playground.errors import InputError, UsageError
from playground.text import clean, count, one_line

if TYPE_CHECKING:
    from playground.data.encode import Encoder
    from playground.data.examples import Example
    from playground.events.five_steps import Forward, RowOpened


COLUMNS = "Read COLUMN as NAME; NAME= leaves a column out."
FEW = 5_000  # rows: fewer are read too quickly to need a progress line


def _options(function: Any) -> Any:
    for option in reversed((
        click.option("--map", "columns", multiple=True, metavar="NAME=COLUMN", help=COLUMNS),
        click.option("--repair", is_flag=True, help="Mend rows where that needs no guess."),
        click.option("--model", metavar="MODEL", help="Count this model's tokens: 'demo', a folder or a hub id."),
        click.option("--style", type=click.Choice(STYLES), default="chat", show_default=True, help="Prompt style."),
        click.option("--max-length", type=click.IntRange(8), default=1024, show_default=True, help="Tokens per row."),
        click.option("--train-on", type=click.Choice(["all", "last"]), default="all", show_default=True),
    )):  # fmt: skip
        function = option(function)
    return function


@click.group(short_help="Look at data sets before training on them.")
def data() -> None:
    """Look at data sets: what is in them, what is wrong, which tokens carry loss."""


@data.command("check")
@click.argument("file")
@_options
@click.option("--json", "as_json", is_flag=True, help="Write the findings as one JSON object.")
def check(*, file: str, columns: tuple[str, ...], repair: bool, as_json: bool, **encoding: Any) -> int:
    """Check every row of FILE and show what would be trained on.

    FILE is a path, the name of a bundled set, or hf:org/name[:split]. Errors are rows that cannot be used for
    training; the exit code is then 1, as it is if no row can be used. With --model, lengths are counted in that
    model's tokens and rows longer than --max-length are reported.
    """
    from playground.cli.narrate import Narrator
    from playground.cli.streams import output
    from playground.data.containers import open_rows
    from playground.data.lint import check as look
    from playground.data.reading import renaming
    from playground.report import data as report

    rows = open_rows(file, paths.find_file(file))
    if not len(rows):
        raise InputError(f"{file} has no rows.", "Name a file with one JSON object per line.")
    encoder = _encoder(**encoding) if encoding["model"] else None
    with Narrator() as narrator:
        stage = f"reading {count(len(rows), 'row')}"
        tell = (lambda share: narrator.progress(stage, share)) if len(rows) > FEW else (lambda share: None)
        result = look(rows, renaming(columns), encoder, tell, repair=repair)
    if as_json:
        click.echo(result.to_json())
    else:
        output(120).print(report.check(result), end="")
    return 1 if result.num_errors else 0


@data.command("preview")
@click.argument("file")
@click.option("--row", "row", type=click.IntRange(1), help="Which row, counted from 1. [default: the first three]")
@click.option("--adapter", metavar="NAME", help="Also show each token's loss under its base and this adapter.")
@adapters_dir_option
@_options
@click.pass_context
def preview(
    ctx: click.Context,
    /,
    *,
    file: str,
    row: int | None,
    adapter: str | None,
    adapters_dir: str | None,
    columns: tuple[str, ...],
    repair: bool,
    **encoding: Any,
) -> int:
    """Show which tokens of FILE's rows are trained: the answers and the token that ends them.

    Uses the same encoder as training. Trained tokens are bright on a terminal and marked with ⟦ ⟧
    elsewhere. With --adapter, the style is the adapter's, and the loss of each trained token follows.
    """
    from playground.cli.streams import output
    from playground.data.examples import read_dataset, remarks_in_words
    from playground.report import data as report
    from playground.report.five_steps import losses
    from playground.report.pieces import coloured

    if adapter is not None and "style" in typed(ctx):
        raise UsageError("--style and --adapter cannot be combined.", "An adapter is fed the style of its training.")
    dataset = read_dataset(file, columns, skip_bad=True, repair=repair)
    shown = list(islice(dataset.examples, 3)) if row is None else [dataset.row(row)]
    console, marks = output(), not sys.stdout.isatty()
    if adapter is not None:
        for opened, forward in _looked_at(shown, adapter, adapters_dir, encoding):
            pieces = list(zip(opened.row.texts, opened.row.trained, strict=True))
            told = report.preview(pieces, opened.row.line, marks=marks, cut=opened.row.cut)
            console.print(told, soft_wrap=marks)
            console.print(coloured(losses(opened, forward)))
    else:
        encoding["model"] = encoding["model"] or "demo"
        encoder = _encoder(**encoding)
        for example in shown:
            encoded = encoder.example(example)
            told = report.preview(encoder.pieces(encoded), example.line, marks=marks, cut=encoded.cut)
            console.print(told, soft_wrap=marks)
    if wrong := sum(not problem.left_out for problem in dataset.skipped):
        click.echo(f"note: {count(wrong, 'row')} cannot be trained on: 'sft-playground data check' says why", err=True)
    for words in remarks_in_words(dataset):
        click.echo(f"note: {clean(words)}", err=True)
    return 0


@data.command("list")
def list_() -> int:
    """List the bundled data sets, those in this folder, and those of your recent runs."""
    from playground.data.columns import as_flags
    from playground.data.library import data_sets

    for where, sets in groupby(data_sets(), lambda info: info.where):
        click.echo(f"{where}:")
        for info in sets:
            rows = f"{info.num_rows:>9,} rows" if info.num_rows is not None else "    not counted"
            about = f"choose the columns: {as_flags(info.columns)}" if info.columns else info.shape
            bad = f", {info.num_bad:,} cannot be read" if info.num_bad else ""
            click.echo(f"  {one_line(info.name, 80):<24} {rows}{bad}  {clean(about)}".rstrip())
    return 0


def _looked_at(
    examples: Sequence[Example], adapter: str, adapters_dir: str | None, encoding: dict[str, Any]
) -> list[tuple[RowOpened, Forward]]:
    """Return rows as an adapter is fed them, with what it and its base expect at their trained tokens."""
    from playground.cli.narrate import Narrator

    with Narrator() as narrator:
        narrator.progress("starting PyTorch", 0.0)
        from playground.analysis.five_steps import FiveSteps
        from playground.models.adapters import find_adapter

        folder = find_adapter(adapter, paths.adapters_dir(adapters_dir))
        model = encoding["model"]
        config = TrainConfig(max_length=encoding["max_length"], train_on=encoding["train_on"])
        session = FiveSteps.load(config, examples[0], narrator.progress, adapter=folder, model=model)
        return [(session.set_row(example), session.forward()) for example in examples]


def _encoder(*, model: str, style: str, max_length: int, train_on: str) -> Encoder:
    from playground.cli.narrate import Narrator
    from playground.data.encode import Encoder
    from playground.data.styles import get_style
    from playground.models.tokenizer import load_tokenizer

    with Narrator() as narrator:
        tokenizer, end = load_tokenizer(model, narrator.progress)
    return Encoder(tokenizer, get_style(style, tokenizer), end, max_length, train_on)

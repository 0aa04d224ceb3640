"""``sft-playground lab``: small trainings whose outcome is predicted before."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from playground import paths
from playground.cli.options import adapters_dir_option, interruptible
from playground.environ import uncollected
from playground.events.labs import Lab, LabDone

if TYPE_CHECKING:
    from playground.report.pieces import Piece


@click.command(short_help="Limits you can talk to: small trainings with a prediction.")
@click.argument("name", required=False)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the training.")
@adapters_dir_option
@click.option("--model", metavar="MODEL", default="demo", show_default=True, help="The base model.")
@click.option("--json", "as_json", is_flag=True, help="Write the result as a JSON line to standard output.")
def lab(*, name: str | None, seed: int, adapters_dir: str | None, model: str, as_json: bool) -> int:
    """Train the lab NAME on 600 to 2,600 tokens and say whether its prediction held.

    Without NAME, list the labs. A lab shows a limit of fine-tuning in a minute or two: what it is to show and what is
    predicted is printed first, from a file that is older than any result. The adapter stays as an ordinary run, to be
    opened and broken with your own words; a lab that compares two sets of rows leaves two. The predictions were made
    for the demo model.
    """
    from playground.data.labs import lab_named, labs
    from playground.report import labs as report

    if name is None:
        _print(report.listed(labs()))
        return 0
    wanted = lab_named(name)
    home = paths.adapters_dir(adapters_dir)
    folder = home / paths.new_run_name(Path(f"lab-{wanted.name}"), home, datetime.now())
    if not as_json:
        _print(report.predicted(wanted))
    result, code = _run(wanted, folder, seed, model)
    if result is None:
        click.echo("stopped before anything was measured", err=True)
    elif as_json:
        click.echo(result.to_json())
    else:
        # In another folder than the default one, a name would not be found.
        _print([("\n", ""), *report.done(result, wanted, str(folder) if adapters_dir else folder.name)])
    return code


def _run(wanted: Lab, folder: Path, seed: int, model: str) -> tuple[LabDone | None, int]:
    from playground.cli.narrate import Narrator

    result: LabDone | None = None
    with interruptible("finishing the step and saving") as interrupt, Narrator() as narrator:
        narrator.progress("starting PyTorch", 0.0)
        with uncollected():
            from playground.analysis.labs import run_lab
        for event in run_lab(wanted, folder, seed=seed, model=model, stop=interrupt, progress=narrator.progress):
            if isinstance(event, LabDone):
                result = event
            else:
                narrator.event(event)
    return result, interrupt.exit_code


def _print(pieces: list[Piece]) -> None:
    from playground.cli.streams import output
    from playground.report.pieces import coloured

    output(120).print(coloured(pieces), end="")

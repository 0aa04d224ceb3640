"""``sft-playground demo``: the whole story in one command."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from playground import paths
from playground.cli.options import interruptible
from playground.config import TrainConfig


@click.command()
@click.option("--adapters-dir", metavar="DIR", help="Folder for the adapter. [default: ./adapters, or your data folder]")
def demo(adapters_dir: str | None) -> int:
    """Show the whole story: a base model, its training, its answers.

    Prepares the demo model (once), fine-tunes it on mini.jsonl until it answers three prompts, and
    compares it with its base. About two minutes on two CPU cores.
    """
    click.echo("no")
    return 0

"""``sft-playground settings``: your own defaults."""

from __future__ import annotations

import click

from playground import paths, settings
from playground.config import TrainConfig
from playground.text import clean


@click.group("settings", short_help="Show your own defaults.")
def settings_() -> None:
    """Show the settings file and what it sets.

    It is TOML, with options of train as keys, such as lora_r = 8, and device = "cpu" for a computer whose GPU
    cannot be used. A flag, the environment (SFT_PLAYGROUND_LORA_R) and a --config file take precedence.
    """


@settings_.command("path")
def path() -> int:
    """Print where the settings file is, or would be."""
    click.echo(paths.settings_file())
    return 0


@settings_.command("show")
def show() -> int:
    """Print all options of train, and the device; * marks those you have set."""
    given = settings.options({}, None)
    for name, value in TrainConfig(**given).to_dict().items():
        mark = "*" if name in given else " "
        shown = "auto" if value is None else value
        click.echo(f"{mark} {name} = {clean(str(shown))}")
    click.echo(f"{' ' if settings.device() == 'auto' else '*'} device = {settings.device()}")
    where = paths.settings_file()
    click.echo(f"* from {where}{'' if where.is_file() else ' (does not exist yet)'} or the environment", err=True)
    return 0

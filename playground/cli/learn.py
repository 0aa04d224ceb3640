"""``sft-playground learn``: the lesson."""

from __future__ import annotations

import sys

import click

from playground.errors import UsageError


@click.command(short_help="A lesson on eight pages: predict, see, and why.")
def learn() -> int:
    """Open the app on its lesson: eight pages about what fine-tuning does.

    On each page, predict what the model will do; then see it, and why. Every number is computed from your model while
    the page opens, and a page that does not come out on it says so. In the app, F12 opens the lesson too.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("The lesson needs a terminal.", "sft-playground explain and lens print what it shows.")
    from playground.tui.launch import run

    return run(learn=True)

"""``sft-playground votes``: what was judged in the app, and the resulting preferences."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import click

from playground import paths
from playground.errors import EnvironmentFault, InputError
from playground.events.exchanges import BOTH_BAD, TIE
from playground.report import votes as log
from playground.text import clean, count


@click.group()
def votes() -> None:
    """Count and export the votes cast in the app."""


@votes.command("list")
@click.option("--json", "as_json", is_flag=True, help="Write every vote as JSON, with the answers.")
def list_(*, as_json: bool) -> int:
    """Count the votes for base and sft, and those in duels."""
    found = log.read(paths.votes_file())
    if as_json:
        for vote in found:
            click.echo(vote.to_json())
        return 0
    for kind, mode in log.MODES.items():
        mine = [vote for vote in found if vote.mode == mode]
        if not mine:
            continue
        counts = Counter(vote.vote if vote.vote in (TIE, BOTH_BAD) or mode == "blind" else "decided" for vote in mine)
        words = ", ".join(f"{clean(choice)} {number}" for choice, number in counts.most_common())
        click.echo(f"{kind}: {count(len(mine), 'vote')} ({words})")
    if not found:
        click.echo("There are no votes yet: in the app, F4 hides the sides or starts a duel.", err=True)
    return 0


@votes.command()
@click.argument("kind", type=click.Choice(list(log.MODES)))
@click.option("--adapter", metavar="NAME", help="Only answers of this adapter.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="A .jsonl file. [default: stdout]")
def export(*, kind: log.Kind, adapter: str | None, out: Path | None) -> int:
    """Write preferences in the format of TRL's DPO trainer: prompt, chosen, rejected.

    `sides` are votes between base and sft, `duels` between answers of one sft model; ties are left
    out. Use duels to train the adapter that gave the answers.
    """
    found = [vote for vote in log.read(paths.votes_file()) if adapter in (None, vote.adapter)]
    pairs = log.preferences(found, kind)
    if not pairs:
        raise InputError("There are no such votes.", "In the app, F4 hides the sides or starts a duel.")
    lines = "".join(json.dumps(pair.to_dict(), ensure_ascii=False) + "\n" for pair in pairs)
    if out is None:
        click.echo(lines, nl=False)
        return 0
    try:
        out.write_text(lines, "utf-8")
    except OSError as error:
        raise EnvironmentFault(f"{out} cannot be written: {error.strerror or error}.", "Check its folder.") from None
    click.echo(f"{count(len(pairs), 'preference')} in {clean(str(out))}", err=True)
    return 0

"""``sft-playground runs`` and ``adapters``: what training has saved, and what can be compared."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from playground import paths
from playground.cli.options import adapters_dir_option
from playground.errors import UsageError
from playground.runs import library
from playground.runs.folder import base_name, kept_steps, read_record, size, state_of
from playground.text import clean, count, one_line

_JSON = click.option("--json", "as_json", is_flag=True, help="Write JSON.")


@click.group(invoke_without_command=True)
@click.pass_context
def runs(context: click.Context) -> int:
    """List, show, rename and remove training runs; without a command, list them."""
    return 0 if context.invoked_subcommand else int(context.invoke(list_runs, adapters_dir=None, as_json=False))


@click.group(invoke_without_command=True)
@click.pass_context
def adapters(context: click.Context) -> int:
    """List, show, rename and remove adapters; without a command, list them."""
    return 0 if context.invoked_subcommand else int(context.invoke(list_adapters, adapters_dir=None, as_json=False))


@runs.command("list")
@adapters_dir_option
@_JSON
def list_runs(*, adapters_dir: str | None, as_json: bool) -> int:
    """List training runs, newest first: state, data, steps, loss."""
    home = paths.adapters_dir(adapters_dir)
    found = library.list_runs(home)
    if as_json:
        for folder, record in found:
            click.echo(json.dumps({"folder": str(folder), "kept_steps": kept_steps(folder), **record.to_dict()}))
        return 0
    rows = [
        (
            folder.name,  # the name that every command takes; a record may say anything
            state_of(folder, record),
            f"{record.step}/{record.num_steps}",
            f"{record.loss:.2f}" if record.loss is not None else "",
            f"{record.eval_loss:.2f}" if record.eval_loss is not None else "",
            record.data_name,
            record.base.name,
            record.created_at[:16].replace("T", " "),
        )
        for folder, record in found
    ]
    _table(
        ("run", "state", "steps", "loss", "held out", "data", "base", "started (UTC)"),
        rows,
        f"There are no runs in {home} yet.",
    )
    return 0


@adapters.command("list")
@adapters_dir_option
@_JSON
def list_adapters(*, adapters_dir: str | None, as_json: bool) -> int:
    """List adapters, your newest first, then the shipped ones."""
    home = paths.adapters_dir(adapters_dir)
    rows = []
    for folder, whose in library.adapters(home):
        record = read_record(folder)
        if as_json:
            about = record.to_dict() if record else None
            click.echo(json.dumps({"name": folder.name, "folder": str(folder), "whose": whose, "record": about}))
        base = record.base.name if record else base_name(folder)
        rows.append((folder.name, whose, base, record.data_name if record else "", record.style if record else ""))
    if not as_json:
        _table(("adapter", "", "base", "data", "style"), rows, f"There is no adapter in {home} yet.")
    return 0


def _show(name: str, adapters_dir: str | None, *, as_json: bool) -> int:
    folder = library.find(name, paths.adapters_dir(adapters_dir))
    record = read_record(folder)
    about: dict[str, Any] = {"folder": str(folder), "bytes": size(folder), "kept_steps": kept_steps(folder)}
    if record is not None:
        about |= record.to_dict()
    if as_json:
        click.echo(json.dumps(about))
        return 0
    _tell(about)
    return 0


def _tell(about: dict[str, Any], indent: str = "") -> None:
    for key, value in about.items():
        if isinstance(value, dict) and value:
            click.echo(f"{indent}{one_line(key, 100)}:")
            _tell(value, indent + "  ")
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            click.echo(f"{indent}{one_line(key, 100)}: {one_line(text, 2000)}")


def _remove(name: str, adapters_dir: str | None, *, yes: bool) -> int:
    home = paths.adapters_dir(adapters_dir)
    folder = library.own(name, home)
    try:
        sure = yes or click.confirm(f"Remove {clean(str(folder))} ({size(folder) / 1e6:.0f} MB) for good?", err=True)
    except click.Abort:  # there is no one to ask
        raise UsageError("Not confirmed; nothing was removed.", "Confirm with --yes.") from None
    if not sure:
        click.echo("nothing was removed", err=True)
        return 1
    library.remove(name, home)
    click.echo(f"removed {clean(folder.name)}")
    return 0


for _group in (runs, adapters):

    @_group.command("show")
    @click.argument("name")
    @adapters_dir_option
    @_JSON
    def show(*, name: str, adapters_dir: str | None, as_json: bool) -> int:
        """Show everything recorded about NAME."""
        return _show(name, adapters_dir, as_json=as_json)

    @_group.command("rename")
    @click.argument("name")
    @click.argument("new_name")
    @adapters_dir_option
    def rename(*, name: str, new_name: str, adapters_dir: str | None) -> int:
        """Rename NAME to NEW_NAME."""
        library.rename(name, new_name, paths.adapters_dir(adapters_dir))
        click.echo(f"{clean(name)} is now {new_name}")
        return 0

    @_group.command("remove")
    @click.argument("name")
    @adapters_dir_option
    @click.option("--yes", is_flag=True, help="Do not ask.")
    def remove(*, name: str, adapters_dir: str | None, yes: bool) -> int:
        """Remove NAME and everything in its folder, after asking."""
        return _remove(name, adapters_dir, yes=yes)


def _table(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]], empty: str) -> None:
    if not rows:
        click.echo(clean(empty), err=True)
        return
    shown = [titles, *(tuple(one_line(cell, 40) for cell in row) for row in rows)]
    widths = [max(len(row[at]) for row in shown) for at in range(len(titles))]
    for row in shown:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    click.echo(count(len(rows), "entry", "entries"), err=True)

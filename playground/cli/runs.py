"""``sft-playground runs`` and ``adapters``: what training has left, and what can be compared."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from playground import paths
from playground.errors import EnvironmentFault, InputError, UsageError
from playground.jobs import is_busy
from playground.text import clean, count, one_line

_DIR = click.option("--adapters-dir", metavar="DIR", help="Where they are. [default: ./adapters, or your data folder]")
_JSON = click.option("--json", "as_json", is_flag=True, help="Write JSON.")


@click.group()
def runs() -> None:
    """List, show, rename and remove trainings."""


@click.group()
def adapters() -> None:
    """List, show, rename and remove adapters."""


@runs.command("list")
@_DIR
@_JSON
def list_runs(*, adapters_dir: str | None, as_json: bool) -> int:
    """List trainings, the newest first: state, data, steps, loss."""
    from playground.models.adapters import kept_steps, read_record

    home = paths.adapters_dir(adapters_dir)
    found = [(folder, record) for folder in _folders(home) if (record := read_record(folder))]
    found.sort(key=lambda item: item[1].created_at, reverse=True)
    if as_json:
        for folder, record in found:
            click.echo(json.dumps({"folder": str(folder), "kept_steps": kept_steps(folder), **record.to_dict()}))
        return 0
    rows = [
        (
            folder.name,  # what every command takes; a record may say anything
            _state(folder, record.state),
            f"{record.step}/{record.num_steps}",
            f"{record.loss:.2f}" if record.loss is not None else "",
            record.data_name,
            record.base.name,
            record.created_at[:16].replace("T", " "),
        )
        for folder, record in found
    ]
    _table(("run", "state", "steps", "loss", "data", "base", "begun (UTC)"), rows, f"There are no runs in {home} yet.")
    return 0


@adapters.command("list")
@_DIR
@_JSON
def list_adapters(*, adapters_dir: str | None, as_json: bool) -> int:
    """List adapters, your newest first, then the shipped ones."""
    from playground.models.adapters import newest_first, read_record

    home = paths.adapters_dir(adapters_dir)
    own = newest_first(home)
    shipped = [folder for folder in newest_first(paths.bundled("adapters")) if folder not in own]
    found = [(folder, "yours") for folder in own] + [(folder, "shipped") for folder in shipped]
    rows = []
    for folder, whose in found:
        record = read_record(folder)
        if as_json:
            about = record.to_dict() if record else None
            click.echo(json.dumps({"name": folder.name, "folder": str(folder), "whose": whose, "record": about}))
        base = record.base.name if record else _base_of(folder)
        rows.append((folder.name, whose, base, record.data_name if record else "", record.style if record else ""))
    if not as_json:
        _table(("adapter", "", "base", "data", "style"), rows, f"There is no adapter in {home} yet.")
    return 0


def _show(name: str, adapters_dir: str | None, *, as_json: bool) -> int:
    from playground.models.adapters import kept_steps, read_record

    folder = _find(name, paths.adapters_dir(adapters_dir))
    record = read_record(folder)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    about: dict[str, Any] = {"folder": str(folder), "bytes": size, "kept_steps": kept_steps(folder)}
    if record is not None:
        about |= record.to_dict()
    if as_json:
        click.echo(json.dumps(about, ensure_ascii=False))
        return 0
    for key, value in about.items():
        text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)
        click.echo(f"{key}: {one_line(text, 2000)}")
    return 0


def _rename(name: str, new_name: str, adapters_dir: str | None) -> int:
    home = paths.adapters_dir(adapters_dir)
    folder, target = _own(name, home), home / paths.check_name(new_name)
    if target.exists():
        raise UsageError(f"There is a {new_name} already.", "Choose another name.")
    from playground.models.adapters import RECORD, read_record

    try:
        if record := read_record(folder):
            renamed = replace(record, name=new_name).to_dict()
            (folder / RECORD).write_text(json.dumps(renamed, indent=2, ensure_ascii=False), "utf-8")
        folder.rename(target)
    except OSError as error:
        raise EnvironmentFault(f"{folder} cannot be renamed: {error.strerror}.", "Check its rights.") from None
    click.echo(f"{folder.name} is now {new_name}")
    return 0


def _remove(name: str, adapters_dir: str | None, *, yes: bool) -> int:
    folder = _own(name, paths.adapters_dir(adapters_dir))
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    try:
        sure = yes or click.confirm(f"Remove {clean(str(folder))} ({size / 1e6:.0f} MB) for good?", err=True)
    except click.Abort:  # nobody is there to answer
        raise UsageError("Nobody answered, so nothing was removed.", "Give --yes.") from None
    if not sure:
        click.echo("nothing was removed", err=True)
        return 1
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise EnvironmentFault(f"{folder} cannot be removed: {error.strerror}.", "Check its rights.") from None
    click.echo(f"removed {clean(folder.name)}")
    return 0


for _group in (runs, adapters):

    @_group.command("show")
    @click.argument("name")
    @_DIR
    @_JSON
    def show(*, name: str, adapters_dir: str | None, as_json: bool) -> int:
        """Show everything that is recorded about NAME."""
        return _show(name, adapters_dir, as_json=as_json)

    @_group.command("rename")
    @click.argument("name")
    @click.argument("new_name")
    @_DIR
    def rename(*, name: str, new_name: str, adapters_dir: str | None) -> int:
        """Rename NAME to NEW_NAME."""
        return _rename(name, new_name, adapters_dir)

    @_group.command("remove")
    @click.argument("name")
    @_DIR
    @click.option("--yes", is_flag=True, help="Do not ask.")
    def remove(*, name: str, adapters_dir: str | None, yes: bool) -> int:
        """Remove NAME with everything in its folder, after asking."""
        return _remove(name, adapters_dir, yes=yes)


def _folders(home: Path) -> list[Path]:
    return [path for path in home.glob("*") if path.is_dir()] if home.is_dir() else []


def _find(name: str, home: Path) -> Path:
    for folder in (home / name, paths.bundled("adapters") / name, Path(name).expanduser()):
        if (folder / "run.json").is_file() or (folder / "adapter_config.json").is_file():
            return folder
    known = ", ".join(sorted(path.name for path in _folders(home))[:8]) or "none yet"
    raise InputError(f"There is no run or adapter {name!r}.", f"In {home}: {known}.")


def _own(name: str, home: Path) -> Path:
    """Return a folder in `home` that nobody is training in; names only, so that nothing else can be hit."""
    folder = home / paths.check_name(name)
    if not (folder / "run.json").is_file() and not (folder / "adapter_config.json").is_file():
        _find(name, home)  # says what there is, if it is nothing at all
        raise UsageError(f"{name} is not one of yours in {home}.", "Only your own can be renamed or removed.")
    if is_busy(folder):
        raise EnvironmentFault(f"{name} is being trained.", "Stop the training first.")
    return folder


def _state(folder: Path, state: str) -> str:
    # A process that was killed could not write how it ended.
    return "interrupted" if state == "running" and not is_busy(folder) else state


def _base_of(folder: Path) -> str:
    try:
        return str(json.loads((folder / "adapter_config.json").read_text("utf-8")).get("base_model_name_or_path") or "")
    except (OSError, ValueError, AttributeError):
        return ""


def _table(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]], empty: str) -> None:
    if not rows:
        click.echo(clean(empty), err=True)
        return
    shown = [titles, *(tuple(one_line(cell, 40) for cell in row) for row in rows)]
    widths = [max(len(row[at]) for row in shown) for at in range(len(titles))]
    for row in shown:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    click.echo(count(len(rows), "entry", "entries"), err=True)

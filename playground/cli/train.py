"""``sft-playground train``."""

from __future__ import annotations

import errno
import signal
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from playground import paths, settings
from playground.cli.options import adapters_dir_option, config_options, interruptible, typed
from playground.cli.streams import silence
from playground.config import TrainConfig
from playground.environ import uncollected
from playground.errors import EnvironmentFault, UsageError
from playground.events.runs import Event, RunEnded, RunStarted
from playground.runs.folder import RECORD, is_busy, may_begin


@click.command()
@config_options
@click.option("--name", metavar="RUN", help="Name of the run and its folder. [default: made from data and time]")
@adapters_dir_option
@click.option("--resume", metavar="RUN", help="Resume a stopped run; it keeps its own options.")
@click.option(
    "--config", "config_file", type=click.Path(path_type=Path), metavar="FILE", help="Options from a YAML or TOML file."
)
@click.option("--dry-run", is_flag=True, help="Print the plan (steps, memory, time) and train nothing.")
@click.option("--force", is_flag=True, help="Train even if the plan does not fit in memory or on the disk.")
@click.option("--json", "as_json", is_flag=True, help="Write events as JSON lines to standard output.")
@click.pass_context
def train(
    ctx: click.Context,
    /,
    *,
    name: str | None,
    adapters_dir: str | None,
    resume: str | None,
    config_file: Path | None,
    dry_run: bool,
    force: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Fine-tune a base model with QLoRA and keep the adapter.

    Only the answers carry loss. Sample prompts are answered before the first step and during training, so you can
    watch the model change: fixed ones for bundled data, else questions of the data. Ctrl-C finishes the step, saves
    everything and keeps the adapter; --resume continues from there.
    """
    home = paths.adapters_dir(adapters_dir)
    if resume is not None:
        if name is not None or dry_run or config_file is not None:
            other = "--name" if name is not None else "--dry-run" if dry_run else "--config"
            raise UsageError(f"{other} and --resume cannot be combined.", "A resumed run keeps its options.")
        folder = Path(resume) if (Path(resume) / RECORD).is_file() else home / paths.check_name(resume)
        config = _recorded(folder, {key: value for key, value in typed(ctx).items() if key in options})
    else:
        given = {key: value for key, value in typed(ctx).items() if key in options}
        config = TrainConfig(**settings.options(given, config_file))
        _look_at_files(config)
        if dry_run:
            return _dry_run(config, as_json=as_json)
        run = paths.check_new_name(name) if name else paths.new_run_name(Path(config.data), home, datetime.now())
        folder = home / run
        if (folder / RECORD).exists():
            raise UsageError(f"Run {run} already exists.", f"Choose another --name, or continue with --resume {run}.")
        if is_busy(folder):
            raise EnvironmentFault(f"The run {run} is being trained already.", "Wait for it, or use another --name.")
        if not may_begin(folder):
            raise UsageError(f"{folder} is not empty.", "Choose another --name.")
    return run_training(config, folder, as_json=as_json, resume=resume is not None, force=force)


def run_training(
    config: TrainConfig,
    folder: Path,
    *,
    as_json: bool = False,
    resume: bool = False,
    until_answered: bool = False,
    force: bool = False,
) -> int:
    """Train with narration; return the exit code.

    If the reader of the events goes away, training stops as with Ctrl-C: what was learned is kept.

    Raises:
        EnvironmentFault: If standard output cannot be written, once everything is saved.
    """
    from playground.cli.narrate import Narrator

    last: Event | None = None
    unwritten: OSError | None = None
    with interruptible("finishing the step and saving") as interrupt, Narrator() as narrator:
        narrator.progress("starting PyTorch", 0.0)
        with uncollected():
            from playground.training.loop import train as events
            from playground.training.plan import resolved

        if config.model == "demo":
            _show_licence(narrator)
            _suggest_larger(narrator)
        for event in events(
            config, folder, resume=resume, until_answered=until_answered, force=force, stop=interrupt,
            progress=narrator.progress,
        ):  # fmt: skip
            last = event
            if as_json and unwritten is None:
                try:
                    click.echo(event.to_json())
                except OSError as error:
                    unwritten = error
                    interrupt.signal = interrupt.signal or signal.SIGPIPE
                    silence(sys.stdout.fileno())
                    narrator.line("the events can no longer be written: finishing the step and saving", "yellow")
            if isinstance(event, RunStarted) and not until_answered:
                narrator.line(f"equivalent command: {resolved(config, event.plan).command()}", "dim")
            narrator.event(event)
        if isinstance(last, RunEnded) and last.state != "failed" and last.step and not until_answered:
            narrator.line(f"compare it: sft-playground --compare prompts.txt --adapter {folder.name}")
    if unwritten is not None and unwritten.errno != errno.EPIPE:
        raise EnvironmentFault(
            f"Standard output cannot be written: {unwritten.strerror}.", f"Continue with --resume {folder.name}."
        )
    return interrupt.exit_code


def _look_at_files(config: TrainConfig) -> None:
    """Refuse unreadable data or prompts before PyTorch is imported, which takes seconds; training reads it again."""
    from playground.data.containers import KEPT_BYTES
    from playground.data.examples import training_data
    from playground.data.prompts import read_prompts

    if config.sample_prompts_file is not None:
        read_prompts(paths.find_file(config.sample_prompts_file))
    if config.data.startswith("hf:") or config.data == "-":
        return
    path = paths.find_file(config.data)
    # A pipe can be read only once, and a large file should be.
    if not path.exists() or path.is_dir() or (path.is_file() and path.stat().st_size <= KEPT_BYTES):
        training_data(config)


def _dry_run(config: TrainConfig, *, as_json: bool) -> int:
    from playground.cli.narrate import Narrator
    from playground.cli.streams import output
    from playground.report.pieces import coloured
    from playground.report.plan import plan as report

    with Narrator() as narrator:
        narrator.progress("starting PyTorch", 0.0)
        from playground.training.plan import plan_training

        plan = plan_training(config, narrator.progress).plan
    if as_json:
        click.echo(plan.to_json())
    else:
        output(120).print(coloured(report(plan)), end="")
    return 0 if plan.fits else EnvironmentFault.exit_code


def _recorded(folder: Path, typed_options: dict[str, Any]) -> TrainConfig:
    """Return the config a run was started with; refuse options that differ from it."""
    from playground.runs.folder import read_record

    record = read_record(folder)
    if record is None:
        raise UsageError(f"There is no run to resume in {folder}.", "Name a run that 'train' started.")
    config = TrainConfig.from_dict(record.config)
    values = config.to_dict()
    different = [
        f"{key} was {values[key]}, not {value}" for key, value in typed_options.items() if values[key] != value
    ]
    if different:
        raise UsageError(f"A resumed run keeps its options: {'; '.join(different)}.", "Leave them out.")
    return config


def _show_licence(narrator: Any) -> None:
    from playground.models import demo

    if not demo.is_prepared():
        narrator.line(demo.LICENCE, "italic")


def _suggest_larger(narrator: Any) -> None:
    """Tell users with a GPU, once, that it could train a larger model than the demo model."""
    from playground.models.device import pick_device

    told = paths.cache_dir() / "told-of-larger-models"
    device = pick_device()
    if device.type != "cuda" or told.exists():
        return
    from playground.models.catalogue import largest_fitting
    from playground.models.memory import free_memory

    if model := largest_fitting(device, free_memory(device)):
        narrator.line(f"this GPU could train {model}: sft-playground train --model {model} (see 'models list')")
    with suppress(OSError):
        told.parent.mkdir(parents=True, exist_ok=True)
        told.touch()

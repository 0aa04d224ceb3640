"""Options generated from the declarations in ``config.py``, and a clean stop for long commands."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import MISSING, fields
from typing import Any

import click

from playground.cli.streams import silence
from playground.config import STYLES, TrainConfig, flag_of
from playground.signals import second_ends


def config_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add one option for each declared field of `TrainConfig`."""
    for f in reversed(fields(TrainConfig)):
        if "help" not in f.metadata:
            continue
        flag = flag_of(f)
        assert f.default is not MISSING
        extra: dict[str, Any] = {"type": type(f.default), "show_default": True}
        if "kind" in f.metadata:
            extra = {"type": Auto(f.metadata["kind"]), "show_default": "auto"}
        elif "choices" in f.metadata:
            extra["type"] = click.Choice(f.metadata["choices"])
        elif isinstance(f.default, bool):
            extra = {"is_flag": True}
        elif isinstance(f.default, tuple):
            extra = {"multiple": True, "metavar": "NAME=COLUMN"}
        function = click.option(flag, f.name, default=f.default, help=f.metadata["help"], **extra)(function)
    return function


def _group(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def add(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return add


adapters_dir_option = click.option(
    "--adapters-dir", metavar="DIR", help="Folder of adapters. [default: ./adapters, or your data folder]"
)
model_option = click.option("--model", metavar="MODEL", help="The base model. [default: the adapter's own]")
# How sft is fed and computed.
side_options = _group(
    click.option(
        "--style", type=click.Choice(STYLES), help="Prompt style of sft and control. [default: as in training]"
    ),
    click.option(
        "--strength",
        type=click.FloatRange(0, 2),
        default=1.0,
        show_default=True,
        help="Scale the adapter's contribution.",
    ),
)
sampling_options = _group(
    click.option(
        "--max-new-tokens", type=click.IntRange(1, 100_000), default=128, show_default=True, help="Longest answer."
    ),
    click.option("--temperature", type=click.FloatRange(0, 10), default=0.0, show_default=True, help="0 is greedy."),
    click.option(
        "--top-p",
        type=click.FloatRange(0, 1, min_open=True),
        default=1.0,
        show_default=True,
        help="Nucleus sampling: keep the smallest set with this probability.",
    ),
    click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed for sampling."),
)


class Auto(click.ParamType[Any]):
    """A number or a file, or ``auto`` to let the plan decide."""

    def __init__(self, kind: type) -> None:
        names = {float: "number", int: "integer", str: "file"}
        self.name = f"{names[kind]}|auto"
        self._kind: click.ParamType[Any] = click.types.convert_type(kind)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value, or None for ``auto``."""
        return None if value == "auto" else self._kind.convert(value, param, ctx)


def typed(ctx: click.Context) -> dict[str, Any]:
    """Return the options the user typed, without the defaults."""
    source = click.core.ParameterSource.COMMANDLINE
    return {name: value for name, value in ctx.params.items() if ctx.get_parameter_source(name) == source}


class Interrupt:
    """Whether to stop, and because of which signal; call it to check.

    A reader of standard output that has gone away counts as SIGPIPE.
    """

    def __init__(self) -> None:
        self.signal: int | None = None

    def __call__(self) -> bool:
        """Whether a signal asked to stop."""
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """128 + n for signal n, 0 without one."""
        return 128 + self.signal if self.signal else 0


@contextmanager
def interruptible(saying: str) -> Iterator[Interrupt]:
    """On SIGINT, SIGTERM or SIGHUP, finish the current work; a second SIGINT or SIGTERM ends the process at once.

    It does so in the middle of a step too. SIGHUP arrives when the terminal closes, and more than once: from the system
    and from the shell. If it is ignored, as under nohup, it stays ignored.
    """
    interrupt = Interrupt()
    terminals = [descriptor for descriptor in (1, 2) if os.isatty(descriptor)]

    def ask(number: int) -> None:
        interrupt.signal = number
        again = "" if number == signal.SIGHUP else " (again to quit at once)"
        try:
            # No `print`: the main thread may be in the middle of one.
            os.write(2, f"\n{saying}{again}\n".encode())
        except OSError as error:
            # EIO means that the terminal is gone, so nothing more can be written to it.
            for descriptor in terminals if error.errno == errno.EIO else [2]:
                silence(descriptor)

    heeded = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        heeded.append(signal.SIGHUP)
    with second_ends(heeded, ask):
        before = {number: signal.signal(number, lambda *_: None) for number in heeded}
        try:
            yield interrupt
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

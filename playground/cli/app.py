"""The command group, and where errors become messages and exit codes."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence

import click
from click.utils import PacifyFlushWrapper

from playground import __version__, settings
from playground.cli.streams import silence, spell_out
from playground.environ import before_torch
from playground.errors import EnvironmentFault, PlaygroundError, UsageError
from playground.log import write_log
from playground.signals import second_ends
from playground.text import clean

# Each command with its module and its name there, in the order people need them.
COMMANDS = {
    "demo": ("demo", "demo"),
    "learn": ("learn", "learn"),
    "train": ("train", "train"),
    "compare": ("compare", "compare"),
    "chat": ("chat", "chat"),
    "explain": ("explain", "explain"),
    "lens": ("lens", "lens"),
    "lab": ("lab", "lab"),
    "data": ("data", "data"),
    "models": ("models", "models"),
    "runs": ("runs", "runs"),
    "adapters": ("runs", "adapters"),
    "export": ("export", "export"),
    "votes": ("votes", "votes"),
    "settings": ("settings", "settings_"),
    "doctor": ("doctor", "doctor"),
}


OWN = ("-q", "--quiet", "-v", "--verbose")  # options of the program, not of a command
OWN_WITH_VALUE = "--device"


class _Group(click.Group):
    """Commands whose modules are imported when they are called; and ``--compare F`` for ``compare F``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name]
        command = getattr(importlib.import_module(f"playground.cli.{module}"), name)
        assert isinstance(command, click.Command)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not ctx.resilient_parsing:  # set while a shell completes a word
            device, args = _taken_out(args)
            args = _spell_out_compare(args, self.list_commands(ctx))
            # Program options count wherever they are typed.
            args = [*device, *sorted(args, key=lambda arg: arg not in OWN)]
        return super().parse_args(ctx, args)


def _taken_out(args: list[str]) -> tuple[list[str], list[str]]:
    """Return the words of the program's option that has a value, the last one if it is repeated, and the others."""
    end = args.index("--") if "--" in args else len(args)
    own: list[str] = []
    rest: list[str] = []
    words = iter(args[:end])
    for arg in words:
        if arg == OWN_WITH_VALUE or arg.startswith(OWN_WITH_VALUE + "="):
            value = arg.partition("=")[2] if "=" in arg else next(words, "")
            if not value or value.startswith("-"):
                raise UsageError(f"{OWN_WITH_VALUE} needs a value.", settings.DEVICES)
            own = [OWN_WITH_VALUE, value]
        else:
            rest.append(arg)
    return own, rest + args[end:]


def _spell_out_compare(args: list[str], commands: list[str]) -> list[str]:
    """Turn ``[options] --compare FILE [options]`` into ``compare FILE [options]``."""
    at = next((n for n, arg in enumerate(args) if arg == "--compare" or arg.startswith("--compare=")), None)
    first = next((arg for arg in args if arg not in OWN), None)
    if at is None or first in commands:
        return args
    _, equals, file = args[at].partition("=")
    if not equals and at + 1 == len(args):
        raise click.UsageError("--compare needs a file of prompts (or '-').")
    rest = args[:at] + args[at + (1 if equals else 2) :]
    return ["compare", file if equals else args[at + 1], *rest]


HELP = """See what supervised fine-tuning does.

A base model continues your sentence. Fine-tuned on a hundred good examples, the same model answers it
and stops. Watch both, side by side:

\b
  sft-playground                            open the app
  sft-playground demo                       the whole story in two minutes
  sft-playground learn                      what fine-tuning does, on eight pages
  sft-playground train --data mini.jsonl    fine-tune a model
  sft-playground --compare prompts.txt      base and fine-tuned, side by side
"""


@click.group(
    cls=_Group,
    help=HELP,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("--compare", metavar="PROMPTS", expose_value=False, help="Short for the command 'compare PROMPTS'.")
@click.version_option(__version__, "-V", "--version", prog_name="sft-playground")
@click.option(
    "--device", metavar="DEVICE", help="Where models compute: auto, cpu, cuda, or one of several as in cuda:1."
)
@click.option("-q", "--quiet", is_flag=True, help="No progress output: only results and errors.")
@click.option("-v", "--verbose", is_flag=True, help="Show library log messages and warnings.")
@click.pass_context
def cli(ctx: click.Context, *, device: str | None, quiet: bool, verbose: bool) -> int:
    """Set device and verbosity; without a command, open the app, or print the help if there is no terminal."""
    if device is not None:
        os.environ[settings.DEVICE] = device  # for the processes that this one starts, too
        settings.device()  # a wrong name is refused before anything is loaded
    if verbose and not quiet:
        logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
        os.environ["TRANSFORMERS_VERBOSITY"] = "info"
        warnings.simplefilter("default")
    if ctx.invoked_subcommand is None:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            click.echo(ctx.get_help())
            return 0
        from playground.tui.launch import run as open_app

        return open_app()
    if ctx.invoked_subcommand != "learn":  # the app reads Ctrl-C as a key
        ctx.with_resource(second_ends([signal.SIGINT]))
    return 0


def run(args: Sequence[str]) -> int:
    """Run the command line `args`; return the exit code."""
    before_torch()
    spell_out()
    # At import, on CPUs with AVX512-BF16, bitsandbytes warns that a kernel from the hub could not be
    # fetched. Nothing here would use it: on a CPU the weights are dequantised once.
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # libraries warn of their own future; -W default shows it
    try:
        result = cli.main(list(args), prog_name="sft-playground", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        _say(error.format_message(), f"See '{context.command_path if context else 'sft-playground'} --help'.")
        return 2
    except (KeyboardInterrupt, click.Abort):
        click.echo("stopped", err=True)
        return 130
    except SystemExit as ending:
        # Click exits this way when the reader of our output has gone away, and after completing a word for a shell.
        gone = type(sys.stdout) is PacifyFlushWrapper
        return 141 if gone else int(ending.code or 0)
    except BrokenPipeError:
        # The reader of our output has gone away, as `head` does; Python must not complain at exit.
        silence(sys.stdout.fileno())
        return 141
    except Exception as error:  # noqa: BLE001 - the outermost handler
        return report(error)


def report(error: Exception) -> int:
    """Say what went wrong, in a line and a hint; return the exit code. What was not foreseen goes to the log."""
    if _ran_out_of_memory(error):
        error = EnvironmentFault("Out of memory.", "Free some memory, choose a smaller model, or do less at once.")
    if isinstance(error, PlaygroundError):
        _say(error.message, error.hint)
        return error.exit_code
    log = write_log(error)
    where = f"The details are in {log}." if log else "".join(traceback.format_exception(error))
    _say(f"Something unexpected happened: {type(error).__name__}: {error}", f"{where} Please report it.")
    return 1


def _ran_out_of_memory(error: Exception) -> bool:
    if "torch" not in sys.modules:  # which would be imported only to tell
        return isinstance(error, MemoryError)
    from playground.models.memory import is_out_of_memory

    return is_out_of_memory(error)


def _say(message: str, hint: str) -> None:
    click.echo(f"error: {clean(message)}", err=True)
    if hint:
        click.echo(f"hint: {clean(hint)}", err=True)

"""``sft-playground chat``: two answers to each line, for terminals, pipes and screen readers."""

from __future__ import annotations

import signal
import sys

import click

from playground import paths
from playground.cli.options import adapters_dir_option, interruptible, model_option, sampling_options, side_options
from playground.errors import InputError
from playground.text import clean


@click.command(short_help="Answer line by line, for pipes and screen readers.")
@click.option("--adapter", metavar="NAME", help="A run, RUN@STEP, a folder or hf:org/name. [default: your newest]")
@adapters_dir_option
@model_option
@side_options
@click.option("--control", is_flag=True, help="Show the base in the adapter's prompt style too.")
@sampling_options
def chat(
    *,
    adapter: str | None,
    adapters_dir: str | None,
    model: str | None,
    style: str | None,
    control: bool,
    strength: float,
    max_new_tokens: int,
    temperature: float,
    top_p: float,
    seed: int,
) -> int:
    """Answer each line of standard input with base and sft, one below the other.

    Each line is a separate conversation. Ctrl-C stops an answer; an empty line or Ctrl-D quits.
    """
    from playground.cli.narrate import Narrator
    from playground.models.adapters import find_adapter

    folder = find_adapter(adapter, paths.adapters_dir(adapters_dir))
    with Narrator() as narrator:
        narrator.progress("starting PyTorch", 0.0)
        from playground.data.answered import repeats_itself
        from playground.data.prompts import Prompt
        from playground.events.answers import Sampling
        from playground.inference.lineup import lanes_for, load_lineup
        from playground.report.words import how_it_ended

        lineup = load_lineup([folder], narrator.progress, model=model, style=style, strength=strength)
        narrator.line(f"{lineup.engine.base.identity.description}, adapter {lineup.described}")
        if lineup.advice:
            narrator.line(lineup.advice, "yellow")
    sampling = Sampling(max_new_tokens, temperature, top_p, seed)
    wanted = [at for at, side in enumerate(lineup.sides) if control or side.name != "control"]
    while line := _ask():
        every = lanes_for(lineup, Prompt("", line))
        with interruptible("stopping the answer") as interrupt:
            answers = lineup.engine.answers([every[at] for at in wanted], sampling, interrupt)
        for at, answer in zip(wanted, answers, strict=True):
            # A status line after each text: a screen reader says who spoke, what, and how it ended.
            click.echo(f"{lineup.sides[at].name}: {clean(answer.text.strip())}")
            click.echo(f"  ({how_it_ended(answer, repeats_itself(answer))})")
        sys.stdout.flush()
        if interrupt.signal in (signal.SIGTERM, signal.SIGHUP):
            return interrupt.exit_code
    return 0


def _ask() -> str:
    if sys.stdin.isatty():
        click.echo("you: ", nl=False, err=True)
    try:
        return sys.stdin.buffer.readline().decode("utf-8").strip()
    except KeyboardInterrupt:
        return ""
    except UnicodeDecodeError:
        raise InputError("A line is not UTF-8.", "Send UTF-8 text.") from None

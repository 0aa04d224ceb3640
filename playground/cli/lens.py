"""``sft-playground lens``: what an adapter changed in one answer, and what it was trained for."""

from __future__ import annotations

from typing import Literal

import click

from playground import paths
from playground.cli.options import adapters_dir_option, model_option
from playground.errors import UsageError
from playground.events.contrast import AnalysisEvent

MAX_NEW_TOKENS = 96


@click.command(short_help="What an adapter changed in one answer, token by token.")
@click.argument("prompt", required=False)
@click.option("--words", is_flag=True, help="Instead, the words an adapter raises and lowers most in 40 answers.")
@click.option(
    "--reading",
    type=click.Choice(["training", "whole"]),
    default="training",
    show_default=True,
    help="Feed the base the template as well, or your text as typed.",
)
@click.option("--adapter", metavar="NAME", help="A run, RUN@STEP, a folder or hf:org/name. [default: your newest]")
@adapters_dir_option
@model_option
@click.option("--json", "as_json", is_flag=True, help="Write events as JSON lines to standard output.")
def lens(
    *,
    prompt: str | None,
    words: bool,
    reading: Literal["training", "whole"],
    adapter: str | None,
    adapters_dir: str | None,
    model: str | None,
    as_json: bool,
) -> int:
    """Show what training changed in the answer to PROMPT.

    For each token of sft's answer: its probability and rank under base and sft, what each of them would have said, and
    how far they differ. Then the base's own text, with a ✂ where sft would have stopped. Probabilities are exact, over
    the whole vocabulary. --words needs no prompt: it reads the 40 held-out prompts.
    """
    if (prompt is None) != words:
        raise UsageError("Give a prompt, or --words.", 'Write it like: lens "What\'s the capital of France?"')
    from playground.data.prompts import read_prompts, typed_prompt

    wanted = typed_prompt(prompt) if prompt is not None else None
    from playground.cli.narrate import Narrator
    from playground.models.adapters import find_adapter

    events: list[AnalysisEvent] = []
    with Narrator() as narrator:
        narrator.progress("starting PyTorch", 0.0)
        from playground.inference import lens as analysis
        from playground.inference.lineup import load_lineup

        folder = find_adapter(adapter, paths.adapters_dir(adapters_dir))
        lineup = load_lineup([folder], narrator.progress, model=model)
        if wanted is None:
            prompts = read_prompts(paths.bundled("datasets") / "heldout.jsonl")
            events.append(analysis.words_moved(lineup, prompts, narrator.progress))
        else:
            narrator.progress("answering", 0.0)
            lanes = analysis.sides(lineup, wanted)
            base, sft = analysis.answers(lineup, lanes, MAX_NEW_TOKENS)
            looker = analysis.Looker(lineup, wanted.prompt, lineup.adapters[0], lanes)
            narrator.progress("looking", 0.0)
            events += [looker.look(sft, reading), looker.walk(base)]
    for event in events:
        if as_json:
            click.echo(event.to_json())
    if not as_json:
        _show(events)
    return 0


def _show(events: list[AnalysisEvent]) -> None:
    from playground.cli.streams import output
    from playground.events.lens import Lens, Walk, WordsMoved
    from playground.report import lens as report
    from playground.report.pieces import coloured

    console = output(120)
    for number, event in enumerate(events):
        if number:
            console.print()
        match event:
            case Lens():
                console.print(coloured(report.lens(event, console.width)), end="")
            case Walk():
                console.print(coloured(report.walk(event)), end="")
            case WordsMoved():
                console.print(coloured(report.words(event)), end="")

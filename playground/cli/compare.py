"""``sft-playground compare``, also spelled ``sft-playground --compare``."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from playground import paths
from playground.cli.options import interruptible
from playground.errors import GateNotMet, UsageError
from playground.events import Compared, Summary
from playground.text import count

if TYPE_CHECKING:
    from playground.analysis.compare import Lineup
    from playground.cli.narrate import Narrator
    from playground.data.prompts import Prompt
    from playground.inference.engine import Sampling

_GATE = re.compile(r"(base|control|sft(?::[^=]+)?)\.(answered|stopped_by_itself|repeats|mean_tokens)=(\d+(?:\.\d+)?)")
SUFFIXES = (".jsonl", ".md", ".csv", ".html", ".json")
BATCH_SIZE = 16  # prompts


@click.command(short_help="Answer prompts by base and sft, side by side.")
@click.argument("prompts")
@click.option(
    "--adapter",
    "adapters",
    metavar="NAME",
    multiple=True,
    help="A run, RUN@STEP, a folder or hf:org/name; may be given several times. [default: your newest]",
)
@click.option("--adapters-dir", metavar="DIR", help="Your adapters. [default: ./adapters, or your data folder]")
@click.option("--model", metavar="MODEL", help="The base model. [default: the adapter's own]")
@click.option("--quantize", type=click.Choice(["nf4", "none"]), help="The base's storage. [default: as in training]")
@click.option("--style", metavar="STYLE", help="Prompt style of sft and control. [default: as in training]")
@click.option(
    "--strength", type=click.FloatRange(0, 2), default=1.0, show_default=True, help="Multiplies what the adapter adds."
)
@click.option(
    "--out", metavar="FILE", type=click.Path(path_type=Path), help="Write a report: .html, .md, .csv, .jsonl, or .json."
)
@click.option(
    "--num-samples", type=click.IntRange(1, 1000), default=1, show_default=True, help="Answers to each prompt."
)
@click.option("--batch-size", type=click.IntRange(1, 4096), default=BATCH_SIZE, show_default=True, help="In prompts.")
@click.option("--max-new-tokens", type=click.IntRange(1, 100_000), default=128, show_default=True)
@click.option("--temperature", type=click.FloatRange(0, 10), default=0.0, show_default=True, help="0 is greedy.")
@click.option("--top-p", type=click.FloatRange(0, 1, min_open=True), default=1.0, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--fail-under", metavar="SIDE.SHARE=X", multiple=True, help="Exit with 4 below, e.g. sft.answered=0.9.")
def compare(
    *,
    prompts: str,
    adapters: tuple[str, ...],
    adapters_dir: str | None,
    model: str | None,
    quantize: str | None,
    style: str | None,
    strength: float,
    out: Path | None,
    num_samples: int,
    batch_size: int,
    max_new_tokens: int,
    temperature: float,
    top_p: float,
    seed: int,
    fail_under: tuple[str, ...],
) -> int:
    """Answer every prompt in a file with base, control and sft, side by side.

    PROMPTS holds one prompt a line; a .jsonl file holds {"prompt": …, "id": …} objects; '-' reads
    standard input. Base sees the raw prompt, control is the base in the adapter's prompt style, sft
    has the adapter. Ctrl-C keeps what is finished; with --out the same command goes on from there.
    """
    gates = [_gate(text) for text in fail_under]
    if out is not None and out.suffix not in SUFFIXES:
        kinds = ", ".join(SUFFIXES)
        raise UsageError(
            f"--out writes {kinds}, not {out.suffix or 'a file without a suffix'}.", "Choose one of these."
        )
    if num_samples > 1 and temperature == 0:
        raise UsageError("Greedy answers are all the same.", "Give --temperature 0.7 with --num-samples.")
    from playground.cli.journal import Journal
    from playground.data.prompts import read_prompts
    from playground.models.adapters import find_adapter, label

    rows = read_prompts(Path(prompts) if prompts == "-" else paths.find_file(prompts))
    home = paths.adapters_dir(adapters_dir)
    folders = [find_adapter(name, home) for name in adapters or (None,)]
    if len({label(folder) for folder in folders}) < len(folders):
        raise UsageError("An adapter is named twice.", "Name different ones.")
    stamps = [(str(folder.resolve()), _modified(folder)) for folder in folders]
    sampled = (max_new_tokens, temperature, top_p, seed, num_samples)
    journal = Journal(out, [rows, stamps, model, quantize, style, strength, sampled])
    try:
        with interruptible("stopping") as interrupt:
            from playground.cli.narrate import Narrator

            with Narrator() as narrator:
                narrator.progress("starting PyTorch", 0.0)
                from playground.analysis.compare import load_lineup
                from playground.inference.engine import Sampling

                lineup = load_lineup(
                    folders, narrator.progress, model=model, quantize=quantize, style=style, strength=strength
                )
                compared, summary = answer_all(
                    lineup, rows, Sampling(max_new_tokens, temperature, top_p, seed), narrator,
                    done=journal.done, each=journal.add, cancelled=interrupt, num_samples=num_samples,
                    batch_size=batch_size,
                )  # fmt: skip
            total = len(rows) * num_samples
            journal.finish(compared, summary, whole=len(compared) == total)
            show(compared, summary)
            if len(compared) < total:
                again = "; the same command goes on from there" if out else ""
                click.echo(f"{len(compared)} of {total} were finished{again}", err=True)
    finally:
        journal.close()
    _check(gates, summary)
    return interrupt.exit_code


def answer_all(
    lineup: Lineup,
    prompts: Sequence[Prompt],
    sampling: Sampling,
    narrator: Narrator,
    *,
    done: Sequence[Compared] = (),
    each: Callable[[Compared], None] = lambda row: None,
    cancelled: Callable[[], bool] = lambda: False,
    num_samples: int = 1,
    batch_size: int = BATCH_SIZE,
) -> tuple[list[Compared], Summary]:
    """Answer all prompts but those that are `done`, calling `each` as they are finished."""
    from playground.analysis import compare as analysis

    total = len(prompts) * num_samples
    stage = f"answering {count(total, 'prompt')}"
    narrator.progress(stage, len(done) / total)
    tally = analysis.Tally(lineup, min(batch_size, total), done)
    compared = list(done)
    for row in analysis.compare(
        lineup, prompts, sampling,
        batch_size=batch_size, num_samples=num_samples, skip=len(done), cancelled=cancelled,
    ):  # fmt: skip
        tally.add(row)
        compared.append(row)
        each(row)
        narrator.progress(stage, len(compared) / total)
    return compared, tally.summary()


def show(rows: Sequence[Compared], summary: Summary) -> None:
    """Print a comparison to standard output."""
    from rich.console import Console

    from playground.report import terminal

    console = Console(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else 120)
    for row in rows:
        console.print(terminal.comparison(row, console.width))
    console.print(terminal.summary(summary))


def _modified(folder: Path) -> int:
    return (folder / "adapter_model.safetensors").stat().st_mtime_ns if folder.is_dir() else 0


def _gate(text: str) -> tuple[str, str, float]:
    match = _GATE.fullmatch(text)
    if match is None:
        raise UsageError(f"--fail-under {text!r} is not understood.", "Write it like sft.answered=0.9.")
    return match[1], match[2], float(match[3])


def _check(gates: list[tuple[str, str, float]], summary: Summary) -> None:
    missed = []
    for wanted, measure, least in gates:
        # With several adapters, plain "sft" means each of them.
        sides = [side for side in summary.sides if side == wanted or (wanted == "sft" and side.startswith("sft:"))]
        if not sides:
            raise UsageError(f"There is no side {wanted!r}.", f"Here are {', '.join(summary.sides)}.")
        for side in sides:
            value = getattr(summary.sides[side], measure)
            if not value >= least:
                missed.append(f"{side}.{measure} is {value:.3g}, below {least:g}")
    if missed:
        raise GateNotMet("; ".join(missed) + ".")

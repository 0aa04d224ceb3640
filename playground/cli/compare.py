"""``sft-playground compare``, also spelled ``sft-playground --compare``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from playground import paths
from playground.cli.options import adapters_dir_option, interruptible, model_option, sampling_options, side_options
from playground.environ import uncollected
from playground.errors import GateNotMet, UsageError
from playground.events.answers import Compared, Summary
from playground.text import count

if TYPE_CHECKING:
    from playground.cli.narrate import Narrator
    from playground.data.prompts import Prompt
    from playground.events.answers import Sampling
    from playground.inference.lineup import Lineup

_GATE = re.compile(r"(base|control|sft(?::[^=]+)?)\.(answered|stopped_by_itself|repeats|mean_tokens)=(\d*\.?\d+)")
SUFFIXES = (".jsonl", ".md", ".csv", ".html", ".json")
BATCH_SIZE = 16  # prompts


@click.command(short_help="Answer prompts with base and sft, side by side.")
@click.argument("prompts")
@click.option(
    "--adapter",
    "adapters",
    metavar="NAME",
    multiple=True,
    help="A run, RUN@STEP, a folder or hf:org/name; may be given several times. [default: your newest]",
)
@adapters_dir_option
@model_option
@click.option("--quantize", type=click.Choice(["nf4", "none"]), help="How to store the base. [default: as in training]")
@side_options
@click.option(
    "--out", metavar="FILE", type=click.Path(path_type=Path), help="Write a report: .html, .md, .csv, .jsonl, or .json."
)
@click.option(
    "--num-samples", type=click.IntRange(1, 1000), default=1, show_default=True, help="Answers to each prompt."
)
@click.option(
    "--batch-size",
    type=click.IntRange(1, 4096),
    default=BATCH_SIZE,
    show_default=True,
    help="Prompts answered together.",
)
@sampling_options
@click.option(
    "--fail-under",
    metavar="SIDE.SHARE=X",
    multiple=True,
    help="Exit with 4 if SIDE (base, control, sft) is below X in answered, stopped_by_itself, repeats or mean_tokens.",
)
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

    PROMPTS has one prompt per line; of the rows of a data file the first question is asked as training shows it,
    with its context; '-' reads standard input. Base sees the raw prompt, control is the base in the adapter's prompt
    style, sft has the adapter. Ctrl-C keeps what is finished; with --out, rerun the same command to resume.
    """
    gates = [_gate(text) for text in fail_under]
    if out is not None and out.suffix not in SUFFIXES:
        kinds = ", ".join(SUFFIXES)
        raise UsageError(
            f"--out writes {kinds}, not {out.suffix or 'a file without a suffix'}.", "Choose one of these."
        )
    if num_samples > 1 and temperature == 0:
        raise UsageError("Greedy answers are all the same.", "Give --temperature 0.7 with --num-samples.")
    from playground.data.prompts import read_prompts
    from playground.models.adapters import find_adapter
    from playground.report.journal import Journal
    from playground.runs.folder import labels

    rows = read_prompts(Path(prompts) if prompts == "-" else paths.find_file(prompts))
    home = paths.adapters_dir(adapters_dir)
    folders = [find_adapter(name, home) for name in adapters or (None,)]
    names = labels(folders)
    sides = ("base", "control", *(("sft",) if len(names) == 1 else (f"sft:{name}" for name in names)))
    for wanted, _, _ in gates:
        if wanted not in (*sides, "sft"):
            raise UsageError(f"There is no side {wanted!r}.", f"Choose from {', '.join(sides)}.")
    stamps = [(str(folder.resolve()), _modified(folder)) for folder in folders]
    sampled = (max_new_tokens, temperature, top_p, seed, num_samples)
    journal = Journal(out, [rows, stamps, model, quantize, style, strength, sampled])
    looks = out is not None and out.suffix == ".html" and len(folders) == 1  # only the page shows why
    try:
        with interruptible("stopping") as interrupt:
            from playground.cli.narrate import Narrator

            with Narrator() as narrator:
                narrator.progress("starting PyTorch", 0.0)
                with uncollected():
                    from playground.events.answers import Sampling
                    from playground.inference.lineup import load_lineup

                lineup = load_lineup(
                    folders, narrator.progress, model=model, quantize=quantize, style=style, strength=strength
                )
                if lineup.advice:
                    narrator.line(lineup.advice, "yellow")
                compared, summary = answer_all(
                    lineup, rows, Sampling(max_new_tokens, temperature, top_p, seed), narrator, strength=strength,
                    done=journal.done, each=journal.add, cancelled=interrupt, num_samples=num_samples,
                    batch_size=batch_size, keep_ids=looks,
                )  # fmt: skip
                if looks and not interrupt():
                    from playground.inference.compare import looked_at

                    compared = looked_at(lineup, compared, narrator.progress, interrupt)
            total = len(rows) * num_samples
            journal.finish(compared, summary, whole=len(compared) == total)
            show(compared, summary)
            if len(compared) < total:
                again = "; rerun the same command to resume" if out else ""
                click.echo(f"{len(compared)} of {total} were finished{again}", err=True)
    finally:
        journal.close()
    if interrupt.exit_code:
        return interrupt.exit_code  # a gate needs all prompts
    _check(gates, summary)
    return 0


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
    strength: float = 1.0,
    keep_ids: bool = False,
) -> tuple[list[Compared], Summary]:
    """Answer all prompts except those already `done`, calling `each` as each one is finished."""
    from playground.inference import compare as analysis

    total = len(prompts) * num_samples
    stage = f"answering {count(total, 'prompt')}"
    narrator.progress(stage, len(done) / total)
    drawn = f"temperature {sampling.temperature:g}, top-p {sampling.top_p:g}, seed {sampling.seed}"
    settings = f"{drawn if sampling.temperature > 0 else 'greedy'}, at most {sampling.max_new_tokens} new tokens"
    settings += f", strength {strength:g}" if strength != 1 else ""
    tally = analysis.Tally(lineup, min(batch_size, total), settings, done)
    compared = list(done)
    for row in analysis.compare(
        lineup, prompts, sampling,
        batch_size=batch_size, num_samples=num_samples, skip=len(done), keep_ids=keep_ids, cancelled=cancelled,
    ):  # fmt: skip
        tally.add(row)
        compared.append(row)
        each(row)
        narrator.progress(stage, len(compared) / total)
    return compared, tally.summary()


def show(rows: Sequence[Compared], summary: Summary | None = None) -> None:
    """Print a comparison to standard output, and its summary if there is one."""
    from playground.cli.streams import output
    from playground.report import terminal

    console = output(120)
    for row in rows:
        console.print(terminal.comparison(row, console.width))
    if summary is not None:
        console.print(terminal.summary(summary))


def _modified(folder: Path) -> int:
    from playground.runs.folder import WEIGHTS

    weights = folder / WEIGHTS
    return weights.stat().st_mtime_ns if weights.is_file() else 0


def _gate(text: str) -> tuple[str, str, float]:
    match = _GATE.fullmatch(text)
    if match is None:
        raise UsageError(f"--fail-under {text!r} is not valid.", "Write it like sft.answered=0.9.")
    least = float(match[3])
    if match[2] != "mean_tokens" and least > 1:
        raise UsageError(f"--fail-under {text!r}: {match[2]} is a share from 0 to 1.", "Write 0.9 for 90 %.")
    return match[1], match[2], least


def _check(gates: list[tuple[str, str, float]], summary: Summary) -> None:
    missed = []
    for wanted, measure, least in gates:
        # With several adapters, plain "sft" means each of them.
        for side in (s for s in summary.sides if s == wanted or (wanted == "sft" and s.startswith("sft:"))):
            value = getattr(summary.sides[side], measure)
            if not value >= least:
                missed.append(f"{side}.{measure} is {value:.3g}, below {least:g}")
    if missed:
        raise GateNotMet("; ".join(missed) + ".")

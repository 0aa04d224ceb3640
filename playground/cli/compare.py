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
    from playground.cli.narrate import Narrator
    from playground.data.prompts import Prompt
    from playground.inference.engine import Sampling

_GATE = re.compile(r"(base|control|sft)\.(answered|stopped_by_itself|repeats|mean_tokens)=(\d+(?:\.\d+)?)")
BATCH_SIZE = 16  # prompts; three lanes each


@click.command()
@click.argument("prompts")
@click.option("--adapter", metavar="NAME|PATH", help="The adapter. [default: your newest]")
@click.option(
    "--adapters-dir", metavar="DIR", help="Where your adapters are. [default: ./adapters, or your data folder]"
)
@click.option("--model", metavar="MODEL", help="The base model. [default: the adapter's own]")
@click.option(
    "--quantize", type=click.Choice(["nf4", "none"]), help="How the base is stored. [default: as in training]"
)
@click.option("--out", metavar="FILE.jsonl", type=click.Path(path_type=Path), help="Write one JSON object a prompt.")
@click.option("--max-new-tokens", type=click.IntRange(1, 100_000), default=128, show_default=True)
@click.option("--temperature", type=click.FloatRange(0, 10), default=0.0, show_default=True, help="0 is greedy.")
@click.option("--top-p", type=click.FloatRange(0, 1, min_open=True), default=1.0, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--fail-under", metavar="SIDE.SHARE=X", multiple=True, help="Exit with 4 below, e.g. sft.answered=0.9.")
def compare(
    *,
    prompts: str,
    adapter: str | None,
    adapters_dir: str | None,
    model: str | None,
    quantize: str | None,
    out: Path | None,
    max_new_tokens: int,
    temperature: float,
    top_p: float,
    seed: int,
    fail_under: tuple[str, ...],
) -> int:
    """Answer every prompt in a file with base, control and sft, side by side.

    PROMPTS holds one prompt a line; a .jsonl file holds {"prompt": …, "id": …} objects; '-' reads
    standard input. Base sees the raw prompt, control is the base in the chat style, sft has the adapter.
    """
    gates = [_gate(text) for text in fail_under]
    if out is not None and out.suffix != ".jsonl":
        raise UsageError(f"--out writes .jsonl, not {out.suffix or 'a file without a suffix'}.", "Name it FILE.jsonl.")
    from playground.data.prompts import read_prompts
    from playground.models.adapters import find_adapter

    rows = read_prompts(Path(prompts) if prompts == "-" else paths.find_file(prompts))
    folder = find_adapter(adapter, paths.adapters_dir(adapters_dir))
    with interruptible("stopping") as interrupt, _Writer(out) as writer:
        from playground.cli.narrate import Narrator

        with Narrator() as narrator:
            narrator.progress("starting PyTorch", 0.0)
            from playground.inference.engine import Sampling

            sampling = Sampling(max_new_tokens, temperature, top_p, seed)
            compared, summary = answer_all(
                rows, folder, sampling, narrator, each=writer.write, cancelled=interrupt, model=model, quantize=quantize
            )
        show(compared, summary)
    _check(gates, summary)
    return interrupt.exit_code


def answer_all(
    prompts: Sequence[Prompt],
    folder: Path,
    sampling: Sampling,
    narrator: Narrator,
    *,
    each: Callable[[Compared], None] = lambda row: None,
    cancelled: Callable[[], bool] = lambda: False,
    model: str | None = None,
    quantize: str | None = None,
) -> tuple[list[Compared], Summary]:
    """Answer all prompts with the adapter in `folder`, calling `each` as they are finished."""
    from playground.analysis import compare as analysis

    pair = analysis.load_pair(folder, model, quantize, narrator.progress)
    stage = f"answering {count(len(prompts), 'prompt')}"
    narrator.progress(stage, 0.0)
    tally = analysis.Tally(pair, min(BATCH_SIZE, len(prompts)))
    compared: list[Compared] = []
    for row in analysis.compare(pair, prompts, sampling, BATCH_SIZE, cancelled):
        tally.add(row)
        compared.append(row)
        each(row)
        narrator.progress(stage, len(compared) / len(prompts))
    return compared, tally.summary()


def show(rows: Sequence[Compared], summary: Summary) -> None:
    """Print a comparison to standard output."""
    from rich.console import Console

    from playground.data.answered import repeats_itself
    from playground.report import terminal

    console = Console(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else 120)
    for row in rows:
        repeats = {side: repeats_itself(answer) for side, answer in row.answers.items()}
        console.print(terminal.comparison(row, repeats, console.width))
    console.print(terminal.summary(summary))


class _Writer:
    """The ``--out`` file, opened before the model is loaded so that a bad path fails early.

    Rows go to a hidden file beside it, which takes its name at the end: what stands under the name is
    always a whole comparison, or what was finished before an interruption.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._temporary = path.with_name(f".{path.name}.new") if path else None

    def __enter__(self) -> _Writer:
        from playground.errors import EnvironmentFault

        try:
            self._stream = self._temporary.open("w", encoding="utf-8") if self._temporary else None
        except OSError as error:
            raise EnvironmentFault(f"{self._path} cannot be written: {error.strerror}.", "Check the folder.") from None
        return self

    def write(self, row: Compared) -> None:
        if self._stream:
            self._stream.write(row.to_json() + "\n")

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._stream and self._temporary and self._path:
            self._stream.close()
            if kind is None:
                self._temporary.replace(self._path)
            else:
                self._temporary.unlink(missing_ok=True)


def _gate(text: str) -> tuple[str, str, float]:
    match = _GATE.fullmatch(text)
    if match is None:
        raise UsageError(f"--fail-under {text!r} is not understood.", "Write it like sft.answered=0.9.")
    return match[1], match[2], float(match[3])


def _check(gates: list[tuple[str, str, float]], summary: Summary) -> None:
    missed = []
    for side, measure, least in gates:
        value = getattr(summary.sides[side], measure)
        if not value >= least:
            missed.append(f"{side}.{measure} is {value:.3g}, below {least:g}")
    if missed:
        raise GateNotMet("; ".join(missed) + ".")

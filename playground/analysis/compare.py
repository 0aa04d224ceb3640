"""Comparing base and fine-tuned model on many prompts: three lanes a prompt, many prompts a batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from playground.data.answered import answered, repeats_itself
from playground.data.encode import Encoder
from playground.data.examples import Turn
from playground.data.prompts import Prompt
from playground.data.styles import get_style
from playground.errors import InputError
from playground.events import Compared, RunRecord, SideSummary, Summary
from playground.inference.engine import Engine, Lane, Sampling, styled_lane
from playground.models import lora
from playground.models.adapters import read_record
from playground.models.demo import Progress
from playground.models.fingerprint import Fingerprint
from playground.models.lanes import Row
from playground.models.load import load_base

SIDES = ("base", "control", "sft")
ADAPTER = "default"


@dataclass(frozen=True)
class Pair:
    """A base and one adapter on it, ready to answer."""

    engine: Engine
    encoder: Encoder
    name: str
    record: RunRecord | None


def load_pair(folder: Path, model: str | None, quantize: str | None, progress: Progress) -> Pair:
    """Load the adapter in `folder` on its base.

    Args:
        folder: The adapter.
        model: The base; by default the one the adapter's record names.
        quantize: How to store the base; by default as in training, because an adapter learns the
            base's rounding too.
        progress: Called while the model loads.

    Raises:
        InputError: If the adapter is unsound or does not fit the base.
    """
    file = lora.read_adapter(folder)
    record = read_record(folder)
    if model is None and record is None:
        raise InputError(
            f"{folder.name} does not say which model it was trained on here (it has no run.json).",
            f"Name its base with --model{f' ({file.base_name}?)' if file.base_name else ''}.",
        )
    config = record.config if record else {}
    base = load_base(model or str(config["model"]), quantize or str(config.get("quantize", "nf4")), progress)
    if record is not None and record.base.name != base.identity.name:
        raise InputError(
            f"The adapter {folder.name} was trained on {record.base.name}, not on {base.identity.name}.",
            "Leave --model out to use its own base.",
        )
    fingerprint = Fingerprint(base)
    adapted = lora.attach(base, None, file, ADAPTER)
    style = get_style(record.style if record else "chat", base.tokenizer)
    encoder = Encoder(base.tokenizer, style, base.end_token_id, max_length=1 << 30)
    return Pair(Engine(base, adapted, fingerprint), encoder, folder.name, record)


def lanes_for(pair: Pair, prompt: Prompt, draw: int = 0) -> list[Lane]:
    """Return the lanes of one prompt, in the order of `SIDES`.

    Base sees the prompt as typed. Control is the base fed with the style: what the template does
    without training. sft is the same with the adapter.
    """
    turns = [Turn("user", prompt.prompt)]
    return [
        Lane(pair.encoder.raw(prompt.prompt), draw=draw),
        styled_lane(pair.encoder, turns, Row(), draw),
        styled_lane(pair.encoder, turns, Row(ADAPTER), draw),
    ]


def compare(
    pair: Pair,
    prompts: Sequence[Prompt],
    sampling: Sampling,
    batch_size: int,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[Compared]:
    """Yield each prompt answered by each side, in order; `batch_size` prompts go together.

    Raises:
        PlaygroundError: If the base lane is not the base; nothing is yielded for that batch.
    """
    for at in range(0, len(prompts), batch_size):
        if cancelled():
            return
        batch = prompts[at : at + batch_size]
        lanes = [lane for n, prompt in enumerate(batch) for lane in lanes_for(pair, prompt, draw=at + n)]
        answers = pair.engine.answers(lanes, sampling, cancelled)
        for n, prompt in enumerate(batch):
            sides = dict(zip(SIDES, answers[3 * n : 3 * n + 3], strict=True))
            judged = {side: answered(prompt, answer) for side, answer in sides.items()}
            yield Compared(prompt.id, prompt.prompt, sides, judged)


class Tally:
    """Counts comparisons as they come and sums them up."""

    def __init__(self, pair: Pair, batch_size: int) -> None:
        self._pair = pair
        self._batch_size = batch_size
        self._rows: list[Compared] = []
        self._begun = time.monotonic()

    def add(self, row: Compared) -> None:
        """Count one comparison."""
        self._rows.append(row)

    def summary(self) -> Summary:
        """Return the shares of each side and the speed of the whole."""
        seconds = time.monotonic() - self._begun
        tokens = sum(answer.num_tokens for row in self._rows for answer in row.answers.values())
        base = self._pair.engine.base
        fingerprint = self._pair.engine.fingerprint
        return Summary(
            num_prompts=len(self._rows),
            sides={side: self._side(side) for side in SIDES},
            tokens_per_second=round(tokens / seconds, 1) if seconds else 0.0,
            seconds=round(seconds, 2),
            model=base.identity.description,
            adapter=self._pair.name,
            batch_size=self._batch_size,
            # `compare` raises before it yields a row whose base lane was not the base.
            fingerprint=f"base proven {fingerprint.digest[:12]}" if fingerprint and self._rows else "not checked",
        )

    def _side(self, side: str) -> SideSummary:
        answers = [row.answers[side] for row in self._rows]
        count = max(1, len(answers))
        return SideSummary(
            answered=sum(row.answered[side] for row in self._rows) / count,
            stopped_by_itself=sum(answer.stopped_by_itself for answer in answers) / count,
            repeats=sum(repeats_itself(answer) for answer in answers) / count,
            mean_tokens=sum(answer.num_tokens for answer in answers) / count,
        )

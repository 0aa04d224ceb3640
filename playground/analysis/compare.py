"""Comparing base and fine-tuned models on many prompts: a lane for each side, many prompts a batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from playground.data.answered import answered, repeats_itself
from playground.data.encode import Encoder
from playground.data.examples import Turn
from playground.data.prompts import Prompt
from playground.data.styles import get_style
from playground.errors import InputError
from playground.events import Compared, RunRecord, SideSummary, Summary
from playground.inference.engine import Engine, Lane, Sampling, styled_lane
from playground.models import lora
from playground.models.adapters import label, read_record
from playground.models.demo import Progress
from playground.models.fingerprint import Fingerprint
from playground.models.lanes import Row
from playground.models.load import Base, load_base


@dataclass(frozen=True)
class Side:
    """One of the texts that are compared; without an encoder it is the base, fed the raw prompt."""

    name: str
    row: Row
    encoder: Encoder | None


@dataclass(frozen=True)
class Lineup:
    """A base and the adapters on it, ready to answer. `records` belong to the adapters, in order."""

    engine: Engine
    sides: tuple[Side, ...]
    adapters: tuple[str, ...]
    records: tuple[RunRecord | None, ...]
    raw: Encoder


def load_lineup(
    folders: Sequence[Path],
    progress: Progress,
    *,
    model: str | None = None,
    quantize: str | None = None,
    style: str | None = None,
    strength: float = 1.0,
    device: torch.device | None = None,
) -> Lineup:
    """Load adapters on their common base.

    Args:
        folders: The adapters. One is the side ``sft``, several are ``sft:NAME``.
        progress: Called while the model loads.
        model: The base; by default the one that the first adapter's record names.
        quantize: How to store the base; by default as in training, because an adapter learns the
            base's rounding too.
        style: The prompt style; by default the one each adapter was trained with.
        strength: Multiplies what each adapter adds; 1 is as trained.
        device: Where to put the model; by default a GPU if there is one.

    Raises:
        InputError: If an adapter is unsound, or does not fit the base.
    """
    files = [lora.read_adapter(folder) for folder in folders]
    records = [read_record(folder) for folder in folders]
    names = [label(folder) for folder in folders]
    if model is None and records[0] is None:
        raise InputError(
            f"{names[0]} does not say which model it was trained on here (it has no run.json).",
            f"Name its base with --model{f' ({files[0].base_name}?)' if files[0].base_name else ''}.",
        )
    config = records[0].config if records[0] else {}
    base = load_base(
        model or str(config.get("model", "")), quantize or str(config.get("quantize", "nf4")), progress, device
    )
    for name, record in zip(names, records, strict=True):
        if record is not None:
            _require_base(base, name, record, asked=quantize is not None)
    fingerprint = Fingerprint(base)
    adapted, sides = None, []
    for number, (name, record, file) in enumerate(zip(names, records, files, strict=True)):
        key = "default" if number == 0 else f"adapter{number}"
        adapted = lora.attach(base, adapted, file, key)
        rendered = get_style(style or (record.style if record else "chat"), base.tokenizer)
        encoder = Encoder(base.tokenizer, rendered, base.end_token_id, max_length=1 << 30)
        sides.append(Side("sft" if len(files) == 1 else f"sft:{name}", Row(key, strength), encoder))
    assert adapted is not None
    assert sides[0].encoder is not None
    # What the template does without training: the base, fed with the first adapter's style.
    fixed = (Side("base", Row(), None), Side("control", Row(), sides[0].encoder))
    engine = Engine(base, adapted, fingerprint)
    return Lineup(engine, (*fixed, *sides), tuple(names), tuple(records), sides[0].encoder)


def _require_base(base: Base, name: str, record: RunRecord, *, asked: bool) -> None:
    """Refuse an adapter that was trained on other weights; a folder may have moved, the weights are what counts."""
    mine, theirs = base.identity, record.base
    known = "unknown" not in (mine.revision, theirs.revision)
    if (mine.revision != theirs.revision) if known else (mine.name != theirs.name):
        other = "other weights of " if mine.name == theirs.name else ""
        raise InputError(
            f"The adapter {name} was trained on {other}{theirs.name}, not on {mine.name}.",
            "Compare adapters of one base; leave --model out to use their own.",
        )
    if mine.quantize != theirs.quantize and not asked:
        raise InputError(
            f"The adapter {name} was trained on a base in {theirs.quantize}, another one in {mine.quantize}.",
            "Compare them apart, or choose one storage for both with --quantize.",
        )


def lanes_for(lineup: Lineup, prompt: Prompt, draw: int = 0) -> list[Lane]:
    """Return the lanes of one prompt, in the order of the sides; all draw the same random numbers."""
    turns = [Turn("user", prompt.prompt)]
    return [
        Lane(lineup.raw.raw(prompt.prompt), draw=draw)
        if side.encoder is None
        else styled_lane(side.encoder, turns, side.row, draw)
        for side in lineup.sides
    ]


def compare(
    lineup: Lineup,
    prompts: Sequence[Prompt],
    sampling: Sampling,
    *,
    batch_size: int,
    num_samples: int = 1,
    skip: int = 0,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[Compared]:
    """Yield each prompt answered by each side, in order; `batch_size` prompts go together.

    Args:
        lineup: The sides.
        prompts: The prompts.
        sampling: How tokens are chosen.
        batch_size: Prompts that are answered together.
        num_samples: How often each prompt is answered, each time with other random numbers.
        skip: Leave out so many comparisons, which are there already.
        cancelled: Asked at each token; what is not finished then is not yielded.

    Raises:
        PlaygroundError: If the base lane is not the base; nothing is yielded for that batch.
    """
    jobs = [(prompt, sample) for prompt in prompts for sample in range(num_samples)]
    width = len(lineup.sides)
    for at in range(skip, len(jobs), batch_size):
        batch = jobs[at : at + batch_size]
        lanes = [lane for n, (prompt, _) in enumerate(batch) for lane in lanes_for(lineup, prompt, draw=at + n)]
        answers = lineup.engine.answers(lanes, sampling, cancelled)
        for n, (prompt, sample) in enumerate(batch):
            mine = answers[width * n : width * (n + 1)]
            if any(answer.finish_reason == "cancelled" for answer in mine):
                return  # what is yielded has no gaps, so that a count says where to go on
            sides = dict(zip((side.name for side in lineup.sides), mine, strict=True))
            judged = {side: answered(prompt, answer) for side, answer in sides.items()}
            looped = {side: repeats_itself(answer) for side, answer in sides.items()}
            yield Compared(prompt.id, prompt.prompt, sides, judged, looped, sample)
        if cancelled():
            return


class Tally:
    """Counts comparisons as they come and sums them up."""

    def __init__(self, lineup: Lineup, batch_size: int, settings: str, done: Sequence[Compared] = ()) -> None:
        self._lineup = lineup
        self._settings = settings
        self._batch_size = batch_size
        self._rows = list(done)
        self._before = len(done)
        self._begun = time.monotonic()

    def add(self, row: Compared) -> None:
        """Count one comparison."""
        self._rows.append(row)

    def summary(self) -> Summary:
        """Return the shares of each side and the speed of what was answered in this process."""
        seconds = time.monotonic() - self._begun
        tokens = sum(answer.num_tokens for row in self._rows[self._before :] for answer in row.answers.values())
        fingerprint = self._lineup.engine.fingerprint
        return Summary(
            num_prompts=len(self._rows),
            sides={side.name: self._side(side.name) for side in self._lineup.sides},
            tokens_per_second=round(tokens / seconds, 1) if seconds else 0.0,
            seconds=round(seconds, 2),
            model=self._lineup.engine.base.identity.description,
            adapter=", ".join(self._lineup.adapters),
            batch_size=self._batch_size,
            settings=self._settings,
            # `compare` raises before it yields a row whose base lane was not the base.
            fingerprint=f"base proven {fingerprint.digest[:12]}" if fingerprint and self._rows else "not checked",
        )

    def _side(self, side: str) -> SideSummary:
        answers = [row.answers[side] for row in self._rows]
        count = max(1, len(answers))
        return SideSummary(
            answered=sum(row.answered[side] for row in self._rows) / count,
            stopped_by_itself=sum(answer.stopped_by_itself for answer in answers) / count,
            repeats=sum(row.repeats[side] for row in self._rows) / count,
            mean_tokens=sum(answer.num_tokens for answer in answers) / count,
        )

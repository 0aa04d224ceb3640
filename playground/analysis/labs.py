"""Labs: train what a lab says with the project's own training, and measure its predictions on the saved adapter."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from playground.config import TrainConfig
from playground.data.labs import lab_rows
from playground.data.prompts import Prompt
from playground.events.contrast import Expectation
from playground.events.labs import Ask, Lab, LabDone, Measure, Outcome, Trained
from playground.events.runs import Event, RunEnded
from playground.events.values import Progress
from playground.inference.contrast import Pair, contrast
from playground.inference.lens import PROMPTS_AT_ONCE, continued, sides
from playground.inference.lineup import Lineup, change_adapters, load_lineup
from playground.runs.folder import WEIGHTS, read_record
from playground.training.loop import train

SAMPLE_TOKENS = 24


def run_lab(
    lab: Lab,
    folder: Path,
    *,
    seed: int,
    model: str,
    stop: Callable[[], bool] = lambda: False,
    progress: Progress = lambda stage, share: None,
) -> Iterator[Event | LabDone]:
    """Train a lab in `folder`; yield the events of the training, and what came out unless it was stopped.

    The other rows of a lab that has any are trained after its own, in a folder next to it that is named after both.

    Args:
        lab: The lab.
        folder: Becomes an ordinary run.
        seed: The seed of the training.
        model: The base; the predictions were made for the demo model.
        stop: Called at each step; if true, training ends and nothing is measured.
        progress: Called while models load.

    Raises:
        PlaygroundError: As `train` and `load_lineup` do.
    """
    trainings = {folder: (lab.name, lab.training)}
    if lab.against:
        other = folder.with_name(f"{folder.name}-{lab.against.rows}")
        trainings[other] = (lab.against.rows, {**lab.training, **lab.against.training})
    done: list[Trained] = []
    for where, (rows, options) in trainings.items():
        config = TrainConfig(
            data=str(lab_rows(rows)),
            model=model,
            seed=seed,
            sample_prompts=lab.shown,
            sample_max_new_tokens=SAMPLE_TOKENS,
            **options,
        )
        ended: Event | None = None
        for event in train(config, where, stop=stop, progress=progress):
            yield event
            ended = event
        if not isinstance(ended, RunEnded) or ended.state != "finished":
            return
        done.append(_trained(where, ended))
    lineup = load_lineup([folder], progress)  # from the disk, so that it is the saved adapter that is judged
    progress("measuring", 0.0)
    mine, *others = done
    yield LabDone(
        lab=lab.name,
        prediction_sha256=lab.sha256,
        **mine.to_dict(),
        model=lineup.engine.base.identity.description,
        seed=seed,
        outcomes=measure(lineup, lab, *list(trainings)[1:]),
        against=others[0] if others else None,
    )


def _trained(folder: Path, ended: RunEnded) -> Trained:
    record = read_record(folder)
    assert record is not None
    weights = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    return Trained(record.data_sha256, folder.name, weights, ended.num_tokens, ended.step)


@dataclass(frozen=True, slots=True)
class _Told:
    """How probable an answer is on one side, whether greedy says it, and how probably the text ends there."""

    log_p: float
    is_first: bool
    p_end: float

    @classmethod
    def of(cls, places: Sequence[Expectation]) -> _Told:
        *tokens, after = places
        return cls(sum(token.log_p for token in tokens), all(token.rank == 1 for token in tokens), after.p_end)


def measure(lineup: Lineup, lab: Lab, against: Path | None = None) -> tuple[Outcome, ...]:
    """Return what became of each prediction of `lab`, with all sides fed the template.

    Args:
        lineup: The base with the lab's adapter.
        lab: The lab.
        against: The run of its other rows, whose adapter takes the place of the lab's in `lineup`.

    Raises:
        UsageError: Unless there is exactly one adapter.
        PlaygroundError: If the base lane is not the base.
    """
    told = {group: [*_told(lineup, asks)] for group, asks in lab.groups.items()}
    if against:
        lineup = change_adapters(lineup, [against])
        for group, asks in lab.groups.items():
            told[group].append(_told(lineup, asks)[1])
    outcomes = []
    for prediction in lab.predictions:
        base, sft, *others = (value(prediction.measure, side) for side in told[prediction.group])
        other = others[0] if others else None
        verdict = prediction.verdict(base, sft, other)
        outcomes.append(Outcome(prediction.says, prediction.group, prediction.measure, base, sft, verdict, other))
    return tuple(outcomes)


def value(measure: Measure, told: Sequence[Sequence[_Told]]) -> float:
    """Return a measure of a group.

    Args:
        measure: Which one.
        told: The answers of each of its prompts.
    """
    match measure:
        case "p":
            values = [math.exp(answers[0].log_p) for answers in told]
        case "share":
            values = [_share(answers) for answers in told]
        case "first":
            values = [float(answers[0].is_first) for answers in told]
        case "loss":
            values = [-answer.log_p for answers in told for answer in answers]
        case "same":
            chosen = Counter(at for answers in told for at, answer in enumerate(answers) if answer.is_first)
            values = [max(chosen.values(), default=0) / len(told)]
        case "end":
            values = [answers[0].p_end for answers in told]
    return math.fsum(values) / len(values)


def _share(answers: Sequence[_Told]) -> float:
    most = max(answer.log_p for answer in answers)
    weights = [math.exp(answer.log_p - most) for answer in answers]
    return weights[0] / math.fsum(weights)


def _told(lineup: Lineup, asks: Sequence[Ask]) -> tuple[list[list[_Told]], list[list[_Told]]]:
    """Return each answer of each prompt under base and under sft."""
    encoder = lineup.raw
    pairs = []
    for ask in asks:
        lanes = sides(lineup, Prompt("", ask.prompt))
        for answer in ask.answers:
            ids = encoder.text(encoder.style.lead_in + answer)
            targets = (*ids, encoder.end_token_id)
            pairs.append(Pair(continued(lanes.control, ids), continued(lanes.sft, ids), targets))
    found = []
    for at in range(0, len(pairs), PROMPTS_AT_ONCE):
        found += contrast(lineup.engine, encoder, pairs[at : at + PROMPTS_AT_ONCE])

    def by_prompt(told: Iterator[_Told]) -> list[list[_Told]]:
        return [[next(told) for _ in ask.answers] for ask in asks]

    base = (_Told.of([position.base for position in positions]) for positions in found)
    sft = (_Told.of([position.sft for position in positions]) for positions in found)
    return by_prompt(base), by_prompt(sft)

"""Labs: small trainings whose outcome is predicted before, and what came out, measured where answers begin and end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from playground.events.contrast import AnalysisEvent
from playground.events.values import Json

# p: the mean probability of the first answer. share: the same as a share of all answers named. first: the share of
# prompts where each token of the first answer is the model's first choice, so that greedy says it. same: the share of
# prompts on which greedy begins with the answer with which it begins most. loss: the mean of -log p of all answers, in
# nats. end: the mean probability that the text ends after the first answer.
Measure = Literal["p", "share", "first", "same", "loss", "end"]
Verdict = Literal["held", "did not hold", "cannot tell"]


@dataclass(frozen=True, slots=True)
class Ask(Json):
    """A prompt, and beginnings of answers whose probabilities are measured; the first one is the one in question."""

    prompt: str
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Prediction(Json):
    """What is expected of a group of prompts after the training.

    Attributes:
        says: The expectation in words.
        group: The name of the group.
        measure: What is measured.
        held: From this value on it held; if `held` is below `fails`, downwards.
        fails: From this value on it did not hold; between the two nothing can be told.
        beyond_base: Whether a base that reaches `held` without training makes it impossible to tell.
        over: The side whose value is subtracted from that of sft before it is judged, if any: the base, or the adapter
            of the other rows. Nothing is then asked of the base alone.
    """

    says: str
    group: str
    measure: Measure
    held: float
    fails: float
    beyond_base: bool = True
    over: Literal["", "base", "against"] = ""

    def verdict(self, base: float, sft: float, against: float | None = None) -> Verdict:
        """Return whether it held, from the values measured of base, sft and the adapter of the other rows, if any."""
        sign = 1 if self.held > self.fails else -1
        if not self.over and self.beyond_base and sign * (base - self.held) >= 0:
            return "cannot tell"
        less = {"": 0.0, "base": base, "against": against}[self.over]
        assert less is not None
        if sign * (sft - less - self.held) >= 0:
            return "held"
        return "did not hold" if sign * (self.fails - (sft - less)) >= 0 else "cannot tell"


@dataclass(frozen=True, slots=True)
class Against(Json):
    """Other rows, which are trained in the same way as those of a lab and compared with them.

    Attributes:
        rows: The name of their file, without its ending.
        training: The options that differ from those of the lab.
    """

    rows: str
    training: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Lab(Json):
    """A small training with a prediction.

    Attributes:
        name: Its name in commands.
        title: Its title.
        claim: What it is to show.
        rows: What its data set is, and is not.
        shown: Prompts that are answered while it trains.
        training: The options that differ from the defaults of training.
        groups: The prompts that are measured, by the name of their group.
        predictions: What is expected of them.
        sha256: Of the file with all this; it is older than any result.
        against: The other rows, of a lab that compares two data sets.
    """

    name: str
    title: str
    claim: str
    rows: str
    shown: tuple[str, ...]
    training: dict[str, Any]
    groups: dict[str, tuple[Ask, ...]]
    predictions: tuple[Prediction, ...]
    sha256: str
    against: Against | None = None


@dataclass(frozen=True, slots=True)
class Outcome(Json):
    """What became of a prediction: the values of the base, fed the template, of sft, and of the other rows' adapter."""

    says: str
    group: str
    measure: Measure
    base: float
    sft: float
    verdict: Verdict
    against: float | None = None


@dataclass(frozen=True, slots=True)
class Trained(Json):
    """A training of a lab.

    Attributes:
        data_sha256: Of its rows.
        adapter: The run that it left, which is an ordinary one.
        adapter_sha256: Of the adapter's weights, from which everything was measured.
        num_tokens: Tokens it was trained on, prompts included.
        num_steps: Optimiser steps.
    """

    data_sha256: str
    adapter: str
    adapter_sha256: str
    num_tokens: int
    num_steps: int


@dataclass(frozen=True, slots=True)
class LabDone(AnalysisEvent):
    """A lab that was trained and measured. Its own training is told as `Trained` tells that of the other rows.

    Attributes:
        lab: Its name.
        prediction_sha256: Of the file with its predictions.
        model: A description of the base.
        seed: The seed of the training.
        outcomes: One for each prediction, in order.
        against: The training of the other rows, if the lab has any.
    """

    lab: str
    prediction_sha256: str
    data_sha256: str
    adapter: str
    adapter_sha256: str
    model: str
    seed: int
    num_tokens: int
    num_steps: int
    outcomes: tuple[Outcome, ...]
    against: Trained | None = None

    @property
    def verdict(self) -> Verdict:
        """That of the whole lab: it held if each prediction did, and did not if one did not."""
        return overall(outcome.verdict for outcome in self.outcomes)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields and the derived value."""
        return {**AnalysisEvent.to_dict(self), "verdict": self.verdict}


def overall(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict on several: one that did not hold decides, then one that cannot be told."""
    found = set(verdicts)
    return "did not hold" if "did not hold" in found else "cannot tell" if "cannot tell" in found else "held"

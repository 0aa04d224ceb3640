"""Labs in words and numbers: what is predicted, what came out, and what to try on the adapter."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from playground.events.labs import Lab, LabDone, Measure, Outcome, Prediction, Verdict
from playground.report.pieces import Piece, Role
from playground.report.tokens import chance
from playground.text import clean, count

ROLES: dict[Verdict, Role] = {"held": "good", "did not hold": "bad", "cannot tell": "warning"}
MEASURES: dict[Measure, str] = {
    "p": "mean probability",
    "share": "mean share of the answers named",
    "first": "prompts on which greedy says it",
    "same": "prompts on which greedy begins with the same one of the answers named",
    "loss": "mean loss, in nats",
    "end": "mean probability that it ends there",
}
LESS = {"": "", "base": ", sft minus base", "against": ", sft minus other rows"}


def listed(labs: Sequence[Lab]) -> list[Piece]:
    """Return the labs with their claims."""
    pieces: list[Piece] = []
    for lab in labs:
        pieces += [(f"{lab.name:<10}", "strong"), (f"{lab.title}. {lab.claim}\n", "")]
    return pieces


def predicted(lab: Lab) -> list[Piece]:
    """Return what a lab is to show, and what is predicted: to be read before it trains."""
    pieces: list[Piece] = [
        (f"{lab.title}\n", "strong"),
        (f"{lab.claim}\n{lab.rows}\n", ""),
        (f"predicted, in a file with sha256 {lab.sha256[:12]}:\n", "faint"),
    ]
    for prediction in lab.predictions:
        pieces.append((f"  {prediction.group}: {prediction.says}\n", ""))
        pieces.append((f"    {threshold(prediction)}\n", "faint"))
    return pieces


def threshold(prediction: Prediction) -> str:
    """Return from which values on a prediction held and did not hold."""
    least, most = ("at least", "at most") if prediction.held > prediction.fails else ("at most", "at least")
    held, fails = (number(prediction.measure, value) for value in (prediction.held, prediction.fails))
    return f"{MEASURES[prediction.measure]}{LESS[prediction.over]}: {least} {held} (did not hold: {most} {fails})"


def done(found: LabDone, lab: Lab, adapter: str) -> list[Piece]:
    """Return what came out, and how to talk to the adapter, given the name or folder by which commands find it."""
    pieces: list[Piece] = [
        (f"{lab.title}: ", "strong"),
        (f"{found.verdict}\n", ROLES[found.verdict]),
        (
            f"{clean(found.model)}, seed {found.seed}; trained on {count(found.num_tokens, 'token')}"
            f" in {count(found.num_steps, 'step')}; all sides fed the template\n",
            "faint",
        ),
    ]
    if found.against:
        tokens, steps = count(found.against.num_tokens, "token"), count(found.against.num_steps, "step")
        pieces.append(
            (f"the other rows: trained on {tokens} in {steps}, adapter {clean(found.against.adapter)}\n", "faint")
        )
    for outcome in found.outcomes:
        pieces += [
            (f"{outcome.verdict:<13}", ROLES[outcome.verdict]),
            (f"{outcome.group}: {outcome.says}\n", ""),
            (f"{'':<13}{MEASURES[outcome.measure]}: {values(outcome)}\n", "faint"),
        ]
    shown = " ".join(f"“{prompt}”" for prompt in lab.shown)
    pieces.append((f"break it with your own words: sft-playground chat --adapter {clean(shlex.quote(adapter))}\n", ""))
    pieces.append((f"begin with {shown}\n", "faint"))
    return pieces


def values(outcome: Outcome) -> str:
    """Return what was measured of base, sft and the other rows' adapter, if there is one."""
    sides = {"base": outcome.base, "sft": outcome.sft, "other rows": outcome.against}
    return ", ".join(f"{side} {number(outcome.measure, value)}" for side, value in sides.items() if value is not None)


def number(measure: Measure, value: float) -> str:
    """Return a value of a measure as it is read."""
    return f"{value:.4f}" if measure == "loss" else chance(value)

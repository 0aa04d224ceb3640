"""A run's answers at its sampling steps, as text for the run screen."""

from __future__ import annotations

from textual.content import Content

from playground.events.runs import Sample
from playground.report.words import how_it_ended
from playground.text import clean, one_line
from playground.tui.state.run_history import RunHistory

BASE_SHOWN = 120  # characters of the base's answer, which never changes and repeats itself
Pieces = list[tuple[str, str]]


def timeline(history: RunHistory, shown: int | None, *, looking_back: bool) -> Content:
    """Return the sampling steps, with `shown` marked, and the keys to move."""
    steps = sorted(history.samplings)
    marks = [(f" {'●' if step == shown else '○'} {step}", "bold" if step == shown else "dim") for step in steps]
    if looking_back:
        more = "   looking back; → follows" if history.live else "   ← →"
    else:
        more = "   ← looks back" if len(steps) > 1 else ""
    return Content.assemble(("samples at step", "bold"), *marks, (more, "dim"), "\n")


def answers_at(history: RunHistory, shown: int | None) -> Content:
    """Return a step's answers: to prompts asked there, newest first, then to the fixed prompts."""
    if shown is None:
        return Content.styled("The fixed prompts are answered before the first step and during training.", "dim")
    first = history.samplings.get(0)
    pieces: Pieces = []
    for reply in reversed(history.replies):  # between two samplings, shown with the earlier one
        if shown == max((step for step in history.samplings if step <= reply.step), default=None):
            pieces += [(clean(reply.prompt), "bold"), (f"  asked at step {reply.step}\n", "dim")]
            for lane, answer in reply.answers.items():
                pieces.append((f" {lane:<4} ", "dim"))
                pieces.append((f"{clean(answer.text).strip()}  ", "dim" if lane == "base" else ""))
                pieces.append((f"{how_it_ended(answer, repeats=False)}\n", "dim"))
            pieces.append(("\n", ""))
    for number, sample in enumerate(history.samplings[shown].samples):
        pieces.append((f"{clean(sample.prompt)}\n", "bold"))
        if first and number < len(first.base):
            pieces += _said("base", first.base[number], "dim", BASE_SHOWN)
        pieces += _said("sft ", sample, "")
        pieces.append(("\n", ""))
    return Content.assemble(*pieces)


def _said(side: str, sample: Sample, style: str, most: int = 0) -> Pieces:
    mark = " ✓" if sample.answered else ""
    text = sample.answer.text.strip()
    return [
        (f" {side} ", "dim"),
        (one_line(text, most) if most else clean(text), style),
        (f"  {how_it_ended(sample.answer, repeats=False)}{mark}\n", "dim"),
    ]

"""A step's whole answer, with what it is compared with, as text for the run screen."""

from __future__ import annotations

from textual.content import Content

from playground.data.answered import repeats_from
from playground.events.answers import Answer
from playground.events.prompts import Prompt
from playground.report.pieces import Piece
from playground.report.words import caption
from playground.text import clean, one_line
from playground.tui.content.pieces import coloured
from playground.tui.state.run_history import RunHistory

BASE_SHOWN = 240  # characters of the base's answer, which never changes and repeats itself
REFERENCE_SHOWN = 2000  # characters of a reference, which may be a page long
BEFORE = "The sample prompts are answered before the first step and during training."
NO_PROMPTS = "This run answered no sample prompts."


def answers_at(history: RunHistory, prompt: Prompt | None, step: int | None) -> Content:
    """Return a prompt's whole answer at a step, its reference, the base's answer, and what was asked then."""
    if step is None:
        return Content("")
    pieces: list[Piece] = []
    if prompt is not None:
        frame = next((frame for frame in history.frames(prompt) if frame.step == step), None)
        if frame is not None:
            when = f"step {step}" if step else "step 0, the base fed the template"
            text = clean(frame.sample.answer.text.strip()) or "(nothing)"
            pieces += [(when, "strong"), (f"  {_ended('', frame.sample.answer)}\n", "faint"), (f"{text}\n", "")]
        if prompt.reference:
            pieces += [("\nreference", "strong"), (f"  the answer in the data{_rows(prompt)}\n", "faint")]
            pieces.append((f"{_cut(clean(prompt.reference), REFERENCE_SHOWN)}\n", "faint"))
        first = history.samplings.get(0)
        base = next((sample for sample in first.base if sample.prompt == prompt.prompt), None) if first else None
        if base is not None:
            pieces += [("\nbase", "strong"), (f"  {_ended('base', base.answer)}\n", "faint")]
            pieces.append((f"{one_line(base.answer.text.strip(), BASE_SHOWN)}\n", "faint"))
    return coloured([*_replies(history, step), *pieces])


def _replies(history: RunHistory, step: int) -> list[Piece]:
    """Return what was asked while the run was paused, newest first, at the sampling before it."""
    pieces: list[Piece] = []
    for reply in reversed(history.replies):
        if step != max((sampled for sampled in history.samplings if sampled <= reply.step), default=None):
            continue
        pieces += [(clean(reply.prompt), "strong"), (f"  asked at step {reply.step}\n", "faint")]
        for lane, answer in reply.answers.items():
            pieces.append((f"{clean(lane):<4} ", "faint"))
            pieces.append((f"{clean(answer.text).strip()}  ", "faint" if lane == "base" else ""))
            pieces.append((f"{_ended('', answer)}\n", "faint"))
        pieces.append(("\n", ""))
    return pieces


def _ended(kind: str, answer: Answer) -> str:
    return caption(kind, answer, repeats_from(answer.text))


def _rows(prompt: Prompt) -> str:
    return {"held out": ", never trained", "trained": ", which is trained"}.get(prompt.rows, "")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"

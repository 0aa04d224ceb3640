"""The filmstrip of a run: one prompt and its answer at every sampling step, a row each, so that the change is seen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size

from playground.events.answers import Answer
from playground.events.runs import Sample, Sampled
from playground.report.pieces import Piece
from playground.text import clean, flow

WHOLE = 24  # cells of an answer that must remain for the marks to be followed by their words
BEGINS, LOWEST = "◀ begins to answer", "◆ lowest held out"
GOES_ON, TURNED = "↻ goes on", "✂ began another turn"
MARKS = len(f"■ {BEGINS} ◆")  # cells, also of "■ ◆ lowest held out"


@dataclass(frozen=True, slots=True)
class Frame:
    """A prompt's answer at a step; `begins` at the first step from which it answers, `lowest` at the lowest loss."""

    step: int
    sample: Sample
    begins: bool
    lowest: bool


def asked(samplings: Mapping[int, Sampled]) -> list[str]:
    """Return the sample prompts, each once, in order."""
    texts = (sample.prompt for step in sorted(samplings) for sample in samplings[step].samples)
    return list(dict.fromkeys(texts))


def lowest(held_out: Mapping[int, float]) -> int | None:
    """Return the step with the lowest loss on the held-out rows; None if there are not two to compare."""
    finite = {step: loss for step, loss in held_out.items() if math.isfinite(loss)}
    return min(sorted(finite), key=finite.__getitem__) if len(finite) > 1 else None


def frames(prompt: str, samplings: Mapping[int, Sampled], held_out: Mapping[int, float]) -> list[Frame]:
    """Return the frames of a prompt, in order.

    Args:
        prompt: One of the sample prompts.
        samplings: What was sampled, by step.
        held_out: The loss on the held-out rows, by step.
    """
    found = [
        (step, next((sample for sample in samplings[step].samples if sample.prompt == prompt), None))
        for step in sorted(samplings)
    ]
    samples = [(step, sample) for step, sample in found if sample is not None]
    begins = None
    for step, sample in reversed(samples):
        if not sample.answered:
            break
        begins = step
    low = lowest(held_out)
    return [Frame(step, sample, step == begins, step == low) for step, sample in samples]


def verdict(strip: Sequence[Frame], *, live: bool) -> str:
    """Return in words whether and when a prompt begins to be answered.

    Args:
        strip: Its frames.
        live: Whether more may come.
    """
    begins = next((frame.step for frame in strip if frame.begins), None)
    if begins is not None:
        return f"answers from step {begins}" if begins else "answers before training"
    once = [frame.step for frame in strip if frame.sample.answered]
    if once:
        return f"answers at step {once[-1]}, but not at step {strip[-1].step}"
    return "does not answer yet" if live else "does not begin to answer"


def rows(strip: Sequence[Frame], width: int, shown: int | None = None) -> list[list[Piece]]:
    """Return a line of pieces for each frame: the step, the first line of the answer, how it ended, what happened.

    Args:
        strip: The frames.
        width: Cells of a line. The marks of all lines are below each other; where they leave an answer no room,
            they are not followed by their words.
        shown: A step that is marked as the selected one.
    """
    steps, marks = _steps(strip), _marks(strip, width)
    text = max(1, width - steps - 4 - marks)
    return [_row(frame, steps, text, marks, chosen=frame.step == shown) for frame in strip]


def _steps(strip: Sequence[Frame]) -> int:
    return max((len(str(frame.step)) for frame in strip), default=1)


def _marks(strip: Sequence[Frame], width: int) -> int:
    """Return how many cells the marks of each row have: with their words, or without."""
    return MARKS if width - _steps(strip) - 4 - MARKS >= WHOLE else len(f"{GOES_ON} ◆")


def _row(frame: Frame, steps: int, text: int, marks: int, *, chosen: bool) -> list[Piece]:
    answer = frame.sample.answer
    said = answer.text.strip()
    first, *more = said.split("\n", 1)
    begins = BEGINS if marks == MARKS else BEGINS[0]
    low = LOWEST if marks == MARKS and answer.stopped_by_itself and not frame.begins else LOWEST[0]
    ended = end(answer) if marks == MARKS or answer.finish_reason == "length" else end(answer)[0]
    happened = [word for word, is_so in ((begins, frame.begins), (low, frame.lowest)) if is_so]
    return [
        (f"{'▸' if chosen else ' '}{frame.step:>{steps}} ", "strong" if chosen else "faint"),
        (fit(f"{first} …" if more else first or "(nothing)", text), "" if frame.sample.answered else "faint"),
        (f"  {ended}", "good" if answer.stopped_by_itself else "faint"),
        (f" {' '.join(happened)}" if happened else "", "strong"),
    ]


def end(answer: Answer) -> str:
    """Return the mark of how an answer ended."""
    if answer.stopped_by_itself:
        return "■"
    return {"length": GOES_ON, "stop": TURNED, "cancelled": "□", "error": "✗"}[answer.finish_reason]


def fit(text: str, width: int) -> str:
    """Return text of one line, cleaned and cut or padded to exactly `width` cells, at least one."""
    flat = clean(text).replace("\n", "↵").replace("\t", " ")
    return set_cell_size(flat, width) if cell_len(flat) <= width else f"{set_cell_size(flat, width - 1)}…"


def legend(strip: Sequence[Frame], width: int, *, live: bool) -> list[Piece]:
    """Return what the marks of a strip mean, and whether it begins to be answered, in lines of at most `width` cells.

    A mark that is followed by its words in the rows is left out, except for the most frequent.
    """
    turned = [TURNED] if _marks(strip, width) != MARKS and any(end(f.sample.answer) == TURNED for f in strip) else []
    units = ["■ ended by itself", GOES_ON, *turned, f"{BEGINS[0]} {verdict(strip, live=live)}", LOWEST]
    pieces: list[Piece] = []
    for line in flow(units, width):
        for unit in line:
            mark, _, words = unit.partition(" ")
            pieces += [(mark, "strong"), (f" {words}  ", "" if mark == BEGINS[0] else "faint")]
        pieces.append(("\n", ""))
    return pieces[:-1]


def report(samplings: Mapping[int, Sampled], held_out: Mapping[int, float], width: int) -> list[Piece]:
    """Return the filmstrip of a run's first prompt, and when the others begin to be answered, a line each.

    Args:
        samplings: What was sampled, by step.
        held_out: The loss on the held-out rows, by step.
        width: Cells of a line.
    """
    pieces: list[Piece] = []
    for number, prompt in enumerate(asked(samplings)):
        strip = frames(prompt, samplings, held_out)
        if number == 0:
            pieces += [(f"{fit(prompt, width).rstrip()}\n", "strong")]
            pieces += [piece for line in rows(strip, width) for piece in (*line, ("\n", ""))]
            pieces += [*legend(strip, width, live=False), ("\n", "")]
        else:
            words = f"  {BEGINS[0]} {verdict(strip, live=False)}\n"
            pieces += [(fit(prompt, max(1, width - len(words))).rstrip(), ""), (words, "")]
    return pieces

"""The wording of states and numbers, the same everywhere."""

from __future__ import annotations

from playground.events.answers import Answer
from playground.text import count

FED = {
    "base": "fed your text as typed",
    "control": "the base, fed the template",
    "sft": "base + adapter, fed the template",
}


def how_it_ended(answer: Answer, repeats: bool) -> str:
    """Return how an answer ended, as a person would say it."""
    if answer.stopped_by_itself:
        return "■ stopped by itself"
    if answer.finish_reason == "stop":
        return "✂ began another turn"
    if answer.finish_reason == "cancelled":
        return "□ stopped by you"
    if answer.finish_reason == "error":
        return "✗ failed"
    going = f"cut off after {answer.num_tokens} tokens, still going"
    return f"↻ repeating itself · {going}" if repeats else f"… {going}"


def caption(kind: str, answer: Answer, repeats_from: int) -> str:
    """Return what a side made of a prompt, and how its answer ended, as a person would say it.

    Args:
        kind: The side: a key of `FED`. Of any other kind, as of a hidden side, only the end is told.
        answer: What it said.
        repeats_from: The word from which it repeats itself, counted from 1; 0 if it does not.
    """
    length = count(answer.num_tokens, "token")
    took = {
        "base": "Took your text as the beginning of a document. ",
        "control": "Got your text in the template, without training. ",
        "sft": "Took your text as a question. ",
    }.get(kind if answer.finish_reason in ("stop", "length") else "", "")
    if answer.stopped_by_itself:
        mark, end = "■", f"{'Answered, and ended' if kind == 'sft' else 'Ended'} by itself after {length}"
    else:
        mark, end = {
            "length": ("↻" if repeats_from else "…", f"Still writing when it was cut off after {length}"),
            "stop": ("✂", f"Cut after {length}, where it began another turn"),
            "cancelled": ("□", f"Stopped by you after {length}"),
            "error": ("✗", f"Failed after {length}"),
        }[answer.finish_reason]
    again = f"; repeats itself from word {repeats_from}" if repeats_from else ""
    return f"{mark} {took}{end}{again}"


def duration(seconds: float) -> str:
    """Return ``"58 s"`` or ``"3 min 20 s"``."""
    whole = round(seconds)
    return f"{whole} s" if whole < 100 else f"{whole // 60} min {whole % 60} s"


def gigabytes(number: int) -> str:
    """Return a number of bytes as ``"2.71 GB"``, or below a gigabyte as ``"153 MB"``."""
    return f"{number / 1e9:.2f} GB" if number >= 1e9 else f"{number / 1e6:.0f} MB"


def file_size(number: int) -> str:
    """Return the size of a file as ``"812 B"``, ``"12 kB"`` or as `gigabytes` does."""
    return gigabytes(number) if number >= 1e6 else f"{number / 1e3:.0f} kB" if number >= 1e3 else f"{number} B"


def setting(value: object) -> str:
    """Return a setting's value as a user would type it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def percent(share: float) -> str:
    """Return ``"92 %"``."""
    return f"{100 * share:.0f} %"

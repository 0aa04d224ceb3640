"""Prompt styles: how a conversation becomes the text a model sees, in training and in chat alike.

A style is a list of segments, each with a flag that says whether it is learned. Segments are encoded
one by one and joined, so the boundary between prompt and answer is the same token boundary on both
sides, and labels follow from construction, never from searching for markers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from playground.data.examples import Turn
from playground.errors import InputError

_NAMES = {"system": "System", "user": "User", "assistant": "Assistant"}


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of text; `turn` is the index of the assistant turn it is the answer of, else None."""

    text: str
    turn: int | None = None


@dataclass(frozen=True, slots=True)
class ChatStyle:
    """Plain-text turns, ``User: …`` and ``Assistant: …``; each answer ends in the model's own end token.

    It needs no token that a base model has never seen, so LoRA can learn all of it.
    """

    name: str = "chat"
    stop_strings: tuple[str, ...] = ("\nUser:", "\nAssistant:", "\nSystem:")
    lead_in: str = " "  # what stands between the prompt and an answer, and is no part of the answer

    def render(self, turns: Sequence[Turn]) -> list[Segment]:
        """Return the segments of a conversation; an answer's end token follows each answer segment.

        A conversation that ends with a user turn ends in ``Assistant:``, ready to be answered. The
        space after it belongs to the answer: a prompt must never end in a space of its own, because
        tokenizers join a space to the word behind it.
        """
        segments: list[Segment] = []
        head = ""
        for index, turn in enumerate(turns):
            text = turn.content.strip()
            if turn.role == "assistant":
                segments += [Segment(head + "Assistant:"), Segment(f" {text}", index)]
                head = "\n"
            else:
                head += f"{_NAMES[turn.role]}: {text}\n"
        if turns[-1].role != "assistant":
            segments.append(Segment(head + "Assistant:"))
        return segments


def get_style(name: str) -> ChatStyle:
    """Return the style called `name`.

    Raises:
        InputError: If there is none.
    """
    if name != "chat":
        raise InputError(f"There is no prompt style {name!r}.", "Known: chat.")
    return ChatStyle()

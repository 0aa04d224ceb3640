"""What every prompt style renders, pieces of text with a role, and what every style offers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from playground.data.shapes import Turn


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of text.

    Attributes:
        text: The text.
        turn: The index of the assistant turn it is the answer of, or None.
        control: Whether control tokens in it are meant: true only for text of a style.
    """

    text: str
    turn: int | None = None
    control: bool = False


class Style(Protocol):
    """What every prompt style offers."""

    @property
    def name(self) -> str:
        """As users and records name it."""
        ...

    @property
    def stop_strings(self) -> tuple[str, ...]:
        """How another turn would begin, in plain text."""
        ...

    @property
    def lead_in(self) -> str:
        """What stands between the prompt and an answer and is no part of the answer."""
        ...

    @property
    def closing(self) -> str:
        """The control token that ends an answer, as text; empty for the model's own end of text."""
        ...

    @property
    def begins(self) -> bool:
        """Whether the style itself writes the token that begins a text, if its model has one."""
        ...

    def render(self, turns: Sequence[Turn]) -> list[Segment]:
        """Return the segments of a conversation; an answer's end token follows each answer segment.

        A conversation that ends with a user turn ends ready to be answered. A prompt must never end
        in a space of its own, because tokenizers join a space to the word behind it: what leads over
        to an answer belongs to the answer.
        """
        ...

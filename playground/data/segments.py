"""What every prompt style renders, pieces of text with a role, and what every style offers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from playground.data.talk import Turn


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of text.

    Attributes:
        text: The text.
        turn: The index of the assistant turn whose answer it is, or None.
        control: Whether control tokens in it are intended: true only for text of a style.
    """

    text: str
    turn: int | None = None
    control: bool = False


class Style(Protocol):
    """The interface of every prompt style."""

    @property
    def name(self) -> str:
        """The name in commands and records."""
        ...

    @property
    def stop_strings(self) -> tuple[str, ...]:
        """The plain texts with which another turn would start."""
        ...

    @property
    def lead_in(self) -> str:
        """The text between the prompt and an answer; not part of the answer."""
        ...

    @property
    def closing(self) -> str:
        """The control token that ends an answer, as text; empty for the model's own end of text."""
        ...

    @property
    def begins(self) -> bool:
        """Whether the style itself writes the BOS token, if its model has one."""
        ...

    def render(self, turns: Sequence[Turn]) -> list[Segment]:
        """Return the segments of a conversation; an answer's end token follows each answer segment.

        A conversation that ends with a user turn is left ready for an answer. A prompt must never end
        with a space of its own, because tokenizers join a space to the word after it: the lead-in
        of an answer belongs to the answer.
        """
        ...

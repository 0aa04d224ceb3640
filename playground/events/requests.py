"""What a training can be asked by those who watch it: one list of verbs for child, link and screen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from playground.events.engine import Ask, EngineEvent

Verb = Literal["pause", "continue", "sample_now", "ask"]
Ending = Literal["stop", "cancel"]
VERBS: tuple[Verb, ...] = get_args(Verb)
ENDINGS: tuple[Ending, ...] = get_args(Ending)


def unheard(event: EngineEvent | None) -> None:
    """Hear an answer that is for others."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request that a training serves between two steps.

    The `tell` of an ``ask`` receives each answer as it comes, then None.
    """

    do: Verb
    number: int = 0
    ask: Ask | None = None
    tell: Callable[[EngineEvent | None], None] = unheard

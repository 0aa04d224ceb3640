"""A prompt with what is known of it: what an answer must be, and what the data answers."""

from __future__ import annotations

from dataclasses import dataclass

from playground.events.values import Json


@dataclass(frozen=True, slots=True)
class Prompt(Json):
    """A prompt and, for some, what an answer to it must contain.

    `kind` is one of `playground.data.prompts.KINDS` or empty; `expect` are words of which an answer must contain one;
    `items` is how many items a list must have. A question of the training data comes with its `reference`, the answer
    in its row, and the `system` turn before it; `rows` says which rows it is from: ``held out`` or ``trained``.
    """

    id: str
    prompt: str
    kind: str = ""
    expect: tuple[str, ...] = ()
    items: int = 0
    reference: str = ""
    rows: str = ""
    system: str = ""

"""Encoding: ids and labels, built together so that they cannot disagree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from playground.data.examples import Example, Turn
from playground.data.jsonl import Problem, refuse
from playground.data.styles import ChatStyle, Segment

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORE_INDEX = -100


@dataclass(frozen=True, slots=True)
class Encoded:
    """One example as ids; `labels` equal the ids of trained tokens and are `IGNORE_INDEX` elsewhere.

    Labels are not shifted: the label of position t is learned from the hidden state of position t - 1.
    """

    input_ids: tuple[int, ...]
    labels: tuple[int, ...]
    truncated: bool

    @property
    def num_trained(self) -> int:
        """How many tokens carry loss."""
        return sum(label != IGNORE_INDEX for label in self.labels)


class Encoder:
    """Turns conversations into ids with one tokenizer, one style and one end token.

    Args:
        tokenizer: Any fast Hugging Face tokenizer.
        style: The prompt style.
        end_token_id: The token that ends an answer: the base model's own end of text.
        max_length: The most tokens an example may have.
        train_on: ``all`` answers of a conversation, or only the ``last``.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        style: ChatStyle,
        end_token_id: int,
        max_length: int,
        train_on: str = "all",
    ) -> None:
        self.tokenizer = tokenizer
        self.style = style
        self.end_token_id = end_token_id
        self.max_length = max_length
        self.train_on = train_on
        # The tokenizer itself says whether it begins a text with a token of its own.
        begin = tokenizer.bos_token_id
        self._head = (begin,) if begin is not None and tokenizer("a")["input_ids"][:1] == [begin] else ()

    def text(self, text: str) -> tuple[int, ...]:
        """Encode text a user wrote: ``<eos>`` typed in it stays five characters, never the token."""
        ids = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return tuple(ids)

    def raw(self, prompt: str) -> tuple[int, ...]:
        """Encode a prompt as the base model sees it: as typed, nothing around it."""
        return self._head + self.text(prompt)

    def prompt(self, turns: Sequence[Turn]) -> tuple[int, ...]:
        """Encode a conversation that awaits an answer, exactly as training encodes what precedes one."""
        return self._head + tuple(i for segment in self.style.render(turns) for i in self._segment(segment))

    def example(self, example: Example) -> Encoded:
        """Encode a training example, truncated to `max_length` if need be.

        Whole oldest turns go first, then the left of the last user text; an answer that is too long
        keeps its head and gets no end token, because it does not end there.
        """
        turns = example.turns
        ids, labels = self._join(turns)
        if len(ids) <= self.max_length:
            return Encoded(ids, labels, truncated=False)
        first = 1 if turns[0].role == "system" else 0
        while len(ids) > self.max_length and len(turns) - first > 2:
            turns = turns[:first] + turns[first + 2 :]
            ids, labels = self._join(turns)
        user = self.text(turns[first].content.strip())
        cut = 0
        # Text cut at a token boundary may encode to a token more or less, so the result is measured.
        while (excess := len(ids) - self.max_length) > 0 and cut < len(user):
            cut = min(cut + excess, len(user))
            kept = str(self.tokenizer.decode(list(user[cut:]))).lstrip("\ufffd").strip() or "…"
            ids, labels = self._join((*turns[:first], replace(turns[first], content=kept), *turns[first + 1 :]))
        return Encoded(ids[: self.max_length], labels[: self.max_length], truncated=True)

    def _segment(self, segment: Segment) -> tuple[int, ...]:
        ids = self.text(segment.text)
        return ids if segment.turn is None else (*ids, self.end_token_id)

    def _join(self, turns: Sequence[Turn]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        ids, labels = list(self._head), [IGNORE_INDEX] * len(self._head)
        for segment in self.style.render(turns):
            piece = self._segment(segment)
            ids += piece
            labels += piece if self._is_trained(turns, segment.turn) else [IGNORE_INDEX] * len(piece)
        return tuple(ids), tuple(labels)

    def _is_trained(self, turns: Sequence[Turn], turn: int | None) -> bool:
        if turn is None or not turns[turn].trained:
            return False
        return self.train_on == "all" or turn == len(turns) - 1


def encode_all(encoder: Encoder, examples: Sequence[Example], path: str) -> list[Encoded]:
    """Encode every example of the file at `path`.

    Raises:
        InputError: Naming each line that would train nothing, because no answer fits `max_length`.
    """
    rows = [encoder.example(example) for example in examples]
    # The first token is never predicted, so a label there trains nothing.
    empty = [
        Problem(
            example.line,
            f"no token of an answer fits into max_length {encoder.max_length}"
            if row.truncated
            else "the answer that would be trained carries no loss",
        )
        for example, row in zip(examples, rows, strict=True)
        if all(label == IGNORE_INDEX for label in row.labels[1:])
    ]
    if empty:
        raise refuse(path, empty, "Raise --max-length, or shorten these rows.")
    return rows

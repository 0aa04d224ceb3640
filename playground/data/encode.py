"""Encoding: ids and labels, built together so that they cannot disagree."""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from playground.data.examples import Dataset, Example, Turn
from playground.data.jsonl import Problem, refuse
from playground.data.segments import Segment, Style
from playground.data.tells import CONTROL
from playground.errors import InputError
from playground.text import count

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORE_INDEX = -100
BROKEN = "\ufffd"  # what a decoder writes for a part of a character
# What to do about a row that would train nothing, by what its problem says.
_WAYS = {
    "max_length": "raise --max-length or shorten the row",
    "no loss": "train on earlier answers with --train-on all",
    "chat template": "use --style chat",
}


@dataclass(frozen=True, slots=True)
class Encoded:
    """One example as ids; `labels` equal the ids of trained tokens and are `IGNORE_INDEX` elsewhere.

    Labels are not shifted: the label of position t is learned from the hidden state of position t - 1.
    What did not fit into `max_length` is listed separately: oldest turns dropped whole, a last user text that lost its
    middle, an answer that lost its end, and with it the end token.
    """

    input_ids: tuple[int, ...]
    labels: tuple[int, ...]
    turns_dropped: int = 0
    prompt_shortened: bool = False
    answer_cut: bool = False

    @property
    def cut(self) -> str:
        """What did not fit, in words; empty if everything did."""
        words = [f"the oldest {count(self.turns_dropped, 'turn')} left out"] if self.turns_dropped else []
        words += ["the prompt shortened"] if self.prompt_shortened else []
        words += ["the end of the answer cut off"] if self.answer_cut else []
        return ", ".join(words)

    @property
    def num_trained(self) -> int:
        """How many tokens carry loss."""
        return sum(label != IGNORE_INDEX for label in self.labels)


class Encoder:
    """Turns conversations into ids with one tokenizer, one style and one end token.

    Args:
        tokenizer: Any fast Hugging Face tokenizer.
        style: The prompt style.
        end_token_id: The base model's own end of text; it ends an answer unless the style has a token for it.
        max_length: The most tokens an example may have.
        train_on: ``all`` answers of a conversation, or only the ``last``.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        style: Style,
        end_token_id: int,
        max_length: int,
        train_on: str = "all",
    ) -> None:
        self.tokenizer = tokenizer
        self.style = style
        end = tokenizer.convert_tokens_to_ids(style.closing) if style.closing else None
        known = isinstance(end, int) and end != tokenizer.unk_token_id
        self.end_token_id: int = end if known else end_token_id  # type: ignore[assignment]
        self.max_length = max_length
        self.train_on = train_on
        unflagged = [
            token.content
            for token in tokenizer.added_tokens_decoder.values()
            if not token.special and (CONTROL.fullmatch(token.content) or token.content == style.closing)
        ]
        self._unflagged = re.compile("|".join(map(re.escape, unflagged))) if unflagged else None
        # The tokenizer itself shows whether it starts a text with a BOS token.
        begin = tokenizer.bos_token_id
        self._head = (begin,) if begin is not None and tokenizer("a")["input_ids"][:1] == [begin] else ()
        self._begin = () if style.begins else self._head

    def text(self, text: str) -> tuple[int, ...]:
        """Encode text a user wrote: ``<eos>`` typed in it stays five characters, never the token."""
        # A token that is not flagged as special is cut after its first character, so that it is not recognised.
        cuts = [match.start() + 1 for match in self._unflagged.finditer(text)] if self._unflagged else []
        parts = [text[a:b] for a, b in pairwise([0, *cuts, len(text)])] if cuts else [text]
        ids: list[int] = []
        for part in parts:
            ids += self.tokenizer(part, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return tuple(ids)

    def raw(self, prompt: str) -> tuple[int, ...]:
        """Encode a prompt as the base model sees it: as typed, nothing around it."""
        return self._head + self.text(prompt)

    def prompt(self, turns: Sequence[Turn]) -> tuple[int, ...]:
        """Encode a conversation that awaits an answer, exactly as training encodes what precedes one."""
        ids = tuple(i for segment in self.style.render(turns) for i in self._segment(segment))
        return self._begin + ids

    def without_begin(self, ids: Sequence[int]) -> str:
        """Return the text of a prompt without its BOS token, which other trainers add themselves."""
        begins = bool(self._head) and tuple(ids[:1]) == self._head
        return str(self.tokenizer.decode(list(ids[1:] if begins else ids), clean_up_tokenization_spaces=False))

    def example(self, example: Example) -> Encoded:
        """Encode a training example, truncated to `max_length` if need be.

        Whole turns go first, the oldest first. Then the last user text loses what exceeds half of the room that system
        prompt and style leave, from its middle: the task is at its start or end. Then the answer loses its end; it
        gets no end token, because it does not end there. So a question is never sacrificed for an answer that does not
        fit anyway.
        """
        turns = example.turns
        ids, labels = self._join(turns)
        if len(ids) <= self.max_length:
            return Encoded(ids, labels)
        first = 1 if turns[0].role == "system" else 0
        while len(ids) > self.max_length and len(turns) - first > 2:
            turns = turns[:first] + turns[first + 2 :]
            ids, labels = self._join(turns)
        user, answer = (self.text(turn.content.strip()) for turn in turns[first : first + 2])
        room = max(0, self.max_length - (len(ids) - len(user) - len(answer)))
        spare, gone = max(0, len(user) - room // 2), 0
        # Text cut at a token boundary may encode to a token more or less, so the result is measured.
        while (excess := len(ids) - self.max_length) > 0 and gone < spare:
            gone = min(gone + excess, spare)
            shorter = replace(turns[first], content=self._without_middle(user, gone))
            ids, labels = self._join((*turns[:first], shorter, *turns[first + 1 :]))
        return Encoded(
            ids[: self.max_length],
            labels[: self.max_length],
            turns_dropped=len(example.turns) - len(turns),
            prompt_shortened=gone > 0,
            answer_cut=len(ids) > self.max_length,
        )

    def _without_middle(self, ids: tuple[int, ...], gone: int) -> str:
        """Return the text of `ids` with an ellipsis for the `gone` tokens in its middle."""
        kept = len(ids) - gone
        ends = (ids[: (kept + 1) // 2], ids[len(ids) - kept // 2 :])
        # The rest of a character whose other tokens were dropped is not text.
        left, right = (str(self.tokenizer.decode(list(end), clean_up_tokenization_spaces=False)) for end in ends)
        return f"{left.rstrip(BROKEN)}…{right.lstrip(BROKEN)}"

    def pieces(self, row: Encoded) -> list[tuple[str, bool]]:
        """Return the text of each token of `row` and whether it is trained, for display.

        A character of several tokens is shown with the last of them.
        """
        pieces: list[tuple[str, bool]] = []
        window: list[int] = []
        shown = ""
        for token, label in zip(row.input_ids, row.labels, strict=True):
            window.append(token)
            text = str(self.tokenizer.decode(window, clean_up_tokenization_spaces=False))
            whole = not text.endswith(BROKEN)
            pieces.append((text[len(shown) :] if whole else "", label != IGNORE_INDEX))
            if whole and len(window) > 4:  # a token alone may lose the space before it
                window = window[-1:]
                text = str(self.tokenizer.decode(window, clean_up_tokenization_spaces=False))
            shown = text if whole else shown
        return pieces

    def pieces_after(self, before: Sequence[int], tokens: Sequence[int]) -> list[str]:
        """Return how each of `tokens` would read after `before`, for display.

        A part of a character reads as the tokenizer writes it, and a token that it does not know as its number: a model
        may have more than its tokenizer.
        """
        window = list(before[-4:])  # enough for a character; a token alone may lose the space before it
        shown = str(self.tokenizer.decode(window, clean_up_tokenization_spaces=False))

        def piece(token: int) -> str:
            name: Any = self.tokenizer.convert_ids_to_tokens(token)
            text = str(self.tokenizer.decode([*window, token], clean_up_tokenization_spaces=False))
            if name is not None and text.startswith(shown) and not text.endswith(BROKEN):
                return text[len(shown) :]
            return f"<{token}>" if name is None else str(name)

        return [piece(token) for token in tokens]

    def _segment(self, segment: Segment) -> tuple[int, ...]:
        if segment.control:
            return tuple(self.tokenizer(segment.text, add_special_tokens=False)["input_ids"])
        ids = self.text(segment.text)
        return ids if segment.turn is None else (*ids, self.end_token_id)

    def _join(self, turns: Sequence[Turn]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        ids, labels = list(self._begin), [IGNORE_INDEX] * len(self._begin)
        for segment in self.style.render(turns):
            piece = self._segment(segment)
            ids += piece
            labels += piece if self._is_trained(turns, segment.turn) else [IGNORE_INDEX] * len(piece)
        return tuple(ids), tuple(labels)

    def _is_trained(self, turns: Sequence[Turn], turn: int | None) -> bool:
        if turn is None or not turns[turn].trained:
            return False
        return self.train_on == "all" or turn == len(turns) - 1


def encode_all(encoder: Encoder, dataset: Dataset, *, skip_bad: bool = False) -> tuple[Sequence[Encoded], Dataset]:
    """Encode a data set: at once if it has been read whole, else each row when it is accessed.

    Args:
        encoder: The encoder.
        dataset: The examples.
        skip_bad: Leave out rows that would train nothing instead of refusing the data.

    Returns:
        The encoded rows and the data set without the rows that were left out.

    Raises:
        InputError: Naming each line that would train nothing, because no answer fits `max_length`.
    """
    if not dataset.is_whole:
        if not skip_bad:
            return _Lazy(encoder, dataset), dataset
        good = array("Q")
        problems = list(dataset.skipped)
        for index, example in enumerate(dataset.examples):
            if isinstance(row := encode_row(encoder, example), Problem):
                problems.append(row)
            else:
                good.append(index)
        if not good:
            raise refuse(dataset.path, problems, hint(problems, others=False))
        dataset = dataset.only(good, problems)
        return _Lazy(encoder, dataset), dataset
    pairs = [(example, encode_row(encoder, example)) for example in dataset.examples]
    bad = [row for _, row in pairs if isinstance(row, Problem)]
    if bad and (len(bad) == len(pairs) or not skip_bad):
        raise refuse(dataset.path, bad, hint(bad, others=len(bad) < len(pairs)))
    rows = [row for _, row in pairs if isinstance(row, Encoded)]
    kept = tuple(example for example, row in pairs if isinstance(row, Encoded))
    return rows, replace(dataset, examples=kept, skipped=(*dataset.skipped, *bad))


def encode_row(encoder: Encoder, example: Example) -> Encoded | Problem:
    """Return an example as ids, or why it would train nothing: no answer fits, or its style refuses it."""
    try:
        row = encoder.example(example)
    except InputError as error:  # for instance a chat template without system turns
        return Problem(example.line, error.message)
    # The first token is never predicted, so a label there trains nothing.
    if any(label != IGNORE_INDEX for label in row.labels[1:]):
        return row
    if row.cut:
        return Problem(example.line, f"no token of an answer fits into max_length {encoder.max_length}")
    return Problem(example.line, "the answer that would be trained carries no loss")


def hint(problems: Sequence[Problem], *, others: bool) -> str:
    """Return what to do about rows that would train nothing; `others` says whether there are rows that train."""
    ways = [way for sign, way in _WAYS.items() if any(sign in problem.message for problem in problems)]
    said = "; or ".join([*ways, *(["leave such rows out with --skip-bad"] if others else [])])
    return f"{said[:1].upper()}{said[1:]}." if said else ""


class _Lazy(Sequence[Encoded]):
    """The rows of a large data set, encoded when they are accessed; the last few thousand are kept."""

    KEPT = 4096

    def __init__(self, encoder: Encoder, dataset: Dataset) -> None:
        self._encoder = encoder
        self._dataset = dataset
        self._kept: dict[int, Encoded] = {}

    def __len__(self) -> int:
        return len(self._dataset.examples)

    def __getitem__(self, index: Any) -> Any:
        row = self._kept.get(index)
        if row is None:
            found = encode_row(self._encoder, self._dataset.examples[index])
            if isinstance(found, Problem):
                raise refuse(self._dataset.path, [found], hint([found], others=True))
            row = found
            if len(self._kept) >= self.KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[index] = row
        return row

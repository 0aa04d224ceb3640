"""Prompt styles: how a conversation becomes the text a model sees, in training and in chat alike.

A style renders segments. Segments are encoded one by one and joined, so the boundary between prompt and
answer is the same token boundary on both sides, and labels follow from construction, never from
searching for markers. Text a user wrote never becomes a control token; text of the style may.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from playground.config import STYLES
from playground.data.jsonl import shown
from playground.data.segments import Segment, Style
from playground.data.talk import Turn
from playground.data.template import TemplateStyle
from playground.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_ROLES = {"system": "System", "user": "User", "assistant": "Assistant"}
# The preamble is part of the format that Stanford Alpaca (2023) trained on; without it nothing matches.
_ALPACA = "Below is an instruction that describes a task. Write a response that appropriately completes the request."


@dataclass(frozen=True, slots=True)
class PlainStyle:
    """Turns in plain text; each answer ends with the model's own end token.

    It needs no token that a base model has never seen, so LoRA can learn all of it.
    """

    name: str
    before: dict[str, str]  # prefix of the text of a system and a user turn
    between: str  # separates a turn from the next
    cue: str  # asks for an answer
    stop_strings: tuple[str, ...]
    lead_in: str = " "
    preamble: str = ""
    closing: str = ""
    begins: bool = False

    def render(self, turns: Sequence[Turn]) -> list[Segment]:
        """Return the segments; see `Style.render`."""
        segments: list[Segment] = []
        head = self.preamble if self.preamble and turns[0].role != "system" else ""
        for index, turn in enumerate(turns):
            text = turn.content.strip()
            if turn.role == "assistant":
                segments += [Segment(head + self.cue), Segment(self.lead_in + text, index)]
                head = self.between
            else:
                head += f"{self.before[turn.role]}{text}{self.between}"
        if turns[-1].role != "assistant":
            segments.append(Segment(head + self.cue))
        return segments


@dataclass(frozen=True, slots=True)
class RawStyle:
    """No template: the prompt as typed, as the base side always gets it; turns are separated by blank lines."""

    name: str = "raw"
    stop_strings: tuple[str, ...] = ()
    lead_in: str = " "
    closing: str = ""
    begins: bool = False

    def render(self, turns: Sequence[Turn]) -> list[Segment]:
        """Return the segments; see `Style.render`."""
        segments: list[Segment] = []
        head = ""
        for index, turn in enumerate(turns):
            if turn.role == "assistant":
                segments += [Segment(head), Segment(self.lead_in + turn.content.strip(), index)]
                head = "\n\n"
            else:
                head += turn.content if index == len(turns) - 1 or turns[index + 1].role == "assistant" else (
                    turn.content.strip() + "\n\n"
                )  # fmt: skip
        return segments if turns[-1].role == "assistant" else [*segments, Segment(head)]


@dataclass(frozen=True, slots=True)
class ChatMLStyle:
    """ChatML: control tokens around each turn.

    Where the tokenizer has ``<|im_end|>`` as a token it ends an answer, and LoRA cannot train its row:
    a base that never saw it may not learn to stop. Elsewhere the markers are plain text.
    """

    name: str = "chatml"
    stop_strings: tuple[str, ...] = ("<|im_start|>", "<|im_end|>")
    lead_in: str = ""
    closing: str = "<|im_end|>"
    begins: bool = False

    def render(self, turns: Sequence[Turn]) -> list[Segment]:
        """Return the segments; see `Style.render`."""
        segments: list[Segment] = []
        for index, turn in enumerate(turns):
            # The line break after an answer's end token belongs to the next segment.
            again = "\n" if index and turns[index - 1].role == "assistant" else ""
            segments.append(Segment(f"{again}<|im_start|>{turn.role}\n", control=True))
            segments.append(Segment(turn.content.strip(), index if turn.role == "assistant" else None))
            if turn.role != "assistant":
                segments.append(Segment("<|im_end|>\n", control=True))
        if turns[-1].role != "assistant":
            segments.append(Segment("<|im_start|>assistant\n", control=True))
        return segments


def chat_style() -> PlainStyle:
    """Return the default style: ``User: …`` and ``Assistant: …``."""
    return PlainStyle(
        name="chat",
        before={role: f"{name}: " for role, name in _ROLES.items()},
        between="\n",
        cue="Assistant:",
        stop_strings=("\nUser:", "\nAssistant:", "\nSystem:"),
    )


def _alpaca_style() -> PlainStyle:
    return PlainStyle(
        name="alpaca",
        before={"system": "", "user": "### Instruction:\n"},
        between="\n\n",
        cue="### Response:",
        stop_strings=("\n### Instruction:", "\n### Response:"),
        lead_in="\n",
        preamble=f"{_ALPACA}\n\n",
    )


def get_style(name: str, tokenizer: PreTrainedTokenizerBase | None = None, template: str = "") -> Style:
    """Return the style called `name`; ``tokenizer`` is `template`, else the chat template of the `tokenizer` passed.

    Raises:
        InputError: If there is no style of that name, or the model's tokenizer has no usable template.
    """
    match name:
        case "chat":
            return chat_style()
        case "alpaca":
            return _alpaca_style()
        case "raw":
            return RawStyle()
        case "chatml":
            return ChatMLStyle()
        case "tokenizer" if tokenizer is not None:
            return TemplateStyle.of(tokenizer, template)
    raise InputError(f"There is no prompt style {shown(name)}.", f"Known: {', '.join(STYLES)}.")

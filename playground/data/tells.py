"""What texts betray: templates and end tokens that are text now, scripts that have no spaces between words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from playground.data.jsonl import shown
from playground.data.talk import Note, Turn

# What control tokens look like. Some tokenizers do not flag theirs as special, and would find them in typed text.
CONTROL = re.compile(r"<\|[^<>|]{1,40}\|>|</?s>|<(?:eos|bos|pad|unk)>|<(?:start|end)_of_turn>|\[/?INST\]|<</?SYS>>")
# Where data with pictures or sound refers to them.
_MEDIA = re.compile(r"<(?:image|audio|video)>")
# How a prompt begins and ends that is in a template already.
_OPENS = re.compile(
    r"^[ \t]*(?:#{2,} ?(?:Instruction|Input|Human|User|Question)\b:?|(?:Instruction|Human|User|Question|Q):)",
    re.IGNORECASE | re.MULTILINE,
)
_AWAITS = re.compile(
    r"(?:^|\s)(?:#{2,} ?(?:Response|Output|Assistant|Answer)\b:?|(?:Response|Assistant|Answer|Bot|AI|A):)\s*\Z",
    re.IGNORECASE,
)
_ENDS = re.compile(
    r"(?:\s*(?:<\|(?:im_end|endoftext|eot_id|end|eos|end_of_text)\|>|</s>|<eos>|<end_of_turn>|#{3,}|(?<!\bTHE)\sEND))+\s*\Z"
)
TAIL = 200  # characters at the end of a text in which an end is looked for
STRIPPED = Note("repaired: end markers stripped from answers", "an answer gets an end token anyway")
# Thai, Lao, Burmese, Khmer; kana; Han; and their punctuation is no word.
_SPACELESS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff"
_WORD = re.compile(f"[{_SPACELESS}]|[^\\s{_SPACELESS}]+")


def tells(turns: Sequence[Turn]) -> Iterator[Note]:
    """Yield what the texts of a row say about where they come from, each kind once."""
    kept = [without_end(turn) for turn in turns]  # what --repair leaves
    ends = [whole.content[len(left.content) :] for whole, left in zip(turns, kept, strict=True) if left is not whole]
    kind, plain = "control token typed as text", "it will be trained as plain characters"
    if typed := next(((turn, sign[0]) for turn in kept if (sign := _control(turn.content))), None):
        yield Note(kind, f"{typed[0].role} text contains {shown(typed[1])}; {plain}")
    elif sign := next((sign for end in ends if (sign := _control(end))), None):
        way = "--repair strips it from the ends of answers"
        yield Note(kind, f"assistant text contains {shown(sign[0])}; {plain}; {way}")
        ends = []
    if ends:
        message = f"an answer ends with {shown(ends[0].strip())}, and gets an end token anyway; --repair strips it"
        yield Note("end marker typed into answers", message)
    if found := next((sign for turn in turns if "<" in turn.content and (sign := _MEDIA.search(turn.content))), None):
        yield Note("picture or sound is missing", f"a text refers to one with {shown(found[0])}; only text is trained")
    for turn in turns:
        awaits = _AWAITS.search(turn.content[-TAIL:]) if turn.role == "user" else None
        if awaits and (opens := _OPENS.search(turn.content)):
            message = f"a prompt has {shown(opens[0].strip())} and ends with {shown(awaits[0].strip())}"
            yield Note("prompt has a template already", f"{message}; --style raw puts nothing around it")
            break


def without_end(turn: Turn) -> Turn:
    """Return a turn without the end markers that were typed at the end of an answer."""
    if not (end := _typed_end(turn)):
        return turn
    kept = turn.content[: -len(end)]
    return replace(turn, content=kept) if kept.strip() else turn


def _control(text: str) -> re.Match[str] | None:
    return CONTROL.search(text) if "<" in text or "[" in text else None  # most texts have neither


def _typed_end(turn: Turn) -> str:
    if turn.role != "assistant":
        return ""
    at = len(turn.content)
    while found := _ENDS.search(turn.content[max(0, at - TAIL) : at]):
        at -= len(found[0])
    return turn.content[at:]


def num_words(text: str) -> int:
    """Return the number of words; where a script has no spaces between them, each character counts as one."""
    return len(text.split()) if text.isascii() else len(_WORD.findall(text))

"""Talk: lists of messages as turns, read strictly; what can be mended without guessing is mended on request."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, takewhile
from typing import Any, NamedTuple, cast

from playground.data.jsonl import kind_of, shown
from playground.data.names import (
    CALLS,
    CONTENT_KEYS,
    PER_MESSAGE,
    PER_PART,
    READ,
    ROLE_KEYS,
    TEXT_PARTS,
    WEIGHTS,
    Role,
    find,
    fold,
    is_empty,
    is_tool,
    not_read,
    role_of,
    value_of,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Turn:
    """One message. `trained` matters for assistant turns only: it says whether they carry loss."""

    role: Role
    content: str
    trained: bool = True


class Note(NamedTuple):
    """Something that was done with a row, or is worth a look: what, and what to do about it."""

    kind: str
    message: str


class Options(NamedTuple):
    """How rows are read: names that are `left_out` on request, and whether rows are mended (`repair`)."""

    left_out: frozenset[str] = frozenset()
    repair: bool = False


AS_IS = Options()
_HALF = re.compile("[\ud800-\udfff]")  # of a surrogate pair
Turns = tuple[Turn, ...]
Read = tuple[Turns, tuple[Note, ...]]
WITHOUT_ROLES = Note("messages have no roles", "read as user and assistant in turn")


def turns_of(talk: Sequence[Any], options: Options = AS_IS, given: int = 0) -> Read | str:
    """Return the turns of a list of messages with notes about them, or what is wrong with it.

    The first `given` messages carry no loss.
    """
    talk, notes = _as_messages(talk)
    turns: list[Turn] = []
    for number, message in enumerate(talk, start=1):
        turn = _turn(message, number, options, notes)
        if isinstance(turn, str):
            return turn
        turns.append(turn if number > given else replace(turn, trained=False))
    if options.repair:
        turns = _mended(turns, notes)
    if why := _untrainable(turns):
        return why
    return tuple(turns), tuple(dict.fromkeys(notes))


def _as_messages(talk: Sequence[Any]) -> tuple[Sequence[Any], list[Note]]:
    """Return `talk` as messages: some sets have only texts, others a question and an answer in each item."""
    if len(talk) > 1 and all(isinstance(text, str) for text in talk):
        roles = ("user", "assistant")
        return [{"role": roles[n % 2], "content": text} for n, text in enumerate(talk)], [WITHOUT_ROLES]
    pairs: list[dict[str, Any]] = []
    for item in talk:
        if not isinstance(item, dict) or find(ROLE_KEYS, item):
            return talk, []
        keys = {role: find(READ[role], item) for role in ("system", "prompt", "completion")}
        if not keys["prompt"] or not keys["completion"]:
            return talk, []
        known = {"system": "system", "prompt": "user", "completion": "assistant"}
        # What else an item has is kept with its answer, so that it is named or refused there.
        more = {key: value for key, value in item.items() if key not in filter(None, keys.values())}
        pairs += [
            {"role": known[role], "content": item[key], **(more if role == "completion" else {})}
            for role, key in keys.items()
            if key and not (role == "system" and is_empty(item[key]))
        ]
    return pairs, []


def _turn(message: Any, number: int, options: Options, notes: list[Note]) -> Turn | str:
    """Return a message as a turn, or what is wrong with it."""
    if not isinstance(message, dict):
        return f"message {number} is not an object with a role and a content"
    said = value_of(ROLE_KEYS, message)
    if is_tool(said) or any(not is_empty(message.get(key)) for key in CALLS):
        return f"message {number} is a tool turn ({shown(said)}), and tools are not trained here"
    role = role_of(said)
    if role is None:
        return (
            f"message {number} has the role {shown(said)}; it must be system, user or assistant, or mean one of them"
            " as human and gpt do"
        )
    content = value_of(CONTENT_KEYS, message)
    rest, thoughts = _apart(content) if role == "assistant" else (content, [])
    content = joined(as_text(rest, options, notes))
    if problem := bad_cell(content):
        return f"the content of message {number} ({role}) {problem}"
    for key, value in message.items():
        if (why := PER_MESSAGE.get(fold(key))) and not is_empty(value) and key not in options.left_out:
            return f"message {number} has {shown(key)}, which is not read here: {why}; {leaves_out(key)}"
    weights = [message[key] for key in WEIGHTS if message.get(key) is not None] or [1]
    if odd := [weight for weight in weights if weight not in (0, 1) or weight != weights[0]]:
        return f"message {number} has the loss weight {shown(odd[0])}; only 0 and 1 are supported, and one of them"
    text = cast(str, content)
    if role == "assistant":
        key = _reasoning_key(message, options)
        thought = message[key] if key else None
        if said := [(name, held) for name, held in thoughts if name not in options.left_out]:
            if key:
                return f"message {number} has reasoning in {shown(key)} and in its content; {leaves_out(key)}"
            key, thought = said[0][0], [held for _, held in said]
        answer = with_reasoning(text, key, thought, notes) if key else text
        if answer is None:
            return f"the reasoning of message {number} is not a text"
        text = answer
    return Turn(role, text, bool(weights[0]))


def with_reasoning(answer: str, key: str, thought: Any, notes: list[Note]) -> str | None:
    """Return `answer` after the reasoning called `key`; None if that is no text."""
    thought = joined(thought)
    if bad_text(thought):
        return None
    notes.append(Note(f"{shown(key)} is trained with the answer, in <think> tags", leaves_out(key)))
    return f"<think>\n{thought.strip()}\n</think>\n\n{answer}"


def leaves_out(key: str) -> str:
    """Return which option leaves a column or key out, in words."""
    return f"--map {shlex.quote(f'{key}=')} leaves it out"


def _reasoning_key(message: dict[str, Any], options: Options) -> str:
    """Return the key of the reasoning of a message that is read, the likelier name first; empty if there is none."""
    names = READ["reasoning"]
    said = [key for key in message if fold(key) in names and key not in options.left_out and not is_empty(message[key])]
    return find(names, dict.fromkeys(said)) if said else ""


def _mended(turns: Sequence[Turn], notes: list[Note]) -> list[Turn]:
    """Return `turns` in an order that can be trained on, where that needs no guess; note what was done."""
    head = list(turns[:1]) if turns and turns[0].role == "system" else []
    rest: list[Turn] = []
    for _, same in groupby(turns[len(head) :], key=lambda turn: (turn.role, turn.role == "assistant" and turn.trained)):
        first, *more = same
        if more:
            notes.append(Note("repaired: turns of one role in a row joined", "a blank line is between them"))
            first = replace(first, content="\n\n".join(turn.content for turn in (first, *more)))
        rest.append(first)
    while rest and rest[0].role == "assistant":
        notes.append(Note("repaired: an answer before the first question left out", "the rest of the row is trained"))
        del rest[0]
    if not head and rest and rest[0].role == "system":
        return _mended(rest, notes)  # there may be another answer before the first question
    while rest and rest[-1].role == "user":
        notes.append(Note("repaired: a question without an answer left out", "the rest of the row is trained"))
        del rest[-1]
    return [*head, *rest]


def _untrainable(turns: Sequence[Turn]) -> str:
    """Return why these turns cannot be trained on, with what `repair` does if that mends them; empty if they can."""
    why, way = _fault(turns)
    return f"{why}; {way}" if way and not _fault(_mended(turns, []))[0] else why


def _fault(turns: Sequence[Turn]) -> tuple[str, str]:
    """Return what is wrong with these turns, and what `repair` does with turns that are wrong in this way."""
    before = ""
    for number, turn in enumerate(turns, start=1):
        expected = ("system", "user") if not before else ("assistant",) if before == "user" else ("user",)
        if turn.role not in expected:
            way = "--repair joins them" if turn.role == before and before != "system" else ""
            way = "--repair leaves it out" if turn.role == "assistant" and before in ("", "system") else way
            return f"message {number} is from {turn.role}; expected {' or '.join(expected)}", way
        before = turn.role
    if before != "assistant":
        way = "--repair leaves its last turn out" if before == "user" and len(turns) > 2 else ""
        return f"the conversation ends with {before or 'nothing'}; it must end with assistant", way
    if not any(turn.trained for turn in turns if turn.role == "assistant"):
        return "no assistant message carries loss", ""
    return "", ""


def joined(content: Any) -> Any:
    """Return the text of a list of text parts, or of an object that holds one; anything else unchanged.

    If there is an image, audio or anything else that is no text, ``{"type": what}``, which `bad_text` refuses.
    """
    if (parts := _parts(content)) is None:
        return content
    if isinstance(content, dict) and (other := _other(content)):
        return {"type": other}
    texts = []
    for part in parts:
        if (kind := _kind(part)) != "text":
            return {"type": kind}
        text = part.get(_text_key(part)) if isinstance(part, dict) else part
        if text is None:
            return None
        if not isinstance(text, str):
            return {"type": kind_of(text)}
        texts.append(text)
    return "".join(texts)


def _parts(content: Any) -> list[Any] | None:
    """Return the parts of a content, which may be a lone one; None if it has none."""
    if isinstance(content, dict):
        content = [content] if _is_text(content.get("type")) else content.get("parts")
    return content if isinstance(content, list) else None


def _is_text(kind: Any) -> bool:
    return isinstance(kind, str) and fold(kind) in TEXT_PARTS


def _kind(part: Any) -> Any:
    """Return what a part of a content is: ``text``, or the type or key that says what else."""
    if not isinstance(part, dict):
        return "text"
    kind = part.get("type") or "text"
    if not _is_text(kind) or (kind := _other(part) or _thought(part)[0]):
        return kind
    return "text" if "type" in part or not part or _text_key(part) in part else next(iter(part))


def _text_key(part: dict[str, Any]) -> str:
    return "text" if "text" in part else "value"


def _other(held: dict[str, Any]) -> str:
    """Return the key with which a part, or what holds the parts, is more than text; empty if it is text."""
    return next((key for key, value in held.items() if fold(key) in PER_PART and not is_empty(value)), "")


def _thought(part: Any) -> tuple[str, Any]:
    """Return what a part calls the reasoning in it, and that; no name if it is none."""
    if not isinstance(part, dict):
        return "", None
    if part.get("thought") is True:  # as Gemini marks it
        return "thought", part.get("text")
    kind = part.get("type")
    if not isinstance(kind, str) or fold(kind) not in READ["reasoning"]:
        return "", None
    return kind, part.get(kind, part.get("text"))


def _apart(content: Any) -> tuple[Any, list[tuple[str, Any]]]:
    """Return a content without the reasoning in its first parts, and that; later reasoning is no text to `joined`."""
    parts = _parts(content) or []
    thoughts = list(takewhile(lambda thought: thought[0], map(_thought, parts)))
    if not thoughts:
        return content, []
    rest = parts[len(thoughts) :]
    return ({**content, "parts": rest} if isinstance(content, dict) else rest), thoughts


def bad_text(value: Any) -> str:
    """Return why `value` is no text that can be trained on; empty if it is one."""
    if isinstance(value, dict) and "type" in value:
        return f"has a part of the type {shown(value.get('type'))}; only text is trained"
    if not isinstance(value, str):
        return f"must be a string, not {kind_of(value)}" if value is not None else "is missing"
    if not value.strip():
        return "is empty"
    if "\x00" in value:
        return "contains a NUL character"
    if _HALF.search(value):
        return "contains half of a surrogate pair"
    return ""


def bad_cell(value: Any) -> str:
    """Return why a cell that went through `as_text` cannot be trained on, with what `repair` does; empty if it can."""
    why = bad_text(value)
    return f"{why}; --repair writes numbers as text" if why and _is_number(value) else why


def as_text(value: Any, options: Options, notes: list[Note]) -> Any:
    """Return a number as text if that was asked for; anything else unchanged."""
    if not options.repair or not _is_number(value):
        return value
    notes.append(Note("repaired: numbers written as text", "as in the file"))
    return str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)


def unread_keys(talk: Sequence[Any], options: Options) -> dict[str, Any]:
    """Return the keys of messages that are not read, with a value of each."""
    found: dict[str, Any] = {}
    for message in _as_messages(talk)[0]:
        if not isinstance(message, dict):
            continue
        role, texts = find(ROLE_KEYS, message), [find(CONTENT_KEYS, message)]
        if role and role_of(message[role]) == "assistant":
            texts.append(_reasoning_key(message, options))
        for key in filter(None, texts):
            for path, value in parts_not_read(message[key], options):
                found.setdefault(f"{key}{path}", value)
        read = {role, *texts, *CALLS, *WEIGHTS} - {""}  # what is not there; a key may be called that
        for key, value in not_read(message, read).items():
            found.setdefault(key, value)
    return found


def parts_not_read(content: Any, options: Options) -> Iterator[tuple[str, Any]]:
    """Yield what a content has that is not read: ``("[].key", value)`` of a part, ``(".key", value)`` next to parts."""
    parts = _parts(content)
    if parts is not None and isinstance(content, dict) and "parts" in content:
        said = {"content_type"} if content.get("content_type") == "text" else set()  # as ChatGPT's exports have it
        for key, value in not_read(content, {"parts", *ROLE_KEYS} | said).items():
            yield f".{key}", value
    for part in parts or ():
        if not isinstance(part, dict):
            continue
        name, thought = _thought(part)
        if name in options.left_out:
            yield f"[].{name}", thought
        read = {_text_key(part), "type", name} - {""}  # no name; a key may be called that
        read |= {"thought"} if isinstance(part.get("thought"), bool) else set()
        for key, value in not_read(part, read).items():
            yield f"[].{key}", value

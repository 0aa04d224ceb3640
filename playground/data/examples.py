"""Examples: conversations whose assistant turns are trained, read strictly from JSON Lines.

All problems of a file are reported together, each with its line, before any model is loaded.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from playground.data.jsonl import Problem, parse_lines, read_bytes, refuse, shown
from playground.errors import InputError

Role = Literal["system", "user", "assistant"]
PAIRS = (("prompt", "completion"), ("prompt", "response"), ("instruction", "output"))
_SHAPES = "{'prompt', 'completion'}, {'instruction', 'output'} or {'messages': [{'role', 'content'}, …]}"


@dataclass(frozen=True, slots=True)
class Turn:
    """One message. `trained` matters for assistant turns only: it says whether they carry loss."""

    role: Role
    content: str
    trained: bool = True


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation from `line` of its file: ``[system] (user assistant)+``."""

    turns: tuple[Turn, ...]
    line: int


@dataclass(frozen=True)
class Dataset:
    """The examples of one file and the sha256 of its bytes."""

    name: str
    sha256: str
    examples: tuple[Example, ...]


def read_dataset(path: Path) -> Dataset:
    """Read and check a whole file.

    Raises:
        InputError: With every problem of the file, if there is any, or if it holds no rows.
    """
    raw = read_bytes(path)
    examples: list[Example] = []
    problems: list[Problem] = []
    for line, row in parse_lines(raw, str(path)):
        result = row if isinstance(row, Problem) else _example(row, line)
        (problems if isinstance(result, Problem) else examples).append(result)  # type: ignore[arg-type]
    if problems:
        raise refuse(str(path), problems, f"Each line is one JSON object: {_SHAPES}.")
    if not examples:
        raise InputError(f"{path} holds no rows.", f"Each line is one JSON object: {_SHAPES}.")
    return Dataset(path.name, hashlib.sha256(raw).hexdigest(), tuple(examples))


def _example(row: dict[str, Any], line: int) -> Example | Problem:
    if "messages" in row:
        turns = _messages(row["messages"])
    else:
        turns = _pair(row)
    if isinstance(turns, str):
        return Problem(line, turns)
    return Example(turns, line)


def _pair(row: dict[str, Any]) -> tuple[Turn, ...] | str:
    names = next((pair for pair in PAIRS if pair[0] in row and pair[1] in row), None)
    if names is None:
        return f"the keys {shown(sorted(row))} are none of {_SHAPES}"
    unread = [key for key in ("system", "history", "tools") if row.get(key)]
    if unread:
        return f"{unread[0]!r} is not read yet; write the row as 'messages'"
    prompt, completion = (row[name] for name in names)
    for name, value in zip(names, (prompt, completion), strict=True):
        if problem := _bad_text(value):
            return f"{name!r} {problem}"
    if extra := row.get("input") if names[0] == "instruction" else None:
        if problem := _bad_text(extra):
            return f"'input' {problem}"
        prompt = f"{prompt}\n\n{extra}"
    return Turn("user", prompt), Turn("assistant", completion)


def _messages(messages: Any) -> tuple[Turn, ...] | str:
    if not isinstance(messages, list) or not messages:
        return "'messages' must be a list of messages with 'role' and 'content'"
    turns: list[Turn] = []
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            return f"message {index + 1} is not an object"
        role = message.get("role")
        if role not in ("system", "user", "assistant"):
            return f"message {index + 1} has the role {shown(role)}; known are system, user and assistant"
        if problem := _bad_text(message.get("content")):
            return f"the content of message {index + 1} ({role}) {problem}"
        expected = ("system", "user") if index == 0 else ("assistant",) if turns[-1].role == "user" else ("user",)
        if role not in expected:
            return f"message {index + 1} is from {role}; expected {' or '.join(expected)}"
        weight = message.get("loss_weight", message.get("train", 1))
        if weight not in (0, 1):
            return f"message {index + 1} has the loss weight {shown(weight)}; only 0 and 1 are known"
        turns.append(Turn(cast(Role, role), message["content"], bool(weight)))
    if turns[-1].role != "assistant":
        return f"the conversation ends with {turns[-1].role}; it must end with assistant"
    if not any(turn.trained for turn in turns if turn.role == "assistant"):
        return "no assistant message carries loss"
    return tuple(turns)


def _bad_text(value: Any) -> str:
    if not isinstance(value, str):
        return f"must be a string, not {type(value).__name__}" if value is not None else "is missing"
    if not value.strip():
        return "is empty"
    if "\x00" in value:
        return "holds a NUL character"
    if any("\ud800" <= character <= "\udfff" for character in value):
        return "holds half of a surrogate pair"
    return ""

"""Prompts to compare on: plain text (one per line) or JSON Lines with ids and what to expect."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from playground import config, paths
from playground.data.containers import open_rows
from playground.data.jsonl import Problem, read_bytes, refuse, shown, text_lines
from playground.data.names import READ, value_of
from playground.data.talk import Turn, bad_text
from playground.errors import InputError
from playground.events.prompts import Prompt
from playground.text import count

__all__ = ["KINDS", "STORY", "Prompt", "as_prompt", "read_prompts"]

KINDS = ("fact", "explain", "advice", "poem", "list")


# The prompts that a training run answers before its first step and later, with what an answer must be.
STORY = (
    Prompt("explain", config.STORY[0], "explain"),
    Prompt("fact", config.STORY[1], "fact", ("Paris",)),
    Prompt("poem", config.STORY[2], "poem"),
)


def as_prompt(text: str) -> Prompt:
    """Return the prompt with this `text`: with its expectations if it is one of the `STORY`, else without."""
    return next((prompt for prompt in STORY if prompt.prompt == text), Prompt("", text))


def turns_of(prompt: Prompt) -> list[Turn]:
    """Return what a style is given: the prompt as a user's turn, after its system turn if it has one."""
    system = [Turn("system", prompt.system)] if prompt.system else []
    return [*system, Turn("user", prompt.prompt)]


def typed_prompt(text: str) -> Prompt:
    """Return a prompt that was typed.

    Raises:
        InputError: If it has no text in it, or a character that is none.
    """
    found = _prompt({"prompt": text}, 1)
    if isinstance(found, Problem):
        raise InputError("The prompt must have text in it.", "Check for NUL and broken characters.")
    return found


def read_prompts(path: Path) -> list[Prompt]:
    """Read prompts from a file of data, any other text file, or standard input (``-``).

    Rows of data have a ``prompt`` or what `names` reads as one, or ``turns``, of which the first is asked.

    Raises:
        InputError: With every problem in the file, or if it has no prompts.
    """
    prompts: list[Prompt] = []
    problems: list[Problem] = []
    seen: set[str] = set()
    more = 0
    for line, row in open_rows(str(path), path) if path.name.endswith(paths.DATA_SUFFIXES) else _plain(path):
        result = row if isinstance(row, Problem) else _prompt(row, line)
        more += isinstance(row, dict) and isinstance(turns := row.get("turns"), list) and len(turns) > 1
        if isinstance(result, Prompt) and result.id in seen:
            result = Problem(line, f"the id {shown(result.id)} appears twice")
        if isinstance(result, Problem):
            problems.append(result)
        else:
            seen.add(result.id)
            prompts.append(result)
    if more:
        print(f"{path.name}: the first turn of {count(more, 'conversation')} is asked", file=sys.stderr)
    if problems:
        raise refuse(str(path), problems, "A .jsonl line is {'prompt': …, 'id': …}; other files have one per line.")
    if not prompts:
        raise InputError(f"{path} has no prompts.", "Write one prompt per line.")
    return prompts


def _plain(path: Path) -> list[tuple[int, dict[str, Any] | Problem]]:
    found = text_lines(read_bytes(path), str(path))
    lines = [(number, line if isinstance(line, Problem) else line.strip()) for number, line in found]
    return [(number, line if isinstance(line, Problem) else {"prompt": line}) for number, line in lines if line]


def _prompt(row: dict[str, Any], line: int) -> Prompt | Problem:
    prompt = value_of(READ["prompt"], row)
    if prompt is None and isinstance(turns := row.get("turns"), list) and turns:
        prompt = turns[0]
    ident = row.get("id", row.get("question_id", str(line)))
    kind, expect, items = row.get("kind", ""), row.get("expect", []), row.get("items", 0)
    system = value_of(READ["system"], row) or ""
    if not isinstance(prompt, str) or bad_text(prompt):
        return Problem(line, "'prompt' must be a string with text in it")
    if system and (why := bad_text(system)):
        return Problem(line, f"'system' {why}")
    if not isinstance(ident, (str, int)) or bad_text(str(ident)):
        return Problem(line, "'id' must be a string or a number")
    if kind not in ("", *KINDS):
        return Problem(line, f"'kind' is {shown(kind)}; it must be one of {', '.join(KINDS)}")
    if not isinstance(expect, list) or not all(isinstance(word, str) and word for word in expect):
        return Problem(line, "'expect' must be a list of words")
    if not isinstance(items, int) or items < 0 or (kind == "list" and not items):
        return Problem(line, "'items' must be the number of items of the list")
    return Prompt(str(ident), prompt, kind, tuple(expect), items, system=system)

"""Prompts to compare on: plain text (one per line) or JSON Lines with ids and what to expect."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from playground import config, paths
from playground.data.containers import open_rows
from playground.data.jsonl import Problem, read_bytes, refuse, shown, text_lines
from playground.data.names import READ, find
from playground.data.reading import LOOKED_AT, Reading
from playground.data.shapes import STAND_IN
from playground.data.talk import Turn, bad_text
from playground.errors import InputError
from playground.events.prompts import Prompt
from playground.text import count

__all__ = ["KINDS", "STORY", "Prompt", "as_prompt", "read_prompts"]

_FLAGS = re.compile("; --")  # what training can do about a row: here there are no such options
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
    if bad_text(text):
        raise InputError("The prompt must have text in it.", "Check for NUL and broken characters.")
    return Prompt("1", text)


def read_prompts(path: Path) -> list[Prompt]:
    """Read prompts from a file of data, any other text file, or standard input (``-``).

    Of a row of data the first question is asked as training shows it: with its context, after its system prompt. Rows
    need no answers; ``turns`` are questions, or messages.

    Raises:
        InputError: With every problem in the file, or if it has no prompts.
    """
    prompts: list[Prompt] = []
    problems: list[Problem] = []
    seen: set[str] = set()
    more = 0
    found = open_rows(str(path), path) if path.name.endswith(paths.DATA_SUFFIXES) else _plain(path)
    rows = [(line, row if isinstance(row, Problem) else _as_messages(row)) for line, row in found]
    reading = Reading.of_questions([row for _, row in rows[:LOOKED_AT] if not isinstance(row, Problem)])
    for line, row in rows:
        read = row if isinstance(row, Problem) else _question(row, line, reading)
        if not isinstance(read, Problem) and read[0].id in seen:
            read = Problem(line, f"the id {shown(read[0].id)} appears twice")
        if isinstance(read, Problem):
            problems.append(replace(read, message=_FLAGS.split(read.message)[0]))
        else:
            seen.add(read[0].id)
            prompts.append(read[0])
            more += read[1] > 1
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


def _as_messages(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with its ``turns`` as messages: those of benchmarks are questions that are asked one by one."""
    turns = row.get("turns")
    if find(READ["prompt"], row) or not isinstance(turns, list) or not turns:
        return row
    if not isinstance(turns[0], dict):
        asked = ([{"role": "user", "content": text}, {"role": "assistant", "content": STAND_IN}] for text in turns)
        turns = list(chain.from_iterable(asked))
    return {**{column: row[column] for column in row if column != "turns"}, "messages": turns}


def _question(row: dict[str, Any], line: int, reading: Reading) -> tuple[Prompt, int] | Problem:
    """Return the prompt of a row and how many questions the row has, or the problem with it."""
    turns = reading.asked(line, row)
    if isinstance(turns, Problem):
        return turns
    questions = [turn.content for turn in turns if turn.role == "user"]
    system = "".join(turn.content for turn in turns[:1] if turn.role == "system")
    ident = row.get("id", row.get("question_id", str(line)))
    kind, expect, items = row.get("kind", ""), row.get("expect", []), row.get("items", 0)
    if not isinstance(ident, (str, int)) or bad_text(str(ident)):
        return Problem(line, "'id' must be a string or a number")
    if kind not in ("", *KINDS) and find(READ["completion"], row):
        kind = ""  # of a row of data that says something else about it
    if kind not in ("", *KINDS):
        return Problem(line, f"'kind' is {shown(kind)}; it must be one of {', '.join(KINDS)}")
    if not isinstance(expect, list) or not all(isinstance(word, str) and word for word in expect):
        return Problem(line, "'expect' must be a list of words")
    if not isinstance(items, int) or items < 0 or (kind == "list" and not items):
        return Problem(line, "'items' must be the number of items of the list")
    return Prompt(str(ident), questions[0], kind, tuple(expect), items, system=system), len(questions)

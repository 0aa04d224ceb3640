"""Rows that no shape reads: what they have, and what could be done about it."""

from __future__ import annotations

from typing import Any

from playground.data.jsonl import shown
from playground.data.names import CHOSEN, CONTENT_KEYS, READ, ROLE_KEYS, find, fold, is_preference, role_of, value_of

ACCEPTED = "prompt and completion, instruction and output, messages (role, content) or ShareGPT conversations"
MOST_NAMED = 8  # columns in an error


def unknown_columns(row: dict[str, Any]) -> str:
    """Return why a file whose rows look like `row` cannot be read."""
    return f"it has {columns_of(row)}, but not {ACCEPTED}{advice(row)}"


def columns_of(row: dict[str, Any], most: int = MOST_NAMED) -> str:
    """Return the columns of a row in words; at `most` that many are named."""
    return f"the column{'s' * (len(row) > 1)} {listed(row, most)}" if row else "no columns"


def listed(row: dict[str, Any], most: int = MOST_NAMED) -> str:
    """Return the names in `row`, as many as fit into a message."""
    return ", ".join(shown(name) for name in sorted(row)[:most]) + (", …" if len(row) > most else "")


def advice(row: dict[str, Any]) -> str:
    """Return what to do with a row that cannot be read, to end a message with; empty if nothing is known."""
    if is_preference(row):
        if any(isinstance(row[column], str) and "\n\nHuman:" in row[column] for column in row):
            return "; it is preference data, whole conversations in one text: split them into messages"
        if has_several_answers(row):
            return "; it is preference data with several answers in a cell: write one of them into a column 'answer'"
        return "; it is preference data"
    if says_one_message(row):
        return "; each row is one message: write those of a conversation into one row, as 'messages'"
    if "segments" in row:
        return "; segments carry their own mask: write them as 'messages', each with its \"train\""
    if "text" in row:
        return "; 'text' alone does not tell the prompt from the answer, and SFT trains only answers"
    for column, value in row.items():
        if fold(column) in ("answers", "responses", "outputs") and value:
            return f"; {shown(column)} may be several answers: write one of them into a column 'answer'"
        if fold(column) in READ["messages"] and isinstance(value, str):
            return f"; {shown(column)} is one text: split it into messages"
        if isinstance(held := value[0] if isinstance(value, list) and value else value, dict):
            return f"; {shown(column)} holds {listed(held)}: what is trained on needs columns of its own"
    return ""


def has_several_answers(row: dict[str, Any]) -> bool:
    """Return whether a row of preference data has several better answers: texts next to a prompt, not turns."""
    better = value_of(CHOSEN, row)
    texts = isinstance(better, list) and any(isinstance(item, str) for item in better)
    return texts and bool(find(READ["prompt"], row))


def says_one_message(row: dict[str, Any]) -> bool:
    """Return whether `row` is one message of a conversation that is spread over rows."""
    return role_of(value_of(ROLE_KEYS, row)) is not None and bool(find(CONTENT_KEYS, row))

"""Columns that are not read: refused where they would change what a row means, else reported with their rows."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from playground.data.jsonl import shown
from playground.events.data import Finding
from playground.text import count

NAMED = 10  # columns; any others are only counted
# Columns that would change what a row means. A shape that reads one of them says so; else a row that has it is refused.
_TOOLS, _MEDIA = "tools are not trained here", "only text is trained here"
_TURN = "write the row as 'messages' with a turn for it"
MEANINGFUL = {
    "tools": _TOOLS, "functions": _TOOLS,
    "image": _MEDIA, "images": _MEDIA, "audio": _MEDIA, "audios": _MEDIA, "video": _MEDIA, "videos": _MEDIA,
    "system": _TURN, "system_prompt": _TURN, "history": _TURN, "context": "write it into the prompt",
}  # fmt: skip
# Columns about a row, which are not expected to be learned. Every other unread column is reported.
HARMLESS = {
    "id", "_id", "ids", "idx", "index", "row_id", "uuid", "guid", "hash", "__index_level_0__", "unnamed: 0",
    "conversation_id", "session_id", "prompt_id", "message_id", "parent_id", "task_id", "user_id", "annotator_id",
    "source", "src", "dataset", "origin", "split", "license", "licence", "url", "author", "annotator", "file",
    "filename", "category", "categories", "tag", "tags", "topic", "topics", "domain", "task", "task_type", "type",
    "kind", "lang", "language", "locale", "model", "model_name", "generator", "version", "meta", "metadata",
    "created", "created_at", "updated_at", "timestamp", "date",
    "score", "rating", "quality", "difficulty", "num_tokens", "token_count", "length",
}  # fmt: skip
WEIGHTS = ("loss_weight", "train", "weight", "training")  # keys of a message that say whether it carries loss
_MESSAGE = {"role", "content", "from", "value", "tool_calls", *WEIGHTS}
# Keys of a message that would change what is learned from it.
_PER_MESSAGE = {
    **{name: why for name, why in MEANINGFUL.items() if why == _MEDIA},
    "train_detail": "an answer carries loss as a whole",
}


def refusal(row: dict[str, Any], read: Collection[str]) -> str:
    """Return why a row is refused: a column outside `read` would change what it means. Empty if it is accepted."""
    for column, value in row.items():
        name = column.casefold()
        if column in read or _is_empty(value):
            continue
        if name in MEANINGFUL:
            return f"it has {shown(column)}, which is not read here: {MEANINGFUL[name]}"
        if name == "label" and (value is False or (isinstance(value, str) and value.strip().casefold() == "false")):
            return "its 'label' is false: the answer was judged bad, and would be learned"
    return ""


def message_refusal(message: dict[str, Any]) -> str:
    """Return why a message is refused: a key would change what is learned from it. Empty if it is accepted."""
    for key, value in message.items():
        if (why := _PER_MESSAGE.get(key.casefold())) and not _is_empty(value):
            return f"has {shown(key)}, which is not read here: {why}"
    return ""


def unread(row: dict[str, Any], read: Collection[str]) -> dict[str, Any]:
    """Return the columns that are neither `read`, nor known to be metadata, nor empty, as ``{name: value}``.

    Such keys of its messages are named ``messages[].key``.
    """
    found = {name: value for name, value in row.items() if name not in read and _is_told(name, value)}
    for column in row.keys() & set(read):
        for message in row[column] if isinstance(row[column], list) else ():
            for key, value in message.items() if isinstance(message, dict) else ():
                if key not in _MESSAGE and _is_told(key, value):
                    found.setdefault(f"{column}[].{key}", value)
    return found


@dataclass
class Unread:
    """The columns of a data set that are not read, each with its first row and the number of its rows.

    Attributes:
        columns: ``{name: (line, value there, rows)}``.
    """

    columns: dict[str, tuple[int, Any, int]] = field(default_factory=dict)

    def add(self, line: int, found: dict[str, Any]) -> None:
        """Add what `unread` found in the row on `line`."""
        for name, value in found.items():
            first, sample, rows = self.columns.get(name, (line, value, 0))
            self.columns[name] = (first, sample, rows + 1)

    def findings(self) -> list[Finding]:
        """Return a finding for each column, the most frequent first; if there are many, the rarest share one."""
        ordered = sorted(self.columns.items(), key=lambda item: (-item[1][2], item[0]))
        found = [
            Finding(line, "warning", f"{shown(name)} is not read", shown(value), rows)
            for name, (line, value, rows) in ordered[:NAMED]
        ]
        if rest := ordered[NAMED:]:
            kind = f"{count(len(rest), 'other column is', 'other columns are')} not read"
            line, _, rows = rest[0][1]
            found.append(Finding(line, "warning", kind, ", ".join(shown(name) for name, _ in rest[:NAMED]), rows))
        return found

    def words(self, of: str = "") -> tuple[str, ...]:
        """Return a sentence about each; `of` says which rows were checked, if not all were."""
        return tuple(f"{finding.kind} ({count(finding.rows, 'row')}{of})" for finding in self.findings())


def _is_told(name: str, value: Any) -> bool:
    return name.casefold() not in HARMLESS and not _is_empty(value)


def _is_empty(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip() in ("", "[]")
    return value is None or (isinstance(value, list | dict) and not value)

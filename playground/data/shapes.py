"""Shapes: what the columns of a row mean. One shape a file, found by looking and said aloud.

Each reader turns a row into turns or into words that say why it cannot. Roles, keys and limits are
those that the data sets people bring really use; `docs/data.md` lists them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from playground.data.jsonl import shown

Role = Literal["system", "user", "assistant"]
ROLES: dict[str, Role] = {
    "system": "system",
    "user": "user", "human": "user", "prompter": "user",
    "assistant": "assistant", "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant", "model": "assistant",
    "bing": "assistant", "bard": "assistant",
}  # fmt: skip
TOOL_ROLES = {"tool", "tools", "function", "function_call", "observation", "tool_call", "tool_response", "ipython"}
# Columns that would change what a row means. A shape that reads one of them says so; else a row that has it is refused.
_TOOLS, _MEDIA = "tools are not trained here", "only text is trained here"
_TURN = "write the row as 'messages' with a turn for it"
_TEXT = "write it into the prompt, or read it as Alpaca's input with --map input=context, instruction=… and output=…"
MEANINGFUL = {
    "tools": _TOOLS, "functions": _TOOLS,
    "image": _MEDIA, "images": _MEDIA, "audio": _MEDIA, "audios": _MEDIA, "video": _MEDIA, "videos": _MEDIA,
    "system": _TURN, "system_prompt": _TURN, "history": _TURN, "context": _TEXT,
}  # fmt: skip
# Columns about a row: they are not expected to be learned. Every other one that is not read is named.
HARMLESS = {
    "id", "_id", "ids", "idx", "index", "row_id", "uuid", "guid", "hash", "__index_level_0__", "unnamed: 0",
    "conversation_id", "session_id", "prompt_id", "message_id", "parent_id", "task_id", "user_id", "annotator_id",
    "source", "src", "dataset", "origin", "split", "license", "licence", "url", "author", "annotator", "file",
    "filename", "category", "categories", "tag", "tags", "topic", "topics", "domain", "task", "task_type", "type",
    "kind", "lang", "language", "locale", "model", "model_name", "generator", "version", "meta", "metadata",
    "created", "created_at", "updated_at", "timestamp", "date",
    "score", "rating", "quality", "difficulty", "num_tokens", "token_count", "length",
}  # fmt: skip
WEIGHTS = ("loss_weight", "train", "weight", "training")  # of a message: whether it carries loss
_MESSAGE = {"role", "content", "from", "value", "tool_calls", *WEIGHTS}
# Keys of a message that would change what is learned from it.
_PER_MESSAGE = {
    **{name: _MEDIA for name in MEANINGFUL if MEANINGFUL[name] == _MEDIA},
    "train_detail": "an answer carries loss as a whole",
}
PAIRS = (("prompt", "completion"), ("prompt", "response"), ("question", "answer"))
ACCEPTED = "{'prompt', 'completion'}, {'instruction', 'output'}, {'messages': [{'role', 'content'}, …]} or ShareGPT"


@dataclass(frozen=True, slots=True)
class Turn:
    """One message. `trained` matters for assistant turns only: it says whether they carry loss."""

    role: Role
    content: str
    trained: bool = True


Turns = tuple[Turn, ...]


@dataclass(frozen=True)
class Shape:
    """A way to write examples: its name, the columns that make it, its reader, and columns that it reads if they exist.

    `read` returns the turns of a row, or a string that says what is wrong with it.
    """

    name: str
    columns: tuple[str, ...]
    read: Callable[[dict[str, Any]], Turns | str]
    optional: tuple[str, ...] = ()

    def fits(self, row: dict[str, Any]) -> bool:
        """Return whether `row` has the columns of this shape."""
        return all(column in row for column in self.columns)

    def __str__(self) -> str:
        return f"{self.name} ({', '.join(self.columns)})"


def detect(rows: Iterable[dict[str, Any]], named: Iterable[str] = ()) -> Shape | None:
    """Return the shape that most of `rows` have, or None if no row has any.

    Args:
        rows: Some rows.
        named: Columns that a user has named: shapes with these go before all others.
    """
    wanted = set(named)
    order = sorted(SHAPES, key=lambda shape: not wanted & set(shape.columns))
    votes = Counter(shape.columns for row in rows if (shape := next((s for s in order if s.fits(row)), None)))
    # Counter keeps the order of the first sight, so a draw goes to the shape seen first.
    return next((shape for columns, _ in votes.most_common(1) for shape in SHAPES if shape.columns == columns), None)


def read_row(row: dict[str, Any], shape: Shape) -> Turns | str:
    """Return the turns of `row`, or what is wrong with it."""
    if shape.fits(row):
        turns = shape.read(row)
        # After the turns: a tool turn says more than the column of tools it comes with.
        return turns if isinstance(turns, str) else _changed(row, shape) or turns
    if other := _shape_of(row):
        return f"this row is {other}, but the file is {shape}"
    return f"the columns {shown(sorted(row))} are not those of {shape}{_advice(row)}"


def _changed(row: dict[str, Any], shape: Shape) -> str:
    """Return why a row is refused whose other columns would change what it means, or nothing."""
    for column, value in row.items():
        name = column.casefold()
        if column in shape.columns or column in shape.optional or _is_empty(value):
            continue
        if name in MEANINGFUL:
            return f"it comes with {shown(column)}, which is not read here: {MEANINGFUL[name]}"
        if name == "label" and (value is False or (isinstance(value, str) and value.strip().casefold() == "false")):
            return "its 'label' is false: the answer was judged as bad, and would be taught"
    return ""


def unread(row: dict[str, Any], shape: Shape) -> dict[str, Any]:
    """Return what a row holds that is neither read nor known to be about it, as ``{name: value}``; nothing empty.

    What its messages hold so is named as ``messages[].key``.
    """
    known = {*shape.columns, *shape.optional}
    found = {
        name: value
        for name, value in row.items()
        if name not in known and name.casefold() not in HARMLESS and not _is_empty(value)
    }
    for column in shape.columns:
        for message in row[column] if isinstance(row[column], list) else ():
            for key, value in message.items() if isinstance(message, dict) else ():
                if key not in _MESSAGE and key.casefold() not in HARMLESS and not _is_empty(value):
                    found.setdefault(f"{column}[].{key}", value)
    return found


def _is_empty(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip() in ("", "[]")
    return value is None or (isinstance(value, list | dict) and not value)


def unknown_columns(row: dict[str, Any]) -> str:
    """Return why a file whose rows look like `row` cannot be read."""
    return f"the columns {shown(sorted(row))} are none of {ACCEPTED}{_advice(row)}"


def _shape_of(row: dict[str, Any]) -> Shape | None:
    return next((shape for shape in SHAPES if shape.fits(row)), None)


def _advice(row: dict[str, Any]) -> str:
    if {"chosen", "rejected"} <= row.keys():
        return "; this is preference data: train on its better side with --map completion=chosen"
    if "text" in row:
        return "; 'text' alone does not tell the prompt from the answer, and SFT trains only answers"
    return ""


def _pair(names: tuple[str, str]) -> Callable[[dict[str, Any]], Turns | str]:
    def read(row: dict[str, Any]) -> Turns | str:
        prompt, completion = (row[name] for name in names)
        if isinstance(prompt, list) or isinstance(completion, list):
            return _conversational_pair(prompt, completion)
        for name, value in zip(names, (prompt, completion), strict=True):
            if problem := _bad_text(value):
                return f"{name!r} {problem}"
        return Turn("user", prompt), Turn("assistant", completion)

    return read


def _conversational_pair(prompt: Any, completion: Any) -> Turns | str:
    """Read TRL's conversational prompt/completion: two lists of messages, of which the second carries loss."""
    if not isinstance(prompt, list) or not isinstance(completion, list) or not prompt or not completion:
        return "'prompt' and 'completion' must both be texts or both be lists of messages"
    turns = _turns([*prompt, *completion], "role", "content")
    if isinstance(turns, str):
        return turns
    return tuple(Turn(turn.role, turn.content, turn.trained and n >= len(prompt)) for n, turn in enumerate(turns))


def _alpaca(row: dict[str, Any]) -> Turns | str:
    turns: list[Turn] = []
    for name in ("system", "instruction", "input", "output"):
        value = row.get(name)
        if not value and name in ("system", "input"):
            continue
        if problem := _bad_text(value):
            return f"{name!r} {problem}"
    if row.get("system"):
        turns.append(Turn("system", row["system"]))
    history = row.get("history") or []
    if not isinstance(history, list):
        return "'history' must be a list of [prompt, answer] pairs"
    for number, pair in enumerate(history, start=1):
        if not isinstance(pair, list) or len(pair) != 2:
            return f"pair {number} of 'history' is not [prompt, answer]"
        for value in pair:
            if problem := _bad_text(value):
                return f"a text of pair {number} of 'history' {problem}"
        turns += [Turn("user", pair[0]), Turn("assistant", pair[1])]
    instruction = row["instruction"]
    prompt = f"{instruction}\n\n{row['input']}" if row.get("input") else instruction
    return (*turns, Turn("user", prompt), Turn("assistant", row["output"]))


def _messages(column: str, role: str, content: str) -> Callable[[dict[str, Any]], Turns | str]:
    def read(row: dict[str, Any]) -> Turns | str:
        talk = row[column]
        if not isinstance(talk, list) or not talk:
            return f"{column!r} must be a list of messages with {role!r} and {content!r}"
        turns = _turns(talk, role, content)
        if not isinstance(turns, str) and (system := row.get("system")):
            if problem := _bad_text(system):
                return f"'system' {problem}"
            if turns[0].role == "system":
                return "there is a system message and a column 'system'"
            turns = (Turn("system", system), *turns)
        return turns

    return read


def _turns(talk: Sequence[Any], role_key: str, content_key: str) -> Turns | str:
    turns: list[Turn] = []
    for number, message in enumerate(talk, start=1):
        if not isinstance(message, dict):
            return f"message {number} is not an object"
        said = message.get(role_key)
        if (isinstance(said, str) and said in TOOL_ROLES) or message.get("tool_calls"):
            return f"message {number} is a tool turn ({shown(said)}), and tools are not trained here"
        role = ROLES.get(said) if isinstance(said, str) else None
        if role is None:
            return f"message {number} has the role {shown(said)}; known are system, user and assistant"
        content = _joined(message.get(content_key))
        if problem := _bad_text(content):
            return f"the content of message {number} ({role}) {problem}"
        expected = ("system", "user") if not turns else ("assistant",) if turns[-1].role == "user" else ("user",)
        if role not in expected:
            return f"message {number} is from {role}; expected {' or '.join(expected)}"
        for key, value in message.items():
            if (why := _PER_MESSAGE.get(key.casefold())) and not _is_empty(value):
                return f"message {number} has {shown(key)}, which is not read here: {why}"
        weight = next((message[key] for key in WEIGHTS if key in message), 1)
        if weight not in (0, 1):
            return f"message {number} has the loss weight {shown(weight)}; only 0 and 1 are known"
        turns.append(Turn(role, cast(str, content), bool(weight)))
    if turns[-1].role != "assistant":
        return f"the conversation ends with {turns[-1].role}; it must end with assistant"
    if not any(turn.trained for turn in turns if turn.role == "assistant"):
        return "no assistant message carries loss"
    return tuple(turns)


def _joined(content: Any) -> Any:
    """Return the text of a list of text parts; anything else as it is."""
    if not isinstance(content, list):
        return content
    texts = []
    for part in content:
        text = part.get("text", part.get("value")) if isinstance(part, dict) else part
        kind = part.get("type", "text") if isinstance(part, dict) else "text"
        if kind != "text":
            return {"type": kind}  # a picture or a sound: refused by its type below
        if not isinstance(text, str):
            return text
        texts.append(text)
    return "".join(texts)


def _bad_text(value: Any) -> str:
    if isinstance(value, dict):
        return f"has a part of the type {shown(value.get('type'))}; only text is trained"
    if not isinstance(value, str):
        return f"must be a string, not {type(value).__name__}" if value is not None else "is missing"
    if not value.strip():
        return "is empty"
    if "\x00" in value:
        return "holds a NUL character"
    if any("\ud800" <= character <= "\udfff" for character in value):
        return "holds half of a surrogate pair"
    return ""


def _conversations(row: dict[str, Any]) -> Turns | str:
    talk = row["conversations"]
    first = talk[0] if isinstance(talk, list) and talk else None
    if isinstance(first, dict) and "role" in first:
        return _messages("conversations", "role", "content")(row)
    return _messages("conversations", "from", "value")(row)


# The order decides where a row has the columns of two shapes.
SHAPES = (
    Shape("messages", ("messages",), _messages("messages", "role", "content"), ("system",)),
    Shape("ShareGPT", ("conversations",), _conversations, ("system",)),
    Shape("Alpaca", ("instruction", "output"), _alpaca, ("system", "input", "history")),
    *(Shape("prompt and completion", names, _pair(names)) for names in PAIRS),
)

"""Shapes: what the columns of a row mean. One shape per file, detected and reported.

Each reader turns a row into turns, or returns why it cannot. Roles, keys and limits are
those that real data sets use; `docs/data.md` lists them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from playground.data.jsonl import shown
from playground.data.unread import WEIGHTS, message_refusal, refusal

Role = Literal["system", "user", "assistant"]
ROLES: dict[str, Role] = {
    "system": "system",
    "user": "user", "human": "user", "prompter": "user",
    "assistant": "assistant", "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant", "model": "assistant",
    "bing": "assistant", "bard": "assistant",
}  # fmt: skip
TOOL_ROLES = {"tool", "tools", "function", "function_call", "observation", "tool_call", "tool_response", "ipython"}
PAIRS = (("prompt", "completion"), ("prompt", "response"), ("question", "answer"))
ACCEPTED = "prompt and completion, instruction and output, messages (role, content) or ShareGPT conversations"
MOST_NAMED = 8  # columns in an error


@dataclass(frozen=True, slots=True)
class Turn:
    """One message. `trained` matters for assistant turns only: it says whether they carry loss."""

    role: Role
    content: str
    trained: bool = True


Turns = tuple[Turn, ...]


@dataclass(frozen=True)
class Shape:
    """A way to write examples: its name, its required columns, its reader, and its optional columns.

    `read` returns the turns of a row, or a string that says what is wrong with it.
    """

    name: str
    columns: tuple[str, ...]
    read: Callable[[dict[str, Any]], Turns | str]
    optional: tuple[str, ...] = ()

    @property
    def reads(self) -> tuple[str, ...]:
        """All columns that are read."""
        return (*self.columns, *self.optional)

    def fits(self, row: dict[str, Any]) -> bool:
        """Return whether `row` has the columns of this shape."""
        return all(column in row for column in self.columns)

    def __str__(self) -> str:
        pair = self.columns in PAIRS
        return " and ".join(self.columns) if pair else f"{self.name} ({', '.join(self.columns)})"


def detect(rows: Iterable[dict[str, Any]], named: Iterable[str] = ()) -> Shape | None:
    """Return the shape that most of `rows` have, or None if no row has any.

    Args:
        rows: Some rows.
        named: Columns that the user has named: shapes with these take precedence.
    """
    wanted = set(named)
    order = sorted(SHAPES, key=lambda shape: not wanted & set(shape.columns))
    votes = Counter(shape.columns for row in rows if (shape := next((s for s in order if s.fits(row)), None)))
    # Counter keeps the order of first occurrence, so a tie goes to the shape seen first.
    return next((shape for columns, _ in votes.most_common(1) for shape in SHAPES if shape.columns == columns), None)


def read_row(row: dict[str, Any], shape: Shape) -> Turns | str:
    """Return the turns of `row`, or what is wrong with it."""
    if shape.fits(row):
        turns = shape.read(row)
        if isinstance(turns, str):  # a tool turn explains more than the column of tools that comes with it
            return turns
        why = refusal(row, shape.reads)
        return why + _as_alpaca(row, shape) if why else turns
    if other := _shape_of(row):
        return f"this row is {other}, but the file is {shape}"
    return f"it has {_columns(row)}, but the file is {shape}{_advice(row)}"


def unknown_columns(row: dict[str, Any]) -> str:
    """Return why a file whose rows look like `row` cannot be read."""
    return f"it has {_columns(row)}, but not {ACCEPTED}{_advice(row)}"


def _columns(row: dict[str, Any]) -> str:
    names = ", ".join(shown(name) for name in sorted(row)[:MOST_NAMED])
    return f"the column{'s' * (len(row) > 1)} {names}{', …' if len(row) > MOST_NAMED else ''}" if row else "no columns"


def _shape_of(row: dict[str, Any]) -> Shape | None:
    return next((shape for shape in SHAPES if shape.fits(row)), None)


def _as_alpaca(row: dict[str, Any], shape: Shape) -> str:
    """Return how to read a pair with a context without rewriting it, or an empty string."""
    if shape.columns not in PAIRS or "context" not in row:
        return ""
    prompt, completion = shape.columns
    return f", or read it as Alpaca: --map instruction={prompt} --map input=context --map output={completion}"


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
            return f"message {number} has the role {shown(said)}; it must be system, user or assistant"
        content = _joined(message.get(content_key))
        if problem := _bad_text(content):
            return f"the content of message {number} ({role}) {problem}"
        expected = ("system", "user") if not turns else ("assistant",) if turns[-1].role == "user" else ("user",)
        if role not in expected:
            return f"message {number} is from {role}; expected {' or '.join(expected)}"
        if why := message_refusal(message):
            return f"message {number} {why}"
        weight = next((message[key] for key in WEIGHTS if key in message), 1)
        if weight not in (0, 1):
            return f"message {number} has the loss weight {shown(weight)}; only 0 and 1 are supported"
        turns.append(Turn(role, cast(str, content), bool(weight)))
    if turns[-1].role != "assistant":
        return f"the conversation ends with {turns[-1].role}; it must end with assistant"
    if not any(turn.trained for turn in turns if turn.role == "assistant"):
        return "no assistant message carries loss"
    return tuple(turns)


def _joined(content: Any) -> Any:
    """Return the text of a list of text parts; anything else unchanged."""
    if not isinstance(content, list):
        return content
    texts = []
    for part in content:
        text = part.get("text", part.get("value")) if isinstance(part, dict) else part
        kind = part.get("type", "text") if isinstance(part, dict) else "text"
        if kind != "text":
            return {"type": kind}  # an image or audio: refused by its type below
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
        return "contains a NUL character"
    if any("\ud800" <= character <= "\udfff" for character in value):
        return "contains half of a surrogate pair"
    return ""


def _conversations(row: dict[str, Any]) -> Turns | str:
    talk = row["conversations"]
    first = talk[0] if isinstance(talk, list) and talk else None
    if isinstance(first, dict) and "role" in first:
        return _messages("conversations", "role", "content")(row)
    return _messages("conversations", "from", "value")(row)


# The first match wins if a row has the columns of two shapes.
SHAPES = (
    Shape("messages", ("messages",), _messages("messages", "role", "content"), ("system",)),
    Shape("ShareGPT", ("conversations",), _conversations, ("system",)),
    Shape("Alpaca", ("instruction", "output"), _alpaca, ("system", "input", "history")),
    *(Shape("prompt and completion", names, _pair(names)) for names in PAIRS),
)

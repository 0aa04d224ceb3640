"""Shapes: what the columns of a row mean. One shape per file, detected and reported.

Each reader turns a row into turns, or returns why it cannot. Names are in `names`; `docs/data.md` lists what is read.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, cast

from playground.data.jsonl import is_cut_off, parse_cell, shown
from playground.data.names import (
    CALLS,
    CONTENT_KEYS,
    PAIRS,
    READ,
    ROLE_KEYS,
    find,
    fold,
    is_empty,
    is_preference,
    is_tool,
    role_of,
    value_of,
)  # fmt: skip
from playground.data.talk import (
    AS_IS,
    Note,
    Options,
    Read,
    Turn,
    Turns,
    as_text,
    bad_cell,
    joined,
    parts_not_read,
    turns_of,
    unread_keys,
    with_reasoning,
)  # fmt: skip
from playground.data.unknown import advice, columns_of, listed
from playground.data.unread import refusal, unread

# Texts that mean a missing value, if a cell is nothing else: the first group is never an answer.
NO_ANSWER = {"nan", "NaN", "<NA>", "#N/A", "#NA"}
MISSING = NO_ANSWER | {"None", "NULL", "null", "N/A", "n/a", "NA", "undefined"}
_WRITTEN = re.compile(r"""\[?\s*\{\s*(['"])(?:role|from|content|value)\1\s*:""")
_ROLE = re.compile(r"""['"](?:role|from)['"]\s*:\s*['"]([^'"]{1,30})['"]""")
_MESSAGE = ({"role", "content"}, {"from", "value"})  # the keys that most messages have

STAND_IN = "…"  # for an answer, where only the question is read


@dataclass(frozen=True)
class Shape:
    """A way to write examples.

    Attributes:
        name: Its name.
        roles: The column of each role: ``messages``, or ``prompt`` and ``completion``; possibly ``system``,
            ``context``, ``history`` and ``reasoning``.
    """

    name: str
    roles: tuple[tuple[str, str], ...]

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns that every row must have."""
        return tuple(column for role, column in self.roles if role in ("messages", "prompt", "completion"))

    @cached_property
    def reads(self) -> tuple[str, ...]:
        """All columns that are read."""
        return tuple(column for _, column in self.roles)

    @cached_property
    def talk(self) -> tuple[str, ...]:
        """The columns that may hold messages."""
        found = tuple(column for role, column in self.roles if role == "messages")
        return found or self.columns

    def of_row(self, row: dict[str, Any]) -> Shape:
        """Return this shape with what else it reads of a row that has columns that the first rows had not."""
        return _of_columns(self, tuple(column for column, value in row.items() if not is_empty(value)))

    def fits(self, row: dict[str, Any]) -> bool:
        """Return whether `row` has the columns of this shape."""
        return all(column in row for column in self.columns)

    def takes_context(self, row: dict[str, Any]) -> bool:
        """Return whether a column of `row` could be read as the context of its prompt."""
        roles = dict(self.roles)
        return "context" not in roles and all(
            not isinstance(_cell(row, roles, role), list | dict | None) for role in ("prompt", "completion")
        )

    def read(self, row: dict[str, Any], options: Options = AS_IS) -> Read | str:
        """Return the turns of a row with notes about them, or a string that says what is wrong with it."""
        roles = dict(self.roles)
        return _messages(row, roles, options) if "messages" in roles else _single(row, roles, options)

    def __str__(self) -> str:
        more = [column for column in self.reads if column not in self.columns]
        named = self.name in ("messages", "ShareGPT", "Alpaca")
        said = f"{self.name} ({', '.join(self.columns)})" if named else " and ".join(self.columns)
        return said + (f" with {', '.join(more)}" if more else "")


TYPED = Shape("prompt and completion", (("prompt", "prompt"), ("completion", "response")))


def detect(rows: Iterable[dict[str, Any]], named: Iterable[str] = ()) -> Shape | None:
    """Return the shape that most of `rows` have, or None if no row has any.

    Args:
        rows: Some rows.
        named: Columns that the user has named: shapes with these take precedence.
    """
    wanted = set(named)
    votes: Counter[tuple[tuple[str, str], ...]] = Counter()
    seen: dict[tuple[tuple[str, str], ...], dict[str, Any]] = {}
    for row in rows:
        if required := _required(row, wanted):
            votes[required] += 1
            filled = {column: value for column, value in row.items() if not is_empty(value)}
            seen.setdefault(required, {}).update(filled)
    if not votes:
        return None
    # Counter keeps the order of first occurrence, so a tie goes to the shape seen first.
    ((required, _),) = votes.most_common(1)
    return _completed(dict(required), seen[required])


def _required(row: dict[str, Any], wanted: set[str]) -> tuple[tuple[str, str], ...]:
    """Return the column of each role that a row must have; empty if it cannot be read."""
    folded = {fold(column): column for column in reversed(row)}
    folded |= {column: column for column in row}  # an exact name goes before one that differs in case
    options = list(_candidates(row, folded))
    chosen = next((option for option in options if wanted & {column for _, column in option}), None)
    return chosen or next(iter(options), ())


def _candidates(row: dict[str, Any], folded: dict[str, str]) -> Iterator[tuple[tuple[str, str], ...]]:
    """Yield what a row could be, the likeliest first."""
    talks = [(("messages", folded[name]),) for name in READ["messages"] if name in folded]
    talks = [talk for talk in talks if not (is_preference(row) and _awaits_answer(row[talk[0][1]]))]
    yield from (talk for talk in talks if fold(talk[0][1]) in ("messages", "conversations"))
    for prompt, completion in PAIRS:
        if prompt in folded and completion in folded:
            yield (("prompt", folded[prompt]), ("completion", folded[completion]))
    # The other names may be those of something else.
    yield from (talk for talk in talks if _is_talk(row[talk[0][1]]))
    prompts = [folded[name] for name in READ["prompt"] if name in folded]
    completions = [folded[name] for name in READ["completion"] if name in folded]
    # Of two prompts only `input` has another meaning; otherwise which one is meant would be a guess.
    if len(prompts) == 2 and fold(prompts[1]) == "input":
        prompts = prompts[:1]
    if len(prompts) == 1 and len(completions) == 1:
        yield (("prompt", prompts[0]), ("completion", completions[0]))


def _completed(roles: dict[str, str], row: dict[str, Any]) -> Shape:
    """Return the shape of these roles, with what else is read of rows that have the columns of `row`."""
    optional = ("system",) if "messages" in roles else ("context", "system", "history", "reasoning")
    more = {role: found for role in optional if (found := find(READ[role], row))}
    if "messages" in roles:
        column = roles["messages"]
        name = {"messages": "messages", "conversations": "ShareGPT"}.get(fold(column), "messages")
        return Shape(name, (*roles.items(), *more.items()))
    alpaca = fold(roles["prompt"]) == "instruction"
    if alpaca and "context" not in more and (found := find(("input",), row)):
        more["context"] = found
    name = "Alpaca" if alpaca and fold(roles["completion"]) == "output" else "prompt and completion"
    return Shape(name, (*roles.items(), *more.items()))


@lru_cache(maxsize=1024)  # rows of a file have few different columns
def _of_columns(shape: Shape, columns: tuple[str, ...]) -> Shape:
    more = _completed({role: column for role, column in shape.roles if column in shape.columns}, dict.fromkeys(columns))
    known = {role for role, _ in shape.roles}
    return replace(shape, roles=(*shape.roles, *(pair for pair in more.roles if pair[0] not in known)))


def _is_talk(value: Any) -> bool:
    if isinstance(value, str):
        return value.lstrip().startswith("[{")
    if not isinstance(value, list) or not value:
        return False
    texts = len(value) > 1 and all(isinstance(item, str) for item in value)
    return texts or all(isinstance(item, dict) and _is_message(item) for item in value)


def _is_message(item: dict[str, Any]) -> bool:
    return bool(find(ROLE_KEYS, item) or (find(READ["prompt"], item) and find(READ["completion"], item)))


def _awaits_answer(talk: Any) -> bool:
    last = talk[-1] if isinstance(talk, list) and talk else None
    return isinstance(last, dict) and role_of(value_of(ROLE_KEYS, last)) == "user"


def read_row(row: dict[str, Any], shape: Shape, options: Options = AS_IS) -> Read | str:
    """Return the turns of `row` with notes about them, or what is wrong with it."""
    if shape.fits(row):
        read, why = shape.read(row, options), refusal(row, shape.reads, shape.takes_context)
        # A tool turn explains more than the column of tools that comes with it.
        return read if not why or (isinstance(read, str) and "tools" in why) else why
    if other := detect([row]):
        return f"this row is {other}, but the file is {shape}"
    return f"it has {columns_of(row)}, but the file is {shape}{advice(row)}"


def with_answer(row: dict[str, Any], shape: Shape) -> dict[str, Any]:
    """Return `row` with an answer in place of its own, so that its question can be read without one."""
    roles = dict(shape.roles)
    if "messages" not in roles:
        return {column: row[column] for column in row if column != roles.get("reasoning")} | {
            roles["completion"]: STAND_IN
        }
    talk = row.get(roles["messages"])
    answer = {"role": "assistant", "content": STAND_IN}
    return {**row, roles["messages"]: [*cast(list[Any], talk), answer]} if _awaits_answer(talk) else row


def with_answer_only(row: dict[str, Any]) -> dict[str, Any]:
    """Return `row` with one column for its answer, instead of several or none."""
    return {column: row[column] for column in row if fold(column) not in READ["completion"]} | {"completion": STAND_IN}


def opened(row: dict[str, Any], shape: Shape) -> tuple[dict[str, Any], tuple[Note, ...]]:
    """Return `row` with messages that are written as JSON in a text, as tables write them, parsed; with notes on it."""
    notes: tuple[Note, ...] = ()
    for role, column in shape.roles:
        cell = row.get(column) if role in ("messages", "history", "prompt", "completion") else None
        if not isinstance(cell, str) or cell.lstrip()[:1] not in ("[", "{"):
            continue
        value = parse_cell(cell)
        if role in ("prompt", "completion"):  # which may well be a text that is JSON
            if not _are_messages(value):
                continue
            notes = (*notes, Note(f"{shown(column)} has messages as JSON", "they are read as turns, not as text"))
        row = {**row, column: value}
    return row, notes


def _are_messages(value: Any) -> bool:
    """Return whether a JSON value is a message, messages, or an object that has them; one must have a known role.

    A single object may well be the JSON that was asked for: it is a message only if it is written as most are.
    """
    if isinstance(value, dict) and (column := find(READ["messages"], value)):
        value = value[column]
    if isinstance(value, dict):
        return any(keys <= set(map(fold, value)) for keys in _MESSAGE) and _is_said(value)
    return isinstance(value, list) and all(isinstance(item, dict) for item in value) and any(map(_is_said, value))


def _is_said(message: dict[str, Any]) -> bool:
    said = value_of(ROLE_KEYS, message)
    return bool(role_of(said) or is_tool(said)) and bool(find((*CONTENT_KEYS, *CALLS), message))


def _looks_like_messages(text: str) -> bool:
    """Return whether a text begins and ends as messages do, but is no JSON: cut off, or in Python's notation."""
    text = text.strip()
    head = text[:1000]
    said = _WRITTEN.match(head) and _ROLE.search(head)
    if not said or not (role_of(said[1]) or is_tool(said[1])):
        return False
    # A text that goes on after the messages only shows them, as code does.
    return (text.endswith(("]", "}")) or is_cut_off(text)) and isinstance(parse_cell(text), str)


def keys_not_read(row: dict[str, Any], shape: Shape, options: Options) -> dict[str, Any]:
    """Return what the messages and texts of a row have that is not read: ``{"column[].key": value}``."""
    found: dict[str, Any] = {}
    for role, column in shape.roles:
        if column in shape.talk:
            found |= _keys_not_read(column, row.get(column), options)
        elif role == "system" and column in row:
            found |= {f"{column}{path}": value for path, value in parts_not_read(row[column], options)}
    return found


def _keys_not_read(name: str, held: Any, options: Options) -> dict[str, Any]:
    if isinstance(held, list):
        return {f"{name}[].{key}": value for key, value in unread_keys(held, options).items()}
    if not isinstance(held, dict):
        return {}
    if inner := find(READ["messages"], held):
        more = {f"{name}.{key}": value for key, value in unread(held, {inner}).items()}
        return more | _keys_not_read(f"{name}.{inner}", held[inner], options)
    return {f"{name}.{key}": value for key, value in unread_keys([held], options).items()}


def _messages(row: dict[str, Any], roles: dict[str, str], options: Options) -> Read | str:
    column = roles["messages"]
    talk = row[column]
    if isinstance(talk, str) and talk.lstrip()[:1] == "[":
        return f"{column!r} is a text that looks like JSON but is none; a JSON array of messages is needed"
    if not isinstance(talk, list) or not talk:
        return f"{column!r} must be a list of messages with 'role' and 'content', or 'from' and 'value'"
    read = turns_of(talk, options)
    if isinstance(read, str) or is_empty(system := _cell(row, roles, "system")):
        return read
    turns, notes = read[0], list(read[1])
    system = joined(as_text(system, options, notes))
    if problem := bad_cell(system):
        return f"{roles['system']!r} {problem}"
    if turns[0].role == "system":
        return f"there is a system message and a column {roles['system']!r}"
    return (Turn("system", system), *turns), tuple(dict.fromkeys(notes))


def _single(row: dict[str, Any], roles: dict[str, str], options: Options) -> Read | str:
    """Read a prompt and its completion, with a context, a system text and earlier pairs if there are any."""
    notes: list[Note] = []
    texts: dict[str, Any] = {}
    for role in ("system", "prompt", "context", "completion"):
        value = as_text(_cell(row, roles, role), options, notes)
        value = joined(value) if role == "system" else value
        if role in ("system", "context") and (is_empty(value) or _is_missing(roles[role], value, options, notes)):
            continue
        texts[role] = value
    prompt, completion = texts["prompt"], texts["completion"]
    if isinstance(prompt, list | dict) or isinstance(completion, list | dict):
        return _conversational(row, roles, options)
    for role, value in texts.items():
        if problem := bad_cell(value):
            return f"{roles[role]!r} {problem}"
        if role in ("prompt", "completion") and _looks_like_messages(value):
            return f"{roles[role]!r} is a text that looks like messages but is no JSON: write it with json.dumps"
    if completion.strip() in NO_ANSWER:
        return f"{roles['completion']!r} is {shown(completion)}, which means a missing value: fill it in"
    for role in ("prompt", "completion"):
        _is_missing(roles[role], texts[role], None, notes)
    earlier = _earlier(_cell(row, roles, "history"), roles.get("history", ""), options, notes)
    if isinstance(earlier, str):
        return earlier
    if not is_empty(thought := _cell(row, roles, "reasoning")):
        answer = with_reasoning(completion, roles["reasoning"], thought, notes)
        if answer is None:
            return f"{roles['reasoning']!r} is not a text"
        completion = answer
    head = (Turn("system", texts["system"]),) if "system" in texts else ()
    asked = f"{prompt}\n\n{texts['context']}" if "context" in texts else prompt
    return (*head, *earlier, Turn("user", asked), Turn("assistant", completion)), tuple(dict.fromkeys(notes))


def _cell(row: dict[str, Any], roles: dict[str, str], role: str) -> Any:
    return row.get(roles[role]) if role in roles else None  # a column may be called "" too


def _is_missing(column: str, value: Any, options: Options | None, notes: list[Note]) -> bool:
    """Return whether a cell that means a missing value is left out; note it where it is not.

    Without `options` the row needs the cell.
    """
    if not isinstance(value, str) or value.strip() not in MISSING:
        return False
    if options is not None and options.repair:
        notes.append(Note("repaired: cells such as 'nan' left out", "they mean a missing value"))
        return True
    way = "" if options is None else "; --repair leaves it out"
    notes.append(Note("looks like a missing value", f"{shown(column)} is {shown(value)}{way}"))
    return False


def _earlier(history: Any, column: str, options: Options, notes: list[Note]) -> Turns | str:
    """Return the turns of a column of earlier [prompt, answer] pairs."""
    if is_empty(history):
        return ()
    if not isinstance(history, list):
        return f"{column!r} must be a list of [prompt, answer] pairs"
    turns: list[Turn] = []
    for number, pair in enumerate(history, start=1):
        if not isinstance(pair, list) or len(pair) != 2:
            return f"pair {number} of {column!r} is not [prompt, answer]"
        asked, answered = (as_text(value, options, notes) for value in pair)
        if problem := bad_cell(asked) or bad_cell(answered):
            return f"a text of pair {number} of {column!r} {problem}"
        turns += [Turn("user", asked), Turn("assistant", answered)]
    return tuple(turns)


def _conversational(row: dict[str, Any], roles: dict[str, str], options: Options) -> Read | str:
    """Read TRL's conversational prompt/completion: two lists of messages, of which the second carries loss."""
    pair = roles["prompt"], roles["completion"]
    for column in pair:
        if why := _refused_inside(row[column], options):
            return f"in {column!r}, {why}"
    asked, answered = _as_list(row[pair[0]], "user"), _as_list(row[pair[1]], "assistant")
    for column, talk in zip(pair, (asked, answered), strict=True):
        if not talk:
            held = row[column]
            what = f", not an object with {listed(held)}" if isinstance(held, dict) and held else ""
            return f"{column!r} must be a text or a list of messages{what}"
        if any(isinstance(item, str) for item in talk):
            return f"{column!r} is a list of texts, not of messages; write one text there"
    if more := [column for column in roles.values() if column not in pair and not is_empty(row.get(column))]:
        return f"it has {shown(more[0])} next to a list of messages: write it into one of them"
    # As in preference data that repeats the prompt.
    if not isinstance(turns_of(answered, options._replace(repair=False)), str):
        return f"{pair[1]!r} has the prompt in it too: read that column alone, with --map messages=COLUMN"
    read = turns_of([*asked, *answered], options, given=len(asked))
    return f"in {pair[0]!r} and {pair[1]!r}, {read}" if isinstance(read, str) else read


def _refused_inside(value: Any, options: Options) -> str:
    """Return why an object that has messages is refused: what is next to them would change what they mean."""
    if not isinstance(value, dict) or not (column := find(READ["messages"], value)):
        return ""
    return refusal({key: held for key, held in value.items() if key not in options.left_out}, {column})


def _as_list(value: Any, role: str) -> list[Any]:
    """Return a value as a list of messages: one message, a text, or an object that has them."""
    if isinstance(value, str):
        return [{"role": role, "content": value}] if value.strip() else []
    if isinstance(value, dict):
        if column := find(READ["messages"], value):
            return cast(list[Any], value[column]) if isinstance(value[column], list) else []
        return [value] if find(ROLE_KEYS, value) else []
    return value if isinstance(value, list) else []

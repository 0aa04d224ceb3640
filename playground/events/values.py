"""JSON for frozen dataclasses; standard library only."""

from __future__ import annotations

import functools
import json
import sys
import types
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, fields
from typing import Any, Literal, Self, Union, get_args, get_origin, get_type_hints

Progress = Callable[[str, float], None]  # the current stage, and the fraction of it that is done


class Json:
    """JSON for a frozen dataclass; nested dataclasses and tuples of them are restored."""

    def to_dict(self) -> dict[str, Any]:
        """Return the value as JSON types."""
        return asdict(self)  # type: ignore[call-overload, no-any-return]

    def to_json(self) -> str:
        """Return one line of JSON. Text stays raw: whoever displays it must clean it."""
        line = json.dumps(self.to_dict(), ensure_ascii=False)
        try:
            line.encode("utf-8")
        except UnicodeEncodeError:  # half a surrogate pair, as in a file name that is not UTF-8
            line = json.dumps(self.to_dict())
        return line

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Rebuild the value from `data`, which is untrusted; unknown keys are ignored.

        Raises:
            TypeError: If a key is missing, or a value is not of its field's type.
        """
        hints = _hints(cls)  # type: ignore[arg-type]
        if not isinstance(data, dict):
            raise TypeError(f"{cls.__name__} cannot be {type(data).__name__}")
        return cls(**{name: revive(hints[name], value) for name, value in data.items() if name in hints})


class Named(Json):
    """A value whose JSON includes its type: ``"event": <name of its class>``."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields and the name."""
        return {"event": type(self).__name__, **Json.to_dict(self)}


@functools.cache
def _hints(cls: type[Json]) -> dict[str, Any]:
    """Return the types of a dataclass's fields; resolving them takes most of the time of reading an event."""
    hints = get_type_hints(cls)
    return {f.name: hints[f.name] for f in fields(cls)}  # type: ignore[arg-type]


def revive(hint: Any, value: Any) -> Any:
    """Return `value` as JSON gave it, with nested values rebuilt; raise TypeError if it does not match `hint`."""
    if hint is Any:
        return value
    if isinstance(hint, type) and issubclass(hint, Json):
        return hint.from_dict(value)
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return None if value is None and types.NoneType in args else _revive_one(args, value)
    if origin is Literal and value in args:
        return value
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(revive(args[0], item) for item in value)
    if origin is dict and isinstance(value, dict):
        return {key: revive(args[1], item) for key, item in value.items()}
    if origin is None and _is_plain(hint, value):
        return value
    raise TypeError(f"{hint} cannot be {type(value).__name__}")


def _revive_one(hints: tuple[Any, ...], value: Any) -> Any:
    for hint in hints:
        with suppress(TypeError):
            return revive(hint, value)
    raise TypeError(f"none of {hints} can be {type(value).__name__}")


def _is_plain(hint: Any, value: Any) -> bool:
    """Return whether `value` is of the plain type `hint`; an integer within float range also counts as a float."""
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return abs(value) <= sys.float_info.max
    return isinstance(value, hint) and (hint is bool or not isinstance(value, bool))

"""JSON for frozen dataclasses; standard library only."""

from __future__ import annotations

import functools
import json
import types
from dataclasses import asdict, fields
from typing import Any, Self, Union, get_args, get_origin, get_type_hints


class Json:
    """JSON for a frozen dataclass; nested dataclasses and tuples of them come back as they were."""

    def to_dict(self) -> dict[str, Any]:
        """Return the value as JSON's types."""
        return asdict(self)  # type: ignore[call-overload, no-any-return]

    def to_json(self) -> str:
        """Return one line of JSON. Text stays raw: cleaning is the business of whoever shows it."""
        line = json.dumps(self.to_dict(), ensure_ascii=False)
        try:
            line.encode("utf-8")
        except UnicodeEncodeError:  # half a surrogate pair, as in a file name that is not UTF-8
            line = json.dumps(self.to_dict())
        return line

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Rebuild the value from `data`; unknown keys are ignored, missing ones raise TypeError."""
        hints = _hints(cls)  # type: ignore[arg-type]
        return cls(**{name: _revive(hints[name], value) for name, value in data.items() if name in hints})


class Named(Json):
    """A value that says in its JSON what it is: ``"event": <name of its class>``."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields and the name."""
        return {"event": type(self).__name__, **Json.to_dict(self)}


@functools.cache
def _hints(cls: type[Json]) -> dict[str, Any]:
    """Return the types of a dataclass's fields; working them out takes most of the time of reading an event."""
    hints = get_type_hints(cls)
    return {f.name: hints[f.name] for f in fields(cls)}  # type: ignore[arg-type]


def _revive(hint: Any, value: Any) -> Any:
    if isinstance(hint, type) and issubclass(hint, Json):
        return hint.from_dict(value)
    origin, args = get_origin(hint), get_args(hint)
    if origin is tuple and isinstance(value, list):
        return tuple(_revive(args[0], item) for item in value)
    if origin is dict and isinstance(value, dict):
        return {key: _revive(args[1], item) for key, item in value.items()}
    if origin in (Union, types.UnionType) and value is not None:
        return _revive(next(arg for arg in args if arg is not type(None)), value)
    return value

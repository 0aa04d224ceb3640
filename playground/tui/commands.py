"""What can be done on a screen: one list, from which its footer, its help and the palette are made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from textual.actions import parse
from textual.binding import Binding
from textual.screen import Screen

_NAMES = {
    "escape": "Esc", "enter": "Enter", "space": "Space", "left": "←", "right": "→", "up": "↑", "down": "↓",
    "pagedown": "PageDown", "pageup": "PageUp", "question_mark": "?", "slash": "/",
}  # fmt: skip


def commands(screen: Screen[Any]) -> list[Binding]:
    """Return the keys of a screen that do something now: help, its own in the order of their declaration, the app's.

    Unlike Textual's `active_bindings`, this does not depend on what has the focus, so nothing moves when that changes.
    """
    help, *others = _described(screen.app.BINDINGS)
    own = _described(screen.BINDINGS)
    taken = {binding.action.removeprefix("app.") for binding in own}
    every = [help, *own, *(binding for binding in others if binding.action not in taken)]
    return [binding for binding in every if _allowed(screen, binding.action)]


def title(binding: Binding) -> str:
    """Return what a key does, in a few words."""
    return binding.tooltip or binding.description.capitalize()


def keys(binding: Binding) -> str:
    """Return a binding's keys as they are printed on a keyboard, such as ``"Ctrl+S, F9"``."""
    names = ("+".join(_name(part) for part in key.split("+")) for key in binding.key.split(","))
    return ", ".join(dict.fromkeys(names))


def _name(part: str) -> str:
    return _NAMES.get(part, part.upper() if len(part) == 1 or part[1:].isdigit() else part.capitalize())


def _described(bindings: Sequence[Any]) -> list[Binding]:
    return [binding for binding in bindings if isinstance(binding, Binding) and binding.description]


def _allowed(screen: Screen[Any], action: str) -> bool:
    where, name, parameters = parse(action)
    return (screen.app if where == "app" else screen).check_action(name, parameters) is not False

"""The footer: the keys of a screen, each always in the same place."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from textual.app import ComposeResult
from textual.binding import Binding
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Footer, Static

from playground.tui.commands import commands


class _Key(Static):
    """A key and its name; a click presses it."""

    def __init__(self, binding: Binding, display: str, *, acts: bool) -> None:
        key = (display, "bold $footer-key-foreground" if acts else "")
        super().__init__(Content.assemble(key, f" {binding.description}"), classes="key" if acts else "key off")
        self.tooltip = binding.tooltip or None
        self._key = binding.key.split(",")[0]

    def on_mouse_down(self) -> None:
        self.app.simulate_key(self._key)


class Keys(Footer):
    """Shows what `commands` returns for the screen. A key that is typed into a field now stays, but fades."""

    def __init__(self) -> None:
        super().__init__(compact=True, show_command_palette=False)
        self._listed: list[tuple[Binding, bool]] = []

    def compose(self) -> ComposeResult:
        for binding, acts in self._listed:
            first = replace(binding, key=binding.key.partition(",")[0])  # of several keys the footer names one
            yield _Key(binding, self.app.get_key_display(first), acts=acts)

    def bindings_changed(self, screen: Screen[Any]) -> None:
        """Draw the keys if they are others; for the first time after the screen's first paint, which need not wait."""
        if self.is_attached and screen is self.screen and self._listed != (now := self._list()):
            self._listed = now
            self.call_after_refresh(self.recompose)

    def _list(self) -> list[tuple[Binding, bool]]:
        active = self.screen.active_bindings
        shown = (binding for binding in commands(self.screen) if binding.show)
        return [(binding, binding.priority or binding.key.split(",")[0] in active) for binding in shown]

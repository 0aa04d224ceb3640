"""The adapter strength slider."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

LOWEST, HIGHEST, STEP = 0.0, 1.5, 0.05
TRACK = 16  # cells; 0, 0.5, 1 and 1.5 each fall on a separate cell
LABEL = "λ 1.00 "


class Slider(Widget, can_focus=True):
    """λ from 0 to 1.5: arrows, Home and End, or the mouse."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,down", "change(-1)", show=False),
        Binding("right,up", "change(1)", show=False),
        Binding("home", "go(0.0)", show=False),
        Binding("end", "go(1.0)", show=False),
    ]
    value: reactive[float] = reactive(1.0)

    class Changed(Message):
        """The strength has changed."""

        def __init__(self, value: float) -> None:
            super().__init__()
            self.value = value

    def __init__(self) -> None:
        super().__init__(id="slider")
        self._held = False

    def render(self) -> Content:
        """Draw the track, with a mark at the strength used in training."""
        at = round((self.value - LOWEST) / (HIGHEST - LOWEST) * (TRACK - 1))
        one = round((1.0 - LOWEST) / (HIGHEST - LOWEST) * (TRACK - 1))
        track = "".join("●" if n == at else "┼" if n == one else "─" for n in range(TRACK))
        return Content(f"λ {self.value:.2f} ├{track}┤")

    def action_change(self, steps: int) -> None:
        """Move by this many steps of 0.05."""
        self.action_go(self.value + steps * STEP)

    def action_go(self, value: float) -> None:
        """Move to a strength, or to the nearest allowed one."""
        value = round(min(HIGHEST, max(LOWEST, value)), 2)
        if value != self.value:
            self.value = value
            self.post_message(self.Changed(value))

    def on_mouse_down(self, event: events.MouseDown) -> None:
        self._held = True
        self.capture_mouse()
        self._follow(event.x)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self._held:
            self._follow(event.x)

    def on_mouse_up(self) -> None:
        self._held = False
        self.release_mouse()

    def _follow(self, x: int) -> None:
        share = (x - len(LABEL) - 1) / (TRACK - 1)
        steps = round((LOWEST + share * (HIGHEST - LOWEST)) / STEP)
        self.action_go(steps * STEP)

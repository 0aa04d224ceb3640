"""The settings for the next answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Input, Label, Select, Static

from playground.config import STYLES
from playground.events.answers import Sampling
from playground.tui import glossary
from playground.tui.dialogs.base import Dialog
from playground.tui.state.session import MAX_DUEL_LANES

OWN = "the adapter's own"


@dataclass(frozen=True, slots=True)
class Settings:
    """How the next answers are generated; an empty `style` means the adapter's own."""

    sampling: Sampling
    duel_lanes: int
    style: str


@dataclass(frozen=True, slots=True)
class _Field:
    """A numeric field: its bounds and one line of help."""

    name: str
    kind: Callable[[str], float]
    least: float
    most: float
    help: str


FIELDS = (
    _Field("max_new_tokens", int, 1, 100_000, "maximum length of an answer"),
    _Field("temperature", float, 0, 10, "0 is greedy: always the likeliest token"),
    _Field("top_p", float, 0.01, 1, "nucleus sampling: probability to keep"),
    _Field("seed", int, 0, 2**31 - 1, "same seed, same answers"),
    _Field("duel_lanes", int, 2, MAX_DUEL_LANES, "answers in a duel, 2 to 4"),
)


class SettingsDialog(Dialog[Settings | None]):
    """A form that returns valid settings, or None."""

    HELP = glossary.SETTINGS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "cancel", tooltip="Back, and change nothing"),
        Binding("ctrl+s,f9", "keep", "apply", priority=True, tooltip="Apply; so does Enter"),
    ]

    def __init__(self, now: Settings) -> None:
        super().__init__()
        self._now = now

    def compose(self) -> ComposeResult:
        values = {**self._now.sampling.to_dict(), "duel_lanes": self._now.duel_lanes}
        with Vertical(classes="dialog"):
            yield Static("Settings for the next answer", classes="heading", markup=False)
            with VerticalScroll(can_focus=False):
                for field in FIELDS:
                    with Horizontal(classes="field"):
                        yield Label(field.name, markup=False)
                        yield Input(f"{values[field.name]:.12g}", id=field.name, compact=True)
                        yield Static(field.help, classes="about", markup=False)
                with Horizontal(classes="field"):
                    yield Label("style", markup=False)
                    yield Select(
                        ((name, name) for name in STYLES),
                        prompt=OWN,
                        value=self._now.style or Select.NULL,
                        id="style",
                        compact=True,
                    )
                    yield Static("the template for control and sft", classes="about", markup=False)
            yield Static("", id="problems", markup=False)
            yield Static("Enter or Ctrl+S apply · Tab next · Esc cancel", classes="keys", markup=False)

    @on(Input.Submitted)
    def action_keep(self) -> None:
        """Return the settings if they are valid, else show every error."""
        values, problems = {}, []
        for field in FIELDS:
            line = self.query_one(f"#{field.name}", Input)
            line.remove_class("bad")
            try:
                value = field.kind(line.value.strip())
            except ValueError:
                line.add_class("bad")
                problems.append(f"{field.name} must be a {'whole ' if field.kind is int else ''}number.")
                continue
            if not field.least <= value <= field.most:  # false for NaN too
                line.add_class("bad")
                problems.append(f"{field.name} must be from {field.least:g} to {field.most:g}.")
            values[field.name] = value
        if problems:
            self.query_one("#problems", Static).update("\n".join(["", *problems]))
            return
        lanes = int(values.pop("duel_lanes"))
        style = self.query_one("#style", Select).value
        sampling = Sampling(**values)  # type: ignore[arg-type]
        self.dismiss(Settings(sampling, lanes, style if isinstance(style, str) else ""))

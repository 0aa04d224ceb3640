"""The training options, generated from their declarations in `config`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Input, Label, Static

from playground.config import TrainConfig, read_options
from playground.errors import PlaygroundError
from playground.report.words import setting
from playground.tui.dialogs.base import Dialog

BASIC = ("model", "style", "num_train_epochs", "learning_rate", "lora_r", "quantize")
LEFT_OUT = ("data", "columns")  # chosen on the screen itself, or a list


class FormDialog(Dialog[Mapping[str, Any] | None]):
    """Every option, the basic ones first. Returns the changed ones, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "cancel"),
        Binding("ctrl+s,f9", "keep", "apply", priority=True),
    ]

    def __init__(self, now: TrainConfig) -> None:
        super().__init__()
        declared = {f.name: f for f in fields(TrainConfig) if "help" in f.metadata and f.name not in LEFT_OUT}
        self._fields = [declared[name] for name in (*BASIC, *(name for name in declared if name not in BASIC))]
        self._before = {f.name: _text(getattr(now, f.name)) for f in self._fields}

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static("Training options", classes="heading", markup=False)
            with VerticalScroll(can_focus=False):
                for f in self._fields:
                    choices = f.metadata.get("choices")
                    help = f.metadata["help"] + (f" ({', '.join(choices)})" if choices else "")
                    with Horizontal(classes="field wide"):
                        yield Label(f.name, markup=False)
                        yield Input(self._before[f.name], id=f.name, compact=True, tooltip=help)
                        yield Static(help, classes="about", markup=False)
            yield Static("", id="problems", markup=False)
            yield Static("Enter or Ctrl+S apply · Tab next · Esc cancel", classes="keys", markup=False)

    @on(Input.Changed)
    def check(self) -> None:
        """Show errors while the user types."""
        self._read()

    @on(Input.Submitted)
    def action_keep(self) -> None:
        """Return the changed options if all are valid."""
        changed = self._read()
        if changed is not None:
            self.dismiss(changed)

    def _read(self) -> Mapping[str, Any] | None:
        typed = {f.name: self.query_one(f"#{f.name}", Input).value.strip() for f in self._fields}
        changed = {name: text for name, text in typed.items() if text != self._before[name]}
        problems = self.query_one("#problems", Static)
        try:
            values = read_options(changed, "These options")
            TrainConfig(**values)
        except PlaygroundError as error:
            problems.update(error.message)
            return None
        problems.update("")
        return values


def _text(value: Any) -> str:
    return "auto" if value is None else setting(value)

"""The training options, generated from their declarations in `config`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import Field, fields
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.events import DescendantFocus
from textual.widget import Widget
from textual.widgets import Input, Label, Select, Static

from playground.config import TrainConfig, read_option
from playground.errors import PlaygroundError
from playground.events.plans import Choice
from playground.report.words import setting
from playground.text import clean, count, one_line
from playground.tui import glossary
from playground.tui.dialogs.base import Dialog

LEFT_OUT = ("data", "columns")  # chosen on the screen itself
SWITCH = ("off", "on")
CHANGED = "•"
UNLIMITED = 1e9  # a limit that is never reached is not worth telling


class FormDialog(Dialog[Mapping[str, Any] | None]):
    """Every option, the basic ones first. Returns the changed ones, or None.

    Args:
        now: The options as they are.
        chosen: What the plan chose for those left to it, with the reasons.
    """

    HELP = glossary.OPTIONS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "cancel", tooltip="Back, and change nothing"),
        Binding("ctrl+s,f9", "keep", "apply", priority=True, tooltip="Apply; so does Enter"),
    ]

    def __init__(self, now: TrainConfig, chosen: Sequence[Choice] = ()) -> None:
        super().__init__()
        self._chosen = {choice.name: f"{setting(choice.value)}, {choice.reason}" for choice in chosen}
        declared = [f for f in fields(TrainConfig) if "label" in f.metadata and f.name not in LEFT_OUT]
        self._fields = {f.name: f for f in sorted(declared, key=lambda f: not f.metadata["basic"])}
        self._before = {name: _text(getattr(now, name)) for name in self._fields}

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog wide"):
            yield Static("Training options", classes="heading", markup=False)
            with VerticalScroll(can_focus=False):
                for basic, title in ((True, "basic"), (False, "advanced")):
                    yield Static(title, classes=f"group {title}", markup=False)
                    for f in self._fields.values():
                        if f.metadata["basic"] == basic:
                            yield from self._field(f)
            yield Static("", id="about", markup=False)
            yield Static("Tab next · Enter opens a choice · Ctrl+S apply · Esc cancel", classes="keys", markup=False)

    def _field(self, f: Field[Any]) -> Iterator[Widget]:
        value = self._before[f.name]
        with Horizontal(classes="option"):
            yield Label("", id=f"mark-{f.name}", classes="mark", markup=False)
            yield Label(f.metadata["label"], classes="label", markup=False)
            if choices := _choices(f):
                yield Select(
                    ((choice, choice) for choice in choices), value=value, id=f.name, allow_blank=False, compact=True
                )
            else:
                yield Input(value, id=f.name, compact=True)
            yield Label(f.name, classes="name", markup=False)
        yield Static("", id=f"problem-{f.name}", classes="problem", markup=False)

    def on_mount(self) -> None:
        self._read()

    @on(DescendantFocus)
    def tell(self, event: DescendantFocus) -> None:
        """Show the whole help of the focused option: nothing of it may depend on a mouse."""
        if (f := self._fields.get(event.widget.id or "")) is None:
            return
        about = f"{f.metadata['help']} {_range(f)}".strip()
        now = self._chosen.get(f.name, "")
        chosen = f" · chosen now: {one_line(now, 80)}" if now and self._typed(f.name) == "auto" else ""
        self.query_one("#about", Static).update(Content(f"{about}\nDefault: {_text(f.default)}{chosen}"))

    @on(Input.Changed)
    @on(Select.Changed)
    def check(self) -> None:
        """Show errors, and what differs from the defaults, while the user types."""
        self._read()

    @on(Input.Submitted)
    def action_keep(self) -> None:
        """Return the changed options if all are valid."""
        changed = self._read()
        if changed is not None:
            self.dismiss(changed)
            return
        wrong = next(name for name in self._fields if self.query_one(f"#problem-{name}").display)
        self.query_one(f"#{wrong}").focus()

    def _typed(self, name: str) -> str:
        widget = self.query_one(f"#{name}")
        return str(widget.value).strip() if isinstance(widget, Input | Select) else ""

    def _read(self) -> Mapping[str, Any] | None:
        """Return the changed options, or None if one is invalid; show both at each option."""
        changed: dict[str, Any] = {}
        valid, different = True, 0
        for name, f in self._fields.items():
            typed, problem = self._typed(name), ""
            try:
                value = read_option(name, typed)
                if typed != self._before[name]:
                    changed[name] = value
            except PlaygroundError as error:
                problem, valid = clean(error.message), False
            place = self.query_one(f"#problem-{name}", Static)
            place.display = bool(problem)
            place.update(problem)
            if problem and self.focused is self.query_one(f"#{name}"):
                place.scroll_visible(animate=False)
            mark = typed != _text(f.default)
            different += mark
            self.query_one(f"#mark-{name}", Label).update(CHANGED if mark else "")
        heading = f"   {CHANGED} {count(different, 'differs', 'differ')} from the default" if different else ""
        self.query_one(".heading", Static).update(Content.assemble("Training options", (heading, "not bold dim")))
        return changed if valid else None


def _choices(f: Field[Any]) -> tuple[str, ...]:
    return SWITCH if isinstance(f.default, bool) else f.metadata.get("choices", ())


def _range(f: Field[Any]) -> str:
    """Return which numbers an option takes."""
    limits = f.metadata
    if "most" not in limits:
        return ""
    least = f"Above {limits['above']:g}" if "above" in limits else f"At least {limits['least']:g}"
    most = f", at most {limits['most']:,}" if limits["most"] < UNLIMITED else ""
    return f"{least}{most}{', or auto' if 'kind' in limits else ''}."


def _text(value: Any) -> str:
    return "auto" if value is None else setting(value)

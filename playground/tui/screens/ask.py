"""One prompt, answered by the base and by a run's adapters from up to four steps, as lanes of one batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widgets import Footer, Static

from playground.events.answers import Sampling
from playground.events.engine import Ask, EngineError, EngineEvent, EngineReady, EngineStage, Fed, LaneRequest, Spoken
from playground.runs.folder import kept_steps
from playground.text import clean
from playground.tui.dialogs.base import Leavable
from playground.tui.widgets.pane import Pane
from playground.tui.widgets.panes import NARROW
from playground.tui.widgets.prompt import PromptBar

MOST = 4  # steps in addition to the base


def spread(steps: Sequence[int], most: int = MOST) -> list[int]:
    """Return at most `most` of `steps`: the first, the last, and others spaced evenly."""
    if len(steps) <= most:
        return list(steps)
    return [steps[round(n * (len(steps) - 1) / (most - 1))] for n in range(most)]


class AskScreen(Leavable[None]):
    """Base and checkpoints side by side.

    Args:
        run: The run's folder.
        start: Starts an engine with the named adapters.
    """

    TYPED_INTO = "#prompt"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "stop or back", priority=True),
        Binding("ctrl+o", "fed", "what each side was fed", priority=True),
    ]

    class Heard(Message):
        """An event from the engine."""

        def __init__(self, event: EngineEvent) -> None:
            super().__init__()
            self.event = event

    def __init__(self, run: Path, start: Callable[[Sequence[str]], Any]) -> None:
        super().__init__()
        steps = spread(kept_steps(run))
        names = [f"{run}@{step}" for step in steps]
        sides = ["sft"] if len(steps) == 1 else [f"sft:{run.name}@{step}" for step in steps]
        self._lanes = [("base", "base"), *((f"step {step}", side) for step, side in zip(steps, sides, strict=True))]
        self._panes = {name: Pane(number) for number, (name, _) in enumerate(self._lanes)}
        self._engine = start(names)
        self._loaded = False
        self._waiting = ""
        self._request = 0
        self._going: set[str] = set()

    def compose(self) -> ComposeResult:
        """Lay out a pane for each lane."""
        yield Static("starting …", id="top", markup=False)
        with Horizontal(id="panes"):
            yield from self._panes.values()
        yield Static("One prompt, and what the run would have said at each of these steps.", id="hint", markup=False)
        yield PromptBar()
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Name the panes and listen."""
        for pane, (name, _) in zip(self.query(Pane), self._lanes, strict=True):
            pane.dress("base" if name == "base" else "sft", name)
        self.query_one("#panes").set_class(self.size.width < NARROW, "stacked")
        self.set_focus(self.query_one(PromptBar))
        self._listen()

    def on_unmount(self) -> None:
        """End the child process."""
        self._engine.close()

    @work(thread=True)
    def _listen(self) -> None:
        for event in self._engine.events():
            if not self.app.is_running:
                return
            self.post_message(self.Heard(event))

    @on(Heard)
    def _heard(self, message: Heard) -> None:
        match message.event:
            case EngineStage() as event:
                self._top(f"{event.stage} …")
            case EngineReady() as event:
                self._loaded = True
                self._top(f"{event.model} · {len(self._lanes) - 1} steps of the run compared with their base")
                if self._waiting:
                    self._ask(self._waiting)
            case Fed() as event if event.request == self._request:
                self._top(f"✓ base proven {event.fingerprint}")
                for name, text in event.texts.items():
                    self._pane(name).fed(text, event.num_tokens[name])
            case Spoken() as event if event.request == self._request:
                pane = self._pane(event.lane)
                if event.answer is None:
                    pane.say(event.text, event.num_tokens, event.seconds)
                else:
                    pane.end(event.answer, repeats=event.repeats, seconds=event.seconds)
                    self._going.discard(event.lane)
            case EngineError() as event:
                self._going.clear()
                self.query_one("#hint", Static).update(Content(clean(f"{event.message} {event.hint}"[:2000])))

    @on(PromptBar.Submitted)
    def send(self, event: PromptBar.Submitted) -> None:
        """Ask as soon as the model is loaded."""
        bar = self.query_one(PromptBar)
        bar.put("")
        bar.remember(event.prompt)
        self._waiting = event.prompt
        self.query_one("#hint", Static).update(Content(clean(f"› {event.prompt}"[:2000])))
        if self._loaded:
            self._ask(event.prompt)

    def _ask(self, prompt: str) -> None:
        if self._going:
            self._engine.cancel(self._request)
        for pane in self.query(Pane):
            pane.begin()
        self._going = {name for name, _ in self._lanes}
        lanes = tuple(LaneRequest(name, side, (prompt,)) for name, side in self._lanes)
        self._request = self._engine.ask(Ask(lanes, 1.0, Sampling()))

    def action_fed(self) -> None:
        """Open or close the exact text that each lane was fed."""
        for pane in self.query(Pane):
            pane.toggle_fed()

    def action_leave(self) -> None:
        """Stop generating, or go back."""
        if self._going:
            self._engine.cancel(self._request)
            self._going.clear()
        else:
            self.dismiss()

    def _pane(self, name: str) -> Pane:
        return self._panes[name]

    def _top(self, words: str) -> None:
        self.query_one("#top", Static).update(Content(clean(words[:500])))

"""One prompt, answered by the base and by a run's adapters from up to four steps, as lanes of one batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal

from playground.events.answers import Sampling
from playground.events.engine import Ask, EngineError, EngineReady, EngineStage, Fed, LaneRequest, Spoken
from playground.runs.folder import kept_steps
from playground.tui import glossary
from playground.tui.dialogs.base import Leavable
from playground.tui.state.engine import VERIFIED, EngineController, EngineSaid, stage_words
from playground.tui.state.session import Round
from playground.tui.widgets.footer import Keys
from playground.tui.widgets.line import Line, Question
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

    HELP = glossary.ASK
    TYPED_INTO = "#prompt"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "stop or back", priority=True, tooltip="Stop generating, or go back"),
        Binding("ctrl+o", "fed", "fed", priority=True, tooltip="What each side was fed: the exact text"),
    ]

    def __init__(self, run: Path, start: Callable[[Sequence[str]], Any]) -> None:
        super().__init__()
        steps = spread(kept_steps(run))
        names = [f"{run}@{step}" for step in steps]
        sides = ["sft"] if len(steps) == 1 else [f"sft:{run.name}@{step}" for step in steps]
        self._lanes = [("base", "base"), *((f"step {step}", side) for step, side in zip(steps, sides, strict=True))]
        self._panes = {name: Pane(number) for number, (name, _) in enumerate(self._lanes)}
        self._engine = EngineController(lambda *_, **__: start(names), self)
        self._waiting = ""
        self._round: Round | None = None
        self._cancelled = 0  # the request that was cancelled last

    def compose(self) -> ComposeResult:
        yield Line("starting …", id="top")
        yield Question()
        with Horizontal(id="panes"):
            yield from self._panes.values()
        yield Line("One prompt, and what the run would have said at each of these steps.", id="hint")
        yield PromptBar()
        yield Keys()

    def on_mount(self) -> None:
        """Name the panes and listen."""
        for name, pane in self._panes.items():
            pane.dress("base" if name == "base" else "sft", name)
        self.query_one("#panes").set_class(self.size.width < NARROW, "stacked")
        self.set_focus(self.query_one(PromptBar))
        self._engine.listen()

    def on_unmount(self) -> None:
        self._engine.close()

    def on_engine_said(self, message: EngineSaid) -> None:
        if not self._engine.heard(message):
            return
        request = self._round.request if self._round is not None else 0
        top = self.query_one("#top", Line)
        match message.event:
            case EngineStage() as event:
                top.say(stage_words(event))
            case EngineReady() as event:
                top.say(f"{event.model} · {len(self._lanes) - 1} steps of the run compared with their base")
                if self._waiting:
                    self._ask(self._waiting)
            case Fed() as event if event.request == request:
                top.say(VERIFIED if event.fingerprint else "The base was not verified.")
                for name in event.texts:
                    self._panes[name].fed(event, name)
            case Spoken() as event if event.request == request:
                self._spoken(event)
            case EngineError() as event:
                self._failed(event)

    def _spoken(self, event: Spoken) -> None:
        pane = self._panes[event.lane]
        if event.answer is None:
            pane.say(event.text, event.num_tokens, event.seconds)
            return
        pane.end(event.answer, event.seconds)
        if self._round is not None:
            self._round.answers[event.lane] = event.answer

    def _failed(self, event: EngineError) -> None:
        now = self._round
        if now is not None and event.request in (-1, now.request):
            for name, pane in self._panes.items():
                if name not in now.answers:
                    pane.fail("answer interrupted" if event.request == -1 else event.message)
            self._round = None
        if event.request == -1:
            self.query_one("#top", Line).say("the engine has stopped · Esc goes back")
        self.query_one("#hint", Line).say(event.message, error=True)

    @on(PromptBar.Submitted)
    def send(self, event: PromptBar.Submitted) -> None:
        """Ask as soon as the model is loaded."""
        bar = self.query_one(PromptBar)
        bar.put("")
        bar.remember(event.prompt)
        self._waiting = event.prompt
        self.query_one(Question).ask(event.prompt)
        waits = "The model is still loading." if self._engine.alive else "The engine has stopped. Esc goes back."
        self.query_one("#hint", Line).say("" if self._engine.loaded else waits)
        if self._engine.loaded:
            self._ask(event.prompt)

    def _ask(self, prompt: str) -> None:
        self._cancel()
        for pane in self._panes.values():
            pane.begin((prompt,))
        lanes = tuple(LaneRequest(name, side, (prompt,)) for name, side in self._lanes)
        ask = Ask(lanes, 1.0, Sampling())
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._round = Round(prompt, "open", lanes, ask.strength, ask.sampling, now)
        self._round.request = self._engine.ask(ask)

    def _cancel(self) -> bool:
        """Stop generating; return whether there was anything to stop."""
        now = self._round
        if now is None or not now.going or now.request == self._cancelled:
            return False
        self._cancelled = now.request
        self._engine.cancel(now.request)
        return True

    def action_fed(self) -> None:
        """Open or close the exact text that each lane was fed."""
        for pane in self._panes.values():
            pane.toggle_fed()

    def action_leave(self) -> None:
        """Stop generating, or go back."""
        if not self._cancel():
            self.dismiss()

"""The app: its compare screen. Base left, sft right, one prompt, both streaming."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from typing import Any, ClassVar, Protocol

from textual import events, on, work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widgets import Footer, Input, Static

from playground.events import EngineError, EngineEvent, EngineReady, EngineStage, Fed, Spoken
from playground.text import clean
from playground.tui.pane import Pane
from playground.tui.prompt import PromptBar

EXAMPLES = (
    "Explain quantum physics.",
    "What's the capital of France?",
    "The capital of France is",
    "Write a poem about recursion.",
    "Explain neural networks.",
)
WELCOME = "Type a prompt and press Enter, or F2 for an example. The base continues your text; sft answers it."
HELP = """\
base     the model as it was pre-trained: it continues your text, exactly as you typed it
sft      the same weights with a LoRA adapter: your prompt in its template; it answers and stops
control  the base, fed the template: what the template does without training
λ        how strongly the adapter counts: 0 is the base fed the template, 1 is as trained
✓        before each answer a probe runs through both sides, and the base row must be bit-equal
keys     Enter asks, Esc stops, ↑ ↓ earlier prompts, Tab moves, F5 asks again, Ctrl+P palette and themes"""
STRENGTHS = (1.0, 1.5, 0.0, 0.5)
NARROW = 100  # columns; below, panes stand one above the other


class Engine(Protocol):
    """What the app needs of `playground.jobs.EngineProcess`."""

    def ask(self, prompt: str, sides: list[str], **sampling: Any) -> int:
        """Ask for answers."""
        ...

    def cancel(self, number: int) -> None:
        """Stop a request."""
        ...

    def events(self) -> Iterator[EngineEvent]:
        """Yield what it says."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class Heard(Message):
    """The engine said something."""

    def __init__(self, event: EngineEvent, engine: Engine) -> None:
        super().__init__()
        self.event = event
        self.engine = engine


class PlaygroundApp(App[None]):
    """Base and fine-tuned model, side by side.

    Args:
        start: Starts an engine; called once at once, and again after a crash.
    """

    TITLE = "sft-playground"
    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "stop", "stop", priority=True),
        Binding("f1", "help", "help", priority=True),
        Binding("f2", "example", "example", priority=True),
        Binding("f3", "control", "control", priority=True),
        Binding("f4", "fed", "fed", priority=True),
        Binding("f5", "again", "again", priority=True),
        Binding("f6", "strength", "λ", priority=True),
        Binding("ctrl+q", "quit", "quit", priority=True),
    ]

    def __init__(self, start: Any) -> None:
        super().__init__()
        self._start_engine = start
        self._engine: Engine = start()
        self._examples = cycle(EXAMPLES)
        self._loaded = False
        self._engine_alive = True
        self._answering = 0  # of what streams, or 0
        self._going: set[str] = set()
        self._early_prompt = ""  # a prompt that was sent before the model was ready
        self._last_prompt = ""
        self._strength = 1.0
        self._helping = False

    def compose(self) -> ComposeResult:
        """Lay out the screen."""
        yield Static("starting …", id="top", markup=False)
        with Horizontal(id="panes"):
            yield Pane("base")
            yield Pane("control")
            yield Pane("sft")
        yield Static(WELCOME, id="hint", markup=False)
        yield PromptBar()
        yield Footer()

    def on_mount(self) -> None:
        """Begin to listen to the engine, which was started before this app was imported."""
        self.query_one("#control").display = False
        self.query_one(Input).focus()
        self._arrange(self.size.width)
        self._listen(self._engine)

    def on_resize(self, event: events.Resize) -> None:
        """Stack the panes where there is no room beside each other."""
        self._arrange(event.size.width)

    def on_unmount(self) -> None:
        """Leave no child behind."""
        self._engine.close()

    def _arrange(self, width: int) -> None:
        self.query_one("#panes").set_class(width < NARROW, "stacked")

    @work(thread=True)
    def _listen(self, engine: Engine) -> None:
        for event in engine.events():
            if not self.is_running:
                return
            self.post_message(Heard(event, engine))

    def on_heard(self, message: Heard) -> None:
        """Show what the engine says."""
        if message.engine is not self._engine:
            return  # the last words of one that was replaced
        match message.event:
            case EngineStage() as event:
                share = f" {100 * event.share:.0f} %" if 0 < event.share < 1 else ""
                self._top(f"{event.stage}{share} …")
            case EngineReady() as event:
                self._loaded = True
                self._about = f"{event.model} · adapter {event.adapter} · style {event.style}"
                self._proof = ""
                self._show_top()
                if event.single_turn:
                    self._hint(
                        "The adapter was trained on single questions, so each prompt is a conversation of its own."
                    )
                if self._early_prompt:
                    waiting, self._early_prompt = self._early_prompt, ""
                    self._ask(waiting)
            case Fed() as event if event.request == self._answering:
                self._proof = event.fingerprint
                self._show_top()
                for side, text in event.texts.items():
                    self._pane(side).fed(text, event.num_tokens[side])
            case Spoken() as event if event.request == self._answering:
                self._spoken(event)
            case EngineError() as event:
                self._failed(event)

    def _spoken(self, event: Spoken) -> None:
        pane = self._pane(event.side)
        if event.answer is None:
            pane.say(event.text, event.num_tokens, event.seconds)
            return
        pane.end(event.answer, repeats=event.repeats, seconds=event.seconds)
        self._going.discard(event.side)
        if not self._going:
            self._answering = 0

    def _failed(self, event: EngineError) -> None:
        self._answering, self._going = 0, set()
        for pane in self.query(Pane):
            pane.fail(event.message)
        if event.request == -1:
            self._loaded = self._engine_alive = False
            self._top("the engine has stopped")
        self._hint(f"{event.message} {event.hint}")

    @on(Input.Submitted)
    def send(self, event: Input.Submitted) -> None:
        """Ask for answers; a prompt that comes early waits for the model."""
        prompt = event.value.strip()
        if not prompt:
            return
        event.input.clear()
        self.query_one(PromptBar).remember(prompt)
        if not self._loaded:
            self._early_prompt = prompt
            self._hint(f"waiting for the model: {prompt}")
            return
        self._ask(prompt)

    def _ask(self, prompt: str) -> None:
        if self._answering:
            self._engine.cancel(self._answering)
        sides = [pane.side for pane in self.query(Pane) if pane.display]
        for side in sides:
            self._pane(side).begin()
        self._last_prompt, self._going = prompt, set(sides)
        self._hint(f"› {prompt}")
        self._answering = self._engine.ask(
            prompt, sides, strength=self._strength, max_new_tokens=128, temperature=0.0, top_p=1.0, seed=0
        )

    def action_stop(self) -> None:
        """Stop what streams; else leave the prompt for the panes."""
        if self._answering:
            self._engine.cancel(self._answering)
        elif self.focused is self.query_one(Input):
            self.screen.focus_next()
        else:
            self.query_one(Input).focus()

    def action_example(self) -> None:
        """Put the next example into the prompt."""
        prompt = self.query_one(Input)
        prompt.value = next(self._examples)
        prompt.cursor_position = len(prompt.value)
        prompt.focus()

    def action_help(self) -> None:
        """Open or close the help."""
        self._helping = not self._helping
        self._hint(HELP if self._helping else WELCOME)

    def action_control(self) -> None:
        """Show or hide the base that is fed the template."""
        pane = self.query_one("#control")
        pane.display = not pane.display
        if pane.display and self._last_prompt and self._loaded and not self._answering:
            self._ask(self._last_prompt)

    def action_fed(self) -> None:
        """Open or close what each side was fed."""
        for pane in self.query(Pane):
            pane.toggle_fed()

    def action_again(self) -> None:
        """Start a stopped engine, or ask the last prompt again."""
        if not self._engine_alive:
            self._engine_alive = True
            self._engine.close()
            self._engine = self._start_engine()
            self._early_prompt = self._last_prompt
            self._listen(self._engine)
            self._top("starting again …")
        elif self._last_prompt and self._loaded:
            self._ask(self._last_prompt)

    def action_strength(self) -> None:
        """Take the next strength; it counts from the next answer on."""
        self._strength = STRENGTHS[(STRENGTHS.index(self._strength) + 1) % len(STRENGTHS)]
        self._show_top()
        self._hint(f"The adapter will count {self._strength:g} times from the next answer on (F5 asks again).")

    def _show_top(self) -> None:
        if self._loaded:
            # The proof stands first: a narrow terminal cuts the end of the line.
            proof = f"✓ base proven {self._proof} · " if self._proof else ""
            self._top(f"{proof}λ {self._strength:g} · {self._about}")

    def _top(self, text: str) -> None:
        self.query_one("#top", Static).update(Content(clean(text)))

    def _hint(self, text: str) -> None:
        self.query_one("#hint", Static).update(Content(clean(text)))

    def _pane(self, side: str) -> Pane:
        return self.query_one(f"#{side}", Pane)

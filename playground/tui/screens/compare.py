"""The compare screen: one prompt, base left, sft right, both streaming."""

from __future__ import annotations

from itertools import cycle
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Footer, Static

from playground.events.answers import Sampling
from playground.events.engine import EngineError, EngineEvent, EngineReady, Fed, Spoken
from playground.tui.link import Start
from playground.tui.screens.adjusting import AdjustingScreen
from playground.tui.state.session import Session
from playground.tui.strings import EXAMPLES, WELCOME, WELCOME_BARE, WELCOME_SINGLE
from playground.tui.widgets.judge import JudgeBar
from playground.tui.widgets.pane import Pane
from playground.tui.widgets.panes import Panes
from playground.tui.widgets.prompt import PromptBar
from playground.tui.widgets.slider import Slider


class CompareScreen(AdjustingScreen):
    """Base and fine-tuned model, side by side.

    Args:
        start: Starts an engine; called immediately, and again after a crash or for another model.
        session: The prompts and their answers.
    """

    AUTO_FOCUS = TYPED_INTO = "#prompt"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "stop", "stop", priority=True),
        Binding("f1", "help", "help", priority=True),
        Binding("f2", "example", "try", priority=True),
        Binding("f3", "control", "control", priority=True),
        Binding("f4", "judge", "judge", priority=True),
        Binding("f5", "again", "again", priority=True),
        Binding("f6", "adapter", "adapter", priority=True),
        Binding("ctrl+r", "app.train", "train", priority=True),
        Binding("ctrl+q", "app.quit", "quit", priority=True),  # 80 columns end here
        Binding("f7", "strength", "λ", priority=True),
        Binding("f8", "turns", "turns", priority=True),
        Binding("f9", "settings", "settings", priority=True),
        Binding("ctrl+s", "save", "save", priority=True),
        Binding("ctrl+y", "copy", "copy", priority=True, show=False),
        Binding("ctrl+n", "forget", "new conversation", priority=True, show=False),
        Binding("ctrl+o", "fed", "what each side was fed", priority=True, show=False),
        Binding("ctrl+t", "markdown", "Markdown", priority=True, show=False),
        Binding("ctrl+g", "model", "model", priority=True, show=False),
    ]

    def __init__(self, start: Start, session: Session | None = None) -> None:
        super().__init__(start, session or Session())
        self._examples = cycle(EXAMPLES)
        self._early_prompt = ""  # a prompt that was sent before the model was ready
        self._last_prompt = ""
        self._asked_with: tuple[object, ...] = ()
        self._offered = False  # a new seed was offered, since greedy answers would repeat
        self._markdown = False

    def compose(self) -> ComposeResult:
        """Lay out the screen."""
        yield Static("starting …", id="top", markup=False)
        yield Panes(self.session)
        yield Static(WELCOME, id="hint", markup=False)
        yield JudgeBar()
        with Horizontal(id="bar"):
            yield Slider()
            yield Static("", id="how", markup=False)
        yield PromptBar()
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Start listening to the engine, which was started before this app was imported."""
        self.query_one(JudgeBar).display = False
        self.query_one(Panes).dress()
        self.query_one(Panes).fit(self.size.width)
        self._show_how()
        self._listen(self._engine)

    def on_resize(self, event: events.Resize) -> None:
        """Stack the panes when the window is too narrow."""
        self.query_one(Panes).fit(event.size.width)

    def on_key(self, event: events.Key) -> None:
        """Insert keys typed before the prompt exists, right after the app starts."""
        if self.focused in (None, self.query_one(PromptBar)) and event.is_printable and event.character:
            event.stop()
            self.query_one(PromptBar).insert(event.character)

    def heard(self, event: EngineEvent) -> None:
        """Handle an event from the engine."""
        super().heard(event)
        now = self.session.round
        match event:
            case Fed() if now is not None and event.request == now.request:
                now.fed = event
                self._proof = event.fingerprint
                self._show_top()
                for name, text in event.texts.items():
                    if pane := self.query_one(Panes).of(name):
                        pane.fed(text, event.num_tokens[name], (event.dropped or {}).get(name, 0))
            case Spoken() if now is not None and event.request == now.request and now.going:
                self._spoken(event)
            case EngineError():
                self._failed(event)

    def ready(self, event: EngineReady) -> None:
        """Show what the adapter can do, and send a waiting prompt."""
        if not event.adapter:
            self.session.mode = "open"
            self._show_how()
        if self.session.round is None:
            self.query_one(Panes).dress()
        if not event.adapter:
            self.hint(WELCOME_BARE)
        elif event.single_turn and not self.session.several_turns:
            self.hint(WELCOME_SINGLE)
        if self._early_prompt:
            waiting, self._early_prompt = self._early_prompt, ""
            self._ask(waiting)

    def _spoken(self, event: Spoken) -> None:
        pane, now = self.query_one(Panes).of(event.lane), self.session.round
        if pane is None or now is None or event.lane in now.answers:
            return
        if event.answer is None:
            pane.say(event.text, event.num_tokens, event.seconds)
            return
        pane.end(event.answer, repeats=event.repeats, seconds=event.seconds)
        if self.session.heard(event) and now.mode != "open" and not now.why_no_vote():
            self.query_one(JudgeBar).offer(len(now.lanes))

    def interrupted(self, why: str) -> None:
        """End the streaming answers; their text so far stays on screen."""
        if self.streaming:
            for pane in self.query_one(Panes).shown:
                pane.fail(why)
            self.session.round = None

    def _failed(self, event: EngineError) -> None:
        now = self.session.round
        if now is not None and event.request in (-1, now.request):
            self.interrupted("answer interrupted" if event.request == -1 else event.message)
        if event.request == -1:
            self.engine_gone("the engine has stopped · F5 restarts it")
        self.hint(f"{event.message.rstrip('.')}. {event.hint}", error=True)

    @on(PromptBar.Submitted)
    def send(self, event: PromptBar.Submitted) -> None:
        """Ask for answers; an early prompt waits for the model."""
        bar = self.query_one(PromptBar)
        bar.put("")
        bar.remember(event.prompt)
        if not self.loaded:
            self._early_prompt = event.prompt
            self.hint(f"waiting for the model: {event.prompt}" if self.alive else "F5 restarts the engine.")
            return
        self._ask(event.prompt)

    @on(PromptBar.Cut)
    def say_cut(self) -> None:
        """Report that a paste was too long."""
        self.hint("The text was cut off after 100,000 characters.")

    def _ask(self, prompt: str, sampling: Sampling | None = None) -> None:
        if self.streaming and self.session.round is not None:
            self._engine.cancel(self.session.round.request)
        ask = self.session.begin(prompt, sampling=sampling)
        now = self.session.round
        assert now is not None
        self._last_prompt, self._asked_with = prompt, self._settings()
        self.query_one(JudgeBar).display = False
        self.query_one(Panes).begin(now)
        self.hint(f"› {prompt}")
        now.request = self._engine.ask(ask)

    def _settings(self) -> tuple[object, ...]:
        """Return everything that determines an answer, apart from the prompt."""
        session = self.session
        adapter = session.ready and (session.ready.model, session.ready.adapter, session.ready.style)
        return (session.strength, session.sampling, session.mode, session.control, session.several_turns, adapter)

    def action_stop(self) -> None:
        """Stop generating or loading, or switch between the prompt and the panes."""
        if self.streaming and self.session.round is not None:
            self._engine.cancel(self.session.round.request)
        elif self.alive and not self.loaded:
            self.cancel_loading()
        elif self.focused is self.query_one(PromptBar):
            self.set_focus(self.query_one(Panes).shown[0].query_one(".said"))
        else:
            self.set_focus(self.query_one(PromptBar))

    def action_example(self) -> None:
        """Put the next example into the prompt."""
        prompt = self.query_one(PromptBar)
        prompt.put(next(self._examples))
        self.set_focus(prompt)

    def action_help(self) -> None:
        """Open the help."""
        from playground.tui.dialogs.help import HelpDialog

        self.app.push_screen(HelpDialog())

    def action_control(self) -> None:
        """Show or hide the control pane: the base, fed the template."""
        self.session.control = not self.session.control
        if self._last_prompt and self.loaded and not self.streaming and self.session.mode == "open":
            self._repeat(None)
        elif self.session.round is None:
            self.query_one(Panes).dress()

    def action_fed(self) -> None:
        """Open or close what each side was fed."""
        for pane in self.query(Pane):
            pane.toggle_fed()

    def action_markdown(self) -> None:
        """Show finished answers as Markdown, or everything raw again."""
        self._markdown = not self._markdown
        for pane in self.query(Pane):
            pane.show_markdown(self._markdown)

    def action_again(self) -> None:
        """Start a stopped engine, or ask the last prompt again."""
        if not self.alive:
            # Send the waiting prompt, else the one that was interrupted; a finished prompt is not asked again.
            self._early_prompt = self._early_prompt or ("" if self.session.round else self._last_prompt)
            self.restart()
        elif self._last_prompt and self.loaded:
            now = self.session.round
            if now is None or self._asked_with != self._settings():
                self._repeat(None)
            elif not now.ended:  # the same prompt again, to the end
                self._repeat(now.sampling)
            elif now.sampling.temperature == 0 and not self._offered:
                self._offered = True
                self.hint("Greedy decoding would give the same answers. F5 again: next seed, temperature 0.7.")
            else:
                self._repeat(self.session.next_draw())

    def _repeat(self, sampling: Sampling | None) -> None:
        self._offered = False
        self.session.take_back()
        self._ask(self._last_prompt, sampling)

"""The compare screen: one prompt, base left, sft right, both streaming."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Static

from playground.errors import PlaygroundError
from playground.events.answers import Sampling
from playground.events.engine import Branched, EngineError, EngineReady, EngineStage, Fed, Looked, Spoken
from playground.report.exchanges import sampling_words
from playground.tui import glossary, saving
from playground.tui.state import judging
from playground.tui.state.engine import (
    NOTHING,
    EngineController,
    EngineSaid,
    Start,
    Started,
    ready_words,
    stage_words,
)
from playground.tui.state.looking import Looking
from playground.tui.state.session import Session
from playground.tui.state.trial import Trial
from playground.tui.strings import (
    EXAMPLES,
    EXPORTS,
    LESSON,
    NO_MODEL,
    STRENGTH,
    VIEWS,
    WELCOME,
    WELCOME_BARE,
    WELCOME_SINGLE,
    WHY,
)
from playground.tui.widgets.examples import Examples
from playground.tui.widgets.footer import Keys
from playground.tui.widgets.judge import JudgeBar
from playground.tui.widgets.line import Line, Question
from playground.tui.widgets.pane import Pane
from playground.tui.widgets.panes import Panes, View
from playground.tui.widgets.prompt import PromptBar
from playground.tui.widgets.slider import Slider

SHORT = 18  # lines; in lower windows a question, a title and a state have one line each
STOPS = "Esc stops."


class CompareScreen(Screen[None]):
    """Base and fine-tuned model, side by side.

    The session holds what was asked and what came of it, the controller the engine that answers; this screen shows
    both and turns keys into what they do.

    Args:
        start: Starts an engine; called immediately, and again after a crash or for another model.
        session: The prompts and their answers.
        first: The adapter and the model to begin with, as they were chosen last time.
        is_new: Whether this is the first start, at which the lesson is offered.
    """

    AUTO_FOCUS = TYPED_INTO = "#prompt"
    HELP = glossary.COMPARE
    UNBOUND = EXPORTS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f2", "example", "try", priority=True, tooltip="Put the next example into the prompt"),
        Binding(
            "f3", "control", "control", priority=True, tooltip="Show or hide the control: the base, fed the template"
        ),
        Binding("f4", "judge", "judge", priority=True, tooltip="Judge: vote, undo a vote, or hide the sides"),
        Binding("f5", "again", "again", priority=True, tooltip="Ask again: with your changes, or with the next seed"),
        Binding("f6", "adapter", "adapter", priority=True, tooltip="Choose adapters, newest first: one, or up to four"),
        Binding(
            "f7", "strength", "λ", priority=True, tooltip="The adapter strength λ: the last prompt is tried at each"
        ),
        Binding("ctrl+r", "app.train", "train", priority=True, tooltip="Train: choose data, watch the answers change"),
        Binding("ctrl+q", "app.quit", "quit", priority=True, tooltip="Quit"),  # 80 columns end here
        Binding("ctrl+l", "why", "why", priority=True, tooltip="Why: what each side expected at every word"),
        Binding(
            "f10",
            "app.teach",
            "teach",
            priority=True,
            tooltip="Teach it: type what sft should have answered",
        ),
        Binding("f12", "app.learn", "learn", priority=True, tooltip="Learn: a lesson on eight pages, about this model"),
        Binding("escape", "stop", "stop", priority=True, tooltip="Stop, or go to the panes to scroll, and back"),
        Binding(
            "f8", "turns", "turns", priority=True, tooltip="Single-turn or multi-turn: do prompts build on each other"
        ),
        Binding("f9", "settings", "settings", priority=True, tooltip="Settings: temperature, length, seed, template"),
        Binding("ctrl+s", "save", "save", priority=True, tooltip="Save this session as Markdown or JSON Lines"),
        Binding("ctrl+y", "copy", "copy", priority=True, show=False, tooltip="Copy the answer of the focused pane"),
        Binding("ctrl+n", "forget", "new", priority=True, show=False, tooltip="New conversation"),
        Binding("alt+up", "look(-1)", "earlier", priority=True, show=False, tooltip="The exchange before"),
        Binding("alt+down", "look(1)", "later", priority=True, show=False, tooltip="The next exchange"),
        Binding("ctrl+o", "fed", "fed", priority=True, show=False, tooltip="What each side was fed: the exact text"),
        Binding(
            "ctrl+t",
            "view",
            "view",
            priority=True,
            show=False,
            tooltip="Finished answers as Markdown, with what differs between adapters, or raw",
        ),
        Binding("ctrl+g", "model", "model", priority=True, show=False, tooltip="Choose a base model"),
    ]

    class Loaded(Message):
        """These adapters, or this model, were loaded."""

        def __init__(self, adapters: tuple[str, ...], model: str | None) -> None:
            super().__init__()
            self.adapters = adapters
            self.model = model

    def __init__(
        self, start: Start, session: Session | None = None, first: Started = NOTHING, *, is_new: bool = False
    ) -> None:
        super().__init__()
        self._is_new = is_new
        self.session = session or Session()
        self.engine = EngineController(start, self, first)
        self.trial = Trial(self, self.session, self.engine)
        self.looking = Looking(self, self.session, self.engine)
        self._examples = cycle(EXAMPLES)
        self._offered = False  # a new seed was offered, since greedy answers would repeat
        self._view: View = "raw"
        self._verified = False  # whether an answer's probe has shown that the base is the base

    def compose(self) -> ComposeResult:
        yield Line("starting …", id="top")
        yield Question()
        yield Examples(EXAMPLES[:3], offer=LESSON if self._is_new else "")
        yield Panes(self.session)
        yield Line(WELCOME, id="hint")
        yield JudgeBar()
        with Horizontal(id="bar"):
            yield Slider()
            yield Static("", id="how", markup=False)
        yield PromptBar()
        yield Keys()

    def on_mount(self) -> None:
        """Listen to the engine, which was started before this screen was built."""
        self.query_one(JudgeBar).display = False
        self._dress()
        self._fit(self.size)
        self._show_how()
        self.engine.listen()

    def on_unmount(self) -> None:
        self.engine.close()

    def on_resize(self, event: events.Resize) -> None:
        self._fit(event.size)

    def _fit(self, size: Size) -> None:
        """Stack the panes when the window is too narrow; save lines when it is too short."""
        self.query_one(Panes).fit(size.width)
        self.set_class(size.height < SHORT, "-short")

    def on_key(self, event: events.Key) -> None:
        """Insert keys typed before the prompt exists, right after the app starts."""
        if self.focused in (None, self.query_one(PromptBar)) and event.is_printable and event.character:
            event.stop()
            self.query_one(PromptBar).insert(event.character)

    def top(self, text: str) -> None:
        """Say what is loaded, or how far loading is."""
        self.query_one("#top", Line).say(text)

    def hint(self, text: str, *, error: bool = False) -> None:
        """Show a message below the panes."""
        self.query_one("#hint", Line).say(text, error=error)

    def _dress(self) -> None:
        """Show the panes as the session has them, and the question above them."""
        now = self.session.shown
        self.query_one(Panes).dress()
        self.query_one(Question).ask(now.prompt if now is not None else "")
        self.query_one(Examples).display = now is None

    def _show_how(self) -> None:
        session = self.session
        words = [
            sampling_words(session.sampling),
            "multi-turn" if session.several_turns else "single-turn",
            *([session.mode] if session.mode != "open" else []),
        ]
        self.query_one("#how", Static).update(Content(" · ".join(words)))

    # ---------------------------------------------------------------- the engine, and what it says

    def on_engine_said(self, message: EngineSaid) -> None:
        if not self.engine.heard(message):
            return
        now = self.session.round
        match message.event:
            case EngineStage() as event:
                self.top(f"{stage_words(event)} · Esc cancels")
                if event.notice:
                    self.hint(event.notice)
            case EngineReady() as event:
                self._ready(event)
            case Fed() as event if now is not None and event.request == now.request != 0:
                now.fed, self._verified = event, bool(event.fingerprint)
                self._show_loaded()
                for name in event.texts if self.session.past is None else ():
                    if pane := self.query_one(Panes).of(name):
                        pane.fed(event, name)
            case Spoken() as event if self.trial.heard(event):
                pass
            case Looked() as event:
                self._looked(event)
            case Branched() as event:
                self.looking.branched(event)
            case Spoken() as event if now is not None and event.request == now.request and now.going:
                self._spoken(event)
            case EngineError() as event:
                self._failed(event)

    def _ready(self, event: EngineReady) -> None:
        """Show what the adapter can do, and send a waiting prompt."""
        self.trial.end()
        self.looking.stop()
        self.session.ready = event
        self.session.forget_requests()  # the engine does not remember what another adapter said
        self.post_message(self.Loaded(*self.engine.started_with))
        self._verified = False
        self._show_loaded()
        if not event.adapter:
            self.session.mode = "open"
            self._show_how()
            self.hint(WELCOME_BARE)
        elif event.single_turn and not self.session.several_turns:
            self.hint(WELCOME_SINGLE)
        if self.session.round is None:
            self._dress()
        if self.session.waiting:
            waiting, self.session.waiting = self.session.waiting, ""
            self._ask(waiting)

    def _show_loaded(self) -> None:
        if self.engine.loaded and self.session.ready is not None:
            self.top(ready_words(self.session.ready, verified=self._verified))

    def _spoken(self, event: Spoken) -> None:
        now = self.session.round
        if now is None or event.lane in now.answers or event.lane not in {lane.name for lane in now.lanes}:
            return
        pane = self.query_one(Panes).of(event.lane) if self.session.past is None else None
        if event.answer is None:
            if pane is not None:
                pane.say(event.text, event.num_tokens, event.seconds)
            return
        if pane is not None:
            pane.end(event.answer, event.seconds)
        if not self.session.heard(event) or pane is None:
            return
        if str(self.query_one("#hint", Line).content) == STOPS:
            self.hint("")
        if self._view == "differences":
            self.query_one(Panes).show_as(self._view)
        if now.mode != "open" and not now.why_no_vote():
            self.query_one(JudgeBar).offer(len(now.lanes))
        self.looking.begin()

    def action_why(self) -> None:
        """Look at what each side expected at every token of the shown answer."""
        if why_not := self.looking.open_lens():
            self.hint(why_not)

    def _looked(self, event: Looked) -> None:
        now = self.looking.heard(event)
        if now is not None and now is self.session.shown and not self.trial.shown:
            self.query_one(Panes).explain(now)
            if not self.query_one("#hint", Line).content:
                self.hint(WHY)

    def _failed(self, event: EngineError) -> None:
        self.looking.failed(event.request, f"{event.message} {event.hint}")
        now = self.session.round
        if now is not None and event.request in (-1, now.request):
            self._interrupted("answer interrupted" if event.request == -1 else event.message)
        if event.request == -1 and self.engine.forget_last():
            self._start(self.engine.restart)
            self.hint(
                f"What you used last time cannot be loaded: {event.message.rstrip('.')}. Loading the newest adapter."
            )
            return
        if event.request == -1:
            loaded = self.session.ready is not None
            self.top("the engine has stopped · F5 restarts it" if loaded else NO_MODEL)
            if not loaded:
                self.query_one(Panes).dress("no model")
        self.hint(f"{event.message.rstrip('.')}. {event.hint}", error=True)

    def _interrupted(self, why: str) -> None:
        """End the streaming answers; their text so far stays on screen."""
        if self.streaming:
            for pane in self.query_one(Panes).shown if self.session.past is None else ():
                pane.fail(why)
            self.session.round = None

    def release(self, why: str, then: Callable[[bool], None] = lambda gone: None) -> None:
        """End the engine and say why: another process uses the device, or loading was cancelled. F5 restarts it.

        Args:
            why: Shown above.
            then: Called with whether it is gone, from a thread.
        """
        self.engine.release(then)
        self._interrupted(why)
        self.top(why)

    def resume(self, prompt: str = "") -> None:
        """Bring the model back after another process had the device, and ask this prompt, if there is one."""
        self._start(self.engine.restart)
        if prompt:
            self._send(prompt)

    def use(self, adapter: str) -> None:
        """Compare this adapter with its base."""
        self._start(lambda: self.engine.load((adapter,)))

    def _start(self, start: Callable[[], None]) -> None:
        """Replace the engine, unless a training run is using the device."""
        try:
            start()
        except PlaygroundError as error:
            self.hint(f"{error.message} {error.hint}", error=True)
            return
        if not self.engine.loaded:
            self.hint("")
            self._interrupted("another model is being loaded")
            self.session.forget_requests()
            if self.session.ready is None:
                self.query_one(Panes).dress()
            self.top("restarting … · Esc cancels")

    def action_adapter(self) -> None:
        """Choose other adapters; their base is loaded if it is a different one."""
        from playground.tui.dialogs.picker import adapter_picker

        shown = self.engine.choices.adapters
        if not shown and not self.engine.alive:  # the list has not arrived yet
            self.hint("F5 restarts the engine; then you can choose.")
            return

        def choose(chosen: list[int] | None) -> None:
            if chosen:
                here = self.session.ready.source if self.session.ready is not None else ""
                self._start(lambda: self.engine.use([shown[at] for at in chosen], here))

        self.engine.refresh_choices()  # for next time
        self.app.push_screen(adapter_picker(shown), choose)

    def action_model(self) -> None:
        """Choose another base model, with its newest adapter if there is one."""
        from playground.tui.dialogs.picker import model_picker, newest_on

        shown = self.engine.choices

        def choose(chosen: list[int] | None) -> None:
            if chosen:
                model = shown.models[chosen[0]]
                newest = newest_on(model, shown.adapters)
                self._start(lambda: self.engine.load((newest.folder,) if newest else (), model))

        self.engine.refresh_choices()
        self.app.push_screen(model_picker(shown.models, shown.adapters), choose)

    # ---------------------------------------------------------------- asking

    @property
    def streaming(self) -> bool:
        """Whether any answer is unfinished."""
        return self.session.round is not None and self.session.round.going

    @on(PromptBar.Submitted)
    def send(self, event: PromptBar.Submitted) -> None:
        """Ask for answers; an early prompt waits for the model."""
        self.query_one(PromptBar).put("")
        self._send(event.prompt)

    @on(Examples.Chosen)
    def send_example(self, event: Examples.Chosen) -> None:
        """Ask an example; what is being typed stays."""
        self.set_focus(self.query_one(PromptBar))
        self._send(event.prompt)

    def _send(self, prompt: str) -> None:
        self.query_one(PromptBar).remember(prompt)
        if not self.engine.loaded:
            self.session.waiting = prompt
            waits = f"waiting for the model: {prompt}"
            self.hint(waits if self.engine.alive else "F5 restarts the engine.")
            return
        self._ask(prompt)

    @on(PromptBar.Blank)
    def ask_in_full(self) -> None:
        """Ask the last prompt at the strength that was tried on it."""
        if self.session.trial() is not None:
            self.action_again()

    @on(PromptBar.Cut)
    def say_cut(self) -> None:
        """Report that a paste was too long."""
        self.hint("The text was cut off after 100,000 characters.")

    def _ask(self, prompt: str, sampling: Sampling | None = None) -> None:
        self._cancel()
        ask = self.session.begin(prompt, sampling=sampling)
        now = self.session.round
        assert now is not None
        self.query_one(JudgeBar).display = False
        self.query_one(Panes).begin(now)
        self.query_one(Question).ask(prompt)
        self.query_one(Examples).display = False
        self.hint(STOPS)
        self._verified = False
        self._show_loaded()
        now.request = self.engine.ask(ask)

    def _cancel(self) -> None:
        self.trial.end()
        now = self.session.round
        if now is not None and now.going:
            self.engine.cancel(now.request)
        self.looking.stop()  # an answer is wanted, which would have to wait

    def action_stop(self) -> None:
        """Stop generating or loading, or switch between the prompt and the panes."""
        if self.streaming:
            self._cancel()
        elif self.engine.alive and not self.engine.loaded:
            self.release("loading was cancelled · F5 restarts it")
        elif self.focused is self.query_one(PromptBar):
            self.set_focus(self.query_one(Panes).shown[0].query_one(".said"))
        else:
            self.set_focus(self.query_one(PromptBar))

    def action_again(self) -> None:
        """Start a stopped engine, or ask the last prompt again."""
        self._present()
        session, now = self.session, self.session.round
        if not self.engine.alive:
            # Send the waiting prompt, else the one that was interrupted; a finished prompt is not asked again.
            session.waiting = session.waiting or ("" if now else session.last_prompt)
            self._start(self.engine.restart)
        elif session.last_prompt and self.engine.loaded:
            if now is None or session.changed:
                self._repeat(None)
            elif not now.ended:  # the same prompt again, to the end
                self._repeat(now.sampling)
            elif now.sampling.temperature == 0 and not self._offered:
                self._offered = True
                self.hint("Greedy decoding would give the same answers. F5 again: next seed, temperature 0.7.")
            else:
                self._repeat(session.next_draw())

    def _repeat(self, sampling: Sampling | None) -> None:
        self._offered = False
        self.session.take_back()
        self._ask(self.session.last_prompt, sampling)

    def action_forget(self) -> None:
        """Start new conversations."""
        self._cancel()
        self.session.forget()
        self.query_one(JudgeBar).display = False
        self._dress()
        self.hint("Started a new conversation.")

    def action_example(self) -> None:
        """Put the next example into the prompt."""
        prompt = self.query_one(PromptBar)
        prompt.put(next(self._examples))
        self.set_focus(prompt)

    # ---------------------------------------------------------------- what is shown

    def action_look(self, steps: int) -> None:
        """Look at an earlier exchange, or at a later one."""
        if self.session.look(steps):
            self._look()
        elif self.session.rounds:
            self.hint("This is the first exchange." if steps < 0 else "This is the last exchange.")

    def _look(self) -> None:
        now, session = self.session.shown, self.session
        assert now is not None
        self.trial.end()
        self._dress()
        panes = self.query_one(Panes)
        panes.begin(now)
        panes.finish(now, [lane for lane in now.lanes if lane.name in now.answers])
        panes.show_as(self._view)
        self.looking.begin()
        if session.past is not None:
            self.query_one(JudgeBar).display = False
            at = session.rounds.index(session.past) + 1
            self.hint(f"Exchange {at} of {len(session.rounds)} · Alt+↑ Alt+↓ earlier and later ones")
            return
        self.hint("")
        if waiting := judging.waiting(session):
            self.query_one(JudgeBar).offer(waiting)

    def _present(self) -> None:
        """Leave an earlier exchange: what follows is about the current one."""
        if self.session.past is not None:
            self.session.past = None
            if self.session.round is not None:
                self._look()
            else:
                self._dress()

    def action_control(self) -> None:
        """Show or hide the control pane: the base, fed the template."""
        self._present()
        session = self.session
        session.control = not session.control
        if session.last_prompt and self.engine.loaded and not self.streaming and session.mode == "open":
            self._repeat(None)
        elif session.round is None:
            self._dress()

    def action_fed(self) -> None:
        """Open or close what each side was fed."""
        for pane in self.query(Pane):
            pane.toggle_fed()

    def action_view(self) -> None:
        """Show finished answers as Markdown, then with the words that differ between adapters, then raw again."""
        views: list[View] = ["raw", "Markdown"]
        if len(self.session.adapted()) > 1:
            views.append("differences")
        self._view = views[(views.index(self._view) + 1) % len(views)] if self._view in views else "raw"
        self.query_one(Panes).show_as(self._view)
        self.hint(VIEWS[self._view])

    # ---------------------------------------------------------------- judging

    def action_judge(self) -> None:
        """Vote on the finished answers or undo the last vote; if neither applies, switch to the next judging mode."""
        self._present()
        waiting, last = judging.waiting(self.session), self.session.last_vote
        if not waiting and last is None:
            self.next_mode()
            return
        from playground.tui.dialogs.vote import Decision, VoteDialog

        def decide(decision: Decision | None) -> None:
            match decision:
                case ("vote", answer):
                    self.vote(answer)
                case ("take back", _):
                    self.take_vote_back()
                case ("mode", _):
                    self.next_mode()

        self.app.push_screen(VoteDialog(waiting, judging.chosen(last) if last else ""), decide)

    def next_mode(self) -> None:
        """Switch to the next judging mode: none, blind, duel."""
        self.hint(judging.next_mode(self.session))
        if self.session.round is None:
            self._dress()
        self._show_how()

    @on(JudgeBar.Voted)
    def _clicked(self, event: JudgeBar.Voted) -> None:
        self.vote(event.choice)

    def vote(self, answer: str) -> None:
        """Vote for a pane's number, `TIE` or `BOTH_BAD`, and show the sides."""
        self._judged(judging.vote(self.session, answer))

    def take_vote_back(self) -> None:
        """Undo the last vote of this session."""
        self._judged(judging.take_vote_back(self.session))

    def _judged(self, words: str) -> None:
        if not words:
            return
        self._present()
        if self.session.round is not None:
            self._dress()
        if waiting := judging.waiting(self.session):
            self.query_one(JudgeBar).offer(waiting)
        else:
            self.query_one(JudgeBar).display = False
        self.hint(words)

    # ---------------------------------------------------------------- settings of the next answer

    def action_turns(self) -> None:
        """Turn multi-turn on or off."""
        self.action_forget()
        self.session.several_turns = not self.session.several_turns
        ready = self.session.ready
        words = "Single-turn: each prompt is a new conversation."
        if self.session.several_turns:
            words = "Multi-turn: each side keeps its own conversation. Ctrl+N starts a new one."
            if ready is not None and ready.single_turn and ready.adapter:
                words += " (The adapter was trained on single questions only.)"
        self.hint(words)
        self._show_how()

    def action_strength(self) -> None:
        """Go to the slider, and back."""
        slider = self.query_one(Slider)
        if self.focused is slider:
            self.set_focus(self.query_one(PromptBar))
        else:
            self.set_focus(slider)
            self.hint(STRENGTH)

    @on(Slider.Changed)
    def strengthen(self, event: Slider.Changed) -> None:
        """Use this adapter strength from now on; in open mode the last prompt is tried with it."""
        session = self.session
        session.strength = event.value
        self.looking.stop()
        self.trial.moved()
        if session.trial() is not None:
            self.hint(f"Trying λ {event.value:.2f} on the same prompt. Enter or F5 asks in full; Esc goes back.")
        elif session.round is not None and session.strength != session.round.strength:
            self.hint(f"λ {event.value:.2f} counts from the next prompt on.")
        else:
            self.looking.begin()  # which the trial had stopped
            self.hint(STRENGTH)

    def action_settings(self) -> None:
        """Change how the next answers are generated."""
        from playground.tui.dialogs.answer_settings import Settings, SettingsDialog

        session = self.session

        def keep(new: Settings | None) -> None:
            if new is None:
                return
            session.sampling, session.duel_lanes = new.sampling, new.duel_lanes
            if new.style != self.engine.style:
                self.engine.use_style(new.style)
            self._show_how()

        self.app.push_screen(SettingsDialog(Settings(session.sampling, session.duel_lanes, self.engine.style)), keep)

    # ---------------------------------------------------------------- what leaves the session

    def action_save(self) -> None:
        """Save the exchanges of this session."""
        saving.save_session(self.app, self.session.exchanges, self.hint)

    def action_export_sides(self) -> None:
        """Export preferences between base and sft."""
        saving.export_votes(self.app, "sides", self.hint)

    def action_export_duels(self) -> None:
        """Export preferences from duels."""
        saving.export_votes(self.app, "duels", self.hint)

    def action_copy(self) -> None:
        """Copy the text of the focused pane, or of the last one."""
        shown = self.query_one(Panes).shown
        focused = self.focused
        chosen = next((pane for pane in shown if focused is not None and pane in focused.ancestors), shown[-1])
        saving.copy(self.app, chosen.text, self.hint)

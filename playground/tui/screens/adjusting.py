"""How the next answers are generated: judging, conversations, adapter strength, sampling."""

from __future__ import annotations

from textual import on
from textual.content import Content
from textual.widgets import Static

from playground.events.exchanges import Mode
from playground.report.exchanges import sampling_words
from playground.tui.screens.keeping import KeepingScreen, chosen
from playground.tui.strings import MODES
from playground.tui.widgets.judge import JudgeBar
from playground.tui.widgets.panes import Panes
from playground.tui.widgets.prompt import PromptBar
from playground.tui.widgets.slider import Slider


class AdjustingScreen(KeepingScreen):
    """The settings that change between prompts."""

    @property
    def streaming(self) -> bool:
        """Whether any answer is unfinished."""
        return self.session.round is not None and self.session.round.going

    def action_judge(self) -> None:
        """Vote on the finished answers or undo the last vote; if neither applies, switch to the next judging mode."""
        now, last = self.session.round, self.session.last_vote
        waiting = len(now.lanes) if now is not None and not now.why_no_vote() else 0
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

        self.app.push_screen(VoteDialog(waiting, chosen(last) if last else ""), decide)

    def next_mode(self) -> None:
        """Switch to the next judging mode: none, blind, duel."""
        modes: list[Mode] = ["open", "blind", "duel"]
        at = (modes.index(self.session.mode) + 1) % len(modes)
        self.session.mode = modes[at] if self.session.has_sft else "open"
        self.hint(MODES[self.session.mode] if self.session.has_sft else "Judging needs an adapter: F6.")
        if self.session.round is None:
            self.query_one(Panes).dress()
        self._show_how()

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

    def action_forget(self) -> None:
        """Start new conversations."""
        if self.streaming and self.session.round is not None:
            self._engine.cancel(self.session.round.request)
        self.session.forget()
        self.query_one(JudgeBar).display = False
        self.query_one(Panes).dress()
        self.hint("Started a new conversation.")

    def action_strength(self) -> None:
        """Go to the slider, and back."""
        slider = self.query_one(Slider)
        if self.focused is slider:
            self.set_focus(self.query_one(PromptBar))
        else:
            self.set_focus(slider)
            self.hint("← → change the adapter strength; F5 asks again, Esc goes back to the prompt.")

    @on(Slider.Changed)
    def strengthen(self, event: Slider.Changed) -> None:
        """Use this adapter strength from the next answer on."""
        self.session.strength = event.value

    def action_settings(self) -> None:
        """Change how the next answers are generated."""
        from playground.tui.dialogs.answer_settings import Settings, SettingsDialog

        def keep(new: Settings | None) -> None:
            if new is None:
                return
            self.session.sampling, self.session.duel_lanes = new.sampling, new.duel_lanes
            if new.style != self._style:
                self._style = new.style
                self._engine.use(None, new.style or None)
            self._show_how()

        self.app.push_screen(
            SettingsDialog(Settings(self.session.sampling, self.session.duel_lanes, self._style)), keep
        )

    def _show_how(self) -> None:
        session = self.session
        words = [
            sampling_words(session.sampling),
            "multi-turn" if session.several_turns else "single-turn",
            *([session.mode] if session.mode != "open" else []),
        ]
        self.query_one("#how", Static).update(Content(" · ".join(words)))

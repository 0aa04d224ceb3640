"""A screen with an engine: starting, loading, failing, replacing it, and its description on the top line."""

from __future__ import annotations

from textual import work
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from playground.errors import PlaygroundError
from playground.events.engine import Choices, EngineEvent, EngineReady, EngineStage
from playground.text import clean
from playground.tui.link import Engine, Heard, Start
from playground.tui.state.session import Session

CANCEL_SECONDS = 5.0  # a cancelled conversion may need this long to clean up


class EngineScreen(Screen[None]):
    """The behaviour shared by every screen that talks to a model.

    Args:
        start: Starts an engine; called immediately, and again after a crash or for another model.
        session: The prompts and their answers.
    """

    def __init__(self, start: Start, session: Session) -> None:
        super().__init__()
        self.session = session
        self.loaded = False
        self.alive = True
        self._start_engine = start
        self._engine: Engine = start()
        self._model: str | None = None  # loaded on restart: None is the adapter's own
        self._adapter: str | None = None  # None is the newest
        self._bare = False
        self._style = ""  # empty is the adapter's own
        self._choices = Choices((), ())
        self._proof = ""

    @work(thread=True)
    def _listen(self, engine: Engine) -> None:
        for event in engine.events():
            if not self.app.is_running:
                return
            self.post_message(Heard(event, engine))

    def on_unmount(self) -> None:
        """End the child process."""
        self._engine.close()

    def on_heard(self, message: Heard) -> None:
        """Handle the engine's event, unless it comes from an engine that was ended or replaced."""
        if message.engine is self._engine and self.alive:
            self.heard(message.event)

    def heard(self, event: EngineEvent) -> None:
        """Show the engine's state."""
        match event:
            case EngineStage():
                share = f" {100 * event.share:.0f} %" if 0 < event.share < 1 else ""
                self._top(f"{event.stage}{share} … · Esc cancels")
                if event.notice:
                    self.hint(event.notice)
            case EngineReady():
                self.loaded, self._proof = True, ""
                self.session.ready = event
                self._show_top()
                self.ready(event)
            case Choices():
                self._choices = event

    def ready(self, event: EngineReady) -> None:
        """Run what was waiting for a model."""

    def interrupted(self, why: str) -> None:
        """End the current answers: no more text will come."""

    def engine_gone(self, words: str) -> None:
        """Record that the engine is gone."""
        self.loaded = self.alive = False
        self.interrupted(words)
        self._top(words)

    def restart(self) -> None:
        """Start a new engine in place of one that ended or is no longer needed."""
        try:
            engine = self._start_engine(self._adapter, self._model, bare=self._bare)
        except PlaygroundError as error:  # a training run is using the device
            self.hint(f"{error.message} {error.hint}", error=True)
            return
        self._engine.close()
        self.loaded, self.alive = False, True
        self.interrupted("another model is being loaded")
        self._engine = engine
        if self._style:
            self._engine.use(None, self._style)
        self._listen(self._engine)
        self._top("restarting … · Esc cancels")

    def release(self, why: str) -> None:
        """End the engine so that another process can use the device; `use` or F5 restarts it."""
        self.engine_gone(why)
        self._close_slowly(self._engine)

    def use(self, adapter: str) -> None:
        """Compare this adapter with its base."""
        self._adapter, self._model, self._bare = adapter, None, False
        self.restart()

    def cancel_loading(self) -> None:
        """End an engine that is still loading; it removes its partial files."""
        self.engine_gone("loading was cancelled · F5 restarts it")
        self._close_slowly(self._engine)

    @work(thread=True)
    def _close_slowly(self, engine: Engine) -> None:
        engine.close(CANCEL_SECONDS)

    def action_adapter(self) -> None:
        """Choose another adapter; its base is loaded if it is a different one."""
        from playground.tui.dialogs.picker import adapter_picker

        shown = self._choices.adapters
        if not shown and not self.alive:  # the list has not arrived yet
            self.hint("F5 restarts the engine; then you can choose.")
            return

        def choose(index: int | None) -> None:
            if index is None:
                return
            chosen = shown[index]
            here = self._here()
            self._adapter, self._model, self._bare = chosen.folder, None, False
            if self.loaded and here and here == chosen.model:
                self._engine.use(chosen.folder, self._style or None)
            else:
                self.restart()

        self._engine.list()  # for next time: a run may have ended meanwhile
        self.app.push_screen(adapter_picker(shown), choose)

    def action_model(self) -> None:
        """Choose another base model, with its newest adapter if there is one."""
        from playground.tui.dialogs.picker import model_picker, newest_on

        shown = self._choices

        def choose(index: int | None) -> None:
            if index is None:
                return
            self._model = shown.models[index]
            newest = newest_on(self._model, shown.adapters)
            self._adapter, self._bare = (newest.folder, False) if newest else (None, True)
            self.restart()

        self._engine.list()
        self.app.push_screen(model_picker(shown.models, shown.adapters), choose)

    def _here(self) -> str:
        """Return the loaded model as named in the adapters' records, or an empty string if unknown."""
        if self._bare:
            return self._model or ""
        ready = self.session.ready
        known = self._choices.adapters
        if self._adapter is not None:
            return next((info.model for info in known if info.folder == self._adapter), "")
        return next((info.model for info in known if ready is not None and info.name == ready.adapter), "")

    def _show_top(self) -> None:
        ready = self.session.ready
        if not self.loaded or ready is None:
            return
        # The proof comes first: a narrow terminal cuts off the end of the line.
        proof = f"✓ base proven {self._proof} · " if self._proof else ""
        adapter = f"adapter {ready.adapter} · style {ready.style}" if ready.adapter else "no adapter"
        self._top(f"{proof}{adapter} · {ready.model}")

    def _top(self, text: str) -> None:
        self.query_one("#top", Static).update(Content(clean(text[:500])))

    def hint(self, text: str, *, error: bool = False) -> None:
        """Show a message below the panes."""
        hint = self.query_one("#hint", Static)
        hint.set_class(error, "error")
        hint.update(Content(clean(text[:2000])))

"""The engine of a screen: starting, hearing, replacing and ending it, and what it was started with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from textual.message import Message
from textual.screen import Screen

from playground.events.engine import (
    AdapterInfo,
    Ask,
    Choices,
    EngineError,
    EngineEvent,
    EngineReady,
    EngineStage,
    Why,
)

if TYPE_CHECKING:  # imported when a row is taught: the first paint does not wait for it
    from playground.events.five_steps import TeacherStage

VERIFIED = "✓ base verified: the original model"
Started = tuple[tuple[str, ...], str | None]  # adapters and model
NOTHING: Started = ((), None)
CANCEL_SECONDS = 5.0  # a cancelled conversion may need this long to clean up


class Engine(Protocol):
    """The part of `playground.jobs.EngineProcess` that the app uses."""

    def ask(self, ask: Ask) -> int:
        """Ask for answers; return the request's number."""
        ...

    def use(self, adapters: Sequence[str] = (), style: str | None = None) -> None:
        """Change the adapters, or without any the style; None is each adapter's own."""
        ...

    def why(self, why: Why) -> int:
        """Ask what each side expected at the tokens of finished answers; return the request's number."""
        ...

    def list(self) -> None:
        """Ask for the choices."""
        ...

    def cancel(self, number: int) -> None:
        """Stop a request."""
        ...

    def events(self) -> Iterator[EngineEvent]:
        """Yield its events until it ends."""
        ...

    def close(self, grace: float = 0.3) -> bool:
        """End it, by force after `grace` seconds; return whether it is gone, and with it all that it held."""
        ...


class Start(Protocol):
    """Starts an engine."""

    def __call__(self, adapters: Sequence[str] = (), model: str | None = None, *, bare: bool = False) -> Engine:
        """Start it with the newest adapter, with these adapters, or with a model alone."""
        ...


class NoEngine:
    """In place of the first engine, where another process has the device from the start; it ends at once."""

    def ask(self, ask: Ask) -> int:
        """Answer nothing."""
        return 0

    def use(self, adapters: Sequence[str] = (), style: str | None = None) -> None:
        """Change nothing."""

    def why(self, why: Why) -> int:
        """Look at nothing."""
        return 0

    def list(self) -> None:
        """List nothing."""

    def cancel(self, number: int) -> None:
        """Stop nothing."""

    def events(self) -> Iterator[EngineEvent]:
        """Yield nothing."""
        yield from ()

    def close(self, grace: float = 0.3) -> bool:
        """End nothing; it is gone."""
        return True


class EngineSaid(Message):
    """An event from an engine, which may have been replaced since."""

    def __init__(self, event: EngineEvent, engine: Engine) -> None:
        super().__init__()
        self.event = event
        self.engine = engine


class EngineController:
    """One engine at a time. Its owner passes each `EngineSaid` to `heard`, and shows what changed.

    Args:
        start: Starts an engine; called immediately, so that the model loads while the screen is built.
        owner: The screen that gets the messages.
        first: The adapters and the model to begin with, as they were chosen last time.

    Attributes:
        loaded: Whether a model is in memory.
        alive: Whether there is an engine, loaded or loading.
        choices: The adapters and models to choose from, as last told.
        started_with: Adapters and model: neither is the newest adapter on its own base, a model without adapters that
            model alone.
        style: The chosen template; empty is the adapter's own.
    """

    def __init__(self, start: Start, owner: Screen[Any], first: Started = NOTHING) -> None:
        self.loaded, self.alive, self._held = False, True, 0
        self.choices = Choices((), ())
        self.style = ""
        self._start, self._owner = start, owner
        self.started_with = first
        self._doubtful = first != NOTHING  # a choice of last time, which may not load any more
        adapters, model = first
        self._engine = start(adapters, model, bare=_bare(first))

    def listen(self) -> None:
        """Begin to pass on the engine's events; the owner is mounted now."""
        self._owner.run_worker(partial(self._follow, self._engine), thread=True)

    def _follow(self, engine: Engine) -> None:
        for event in engine.events():
            if not self._owner.app.is_running:
                return
            self._owner.post_message(EngineSaid(event, engine))

    def heard(self, message: EngineSaid) -> bool:
        """Keep what an event says about the engine; return False if that engine was ended or replaced."""
        if message.engine is not self._engine or not self.alive:
            return False
        match message.event:
            case EngineReady() as ready:
                self.loaded, self._doubtful, self._held = True, False, ready.held
            case Choices() as choices:
                self.choices = choices
            case EngineError(request=-1):
                self.loaded = self.alive = False
        return True

    @property
    def held(self) -> int:
        """Bytes of its device that are free again once it ends."""
        return self._held if self.alive else 0

    def ask(self, ask: Ask) -> int:
        """Ask for answers; return the request's number."""
        return self._engine.ask(ask)

    def why(self, why: Why) -> int:
        """Ask what each side expected at the tokens of finished answers; return the request's number."""
        return self._engine.why(why)

    def cancel(self, number: int) -> None:
        """Stop a request."""
        self._engine.cancel(number)

    def refresh_choices(self) -> None:
        """Ask for `choices` again: a run may have ended meanwhile."""
        self._engine.list()

    def use_style(self, style: str) -> None:
        """Use a template from the next answer on; empty is the adapter's own."""
        self.style = style
        self._engine.use((), style or None)

    def use(self, adapters: Sequence[AdapterInfo], source: str) -> None:
        """Serve adapters of one base: at once if the loaded model, named by `source`, is it, else from a new engine.

        Raises:
            PlaygroundError: If a training run is using the device.
        """
        folders = tuple(adapter.folder for adapter in adapters)
        if self.loaded and source and source == adapters[0].model:
            self.started_with = (folders, None)
            self._engine.use(folders, self.style or None)
        else:
            self.load(folders)

    def load(self, adapters: Sequence[str], model: str | None = None) -> None:
        """Start an engine with these adapters, or with a model alone, in place of the current one.

        Raises:
            PlaygroundError: If a training run is using the device.
        """
        self._replace(self._start(adapters, model, bare=not adapters))
        self.started_with = (tuple(adapters), model)

    def restart(self) -> None:
        """Start an engine with what the last one was started with.

        Raises:
            PlaygroundError: If a training run is using the device; the current engine is then kept.
        """
        adapters, model = self.started_with
        self._replace(self._start(adapters, model, bare=_bare(self.started_with)))

    def forget_last(self) -> bool:
        """Let `restart` take the newest adapter if last time's choice did not load; return whether it did not."""
        doubtful, self._doubtful = self._doubtful, False
        if doubtful:
            self.started_with = NOTHING
        return doubtful

    def _replace(self, engine: Engine) -> None:
        self._engine.close()
        self._engine = engine
        self.loaded, self.alive = False, True
        if self.style:
            engine.use((), self.style)
        self.listen()

    def release(self, then: Callable[[bool], None] = lambda gone: None) -> None:
        """End the engine, so that another process can use the device, or because its loading was cancelled.

        Args:
            then: Called with whether it is gone, from the thread that waited for it.
        """
        self.loaded = self.alive = False
        engine = self._engine
        self._owner.run_worker(lambda: then(engine.close(CANCEL_SECONDS)), thread=True)

    def close(self) -> None:
        """End the engine with its screen."""
        self._engine.close()


def _bare(with_what: Started) -> bool:
    adapters, model = with_what
    return not adapters and model is not None


def stage_words(event: EngineStage | TeacherStage) -> str:
    """Return a stage of loading in words."""
    share = f" {100 * event.share:.0f} %" if 0 < event.share < 1 else ""
    return f"{event.stage}{share} …"


def ready_words(ready: EngineReady, *, verified: bool) -> str:
    """Return what is loaded, and whether its base was verified. That comes first: narrow windows cut."""
    proven = f"{VERIFIED} · " if verified else ""
    adapters = "adapters" if len(ready.sides) > 1 else "adapter"
    what = f"{adapters} {ready.adapter} · style {ready.style}" if ready.adapter else "no adapter"
    return f"{proven}{what} · {ready.model}"

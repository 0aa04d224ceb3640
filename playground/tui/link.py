"""The engine's interface as the app uses it, and the message that carries its events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from textual.message import Message

from playground.events.engine import Ask, EngineEvent


class Engine(Protocol):
    """The part of `playground.jobs.EngineProcess` that the app uses."""

    def ask(self, ask: Ask) -> int:
        """Ask for answers."""
        ...

    def use(self, adapter: str | None, style: str | None = None) -> None:
        """Change adapter or style."""
        ...

    def list(self) -> None:
        """Ask for the choices."""
        ...

    def cancel(self, number: int) -> None:
        """Stop a request."""
        ...

    def events(self) -> Iterator[EngineEvent]:
        """Yield its events."""
        ...

    def close(self, grace: float = 0.3) -> None:
        """End it."""
        ...


class Start(Protocol):
    """Starts an engine."""

    def __call__(self, adapter: str | None = None, model: str | None = None, *, bare: bool = False) -> Engine:
        """Start it with the newest adapter, a given adapter, or a model alone."""
        ...


class Heard(Message):
    """An event from the engine."""

    def __init__(self, event: EngineEvent, engine: Engine) -> None:
        super().__init__()
        self.event = event
        self.engine = engine

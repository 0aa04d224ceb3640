"""Start the app: the engine first, then everything that is slow to import."""

from __future__ import annotations

import gc
from collections.abc import Sequence

from playground.jobs.engine import EngineProcess


def run() -> int:
    """Run the app; return its exit code."""
    # Garbage collection took a seventh of the time to the first paint, with nothing to collect yet. The app turns
    # the collector back on once it is on screen.
    gc.disable()
    first: EngineProcess | None = EngineProcess()

    from playground.tui.app import PlaygroundApp

    def start(adapters: Sequence[str] = (), model: str | None = None, *, bare: bool = False) -> EngineProcess:
        nonlocal first
        engine, first = first or EngineProcess(adapters, model=model, bare=bare), None
        return engine

    app = PlaygroundApp(start)
    app.run()
    return app.return_code or 0

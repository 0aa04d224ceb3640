"""Start the app: the engine first, then everything that is slow to import."""

from __future__ import annotations

import gc

from playground.jobs.engine import EngineProcess


def run(adapters_dir: str | None = None) -> int:
    """Run the app; return its exit code."""
    # Garbage collection took a seventh of the time to the first paint, with nothing to collect yet. The app turns
    # the collector back on once it is on screen.
    gc.disable()
    first: EngineProcess | None = EngineProcess(adapters_dir=adapters_dir)

    from playground.tui.app import PlaygroundApp

    def start(adapter: str | None = None, model: str | None = None, *, bare: bool = False) -> EngineProcess:
        nonlocal first
        engine, first = first or EngineProcess(adapter, adapters_dir, model, bare=bare), None
        return engine

    app = PlaygroundApp(start, adapters_dir=adapters_dir)
    app.run()
    return app.return_code or 0

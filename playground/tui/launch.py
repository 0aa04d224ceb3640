"""Start the app: the engine first, then everything that is slow to import."""

from __future__ import annotations

import gc
from collections.abc import Sequence

from playground import paths
from playground.jobs.engine import EngineProcess
from playground.tui.state.memory import Memory, last_engine


def run(*, learn: bool = False) -> int:
    """Run the app; return its exit code.

    Args:
        learn: Whether to open the lesson at once. Its teacher has the device then, so the engine starts after it.
    """
    # Garbage collection took a seventh of the time to the first paint, with nothing to collect yet. The app turns
    # the collector back on once it is on screen.
    gc.disable()
    memory = Memory(paths.state_file())
    adapters, model = last_engine(memory.now, paths.adapters_dir())
    first: EngineProcess | None = None
    if not learn:
        first = EngineProcess(adapters, model=model, bare=not adapters and model is not None)

    from playground.tui.app import PlaygroundApp

    def start(adapters: Sequence[str] = (), model: str | None = None, *, bare: bool = False) -> EngineProcess:
        nonlocal first
        engine, first = first or EngineProcess(adapters, model=model, bare=bare), None
        return engine

    app = PlaygroundApp(start, memory=memory, first=(adapters, model), learn=learn)
    app.run()
    memory.close()
    return app.return_code or 0

"""Starting the app: the engine first, then everything that takes time to import."""

from __future__ import annotations

from playground.jobs import EngineProcess


def run(adapter: str | None = None, adapters_dir: str | None = None, model: str | None = None) -> None:
    """Open the app; return when it is closed."""
    first: EngineProcess | None = EngineProcess(adapter, adapters_dir, model)

    from playground.tui.app import PlaygroundApp

    def start() -> EngineProcess:
        nonlocal first
        engine, first = first or EngineProcess(adapter, adapters_dir, model), None
        return engine

    PlaygroundApp(start).run()

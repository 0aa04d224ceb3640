"""The engine child, as the app sees it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from playground.events.engine import ENGINE_EVENTS, Ask, EngineError, EngineEvent
from playground.jobs.process import LineChild


class EngineProcess(LineChild):
    """The engine child; it says what it does from its first moment.

    Args:
        adapter: The adapter's name or folder, or None for the newest.
        adapters_dir: Where adapters are, or None for the usual place.
        model: The base, or None for the adapter's own.
        bare: Load the model without an adapter.
        adapters: Several adapters on one base, instead of one; their sides are ``sft:NAME``.
    """

    def __init__(
        self,
        adapter: str | None = None,
        adapters_dir: str | None = None,
        model: str | None = None,
        *,
        bare: bool = False,
        adapters: Sequence[str] = (),
    ) -> None:
        options = {
            "adapter": adapter, "adapters_dir": adapters_dir, "model": model, "bare": bare, "adapters": list(adapters),
        }  # fmt: skip
        super().__init__("playground.inference.child", options)
        self._number = 0

    def ask(self, ask: Ask) -> int:
        """Ask for answers; return the number that their events carry."""
        self._number += 1
        self.write({"do": "answer", "id": self._number, "ask": ask.to_dict()})
        return self._number

    def use(self, adapter: str | None, style: str | None = None) -> None:
        """Change to another adapter of the same base, or to another style; None is the one there, or its own."""
        self.write({"do": "use", "adapter": adapter, "style": style})

    def list(self) -> None:
        """Ask for `Choices` again."""
        self.write({"do": "list"})

    def cancel(self, number: int) -> None:
        """Stop a request; what was said so far comes as its answer."""
        self.write({"do": "cancel", "id": number})

    def events(self) -> Iterator[EngineEvent]:
        """Yield events until the child ends. To be read in a thread of its own.

        An end that nobody asked for comes as a last `EngineError` with the exit code and the last words.
        """
        failed = False
        for event in self.said(ENGINE_EVENTS):
            failed = failed or (isinstance(event, EngineError) and event.request == -1)
            yield event
        if self.exit_code and not failed:
            last = " ".join(self.last_words).strip()[-500:]
            how = f"with exit code {self.exit_code}"
            if self.exit_code < 0:
                how = f"by signal {-self.exit_code}" + (", as when memory runs out" if self.exit_code == -9 else "")
            yield EngineError(-1, f"The engine was ended {how}. {last}".strip(), "Start it again with F5.")

"""The engine child from the app's side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from playground.events.engine import ENGINE_EVENTS, Ask, EngineError, EngineEvent, Why
from playground.jobs.process import LineChild


class EngineProcess(LineChild):
    """The engine child; it reports its progress from the start.

    Args:
        adapters: The adapters' names or folders, on one base; none is the newest one. The side of one is ``sft``, the
            sides of several are ``sft:NAME``.
        adapters_dir: The folder of the adapters, or None for the default.
        model: The base, or None for the adapter's own.
        bare: Load the model without an adapter.
    """

    def __init__(
        self,
        adapters: Sequence[str] = (),
        adapters_dir: str | None = None,
        model: str | None = None,
        *,
        bare: bool = False,
    ) -> None:
        options = {"adapters": list(adapters), "adapters_dir": adapters_dir, "model": model, "bare": bare}
        super().__init__("playground.inference.child", options)

    def ask(self, ask: Ask) -> int:
        """Ask for answers; return the request number that their events carry."""
        return self.request("answer", ask=ask.to_dict())

    def use(self, adapters: Sequence[str] = (), style: str | None = None) -> None:
        """Switch to other adapters of the same base, or without any to another style; None is each adapter's own."""
        self.write({"do": "use", "adapters": list(adapters), "style": style})

    def why(self, why: Why) -> int:
        """Ask what each side expected at the tokens of finished answers; return the request's number."""
        return self.request("why", why=why.to_dict())

    def list(self) -> None:
        """Ask for `Choices` again."""
        self.write({"do": "list"})

    def cancel(self, number: int) -> None:
        """Stop a request; the text so far is returned as its answer."""
        self.write({"do": "cancel", "id": number})

    def events(self) -> Iterator[EngineEvent]:
        """Yield events until the child exits. To be read in a separate thread.

        An unexpected exit is reported as a final `EngineError` with the exit code and the last lines of standard error.
        """
        failed = False
        for event in self.said(ENGINE_EVENTS):
            failed = failed or (isinstance(event, EngineError) and event.request == -1)
            yield event
        if (ended := self.why_it_ended("The engine")) and not failed:
            yield EngineError(-1, ended, "Restart it with F5.")

"""The five steps as a process: one row and a scratch adapter, on a base that stays in memory.

``python -m playground.analysis.child OPTIONS``. Requests are JSON lines, each with an ``id``: ``open`` and ``row`` with
a ``lesson``, ``step``, ``undo``, ``mask`` with ``masked``, ``rate`` with ``learning_rate``, ``restart`` with an
``adapter``, ``ask`` with the arguments of `ask.ask`. They are served in order, and each ends with `Served`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playground import paths
from playground.config import TrainConfig
from playground.environ import uncollected
from playground.errors import InputError, PlaygroundError, UsageError
from playground.events.answers import Sampling
from playground.events.contrast import AnalysisEvent
from playground.events.five_steps import Lesson, Served, TeacherError, TeacherStage
from playground.jobs import border

if TYPE_CHECKING:
    from playground.analysis.five_steps import FiveSteps
    from playground.data.examples import Dataset, Example

NICE = 5  # the screen has priority
REQUESTS = ("open", "row", "step", "undo", "mask", "rate", "restart", "ask")


def main() -> None:
    """Serve requests until standard input ends."""
    os.nice(NICE)

    def work(send: Callable[[AnalysisEvent], None]) -> None:
        send(TeacherStage("starting PyTorch", 0.0))
        with uncollected():
            import playground.analysis.five_steps  # noqa: F401 - takes seconds, so it begins before the first request
        teacher = Teacher(send, json.loads(sys.argv[1])["adapters_dir"])
        for line in sys.stdin:
            try:
                request = json.loads(line)
                known = isinstance(request["id"], int) and request["do"] in REQUESTS
            except (ValueError, KeyError, TypeError, RecursionError):
                known = False
            if known:
                teacher.serve(request)
            else:
                print(f"not a request: {line[:200]!r}", file=sys.stderr)

    border.run(work, lambda message, hint: TeacherError(-1, message, hint))


class Teacher:
    """Serves requests one by one.

    Args:
        send: Receives the events.
        adapters_dir: The folder of the adapters, or None for the default.
    """

    def __init__(self, send: Callable[[AnalysisEvent], None], adapters_dir: str | None = None) -> None:
        self._send = send
        self._home = paths.adapters_dir(adapters_dir)
        self._steps: FiveSteps | None = None
        self._example: Example | None = None
        self._data: tuple[tuple[Any, ...], Dataset] | None = None  # the set that was read last, and what it depends on

    def serve(self, request: dict[str, Any]) -> None:
        """Serve one of `REQUESTS`; a problem that the user can act on is sent as an event."""
        from playground.models.memory import give_back, naming_memory

        fault = None
        try:
            with naming_memory("working on the row"):
                for event in self._answer(request):
                    self._send(event)
        except PlaygroundError as error:
            fault = TeacherError(request["id"], error.message, error.hint)
        if fault is not None:
            self._send(fault)
            if self._steps is not None:
                give_back(self._steps.training.base.device)  # not before: the error's traceback holds the tensors
        self._send(Served(request["id"]))

    def _answer(self, request: dict[str, Any]) -> Iterator[AnalysisEvent]:
        if request["do"] == "open":
            yield from self._open(Lesson.from_dict(request["lesson"]))
            return
        steps = self._steps
        if steps is None:
            raise UsageError("No row is open.", "Open one first.")
        match request["do"]:
            case "step":
                yield from steps.step()
                return
            case "undo":
                yield steps.undo()
                return
            case "rate":
                steps.learning_rate = request["learning_rate"]
                yield steps.opened
                return
            case "ask":
                from playground.analysis.ask import ask

                sampling = Sampling.from_dict(request["sampling"])
                yield from ask(steps.lineup, request["prompt"], sampling, draws=request["draws"], base=request["base"])
                return
            case "row":
                example = self._example_of(Lesson.from_dict(request["lesson"]))
                yield steps.set_row(example, masked=steps.opened.masked)
                self._example = example
            case "mask":
                assert self._example is not None
                yield steps.set_row(self._example, masked=request["masked"])
            case "restart":
                yield steps.restart(self._adapter(request["adapter"]))
        yield steps.forward()

    def _open(self, lesson: Lesson) -> Iterator[AnalysisEvent]:
        from playground.analysis.five_steps import FiveSteps
        from playground.models import demo

        example = self._example_of(lesson)
        self._steps = None  # two bases may not fit
        with uncollected():
            self._steps = FiveSteps.load(
                TrainConfig.from_dict(lesson.config),
                example,
                lambda stage, share: self._send(TeacherStage(stage, share, demo.first_use())),
                adapter=self._adapter(lesson.adapter),
                model=lesson.model or None,
            )
        self._example = example
        yield self._steps.opened
        self._send(TeacherStage("the forward pass", 0.0))
        yield self._steps.forward()

    def _adapter(self, name: str) -> Path | None:
        from playground.models.adapters import find_adapter

        return find_adapter(name, self._home) if name else None

    def _example_of(self, lesson: Lesson) -> Example:
        """Return the row of a lesson.

        Raises:
            PlaygroundError: If the data cannot be read or has no such row, or if a typed row has no text.
        """
        from playground.data.examples import typed_row
        from playground.data.jsonl import Problem

        if not lesson.line:
            row = typed_row(lesson.prompt, lesson.answer)
            if isinstance(row, Problem):
                words = row.message.replace("'prompt'", "the prompt").replace("'response'", "the answer")
                raise InputError(
                    f"This row cannot be taught: {words}.", "Type a prompt and an answer with text in them."
                )
            return row
        config = TrainConfig.from_dict(lesson.config)
        examples: Iterable[Example] = self._dataset(config).examples
        found = next((example for example in examples if example.line == lesson.line), None)
        if found is None:
            raise InputError(f"Line {lesson.line} of {config.data} is not a row any more.", "Open the data set again.")
        return found

    def _dataset(self, config: TrainConfig) -> Dataset:
        """Return the data set of a config; the last one is not read again while its file is the same."""
        from playground.data.examples import training_data

        file = None
        if not config.data.startswith("hf:"):
            with suppress(OSError, ValueError):  # reading it says what is wrong
                file = paths.find_file(config.data).stat()
        stamp = (file.st_dev, file.st_ino, file.st_size, file.st_mtime_ns) if file else ()
        what = (config.data, config.columns, config.skip_bad, config.repair, *stamp)
        if self._data is None or self._data[0] != what:
            self._data = None  # two large sets may not fit
            self._data = what, training_data(config)
        return self._data[1]


if __name__ == "__main__":
    main()

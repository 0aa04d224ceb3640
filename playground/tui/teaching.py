"""What the compare screen teaches, and what the lesson is about: its last prompt and answer, a copy of its adapter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playground import settings
from playground.config import TrainConfig
from playground.errors import PlaygroundError
from playground.events.five_steps import Lesson
from playground.runs import library
from playground.tui.content.advice import in_app
from playground.tui.dialogs.teach import TeachDialog
from playground.tui.screens.compare import CompareScreen
from playground.tui.state.engine import NOTHING
from playground.tui.state.session import Session


def ask_row(compare: CompareScreen, teach: Callable[[Lesson], None]) -> None:
    """Let the last answer of sft be corrected; hand the row to `teach`, unless it is given up."""
    session = compare.session
    if session.shown is not None and session.shown.hidden:
        compare.hint("The answer of sft would tell which side it is: vote first, with F4.")
        return
    if busy(compare):
        return

    def chosen(row: tuple[str, str] | None) -> None:
        if row is None:
            return
        try:
            teach(about(compare, adapter_of(compare), row))
        except PlaygroundError as error:
            compare.hint(in_app(f"{error.message} {error.hint}"), error=True)

    compare.app.push_screen(TeachDialog(*last_answer(session)), chosen)


def busy(compare: CompareScreen) -> bool:
    """Return whether answers on the compare screen are unfinished; if so, say there what ends them."""
    if compare.streaming:
        compare.hint("The answers are not finished: Esc stops them.")
    return compare.streaming


def about(compare: CompareScreen, adapter: str, row: tuple[str, str] = ("", "")) -> Lesson:
    """Return a row to teach to a copy of an adapter, or from nothing to the model of the compare screen.

    Raises:
        PlaygroundError: If the user's settings are not valid.
    """
    config = TrainConfig(**settings.options({}, None))
    _, model = compare.engine.started_with
    if not adapter and model:
        config = TrainConfig.from_dict({**config.to_dict(), "model": model})
    return Lesson(config.to_dict(), *row, adapter=adapter, model=_named_base(compare))


def on_data(compare: CompareScreen, home: Path, config: TrainConfig) -> Lesson:
    """Return the data set of a config with the adapter of the compare screen; its rows are chosen by their lines."""
    return Lesson(config.to_dict(), adapter=adapter_to_come(compare, home), model=_named_base(compare))


def _named_base(compare: CompareScreen) -> str:
    """Return the base that was named with the adapter of the compare screen, whose record may not name one."""
    adapters, model = compare.engine.started_with
    return model if adapters and model else ""


def last_answer(session: Session) -> tuple[str, str]:
    """Return the prompt on the screen and what sft answered; of several adapters the first."""
    now = session.shown
    if now is None:
        return session.last_prompt, ""
    lane = next((lane for lane in now.lanes if lane.side.startswith("sft")), None)
    answer = now.answers.get(lane.name) if lane is not None else None
    return now.prompt, answer.text.strip() if answer is not None else ""


def adapter_of(compare: CompareScreen) -> str:
    """Return the folder or name of the adapter in the sft pane, the first of several; empty if there is none."""
    adapters, _ = compare.engine.started_with
    ready = compare.session.ready
    if adapters:
        return adapters[0]
    if ready is None or not ready.adapter:
        return ""
    known = (adapter.folder for adapter in compare.engine.choices.adapters if adapter.name == ready.adapter)
    return next(known, ready.adapter)


def adapter_to_come(compare: CompareScreen, home: Path) -> str:
    """Return the adapter in the sft pane, or if none was loaded yet, the one that will be; empty if there is none."""
    if compare.session.ready is None and compare.engine.started_with == NOTHING:
        return next((str(folder) for folder, _ in library.adapters(home)), "")
    return adapter_of(compare)

"""Looking at a training between two steps: sample answers and held-out loss. Nothing of it changes what is learned."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from playground.events.runs import Evaluated, Event, Sampled, Warned
from playground.models.memory import MemoryFault, give_back
from playground.training.clock import Clock
from playground.training.setup import Training


@dataclass
class Seen:
    """The last answers to the sample prompts, and the last loss on the held-out rows."""

    sampled: Sampled | None = None
    evaluated: Evaluated | None = None

    def hear(self, events: Iterable[Event]) -> None:
        """Keep the last of each among `events`."""
        for event in events:
            if isinstance(event, Sampled):
                self.sampled = event
            elif isinstance(event, Evaluated):
                self.evaluated = event


def look(training: Training, clock: Clock, seen: Seen) -> Iterator[Event]:
    """Answer the sample prompts and measure the held-out rows, on the first rank; nothing on the others."""
    if not training.ranks.is_main:
        training.require_finite()  # as the first rank does before it samples
        return
    with clock.sampling(share=1.0 if training.state.step else 0.5):  # at first the base answers too
        events = [unless_memory(training, lambda: training.sample(clock.started))]
        if training.eval_rows:
            events.append(unless_memory(training, training.evaluate))
    seen.hear(events)
    yield from events


def unless_memory(training: Training, measure: Callable[[], Event]) -> Event:
    """Return what `measure` finds; if there is no memory for it, a warning, because training can go on without it."""
    try:
        return measure()
    except MemoryFault as fault:
        message = f"{fault.message[0].lower()}{fault.message[1:].rstrip('.')}; the training goes on"
    give_back(training.base.device)
    return Warned(training.state.step, message)

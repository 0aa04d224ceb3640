"""Which sample prompt and which sampling step of a run are shown. Independent of widgets."""

from __future__ import annotations

from collections.abc import Sequence

from playground.events.prompts import Prompt
from playground.report.filmstrip import Frame
from playground.tui.state.run_history import RunHistory


class Film:
    """A place in a run's filmstrips.

    Attributes:
        at: The sampling step that was gone to; None follows the run, and shows the last step of an ended one.
        number: The index of the prompt.
    """

    def __init__(self, history: RunHistory) -> None:
        self._history = history
        self.at: int | None = None
        self.number = 0

    @property
    def steps(self) -> Sequence[int]:
        """The sampling steps, in order."""
        return sorted(self._history.samplings)

    @property
    def shown(self) -> int | None:
        """The step whose answer is shown; None before the first sampling."""
        return self.at if self.at in self._history.samplings else max(self._history.samplings, default=None)

    @property
    def prompt(self) -> Prompt | None:
        """The prompt that is shown; None if there are none."""
        prompts = self._history.prompts()
        return prompts[min(self.number, len(prompts) - 1)] if prompts else None

    @property
    def frames(self) -> Sequence[Frame]:
        """The frames of that prompt."""
        return self._history.frames(self.prompt) if self.prompt else ()

    def scrub(self, by: int) -> None:
        """Go to an earlier or later sampling; after the last one of a live run, follow it again."""
        steps = self.steps
        if not steps:
            return
        place = (steps.index(self.at) if self.at in steps else len(steps) - (1 if by < 0 else 0)) + by
        self.at = steps[max(0, place)] if place < len(steps) - (1 if self._history.live else 0) else None

    def turn(self, by: int) -> None:
        """Go to the previous or next prompt; after the last one comes the first."""
        self.number = (self.number + by) % max(1, len(self._history.prompts()))

    def rewind(self) -> bool:
        """Go to the first sampling; return whether there is another one to go on to."""
        self.at = next(iter(self.steps), None)
        return len(self.steps) > 1

    def advance(self) -> bool:
        """Go to the next sampling; return whether there is another one after that, else follow the run."""
        later = [step for step in self.steps if self.at is not None and step > self.at]
        self.at = later[0] if later[1:] else None
        return self.at is not None

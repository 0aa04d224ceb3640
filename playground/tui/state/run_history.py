"""A run's state, built from its events. Independent of widgets, so it can be tested alone."""

from __future__ import annotations

from playground.events.runs import (
    BatchHalved,
    CheckpointSaved,
    Continued,
    Evaluated,
    Event,
    Paused,
    Replied,
    RunEnded,
    RunStage,
    RunStarted,
    Sampled,
    StepDone,
    StepSkipped,
)
from playground.report.words import duration, gigabytes

SMOOTH = 0.8  # weight of the past in the smoothed loss


class RunHistory:
    """A run so far, from its events in order. If a resume repeats a step, the later one counts."""

    def __init__(self) -> None:
        self.stage: RunStage | None = None
        self.started: RunStarted | None = None
        self.steps: dict[int, StepDone] = {}
        self.samplings: dict[int, Sampled] = {}
        self.evaluations: dict[int, Evaluated] = {}
        self.replies: list[Replied] = []
        self.paused = False
        self.saved = 0
        self.note = ""
        self.ended: RunEnded | None = None

    def add(self, event: Event) -> None:
        """Add the next event."""
        match event:
            case RunStage():
                self.stage, self.ended = event, None
            case RunStarted():
                self.started, self.ended, self.paused = event, None, False
            case StepDone():
                self.steps[event.step] = event
            case Sampled():
                self.samplings[event.step] = event
            case Evaluated():
                self.evaluations[event.step] = event
            case Replied():
                self.replies.append(event)
            case Paused():
                self.paused = True
            case Continued():
                self.paused = False
            case CheckpointSaved():
                self.saved = event.step
            case StepSkipped():
                self.note = f"step {event.step} was skipped: {event.reason}"
            case BatchHalved():
                self.note = f"out of memory: now {event.micro_batch_size} rows at a time"
            case RunEnded():
                self.ended, self.paused = event, False

    @property
    def step(self) -> int:
        """The last completed step."""
        return max(self.steps, default=self.started.step if self.started else 0)

    @property
    def num_steps(self) -> int:
        """The steps of the whole run, if known."""
        return self.started.plan.num_steps if self.started else self.step

    @property
    def live(self) -> bool:
        """Whether a process is training or about to start."""
        return self.ended is None and (self.stage is not None or self.started is not None)

    def losses(self) -> list[tuple[int, float]]:
        """Return ``(step, loss)`` in order."""
        return [(step, self.steps[step].loss) for step in sorted(self.steps)]

    def held_out(self) -> list[tuple[int, float]]:
        """Return ``(step, loss on the held-out rows)`` in order."""
        return [(step, self.evaluations[step].eval_loss) for step in sorted(self.evaluations)]

    def smoothed(self) -> list[tuple[int, float]]:
        """Return ``(step, loss)`` as a bias-corrected moving average over the previous steps."""
        mean, weight, points = 0.0, 0.0, []
        for step, loss in self.losses():
            mean = SMOOTH * mean + (1 - SMOOTH) * loss
            weight = SMOOTH * weight + (1 - SMOOTH)
            points.append((step, mean / weight))
        return points

    def state(self) -> str:
        """Return the run's state in words."""
        if self.ended is not None:
            how = {"finished": "■ finished", "stopped": "□ stopped", "cancelled": "✗ cancelled", "failed": "✗ failed"}
            said = how[self.ended.state]
            return said if self.ended.state == "finished" else f"{said} at step {self.step}: {self.ended.reason}"
        if self.started is None:
            if self.stage is None:
                return "… starting"
            share = f", {100 * self.stage.share:.0f} %" if 0 < self.stage.share < 1 else ""
            return f"… {self.stage.stage}{share}"
        if self.paused:
            return f"‖ paused at step {self.step} of {self.num_steps}"
        last = self.steps.get(self.step)
        left = f" · {duration(last.seconds_left)} left" if last and last.seconds_left is not None else ""
        return f"▶ step {self.step} of {self.num_steps}{left}"

    def numbers(self, width: int) -> str:
        """Return the last step's figures, wrapped to lines of `width` cells without splitting a figure."""
        last = self.steps.get(self.step)
        if last is None:
            return ""
        figures = [
            f"loss {last.loss:4.2f}",
            f"mean {self.smoothed()[-1][1]:4.2f}",
            *([f"held out ◆ {self.held_out()[-1][1]:4.2f}"] if self.evaluations else []),
            f"lr {last.learning_rate:.1e}",
            f"grad {last.grad_norm:4.2f}",
            f"{last.tokens_per_second:.0f} tokens/s",
            *([f"peak {gigabytes(last.peak_memory)}"] if last.peak_memory else []),
        ]
        lines = [figures[0]]
        for figure in figures[1:]:
            if len(lines[-1]) + 2 + len(figure) <= width:
                lines[-1] += f"  {figure}"
            else:
                lines.append(figure)
        return "\n".join(lines)

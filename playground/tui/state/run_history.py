"""A run's state, built from its events. Independent of widgets, so it can be tested alone."""

from __future__ import annotations

from playground.events.prompts import Prompt
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
    Warned,
)
from playground.report import filmstrip
from playground.report.filmstrip import Frame
from playground.report.words import duration, gigabytes
from playground.text import count, flow
from playground.tui.content.advice import in_app

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
            case RunStage() if self.started is not None and self.ended is None:  # a full disk
                self.note = event.stage
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
            case Warned():
                self.note = f"step {event.step}: {event.message}"
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

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled, so that nothing of it was kept."""
        return self.ended is not None and self.ended.state == "cancelled"

    def losses(self) -> list[tuple[int, float]]:
        """Return ``(step, loss)`` in order."""
        return [(step, self.steps[step].loss) for step in sorted(self.steps)]

    def held_out(self) -> list[tuple[int, float]]:
        """Return ``(step, loss on the held-out rows)`` in order."""
        return [(step, self.evaluations[step].eval_loss) for step in sorted(self.evaluations)]

    def lowest(self) -> tuple[int, float] | None:
        """Return the step with the lowest loss on the held-out rows, and that loss; None if there are not two."""
        step = filmstrip.lowest(dict(self.held_out()))
        return None if step is None else (step, self.evaluations[step].eval_loss)

    def prompts(self) -> list[Prompt]:
        """Return the sample prompts; of an older run they are known once they were answered."""
        planned = self.started.plan.sample_prompts if self.started else ()
        known = {prompt.prompt: prompt for prompt in planned}
        return list(known.values()) or [Prompt("", text) for text in filmstrip.asked(self.samplings)]

    def frames(self, prompt: Prompt) -> list[Frame]:
        """Return the answers to a prompt, step by step."""
        return filmstrip.frames(prompt.prompt, self.samplings, dict(self.held_out()))

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
            why = in_app(self.ended.reason)
            return said if self.ended.state == "finished" else f"{said} at step {self.step}: {why}"
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

    def numbers(self, width: int, at: int | None = None) -> str:
        """Return the figures of a step, with the marks of the chart, wrapped to lines without splitting a figure.

        Args:
            width: Cells of a line.
            at: The step; None for the last one.
        """
        step = self.step if at is None else at
        done = self.steps.get(step)
        mean = dict(self.smoothed()).get(step)
        held_out = [loss for when, loss in self.held_out() if when <= step]
        low = self.lowest()
        if done is None and not held_out:
            return ""
        figures = [
            f"step {step} of {self.num_steps}" if step else "before training",
            *([f"loss ⠂ {done.loss:.2f}"] if done else []),
            *([f"mean ━ {mean:.2f}"] if mean is not None else []),
            *([f"held out ◇ {held_out[-1]:.2f}"] if held_out else []),
            *([f"lowest ◆ {low[1]:.2f} at step {low[0]}"] if low else []),
            *([f"lr {done.learning_rate:.1e}", f"grad {done.grad_norm:.2f}"] if done else []),
            *([f"{count(round(done.tokens_per_second), 'token')}/s"] if done else []),
            *([f"peak {gigabytes(done.peak_memory)}"] if done and done.peak_memory else []),
        ]
        return "\n".join("  ".join(line) for line in flow(figures, width))

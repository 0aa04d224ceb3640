"""Narration on standard error: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self, TextIO, cast

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from playground.cli.streams import Lasting
from playground.data.answered import repeats_itself
from playground.events.prompts import Prompt
from playground.events.runs import (
    BatchHalved,
    CheckpointSaved,
    Evaluated,
    Event,
    RunEnded,
    RunStarted,
    Sample,
    Sampled,
    StepDone,
    StepSkipped,
    Warned,
)
from playground.report import plan as words
from playground.report.words import duration, gigabytes, how_it_ended, setting
from playground.text import clean, count, one_line

PLAIN_SECONDS = 10.0  # between two plain lines


class Narrator:
    """Reports what happens while a model loads and trains. Use it as a context manager.

    On a terminal the status and the latest samples are updated in place; in a pipe each sampling
    and, every ten seconds, the status is printed on a new line.
    """

    def __init__(self) -> None:
        context = click.get_current_context(silent=True)
        self._quiet = bool(context and context.find_root().params.get("quiet"))
        stream = cast(TextIO, Lasting(sys.stderr))  # training continues if the reader goes away
        self._console = Console(file=stream, highlight=False, markup=False, emoji=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True) if self._tty else None
        self._status = Text()
        self._samples: list[RenderableType] = []
        self._num_steps = 0
        self._last_plain = 0.0
        self._stage = ""
        self._eval_loss: float | None = None
        self._asked: dict[str, Prompt] = {}
        self._peak_memory = 0

    @property
    def _tty(self) -> bool:
        return sys.stderr.isatty() and not self._quiet

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def line(self, text: str, style: str = "") -> None:
        """Print a line that stays."""
        if self._quiet:
            return
        self._console.print(Text(clean(text), style=style), soft_wrap=True)

    def progress(self, stage: str, share: float) -> None:
        """Show the progress of a stage; a plain log gets each stage once."""
        if not self._live:
            if stage != self._stage:
                self.line(f"{stage} …")
            self._stage = stage
            return
        self._status = Text(f"{clean(stage)} {100 * share:.0f} %" if 0 < share < 1 else f"{clean(stage)} …")
        self._redraw()

    def event(self, event: Event) -> None:
        """Report a training event."""
        if self._quiet:
            return
        match event:
            case RunStarted():
                self._num_steps = event.plan.num_steps
                self._asked = {prompt.prompt: prompt for prompt in event.plan.sample_prompts}
                self._status = Text("answering the sample prompts, then the first step …")
                self._started(event)
            case StepDone():
                self._step(event)
            case Sampled():
                self._sampled(event)
            case Evaluated():
                self._eval_loss = event.eval_loss
                if not self._live:
                    self.line(f"loss on the held-out rows {event.eval_loss:.2f}")
            case StepSkipped():
                rows = f"; its rows: {', '.join(map(str, event.rows))}" if event.rows else ""
                self.line(f"step {event.step} was skipped: {event.reason}; the weights are unchanged{rows}", "yellow")
            case Warned():
                self.line(event.message, "yellow")
            case BatchHalved():
                self.line(
                    f"out of memory: retrying this batch, {count(event.micro_batch_size, 'row')} at a time", "yellow"
                )
            case RunEnded():
                self._ended(event)
            case CheckpointSaved():
                pass

    def _started(self, event: RunStarted) -> None:
        plan = event.plan
        self.line(f"{event.run}: {event.model} on {plan.device}", "bold")
        self.line(f"{plan.data}: {words.rows(plan)}; {words.tokens(plan)}")
        for note, _ in words.notes(plan):
            self.line(note.rstrip(), "yellow")
        more = f", continuing after step {event.step}" if event.step else ""
        self.line(f"{words.steps(plan)}; {words.trained(plan)}{more}")
        if plan.choices:
            self.line("; ".join(f"{c.name} {setting(c.value)} ({c.reason})" for c in plan.choices), "dim")

    def _step(self, event: StepDone) -> None:
        self._peak_memory = event.peak_memory
        left = f" · {duration(event.seconds_left)} left" if event.seconds_left is not None else ""
        held_out = f" · held out {self._eval_loss:.2f}" if self._eval_loss is not None else ""
        text = (
            f"step {event.step} of {self._num_steps}{left} · loss {event.loss:.2f}{held_out}"
            f" · rate {event.learning_rate:.1e} · {event.tokens_per_second:.0f} tokens/s"
        )
        self._status = Text(text)
        if self._live:
            self._redraw()
        elif time.monotonic() - self._last_plain > PLAIN_SECONDS or event.step == self._num_steps:
            self._last_plain = time.monotonic()
            self.line(text)

    def _sampled(self, event: Sampled) -> None:
        if event.base:
            self._base_samples(event.base)
        lines = self._sample_lines(f"after {count(event.step, 'step')}:", event.samples)
        if self._live:
            self._samples = list(lines)
            self._redraw()
        else:
            for line in lines:
                self._console.print(line, soft_wrap=True)

    def _base_samples(self, samples: tuple[Sample, ...]) -> None:
        """Print what the base says, which stays the same, and then what the data answers, where it does."""
        for line in self._sample_lines("the base model, fed the raw prompts:", samples):
            self._console.print(line, soft_wrap=True)
        known = [prompt for prompt in self._asked.values() if prompt.reference]
        if known:
            self.line("the answers in the data:", "bold")
        for prompt in known:
            width = max(40, self._console.width)
            self.line(f"  {one_line(prompt.prompt, width - 14)} ({prompt.rows})", "dim")
            self.line(f"    {one_line(prompt.reference, width - 4)}")

    def _sample_lines(self, title: str, samples: tuple[Sample, ...]) -> list[Text]:
        width = max(40, self._console.width)
        lines = [Text(title, style="bold")]
        for sample in samples:
            state = how_it_ended(sample.answer, repeats_itself(sample.answer))
            said = one_line(sample.answer.text.strip(), width - len(state) - 7)
            lines.append(Text(f"  {one_line(sample.prompt, width - 2)}", style="dim"))
            colours = ("magenta", "green") if sample.answered else ("", "dim")
            lines.append(Text.assemble("    ", (said, colours[0]), "  ", (state, colours[1])))
        return lines

    def _ended(self, event: RunEnded) -> None:
        for line in self._samples:
            self._console.print(line)
        self._samples, self._status = [], Text()
        colour = {"finished": "green", "stopped": "yellow", "failed": "red"}[event.state]
        loss = f"; loss over the last epoch {event.loss:.2f}" if event.loss is not None else ""
        loss += f", on the held-out rows {self._eval_loss:.2f}" if self._eval_loss is not None else ""
        why = "" if event.state == "failed" else f": {event.reason}"  # an error with its hint follows
        self.line(f"{event.state} after {count(event.step, 'step')}{why}{loss}", colour)
        whole = event.seconds_load + event.seconds_train + event.seconds_sample + event.seconds_save
        shares = ", ".join(
            f"{name} {100 * seconds / whole:.0f} %"
            for name, seconds in (
                ("loading", event.seconds_load),
                ("training", event.seconds_train),
                ("samples", event.seconds_sample),
                ("saving", event.seconds_save),
            )
        )
        memory = f"; {gigabytes(self._peak_memory)} peak memory" if self._peak_memory else ""
        speed = f"{count(event.num_tokens, 'token')}, {event.tokens_per_second:.0f} tokens/s"
        self.line(f"{speed}; {duration(whole)}: {shares}{memory}", "dim")
        if event.state != "failed" and event.step:
            self.line(f"adapter: {event.folder}")

    def _redraw(self) -> None:
        if self._live:
            self._live.update(Group(*self._samples, self._status), refresh=True)

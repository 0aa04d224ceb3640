"""Training: from a config to a stream of events, one optimiser step after the other (see `training.step`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

from playground.config import TrainConfig
from playground.data.examples import training_data
from playground.environ import uncollected
from playground.errors import PlaygroundError, UsageError
from playground.events.runs import (
    CheckpointSaved,
    Event,
    RunRecord,
    RunStarted,
    Sampled,
    Warned,
)
from playground.events.values import Progress
from playground.models.device import name_of, pick_device
from playground.models.memory import naming_memory
from playground.runs.folder import CHECKPOINTS, WEIGHTS, RunLock, read_events, read_record
from playground.training import speed
from playground.training.checkpoint import has_checkpoint, newest_checkpoint
from playground.training.clock import Clock
from playground.training.control import NoRequests, Requests, serve
from playground.training.look import Seen, look, unless_memory
from playground.training.plan import plan_training, require_room
from playground.training.ranks import Ranks
from playground.training.record import NullRunFolder, RunFolder, write_fault
from playground.training.room import Room, require_disk
from playground.training.setup import MOMENTS, Training, check_resumable, prepare
from playground.training.step import sampling_distance, samplings_after, take_step

CHECKPOINT_SECONDS = 60.0
TRUSTED_STEPS = 5  # a shorter run says little about speed


def train(
    config: TrainConfig,
    folder: Path,
    *,
    resume: bool = False,
    until_answered: bool = False,
    force: bool = False,
    stop: Callable[[], bool] = lambda: False,
    requests: Requests | None = None,
    progress: Progress = lambda stage, share: None,
    lock: RunLock | None = None,
) -> Generator[Event, None, None]:
    """Train an adapter in `folder`, yielding events; the last one is a `RunEnded`.

    Every event is written to the folder's ``events.jsonl`` before it is yielded. The generator may
    be closed at any event: what the last checkpoint holds is kept. On ranks other than the first it
    yields nothing.

    Args:
        config: What to train. When resuming, it must be the run's own.
        folder: Created here, once data and model have been checked.
        resume: Continue from the folder's newest checkpoint, or from the start if there is none.
        force: Start even if the plan does not fit in memory or on the disk.
        until_answered: Stop after the first sampling at which every fixed prompt is answered.
        stop: Called at each step; if true, the run saves everything and ends as ``stopped``.
        requests: Served between two steps (one process only).
        progress: Called while the model loads, and while the disk is full.
        lock: The folder's lock, if the caller holds it. Otherwise it is taken here, before loading when resuming.

    Raises:
        PlaygroundError: For unusable input, or a disk that stays full for ten minutes. Nothing is left half-written.
    """
    clock = Clock()
    before = read_record(folder) if resume else None
    if resume and before is None:
        raise UsageError(f"There is no run to resume in {folder}.", "Name a run that 'train' started.")
    ranks = Ranks(pick_device())
    with ExitStack() as opened:
        opened.callback(ranks.close)
        if resume and ranks.is_main and lock is None:
            lock = opened.enter_context(RunLock(folder))
        with naming_memory("loading the model"):
            with uncollected():
                dataset = training_data(config)
                if before is None or before.num_skipped:  # else all rows were read, and kept, when it began
                    dataset = dataset.require_readable(progress)
            planned = plan_training(config, progress, ranks, dataset)
            if not force:
                require_room(planned.plan)
                if not resume and ranks.is_main:
                    require_disk(planned.plan, folder, samplings_after(0, planned.plan.num_steps))
            training = prepare(planned, progress, ranks)
        training.seconds_load = time.monotonic() - clock.started  # includes planning
        if ranks.is_main and lock is None:
            opened.enter_context(RunLock(folder, new=True))
        run = RunFolder(folder, Room(folder, progress, stop)) if ranks.is_main else NullRunFolder()
        opened.callback(run.close)
        events = _run(
            training, run, folder, clock, requests or NoRequests(),
            resume=resume, until_answered=until_answered, stop=stop,
        )  # fmt: skip
        for event in _logged(events, run):
            if ranks.is_main:
                yield event


def _logged(events: Generator[Event, None, None], run: RunFolder) -> Iterator[Event]:
    """Write each event before it is passed on; one that cannot be written ends the run."""
    for event in events:
        told = event
        try:
            run.log(event)
        except OSError as error:
            if not event.terminal:
                told = events.throw(error)  # the last word
                with suppress(OSError):
                    run.log(told)
        yield told


def _run(
    training: Training,
    run: RunFolder,
    folder: Path,
    clock: Clock,
    requests: Requests,
    *,
    resume: bool,
    until_answered: bool,
    stop: Callable[[], bool],
) -> Generator[Event, None, None]:
    record, damaged = _begin(training, folder, resume)
    clock.loaded(training.seconds_load)
    state, seen = training.state, Seen()
    began = state.step
    if began and training.ranks.is_main:  # a run without a checkpoint starts again, with its first samples
        seen.hear(event for event in read_events(folder)[0] if getattr(event, "step", None) == began)
    try:
        yield _started(training, record, folder)
        if training.note:
            yield Warned(state.step, training.note)
        if damaged:
            yield Warned(state.step, f"passed over what cannot be continued from: {', '.join(damaged)}")
        run.write_record(record)
        outcome, reason = yield from _steps(
            training, run, clock, requests, seen, until_answered=until_answered, stop=stop
        )
        if outcome == "stopped":
            yield from _save(training, run, clock)
        if seen.evaluated is not None:
            record = replace(record, eval_loss=seen.evaluated.eval_loss)
        with naming_memory("saving the adapter"):
            record = _write_end(training, run, record, outcome, seen.sampled)
        ended = clock.ended(outcome, reason, state, folder)
        if training.ranks.is_main and state.step - began >= TRUSTED_STEPS:
            # Tokens of all ranks were counted; the speed of one is kept.
            pace = ended.tokens_per_second / training.ranks.world
            speed.remember(training.plan.model, training.config.quantize, name_of(training.base.device), pace)
        yield ended
    except Exception as error:  # whatever ends a run, its last event and its record say so
        run.give_up()
        yield from _rescue(training, run, clock, error)
        _mark_failed(training, run, record)
        fault = write_fault(error, folder) if isinstance(error, OSError) else error
        yield clock.ended("failed", _in_words(fault), state, folder)
        if fault is error:
            raise
        raise fault from error


def _steps(
    training: Training,
    run: RunFolder,
    clock: Clock,
    requests: Requests,
    seen: Seen,
    *,
    until_answered: bool,
    stop: Callable[[], bool],
) -> Generator[Event, None, tuple[str, str]]:
    """Take the steps that are left, saving, sampling and serving between them; return the outcome and its reason."""
    state, ranks, num_steps = training.state, training.ranks, training.num_steps
    every = sampling_distance(num_steps)
    looked = ranks.any(seen.sampled is not None)  # a resumed run: it may have died before its step was sampled
    while True:
        if state.step == 0 and ranks.any(stop()):  # while it loaded; the first samples can wait
            return "stopped", "asked to stop"
        due = not looked and (state.step % every == 0 or state.step == num_steps)
        looked = False
        # Saved before it is sampled, which may take a while and memory that is not there. The first rank's clock
        # decides for all: they must check and save at the same step.
        if due or ranks.any(ranks.is_main and clock.since_save() > CHECKPOINT_SECONDS):
            yield from _save(training, run, clock)
        if due:
            if 0 < state.step == training.sound.step:  # else the weights are another step's
                with naming_memory("saving the adapter"):
                    run.keep_step(training.model, state.step)
            yield from look(training, clock, seen)
            # The first rank knows the answers; every rank must make the same decision.
            done = until_answered and state.step > 0 and seen.sampled is not None and seen.sampled.all_answered
            if ranks.any(done):
                return "stopped", "every sample prompt is answered"
        yield from serve(training, requests, lambda: unless_memory(training, lambda: training.sample(clock.started)))
        if ranks.any(stop()):
            return "stopped", "asked to stop"
        if state.step == num_steps:
            return "finished", "all steps are done"
        yield from take_step(training, clock)


def _begin(training: Training, folder: Path, resume: bool) -> tuple[RunRecord, tuple[str, ...]]:
    """Return the run's record, and the names of checkpoints that were too damaged to continue from."""
    if not resume:
        return training.new_record(folder.name), ()
    record = read_record(folder)
    assert record is not None  # `train` has checked
    exact = check_resumable(record, training)
    checkpoints = folder / CHECKPOINTS
    if not has_checkpoint(checkpoints) and not (folder / WEIGHTS).exists():
        # It ended before it had saved anything. Its start is a function of its config, so nothing is lost.
        return replace(training.new_record(record.name), created_at=record.created_at), ()
    if (found := newest_checkpoint(checkpoints, (WEIGHTS, MOMENTS))) is None:
        raise UsageError(f"The run {record.name} has no whole checkpoint to resume from.", "Start a new run.")
    training.restore(found.state, found.files)
    training.state.exact = training.state.exact and exact
    return replace(record, state="running"), found.damaged


def _started(training: Training, record: RunRecord, folder: Path) -> RunStarted:
    return RunStarted(
        run=record.name,
        folder=str(folder),
        model=training.base.identity.description,
        plan=training.plan,
        step=training.state.step,
        seconds_load=round(training.seconds_load, 3),
    )


def _save(training: Training, run: RunFolder, clock: Clock) -> Iterator[Event]:
    """Write a checkpoint of the last step that changed the weights, unless there is one; never of non-finite values."""
    if training.saved == training.sound.step:
        return
    if training.ranks.is_main:
        with clock.saving(), naming_memory("saving a checkpoint"):
            path = run.save_checkpoint(training.sound, training.checkpoint_files())
        yield CheckpointSaved(training.sound.step, str(path))
    else:
        training.require_finite()  # as the first rank does with everything it writes
    training.saved = training.sound.step


def _rescue(training: Training, run: RunFolder, clock: Clock, error: Exception) -> Iterator[Event]:
    """Save what was learned before the error that ends the run, if it left the weights whole and the disk takes it."""
    if not training.torn and not isinstance(error, OSError):
        with suppress(Exception):  # a device that has failed fails here too, and the last word is still to be said
            yield from _save(training, run, clock)


def _in_words(fault: Exception) -> str:
    if isinstance(fault, PlaygroundError):
        return f"{fault.message} {fault.hint}".strip()
    return f"something unexpected happened: {type(fault).__name__}: {fault}"


def _write_end(
    training: Training, run: RunFolder, record: RunRecord, outcome: str, sampled: Sampled | None
) -> RunRecord:
    state = training.state
    record = replace(record, state=outcome, step=state.step, loss=state.loss, exact=state.exact)  # type: ignore[arg-type]
    if state.step:  # before the first step the adapter does nothing yet
        run.write_adapter(training.model, record, sampled)
    run.write_record(record)
    return record


def _mark_failed(training: Training, run: RunFolder, record: RunRecord) -> None:
    state = training.state
    # The error that ended the run may hit the record too; the original one is raised anyway.
    with suppress(Exception):
        run.write_record(replace(record, state="failed", step=state.step, loss=state.loss, exact=state.exact))

"""Training: from a config to a stream of events, one optimiser step after the other (see `training.step`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

from playground.config import TrainConfig
from playground.disk import disk_fault
from playground.errors import PlaygroundError, UsageError
from playground.events.runs import (
    CheckpointSaved,
    Evaluated,
    Event,
    RunRecord,
    RunStarted,
    Sampled,
    Warned,
)
from playground.events.values import Progress
from playground.models.device import pick_device
from playground.runs.folder import CHECKPOINTS, WEIGHTS, RunLock, read_record
from playground.training import speed
from playground.training.checkpoint import has_checkpoint, newest_checkpoint, save_checkpoint
from playground.training.clock import Clock
from playground.training.control import NoRequests, Requests, serve
from playground.training.plan import plan_training, require_room
from playground.training.ranks import Ranks
from playground.training.record import NullRunFolder, RunFolder
from playground.training.setup import MOMENTS, Training, check_resumable, prepare
from playground.training.step import sampling_distance, take_step

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
        force: Start even if the plan does not fit in memory.
        until_answered: Stop after the first sampling at which every fixed prompt is answered.
        stop: Called at each step; if true, the run saves everything and ends as ``stopped``.
        requests: Served between two steps (one process only).
        progress: Called while the model loads.
        lock: The folder's lock, if the caller holds it. Otherwise it is taken here, before loading when resuming.

    Raises:
        PlaygroundError: For unusable input or a full disk. Nothing is left half-written.
    """
    clock = Clock()
    if resume and read_record(folder) is None:
        raise UsageError(f"There is no run to resume in {folder}.", "Name a run that 'train' started.")
    ranks = Ranks(pick_device())
    with ExitStack() as opened:
        opened.callback(ranks.close)
        if resume and ranks.is_main and lock is None:
            lock = opened.enter_context(RunLock(folder))
        planned = plan_training(config, progress, ranks)
        if not force:
            require_room(planned.plan)
        training = prepare(planned, progress, ranks)
        training.seconds_load = time.monotonic() - clock.started  # includes planning
        if ranks.is_main and lock is None:
            opened.enter_context(RunLock(folder, new=True))
        run = RunFolder(folder) if ranks.is_main else NullRunFolder()
        opened.callback(run.close)
        try:
            for event in _run(
                training, run, folder, clock, requests or NoRequests(),
                resume=resume, until_answered=until_answered, stop=stop,
            ):  # fmt: skip
                run.log(event)
                if ranks.is_main:
                    yield event
        except OSError as error:
            raise disk_fault(error, folder) from error


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
) -> Iterator[Event]:
    record, damaged = _begin(training, folder, resume)
    resume = training.state.step > 0  # a run without a checkpoint starts again, with its first samples
    clock.loaded(training.seconds_load)
    yield _started(training, record, folder)
    if damaged:
        yield Warned(training.state.step, f"passed over what cannot be continued from: {', '.join(damaged)}")
    run.write_record(record)
    state, num_steps = training.state, training.num_steps
    begun = state.step
    every = sampling_distance(num_steps)
    sampled: Sampled | None = None
    evaluated: Evaluated | None = None
    outcome, reason = "finished", "all steps are done"
    fresh = True  # nothing to save yet
    try:
        while True:
            if not resume and (state.step % every == 0 or state.step == num_steps):
                sampled, evaluated = _look(training, clock)
                yield from (event for event in (sampled, evaluated) if event is not None)
                if not fresh:
                    yield from _save(training, run, clock)
                    if training.sound.step == state.step:  # else the weights are another step's
                        run.keep_step(training.model, state.step)
                # The first rank knows the answers; every rank must make the same decision.
                done = sampled is not None and until_answered and state.step > 0 and sampled.all_answered
                if training.ranks.any(done):
                    outcome, reason = "stopped", "every sample prompt is answered"
            # The first rank's clock decides for all: they must check and save at the same step.
            elif training.ranks.any(training.ranks.is_main and clock.since_save() > CHECKPOINT_SECONDS):
                yield from _save(training, run, clock)
            resume = False  # the step it resumes from was sampled before
            yield from serve(training, requests, lambda: training.sample(clock.started))
            if training.ranks.any(stop()):
                outcome, reason = "stopped", "asked to stop"
            if state.step == num_steps or outcome != "finished":
                break
            yield from take_step(training, clock)
            fresh = False
        if outcome == "stopped" and not fresh:
            yield from _save(training, run, clock)
        if evaluated is not None:
            record = replace(record, eval_loss=evaluated.eval_loss)
        record = _write_end(training, run, record, outcome, sampled)
        ended = clock.ended(outcome, reason, state, folder)
        if training.ranks.is_main and state.step - begun >= TRUSTED_STEPS:
            # Tokens of all ranks were counted; the speed of one is kept.
            pace = ended.tokens_per_second / training.ranks.world
            speed.remember(training.plan.model, training.config.quantize, training.base.device, pace)
        yield ended
    except (PlaygroundError, OSError) as error:
        reason = error.message if isinstance(error, PlaygroundError) else disk_fault(error, folder).message
        _mark_failed(training, run, record)
        yield clock.ended("failed", reason, state, folder)
        raise


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


def _look(training: Training, clock: Clock) -> tuple[Sampled | None, Evaluated | None]:
    """Answer the sample prompts and measure the held-out rows, on the first rank; nothing on the others."""
    if not training.ranks.is_main:
        training.require_finite()  # as the first rank does before it samples
        return None, None
    with clock.sampling(share=1.0 if training.state.step else 0.5):  # at first the base answers too
        return training.sample(clock.started), training.evaluate() if training.eval_rows else None


def _save(training: Training, run: RunFolder, clock: Clock) -> Iterator[Event]:
    """Write a checkpoint of the last step that changed the weights; non-finite values are never written."""
    if not training.ranks.is_main:
        training.require_finite()  # as the first rank does with everything it writes
        return
    with clock.saving():
        path = save_checkpoint(run.checkpoints, training.sound, training.checkpoint_files())
    yield CheckpointSaved(training.sound.step, str(path))


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
    # The disk error that ended the run may hit the record too; the original error is raised anyway.
    with suppress(OSError):
        run.write_record(replace(record, state="failed", step=state.step, loss=state.loss, exact=state.exact))

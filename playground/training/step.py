"""One optimiser step. `five_steps` is the algorithm: forward, compare, loss, backward, update.

It is also the algorithm of pre-training. Only the data differs, and which of its tokens are compared. The rest of this
module is bookkeeping: a batch that does not fit in memory is halved, a step that is not finite is skipped, and what
happened becomes an event.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import torch

from playground.data.batches import Batch, collate, micro_batches
from playground.data.encode import IGNORE_INDEX, Encoded
from playground.errors import EnvironmentFault, PlaygroundError
from playground.events.runs import BatchHalved, Event, StepDone, StepSkipped, Warned
from playground.models.memory import give_back, is_out_of_memory, naming_memory, peak_memory
from playground.training.clock import Clock
from playground.training.schedule import learning_rate
from playground.training.setup import Training

SAMPLINGS = 7  # a run is sampled about this often after step 0
# A run ends when too many of its last steps were skipped: three in a row, or ten of fifteen.
TOO_MANY_SKIPPED = ((3, 3), (10, 15))
SPIKE, SPIKE_NATS = 3.0, 2.0  # a loss this many times the median of the steps before, and this far above it
LOOKED_BACK, TOO_FEW = 20, 10  # losses that make a median


@dataclass(frozen=True, slots=True)
class Update:
    """The result of a step.

    Attributes:
        loss: Mean over the step's trained tokens, in nats.
        num_trained: Number of these tokens.
        grad_norm: The gradient norm before clipping.
        rate: The learning rate.
        finite: Whether loss and gradient are; only then were the weights changed.
    """

    loss: float
    num_trained: int
    grad_norm: float
    rate: float
    finite: bool


class OutOfMemory(Exception):
    """A batch did not fit in memory on some rank; every rank raises it, and no gradient is left."""


def five_steps(training: Training, rows: Sequence[Encoded], num_trained: int, rate: float) -> Update:
    """Train on `rows` once.

    The loss is averaged over all trained tokens of the step, not over its pieces: a short answer is weighted by its
    tokens, however the step is cut.

    Args:
        training: Model, optimiser and config.
        rows: All rows of this step, on every rank; each rank takes its share of the pieces.
        num_trained: Tokens of `rows` that carry loss.
        rate: The learning rate.

    Raises:
        OutOfMemory: On all ranks.
        MemoryFault: If memory ran out on this rank after the backward pass.
    """
    loss_sum, scale = 0.0, loss_scale(training, num_trained)
    with _agreeing_on_memory(training):
        for batch in _pieces(training, rows):
            # ---- 1. Forward: hidden states of each token in its context, where a token of an answer comes next.
            hidden = training.loss.hidden_states(batch)  # (trained, hidden)
            # ---- 2. Compare: the probability of each token that should come next, over the whole vocabulary.
            # ---- 3. Loss: the sum of -log p of these tokens. One function, so that all logits never exist at once.
            loss = training.loss.compare(hidden, batch.targets)
            # ---- 4. Backward: how the loss would change with each trained weight, added up over the pieces.
            (loss * scale / num_trained).backward()
            loss_sum += float(loss.detach())
        _unscale(training, scale)
    with naming_memory("updating the weights"):
        mean_loss = _over_all_ranks(training, loss_sum) / num_trained
        # ---- 5. Update: one step with the clipped gradient. Only finite values reach the weights.
        grad_norm = float(torch.nn.utils.clip_grad_norm_(training.parameters, training.config.max_grad_norm))
        finite = not training.ranks.any(not (abs(mean_loss) < float("inf") and grad_norm < float("inf")))
        if finite:
            for group in training.optimizer.param_groups:
                group["lr"] = rate
            training.torn = True
            training.optimizer.step()
            training.torn = False
    training.optimizer.zero_grad(set_to_none=True)
    return Update(mean_loss, num_trained, grad_norm, rate, finite)


def take_step(training: Training, clock: Clock) -> Iterator[Event]:
    """Take one optimiser step on the next rows.

    Yields a `StepDone` or a `StepSkipped`; before it a `Warned` for each row that is left out and a `BatchHalved` for
    each time memory ran out; after it a `Warned` if the loss is a spike.

    Raises:
        EnvironmentFault: If memory runs out with a single row.
        PlaygroundError: If too many of the last steps were skipped.
    """
    config, state = training.config, training.state
    rows: list[Encoded] = []
    for row in map(training.encoded, training.batch(state.step)):
        if isinstance(row, Encoded):
            rows.append(row)
        else:
            yield Warned(state.step + 1, f"a row was left out: {row.message}")
    num_trained = sum(label != IGNORE_INDEX for row in rows for label in row.labels[1:])
    rate = learning_rate(state.step, training.num_steps, config.learning_rate, config.warmup_ratio)
    if not rows:
        state.step += 1
        yield _skipped(training, "none of its rows can be trained on")
        _require_progress(training)
        return
    update: Update | None = None
    while update is None:
        with clock.training(), suppress(OutOfMemory):
            update = five_steps(training, rows, num_trained, rate)
        if update is None:
            give_back(training.base.device)  # not before: until `five_steps` has ended its tensors are not free
            yield _halve(training)
    state.step += 1
    if update.finite:
        yield _done(training, clock, update, rows)
        yield from _spike(training, update.loss)
    else:
        yield _skipped(training, f"loss {update.loss:g}, gradient norm {update.grad_norm:g}")
        _require_progress(training)


def sampling_distance(num_steps: int) -> int:
    """Return the steps between two samplings of a run."""
    return max(1, round(num_steps / SAMPLINGS))


def samplings_after(step: int, num_steps: int) -> int:
    """Return how often a run is sampled after `step`; each time the adapter is kept."""
    every = sampling_distance(num_steps)
    return num_steps // every - step // every + (num_steps % every > 0)


def _pieces(training: Training, rows: Sequence[Encoded]) -> Iterator[Batch]:
    """Yield this rank's share of the step in pieces of similar lengths that fit in memory."""
    ranks, base = training.ranks, training.base
    most = min(training.state.micro_batch_size, -(-len(rows) // ranks.world))  # leave no rank idle
    pieces = micro_batches([len(row.input_ids) for row in rows], most, training.max_tokens)
    for piece in pieces[ranks.rank :: ranks.world]:
        yield collate([rows[index] for index in piece], base.pad_token_id, base.device)


@contextmanager
def _agreeing_on_memory(training: Training) -> Iterator[None]:
    """Raise `OutOfMemory` on all ranks if one of them runs out of memory, because they wait for each other later."""
    out_of_memory = False
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        out_of_memory = True
    if training.ranks.any(out_of_memory):
        training.optimizer.zero_grad(set_to_none=True)
        raise OutOfMemory


def loss_scale(training: Training, num_trained: int) -> int:
    """Return the factor of the loss in the backward pass: above 1 only in float16, whose smallest numbers are large.

    The gradient of the mean over a thousand tokens would lose most of its digits there, that of their sum does not.
    The adapter's own gradients are float32, so they can be divided by it.
    """
    return num_trained if training.base.identity.dtype == "float16" else 1


def _unscale(training: Training, scale: int) -> None:
    if scale != 1:
        for parameter in training.parameters:
            if parameter.grad is not None:
                parameter.grad /= scale


def _over_all_ranks(training: Training, loss_sum: float) -> float:
    """Add up the gradients of all ranks in place; return the sum of their losses."""
    training.ranks.sum_gradients(training.parameters)
    return training.ranks.sum(loss_sum)[0]


def _halve(training: Training) -> BatchHalved:
    state = training.state
    if state.micro_batch_size == 1:
        raise EnvironmentFault("Out of memory with a single row.", "Lower --max-length, or choose a smaller model.")
    state.micro_batch_size //= 2
    return BatchHalved(state.step + 1, state.micro_batch_size)


def _done(training: Training, clock: Clock, update: Update, rows: Sequence[Encoded]) -> StepDone:
    state, num_tokens = training.state, sum(len(row.input_ids) for row in rows)
    epoch = (state.step - 1) // training.order.steps_per_epoch
    if epoch != state.epoch:
        state.epoch, state.epoch_loss_sum, state.epoch_trained = epoch, 0.0, 0
    state.epoch_loss_sum += update.loss * update.num_trained
    state.epoch_trained += update.num_trained
    state.num_tokens += num_tokens
    training.sound = state.copy()
    return StepDone(
        step=state.step,
        epoch=round(state.step / training.order.steps_per_epoch, 4),
        loss=update.loss,
        learning_rate=update.rate,
        grad_norm=update.grad_norm,
        num_tokens=state.num_tokens,
        tokens_per_second=clock.stepped(num_tokens),
        seconds_left=_seconds_left(training, clock),
        peak_memory=peak_memory(training.base.device),
    )


def _skipped(training: Training, reason: str) -> StepSkipped:
    step = training.state.step
    training.state.skipped_steps.append(step)
    return StepSkipped(step, reason, training.lines(step - 1))


def _require_progress(training: Training) -> None:
    step = training.state.step
    for most, window in TOO_MANY_SKIPPED:
        if sum(skipped > step - window for skipped in training.state.skipped_steps) >= most:
            how = f"{most} steps in a row" if most == window else f"{most} of the last {window} steps"
            raise PlaygroundError(
                f"Too much was skipped, {how}, mostly because loss or gradient were not finite.",
                "Start a new run with a lower --learning-rate, and look at the rows of the skipped steps.",
            )


def _spike(training: Training, loss: float) -> Iterator[Warned]:
    """Warn of a loss far above those before it; then wait until there is a new median, or each step would warn."""
    before = training.losses
    usual = statistics.median(before) if len(before) >= TOO_FEW else float("inf")
    if loss > SPIKE * usual and loss > usual + SPIKE_NATS:
        before.clear()
        step = training.state.step
        lines = ", ".join(map(str, training.lines(step - 1)))
        yield Warned(step, f"the loss rose to {loss:.2f}, from {usual:.2f} before; the rows of step {step}: {lines}")
    before.append(loss)
    del before[:-LOOKED_BACK]


def _seconds_left(training: Training, clock: Clock) -> float | None:
    step, num_steps = training.state.step, training.num_steps
    whole = training.plan.num_tokens * training.config.num_train_epochs
    tokens = whole - training.state.num_tokens if whole else None
    return clock.seconds_left(tokens, num_steps - step, samplings_after(step, num_steps))

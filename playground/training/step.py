"""One optimiser step. The five steps stand in `take_step` and `_gradients`, in order.

Forward, compare, loss, backward, update: the same algorithm as pre-training. Only the data differs,
and which of its tokens are compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from playground.data.batches import collate, micro_batches
from playground.data.encode import IGNORE_INDEX, Encoded
from playground.errors import EnvironmentFault, PlaygroundError
from playground.events.runs import BatchHalved, Event, StepDone, StepSkipped
from playground.models.memory import peak_memory
from playground.training.clock import Clock
from playground.training.schedule import learning_rate
from playground.training.session import Session

SAMPLINGS = 7  # a run is sampled about this often after step 0
MAX_SKIPPED = 3


def take_step(session: Session, clock: Clock) -> Iterator[Event]:
    """Take one optimiser step on the rows whose turn it is.

    Yields a `StepDone` or a `StepSkipped`, and a `BatchHalved` before it for each time that memory ran out.

    Raises:
        EnvironmentFault: If memory runs out with a single row.
        PlaygroundError: If the loss was not finite for three steps in a row.
    """
    config, state, ranks = session.config, session.state, session.ranks
    rows = [session.rows[index] for index in session.batch(state.step)]
    num_trained = sum(label != IGNORE_INDEX for row in rows for label in row.labels[1:])
    rate = learning_rate(state.step, session.num_steps, session.plan.learning_rate, config.warmup_ratio)
    parameters = session.parameters
    with clock.training():
        while (loss_sum := _gradients(session, rows, num_trained)) is None:
            if state.micro_batch_size == 1:
                raise EnvironmentFault(
                    "Memory ran out with a single row.", "Lower --max-length, or choose a smaller model."
                )
            state.micro_batch_size //= 2
            yield BatchHalved(state.step + 1, state.micro_batch_size)
        ranks.sum_gradients(parameters)
        loss = ranks.sum(loss_sum)[0] / num_trained
        grad_norm = float(torch.nn.utils.clip_grad_norm_(parameters, config.max_grad_norm))
        # 5. Update. Nothing that is not finite reaches the weights.
        finite = not ranks.any(not (abs(loss) < float("inf") and grad_norm < float("inf")))
        if finite:
            for group in session.optimizer.param_groups:
                group["lr"] = rate
            session.optimizer.step()
        session.optimizer.zero_grad(set_to_none=True)
    state.step += 1
    if not finite:
        state.skipped_steps.append(state.step)
        yield StepSkipped(state.step, f"loss {loss:g}, gradient norm {grad_norm:g}")
        if state.skipped_steps[-MAX_SKIPPED:] == list(range(state.step - MAX_SKIPPED + 1, state.step + 1)):
            raise PlaygroundError(
                f"The loss was not finite for {MAX_SKIPPED} steps in a row.",
                "Lower --learning-rate and look at the rows with 'data check'.",
            )
        return
    num_tokens = sum(len(row.input_ids) for row in rows)
    epoch = (state.step - 1) // session.order.steps_per_epoch
    if epoch != state.epoch:
        state.epoch, state.epoch_loss_sum, state.epoch_trained = epoch, 0.0, 0
    state.epoch_loss_sum += loss * num_trained
    state.epoch_trained += num_trained
    state.num_tokens += num_tokens
    session.sound = state.copy()
    yield StepDone(
        step=state.step,
        epoch=round(state.step / session.order.steps_per_epoch, 4),
        loss=loss,
        learning_rate=rate,
        grad_norm=grad_norm,
        num_tokens=state.num_tokens,
        tokens_per_second=clock.stepped(num_tokens),
        seconds_left=_seconds_left(session, clock),
        peak_memory=peak_memory(session.base.device),
    )


def _gradients(session: Session, rows: Sequence[Encoded], num_trained: int) -> float | None:
    """Add up this rank's share of the gradient; return its loss sum, or None if memory ran out anywhere.

    The loss is averaged over all trained tokens of the step, not over micro-batches: a short answer
    weighs by its tokens, however the step is cut.
    """
    state, ranks = session.state, session.ranks
    loss_sum, out_of_memory = 0.0, False
    lengths = [len(row.input_ids) for row in rows]
    most = min(state.micro_batch_size, -(-len(rows) // ranks.world))  # leave no rank idle
    pieces = micro_batches(lengths, most, session.max_tokens)[ranks.rank :: ranks.world]
    try:
        for piece in pieces:
            batch = collate([rows[index] for index in piece], session.base.pad_token_id, session.base.device)
            # 1. Forward, 2. compare, 3. loss: hidden states of the trained positions, their logits
            # against the tokens that should follow, and the sum of -log p.
            loss = session.loss(batch)
            # 4. Backward.
            (loss / num_trained).backward()
            loss_sum += float(loss.detach())
    except (torch.OutOfMemoryError, MemoryError):
        out_of_memory = True
    except RuntimeError as error:  # how the CPU allocator says it
        if "alloc" not in str(error) or "memory" not in str(error):
            raise
        out_of_memory = True
    if ranks.any(out_of_memory):
        session.optimizer.zero_grad(set_to_none=True)
        if session.base.device.type == "cuda":
            torch.cuda.empty_cache()
        return None
    return loss_sum


def sampling_distance(num_steps: int) -> int:
    """Return the steps between two samplings of a run."""
    return max(1, round(num_steps / SAMPLINGS))


def _seconds_left(session: Session, clock: Clock) -> float | None:
    step, num_steps, every = session.state.step, session.num_steps, sampling_distance(session.num_steps)
    whole = session.plan.num_tokens * session.config.num_train_epochs
    samplings = num_steps // every - step // every + (num_steps % every > 0)
    return clock.seconds_left(whole - session.state.num_tokens if whole else None, num_steps - step, samplings)

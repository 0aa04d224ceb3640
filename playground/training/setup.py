"""Everything a training run needs before its first step: data, base, adapter, optimiser, state."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import torch
from peft import PeftModel
from safetensors.torch import load

from playground.config import ResolvedConfig
from playground.data.answered import answered
from playground.data.batches import collate, micro_batches
from playground.data.encode import Encoded, Encoder
from playground.data.examples import Dataset
from playground.data.held_out import Without
from playground.data.order import Order
from playground.errors import InputError, UsageError
from playground.events.answers import Sampling
from playground.events.plans import Plan
from playground.events.runs import BaseIdentity, Evaluated, RunRecord, Sample, Sampled
from playground.events.values import Progress
from playground.inference.engine import Engine, sample_lanes
from playground.models import lora
from playground.models.adapter_file import AdapterFile
from playground.models.budget import tokens_at_once
from playground.models.device import name_of, pick_device
from playground.models.fingerprint import Fingerprint
from playground.models.footprint import checkpoint_activations
from playground.models.fused import fuse_lora
from playground.models.head import backbone
from playground.models.lanes import Blend
from playground.models.load import Base, load_base
from playground.models.memory import naming_memory
from playground.runs.folder import ADAPTER_CONFIG, WEIGHTS
from playground.training.checkpoint import (
    TrainState,
    optimizer_tensors,
    require_finite,
    restore_optimizer,
    tensor_bytes,
)
from playground.training.loss import SupervisedLoss
from playground.training.plan import Planned
from playground.training.ranks import Ranks
from playground.training.record import now, versions

MOMENTS = "optimizer.safetensors"
ADAPTER = "default"  # PEFT saves an adapter of another name into a subfolder


@dataclass
class Training:
    """A training run that is ready to take steps.

    Attributes:
        state: The state after the last step, even if that was skipped.
        sound: The state after the last step that changed the weights. They have not changed since, so this is what a
            checkpoint holds: a resumed run tries a skipped step again.
        saved: The step of the last checkpoint.
        note: What a user should know of how it computes; mostly empty.
        torn: Whether an update was broken off, so that the weights are those of no step.
        losses: Of the last steps, to notice a spike.
    """

    config: ResolvedConfig
    plan: Plan
    dataset: Dataset
    base: Base
    model: PeftModel
    encoder: Encoder
    rows: Sequence[Encoded]
    eval_rows: Sequence[Encoded]
    held_out: Sequence[int]
    order: Order
    loss: SupervisedLoss
    optimizer: torch.optim.Optimizer
    ranks: Ranks
    state: TrainState
    sound: TrainState
    engine: Engine
    seconds_load: float = 0.0
    saved: int = 0
    note: str = ""
    torn: bool = False
    losses: list[float] = field(default_factory=list)

    @property
    def parameters(self) -> list[torch.nn.Parameter]:
        """The parameters that are trained."""
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    @property
    def parameter_names(self) -> list[str]:
        """Their names, in the same order."""
        return [name for name, parameter in self.model.named_parameters() if parameter.requires_grad]

    @property
    def max_tokens(self) -> int:
        """The most tokens, padding included, that go through the model at once."""
        return tokens_at_once(self.plan.longest, self.base.device)

    @property
    def num_steps(self) -> int:
        """Optimiser steps of the whole run."""
        return self.plan.num_steps

    def lines(self, step: int) -> tuple[int, ...]:
        """Return the lines in the data set of the rows of optimiser step `step`."""
        examples, found = Without(self.dataset.examples, self.held_out), []
        for row in self.batch(step):
            with suppress(InputError):  # a row that cannot be read names its line itself
                found.append(examples[row].line)
        return tuple(sorted(found))

    def batch(self, step: int) -> list[int]:
        """Return the rows of optimiser step `step`, counted from 0 over all epochs."""

        def length(row: int) -> int:
            found = self.encoded(row)
            return 0 if isinstance(found, InputError) else len(found.input_ids)

        return self.order.batch(step, length)

    def encoded(self, row: int) -> Encoded | InputError:
        """Return a row as ids; of a large set, whose rows are read when needed, possibly why it trains nothing."""
        try:
            return self.rows[row]
        except InputError as error:
            return error

    def require_finite(self) -> None:
        """Refuse to continue with weights or moments that are not finite. All ranks have the same, so all refuse.

        Raises:
            PlaygroundError: Naming the first tensor that is not finite.
        """
        require_finite(lora.state(self.model))
        require_finite(optimizer_tensors(self.optimizer, self.parameter_names))

    def checkpoint_files(self) -> dict[str, bytes]:
        """Return the files of a checkpoint, except for the state."""
        return {
            WEIGHTS: tensor_bytes(lora.state(self.model)),
            ADAPTER_CONFIG: lora.config_json(self.model).encode(),
            MOMENTS: tensor_bytes(optimizer_tensors(self.optimizer, self.parameter_names)),
        }

    def restore(self, state: TrainState, files: dict[str, bytes]) -> None:
        """Continue from a checkpoint, bit for bit."""
        self.state, self.sound, self.saved = state, state.copy(), state.step
        tensors = load(files[WEIGHTS])
        lora.put_state(self.model, tensors)
        restore_optimizer(self.optimizer, self.parameter_names, files[MOMENTS])

    def sample(self, started: float) -> Sampled:
        """Answer the sample prompts with the current adapter, without affecting training.

        Before the first step the base answers the raw prompts too; its answers will not change.

        Raises:
            MemoryFault: If memory runs out.
        """
        self.require_finite()  # in lanes a NaN of the adapter would reach the base's rows
        prompts = self.config.sample_prompts
        lanes = sample_lanes(self.encoder, prompts, Blend(ADAPTER), base=self.state.step == 0)
        with naming_memory("answering the sample prompts"):
            answers = self.engine.answers(lanes, Sampling(self.config.sample_max_new_tokens)) if lanes else []
        samples = [
            Sample(prompt.prompt, answer, answered(prompt, answer))
            for prompt, answer in zip(prompts * 2, answers, strict=False)
        ]
        seconds = round(time.monotonic() - started, 3)
        return Sampled(self.state.step, tuple(samples[: len(prompts)]), tuple(samples[len(prompts) :]), seconds)

    @torch.no_grad()
    def evaluate(self) -> Evaluated:
        """Measure the loss on the held-out rows, without affecting training.

        Raises:
            MemoryFault: If memory runs out.
        """
        total, num_trained = 0.0, 0
        lengths = [len(row.input_ids) for row in self.eval_rows]
        with naming_memory("measuring the held-out rows"):
            for piece in micro_batches(lengths, self.state.micro_batch_size, self.max_tokens):
                batch = collate([self.eval_rows[at] for at in piece], self.base.pad_token_id, self.base.device)
                total += float(self.loss(batch))
                num_trained += len(batch.targets)
        return Evaluated(self.state.step, total / num_trained)

    def new_record(self, name: str) -> RunRecord:
        """Return the record of a run that starts now."""
        return RunRecord(
            name=name,
            created_at=now(),
            state="running",
            base=self.base.identity,
            style=self.encoder.style.name,
            data_name=self.dataset.name,
            data_sha256=self.dataset.sha256,
            num_examples=len(self.rows),
            num_skipped=len(self.dataset.skipped),
            num_eval=len(self.eval_rows),
            single_turn=self.dataset.single_turn,
            step=0,
            num_steps=self.num_steps,
            loss=None,
            exact=True,
            config=self.config.to_dict(),
            versions=versions(),
            command=self.config.command(),
            device=name_of(self.base.device),
        )


def prepare(planned: Planned, progress: Progress, ranks: Ranks) -> Training:
    """Load the base of a plan and put a fresh adapter on it.

    Raises:
        PlaygroundError: For any problem with data, model or machine, before anything is written.
    """
    began, config = time.monotonic(), planned.config
    if config.deterministic:
        torch.use_deterministic_algorithms(True)
    device = pick_device()
    base = load_base(config.model, config.quantize, progress, device)
    training = assemble(planned, base, Fingerprint(base), ranks)
    training.seconds_load = time.monotonic() - began
    return training


def assemble(
    planned: Planned, base: Base, fingerprint: Fingerprint, ranks: Ranks, start: AdapterFile | None = None
) -> Training:
    """Put an adapter on a bare base, with an optimiser that has taken no step.

    Args:
        planned: The plan.
        base: The base; it belongs to the training afterwards.
        fingerprint: Of the base.
        ranks: The processes that share the training.
        start: An adapter to continue from a copy of; by default a fresh one, as the plan says.

    Raises:
        InputError: If `start` does not fit the base, which is then unchanged.
    """
    config = planned.config
    if start is None:
        model = lora.attach_new(base, config.lora_r, config.lora_alpha, config.seed)
    else:
        model = lora.attach_copy(base, start, ADAPTER)
    model.train()
    _without_dropout(model)
    note = fuse_lora(model)
    if config.gradient_checkpointing == "on":
        checkpoint_activations(base.model)
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=config.learning_rate, weight_decay=0.0, fused=True)
    return Training(
        config=config,
        plan=planned.plan,
        dataset=planned.dataset,
        base=base,
        model=model,
        encoder=planned.encoder,
        rows=planned.rows,
        eval_rows=[planned.everything[at] for at in planned.held_out],
        held_out=planned.held_out,
        order=planned.order,
        loss=SupervisedLoss(backbone(base.model), base.head),
        optimizer=optimizer,
        ranks=ranks,
        state=TrainState(micro_batch_size=config.per_device_train_batch_size),
        sound=TrainState(micro_batch_size=config.per_device_train_batch_size),
        engine=Engine(base, model, fingerprint),
        note=note,
    )


def _without_dropout(model: torch.nn.Module) -> None:
    """Switch off the dropout that some bases have: a step draws no random numbers, so that resuming is exact."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        for name in ("attention_dropout", "attn_dropout", "dropout", "activation_dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)


def _places(before: BaseIdentity, now: BaseIdentity) -> tuple[str, str]:
    """Return where two bases were quantised; the same if one does not say it."""
    return (now.quantized_on if before.quantized_as(now) else before.quantized_on), now.quantized_on


def check_resumable(record: RunRecord, training: Training) -> bool:
    """Return whether resuming from `record` is bit-exact.

    It is with the same versions on a CPU. On a GPU it has to be the same one too, with deterministic kernels.

    Raises:
        UsageError: If data, base or config differ, naming each difference.
    """
    mine = training.new_record(record.name)
    pairs = {
        "data": (record.data_sha256, mine.data_sha256),
        "base": (record.base.name, mine.base.name),
        "revision of the base": (record.base.revision, mine.base.revision),
        "quantisation": (record.base.quantize, mine.base.quantize),
        "arithmetic": (record.base.dtype, mine.base.dtype),
        "where the base was quantised": _places(record.base, mine.base),
        "number of rows": (record.num_examples, mine.num_examples),
        "number of steps": (record.num_steps, mine.num_steps),
    }
    different = [f"{what} was {before}, is {after}" for what, (before, after) in pairs.items() if before != after]
    if different:
        raise UsageError(
            f"The run {record.name} cannot be resumed: " + "; ".join(different) + ".", "Start a new run instead."
        )
    same_kernels = training.base.device.type == "cpu" or training.config.deterministic
    return record.versions == mine.versions and record.device in ("", mine.device) and same_kernels

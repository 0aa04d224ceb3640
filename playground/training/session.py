"""Everything a training needs before its first step: data, base, adapter, optimiser, state."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import torch
from peft import PeftModel
from safetensors.torch import load, save

from playground import paths
from playground.config import TrainConfig
from playground.data.answered import answered
from playground.data.batches import epoch_batches
from playground.data.encode import Encoded, Encoder, encode_all
from playground.data.examples import Dataset, Turn, read_dataset
from playground.data.prompts import as_prompt
from playground.data.styles import ChatStyle, get_style
from playground.errors import UsageError
from playground.events import RunRecord, Sample, Sampled
from playground.inference.engine import Engine, Lane, Sampling
from playground.models import lora
from playground.models.demo import Progress
from playground.models.fingerprint import Fingerprint
from playground.models.head import backbone
from playground.models.lanes import Row
from playground.models.load import Base, load_base, pick_device
from playground.training.checkpoint import TrainState, optimizer_bytes, restore_optimizer
from playground.training.loss import SupervisedLoss
from playground.training.ranks import Ranks
from playground.training.record import now, versions

CPU_TOKENS_AT_ONCE = 160
ADAPTER = "default"  # PEFT saves an adapter of another name into a folder of its own


@dataclass
class Session:
    """A training that is ready to step."""

    config: TrainConfig
    dataset: Dataset
    base: Base
    model: PeftModel
    style: ChatStyle
    encoder: Encoder
    rows: list[Encoded]
    loss: SupervisedLoss
    optimizer: torch.optim.Optimizer
    ranks: Ranks
    state: TrainState
    engine: Engine
    seconds_load: float

    @property
    def parameters(self) -> list[torch.nn.Parameter]:
        """The parameters that are trained."""
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    @property
    def parameter_names(self) -> list[str]:
        """Their names, in the same order."""
        return [name for name, parameter in self.model.named_parameters() if parameter.requires_grad]

    @property
    def batch_size(self) -> int:
        """Rows per optimiser step, over all ranks."""
        config = self.config
        return config.per_device_train_batch_size * config.gradient_accumulation_steps * self.ranks.world

    @property
    def max_tokens(self) -> int:
        """The most tokens, padding included, that go through the model at once.

        On a CPU larger pieces are hardly faster, but their activations are the peak of the memory:
        1.6 MB a token with the demo model (docs/decisions.md). A GPU takes the whole micro-batch.
        """
        return CPU_TOKENS_AT_ONCE if self.base.device.type == "cpu" else 1 << 30

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in which each row is seen once."""
        return -(-len(self.rows) // self.batch_size)

    @property
    def num_steps(self) -> int:
        """Optimiser steps of the whole run."""
        return self.steps_per_epoch * self.config.num_train_epochs

    def batch(self, step: int) -> list[int]:
        """Return the rows of optimiser step `step`, counted from 0 over all epochs."""
        epoch, at = divmod(step, self.steps_per_epoch)
        lengths = [len(row.input_ids) for row in self.rows]
        return epoch_batches(lengths, self.dataset.sha256, self.config.seed, epoch, self.batch_size)[at]

    def checkpoint_files(self) -> dict[str, bytes]:
        """Return the content of a checkpoint, besides the state."""
        return {
            lora.WEIGHTS: save(lora.state(self.model), metadata={"format": "pt"}),
            lora.CONFIG: lora.config_json(self.model).encode(),
            "optimizer.safetensors": optimizer_bytes(self.optimizer, self.parameter_names),
        }

    def restore(self, state: TrainState, files: dict[str, bytes]) -> None:
        """Go on from a checkpoint, bit for bit."""
        self.state = state
        tensors = load(files[lora.WEIGHTS])
        lora.put_state(self.model, tensors)
        restore_optimizer(self.optimizer, self.parameter_names, files["optimizer.safetensors"])

    def sample(self, started: float) -> Sampled:
        """Answer the fixed prompts with the adapter as it is; training does not notice.

        Before the first step the base answers them too, fed with the raw prompts: it will not change.
        """
        prompts = [as_prompt(text) for text in self.config.sample_prompts]
        lanes = [
            Lane(
                self.encoder.prompt([Turn("user", prompt.prompt)]),
                Row(ADAPTER),
                stop_strings=self.style.stop_strings,
                lead_in=self.style.lead_in,
            )
            for prompt in prompts
        ]
        if self.state.step == 0:
            lanes += [Lane(self.encoder.raw(prompt.prompt)) for prompt in prompts]
        answers = self.engine.answers(lanes, Sampling(self.config.sample_max_new_tokens)) if lanes else []
        samples = [
            Sample(prompt.prompt, answer, answered(prompt, answer))
            for prompt, answer in zip(prompts * 2, answers, strict=False)
        ]
        seconds = round(time.monotonic() - started, 3)
        return Sampled(self.state.step, tuple(samples[: len(prompts)]), tuple(samples[len(prompts) :]), seconds)

    def new_record(self, name: str) -> RunRecord:
        """Return the record of a run that begins now."""
        return RunRecord(
            name=name,
            created_at=now(),
            state="running",
            base=self.base.identity,
            style=self.style.name,
            data_name=self.dataset.name,
            data_sha256=self.dataset.sha256,
            num_examples=len(self.rows),
            single_turn=all(sum(t.role == "user" for t in e.turns) == 1 for e in self.dataset.examples),
            step=0,
            num_steps=self.num_steps,
            loss=None,
            exact=True,
            config=self.config.to_dict(),
            versions=versions(),
        )


def prepare(config: TrainConfig, progress: Progress) -> Session:
    """Read and check the data, then load the base and put a fresh adapter on it.

    Raises:
        PlaygroundError: For any problem with data, model or machine, before anything is written.
    """
    begun = time.monotonic()
    style = get_style(config.style)
    path = paths.find_file(config.data)
    dataset = read_dataset(path)
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    device = pick_device()
    ranks = Ranks(device)
    base = load_base(config.model, config.quantize, progress, device)
    progress("encoding the data", 0.0)
    encoder = Encoder(base.tokenizer, style, base.end_token_id, config.max_length, config.train_on)
    rows = encode_all(encoder, dataset.examples, str(path))
    fingerprint = Fingerprint(base)
    model = lora.attach_new(base, config.lora_r, config.lora_alpha, config.seed)
    model.train()
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=config.learning_rate, weight_decay=0.0, fused=True)
    return Session(
        config=config,
        dataset=dataset,
        base=base,
        model=model,
        style=style,
        encoder=encoder,
        rows=rows,
        loss=SupervisedLoss(backbone(base.model), base.head),
        optimizer=optimizer,
        ranks=ranks,
        state=TrainState(micro_batch_size=config.per_device_train_batch_size),
        engine=Engine(base, model, fingerprint),
        seconds_load=time.monotonic() - begun,
    )


def check_resumable(record: RunRecord, session: Session) -> bool:
    """Return whether going on from `record` is bit-exact: the versions are the same.

    Raises:
        UsageError: If data, base or config differ, naming each difference.
    """
    mine = session.new_record(record.name)
    pairs = {
        "data": (record.data_sha256, mine.data_sha256),
        "base": (record.base.name, mine.base.name),
        "revision of the base": (record.base.revision, mine.base.revision),
        "quantisation": (record.base.quantize, mine.base.quantize),
        "arithmetic": (record.base.dtype, mine.base.dtype),
        "number of steps": (record.num_steps, mine.num_steps),
    }
    different = [f"{what} was {before}, is {after}" for what, (before, after) in pairs.items() if before != after]
    if different:
        raise UsageError(
            f"The run {record.name} cannot be resumed: " + "; ".join(different) + ".", "Start a new run instead."
        )
    return record.versions == mine.versions

"""The plan: what a training run will do and need, found before the weights are loaded.

Settings on ``auto`` are decided here, each with its reason. A run that does not fit is refused with
the nearest one that would fit.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import product
from typing import Protocol, TypeVar

import torch
from transformers import AutoConfig, PreTrainedTokenizerBase

from playground.config import ResolvedConfig, TrainConfig
from playground.data.encode import Encoded, Encoder, encode_all
from playground.data.examples import Dataset, remarks_in_words, training_data
from playground.data.held_out import TOO_FEW, Without, hold_out, how_many
from playground.data.order import Order
from playground.data.prompts import Prompt, turns_of
from playground.data.samples import sample_prompts
from playground.data.styles import get_style
from playground.environ import uncollected
from playground.errors import EnvironmentFault, InputError
from playground.events.plans import Choice, Plan
from playground.events.values import Progress
from playground.inference.engine import sample_lanes
from playground.models import source
from playground.models.architecture import require_supported, stored_as
from playground.models.budget import PROGRAM, Looks, memory_by_part
from playground.models.device import planned_dtype
from playground.models.footprint import Footprint, footprint
from playground.models.fused import packed_is_fused
from playground.models.lanes import Blend
from playground.models.machine import Machine
from playground.models.source import Source
from playground.models.tokenizer import open_tokenizer
from playground.report.words import gigabytes
from playground.text import count
from playground.training import speed
from playground.training.ranks import Ranks

T = TypeVar("T")
EFFECTIVE_BATCH = 8
LONGEST_AUTO = 2048
MEASURED_ROWS = 1_000
SMALL = 1_000_000_000


class Decide(Protocol):
    """Notes a value that was left open, with its reason; returns the value."""

    def __call__(self, name: str, value: T, reason: str) -> T:
        """Note it."""
        ...


@dataclass(frozen=True)
class Planned:
    """A plan, the config with every setting decided, and what was read and encoded for it.

    After planning, options are read from `config` only; `plan` has what was worked out.

    Attributes:
        everything: All rows.
        rows: The trained ones.
        held_out: The indices of the others in `everything`.
    """

    config: ResolvedConfig
    plan: Plan
    dataset: Dataset
    encoder: Encoder
    everything: Sequence[Encoded]
    rows: Sequence[Encoded]
    held_out: tuple[int, ...]
    order: Order


@uncollected()
def plan_training(
    config: TrainConfig,
    progress: Progress,
    ranks: Ranks | None = None,
    dataset: Dataset | None = None,
    *,
    released: int = 0,
    machine: Callable[[], Machine] = Machine.here,
) -> Planned:
    """Read and check the data and plan the training; the weights are not loaded. All ranks make the same plan.

    Args:
        config: What to train.
        progress: Called with the current stage.
        ranks: The processes that share the training.
        dataset: Examples that are at hand already, instead of those that `config` names.
        released: Bytes of the device that will be free before the training starts.
        machine: Tells where it will run, once the data has been read.

    Raises:
        PlaygroundError: For any problem with data or model.
    """
    dataset = dataset or training_data(config)
    where = source.resolve(config.model, progress)
    tokenizer, end = open_tokenizer(where)
    progress("encoding the data", 0.0)
    there = machine()
    ranks = ranks or Ranks(torch.device(there.device))
    free = there.free + released
    if there.device == "cpu":  # the ranks of one machine share its memory
        free //= int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    there = replace(there, free=ranks.least(free))
    return make_plan(config, dataset, where, tokenizer=tokenizer, end_token_id=end, machine=there, world=ranks.world)


def resolved(config: TrainConfig, plan: Plan) -> ResolvedConfig:
    """Return `config` with everything that the plan chose filled in."""
    decided = {
        "quantize": plan.quantize,
        "learning_rate": plan.learning_rate,
        "max_length": plan.max_length,
        "eval_rows": plan.num_eval,
        "per_device_train_batch_size": plan.per_device_train_batch_size,
        "gradient_accumulation_steps": plan.gradient_accumulation_steps,
        "gradient_checkpointing": "on" if plan.gradient_checkpointing else "off",
        "sample_prompts": plan.sample_prompts,
    }
    return ResolvedConfig(**{**vars(config), **decided})


def make_plan(
    config: TrainConfig,
    dataset: Dataset,
    where: Source,
    *,
    tokenizer: PreTrainedTokenizerBase,
    end_token_id: int,
    machine: Machine,
    world: int,
) -> Planned:
    """Decide what `config` leaves open and work out steps, memory and time.

    Args:
        config: What to train.
        dataset: The examples.
        where: The location of the base model.
        tokenizer: Its tokenizer.
        end_token_id: The token that ends its texts.
        machine: Where it will be trained. What this program already uses there is part of what is needed, and was free.
        world: Number of processes that share a step.

    Raises:
        InputError: If a row trains nothing, or the style does not fit the model.
    """
    choices: list[Choice] = []

    def decide(name: str, value: T, reason: str) -> T:
        choices.append(Choice(name, value, reason))
        return value

    model = AutoConfig.from_pretrained(where.location, trust_remote_code=False)
    require_supported(model, where.name)
    device, dtype = torch.device(machine.device), planned_dtype(machine.dtype, model)
    context = int(getattr(model.get_text_config(), "max_position_embeddings", LONGEST_AUTO))
    quantize = config.quantize
    if stored_as(model, where.name) == "nf4":
        if quantize == "none":
            raise InputError(f"The files of {where.name} are in NF4 already.", "Use --quantize nf4.")
        if quantize == "auto":
            quantize = decide("quantize", "nf4", "the model's files are in NF4")
    if quantize == "auto":
        has = find_spec("bitsandbytes") is not None
        quantize = decide("quantize", "nf4" if has else "none", "QLoRA" if has else "bitsandbytes is not installed")
    max_length = config.max_length or min(context, LONGEST_AUTO)
    style = get_style(config.style, tokenizer)
    encoder = Encoder(tokenizer, style, end_token_id, max_length, config.train_on)
    rows, dataset = encode_all(encoder, dataset, skip_bad=config.skip_bad)
    num_eval = _num_eval(config, len(rows), decide)
    everything, held_out = rows, hold_out(rows, num_eval, dataset.sha256, whole=dataset.is_whole)
    rows = Without(rows, held_out) if held_out else rows
    counted = rows if dataset.is_whole else ()
    lengths = [len(row.input_ids) for row in counted]
    longest = max(lengths, default=max_length)
    if config.max_length is None:
        known = f"the longest row has {longest:,} tokens" if counted else "rows are read as they are needed"
        decide("max_length", max_length, known)

    def fits_context(prompt: Prompt) -> bool:
        return len(encoder.prompt(turns_of(prompt))) + config.sample_max_new_tokens <= context

    samples, why = sample_prompts(config, dataset, held_out, fits_context)
    if why:
        decide("sample_prompts", len(samples), why)
    looks = _looks(
        config, encoder, samples,
        [len(everything[at].input_ids) if dataset.is_whole else max_length for at in held_out],
    )  # fmt: skip
    size = footprint(
        model, dtype, config.lora_r, repeated_heads=machine.before_ampere,
        fused=quantize == "nf4" and packed_is_fused(device, dtype),
    )  # fmt: skip
    rate = config.learning_rate
    if rate is None:
        small = size.parameters < SMALL
        why = f"{'below' if small else 'from'} 1 billion parameters; "
        # Chosen on the demo model with 115 and with 993 rows; the larger rate is that of the QLoRA paper.
        measured = small and len(rows) <= MEASURED_ROWS
        why += "measured with 100 to 1,000 rows" if measured else "not measured for this size"
        rate = decide("learning_rate", 5e-4 if small else 2e-4, why)

    def memory(rows_at_once: int, checkpointing: bool) -> dict[str, int]:
        return memory_by_part(
            size, quantize, device, program=machine.program,
            rows_at_once=rows_at_once, longest=longest, checkpointing=checkpointing, looks=looks,
        )  # fmt: skip

    free = machine.free + machine.program

    def fits(rows_at_once: int, checkpointing: bool) -> bool:
        return sum(memory(rows_at_once, checkpointing).values()) <= free

    micro, accumulation, checkpointing = _batching(config, len(rows), world, fits, decide)
    order = Order(len(rows), dataset.sha256, config.seed, micro * accumulation * world)
    num_steps = order.steps_per_epoch * config.num_train_epochs
    num_tokens = sum(lengths)
    pace = speed.last(where.name, quantize, machine.name)
    needed = memory(micro, checkpointing)
    plan = Plan(
        model=where.name,
        data=f"{dataset.name} ({dataset.container}, {dataset.shape})",
        device=machine.device,
        num_examples=len(rows),
        num_skipped=len(dataset.skipped),
        num_truncated=sum(bool(row.cut) for row in counted),
        num_tokens=num_tokens,
        num_trained_tokens=sum(row.num_trained for row in counted),
        longest=longest,
        num_steps=num_steps,
        trainable_parameters=size.adapter_parameters,
        parameters=size.parameters,
        quantize=quantize,
        learning_rate=rate,
        max_length=max_length,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=accumulation,
        gradient_checkpointing=checkpointing,
        choices=tuple(choices),
        memory=needed,
        free=free,
        seconds=num_tokens * config.num_train_epochs / (pace * world) if pace and num_tokens else None,
        warnings=(*_warnings(encoder, end_token_id, counted), *_unsure(dtype, machine)),
        nearest="",
        num_eval=len(held_out),
        unread=remarks_in_words(dataset),
        sample_prompts=samples,
    )
    if not plan.fits:
        plan = replace(plan, nearest=_nearest(size, plan, device, looks))
    return Planned(resolved(config, plan), plan, dataset, encoder, everything, rows, held_out, order)


def _looks(config: TrainConfig, encoder: Encoder, samples: Sequence[Prompt], held_out: Sequence[int]) -> Looks:
    """Return what is done at the first sampling, in which the base takes part; `held_out` are the lengths of rows."""
    prompts = [len(lane.prompt_ids) for lane in sample_lanes(encoder, samples, Blend(), base=True)]
    return Looks(len(prompts), max(prompts, default=0), config.sample_max_new_tokens, max(held_out, default=0))


def _num_eval(config: TrainConfig, num_rows: int, decide: Decide) -> int:
    """Return how many rows are held out."""
    num_eval = config.eval_rows
    if num_eval is None:
        num_eval = how_many(num_rows)
        decide(
            "eval_rows",
            num_eval,
            "5 % of the rows, at least 4 and at most 200" if num_eval else f"fewer than {TOO_FEW} rows",
        )
    elif num_eval >= num_rows:
        raise InputError(
            f"{count(num_eval, 'row')} cannot be held out of {num_rows:,}.", "Lower --eval-rows, or add rows."
        )
    return num_eval


def _batching(
    config: TrainConfig, num_rows: int, world: int, fits: Callable[[int, bool], bool], decide: Decide
) -> tuple[int, int, bool]:
    """Return rows per forward pass, passes per update, and whether to checkpoint activations: the first that fit."""
    micro, checkpointing = config.per_device_train_batch_size, config.gradient_checkpointing == "on"
    wanted = (micro,) if micro else tuple(n for n in (8, 4, 2, 1) if n <= max(1, num_rows))
    modes = (checkpointing,) if config.gradient_checkpointing != "auto" else (False, True)
    options = [(rows_at_once, mode) for mode in modes for rows_at_once in wanted]
    chosen = next((option for option in options if fits(*option)), options[-1])
    tight = chosen != options[0]
    if micro is None:
        micro = decide("per_device_train_batch_size", chosen[0], "what fits" if tight else "rows per update")
    if config.gradient_checkpointing == "auto":
        checkpointing = decide(
            "gradient_checkpointing", chosen[1], "memory is tight" if chosen[1] else "memory suffices"
        )
    accumulation = config.gradient_accumulation_steps
    if accumulation is None:
        free_choice = config.per_device_train_batch_size is None
        accumulation = max(1, EFFECTIVE_BATCH // (micro * world)) if free_choice else 1
        decide("gradient_accumulation_steps", accumulation, f"{micro * accumulation * world} rows per update")
    return micro, accumulation, checkpointing


def require_room(plan: Plan) -> None:
    """Refuse a plan that does not fit.

    Raises:
        EnvironmentFault: With the nearest plan that would fit.
    """
    if plan.fits:
        return
    way = (
        f"This would fit: {plan.nearest}." if plan.nearest else "No smaller setting would fit; choose a smaller model."
    )
    raise EnvironmentFault(
        f"This run needs about {gigabytes(plan.needed)}, but {gigabytes(plan.free)} are free on {plan.device}.",
        f"{way} --force tries anyway.",
    )


def _nearest(size: Footprint, plan: Plan, device: torch.device, looks: Looks) -> str:
    """Return the options of the smallest change to `plan` that fits; empty if there is none."""
    asked = len(plan.sample_prompts)
    prompts = [asked, *(n for n in (8, 4, 2, 1) if n < asked)]
    lengths = [plan.longest, *(n for n in (2048, 1024, 512, 256, 128) if n < plan.longest)]
    quantizations = dict.fromkeys((plan.quantize, "nf4"))
    modes = (plan.gradient_checkpointing, True)
    sizes = [n for n in (plan.per_device_train_batch_size, 8, 4, 2, 1) if n <= plan.per_device_train_batch_size]
    for fewer, longest, quantize, checkpointing, micro in product(prompts, lengths, quantizations, modes, sizes):
        held_out = min(looks.held_out, longest) if longest < plan.longest else looks.held_out
        parts = memory_by_part(
            size, quantize, device, program=plan.memory.get(PROGRAM, 0),
            rows_at_once=micro, longest=longest, checkpointing=checkpointing,
            looks=replace(looks, lanes=2 * fewer, held_out=held_out),
        )  # fmt: skip
        if sum(parts.values()) <= plan.free:
            return " ".join(
                option
                for option, changed in (
                    (f"--max-length {longest}", longest != plan.longest),
                    (f"--quantize {quantize}", quantize != plan.quantize),
                    ("--gradient-checkpointing on", checkpointing != plan.gradient_checkpointing),
                    (f"--per-device-train-batch-size {micro}", micro != plan.per_device_train_batch_size),
                    (f"--sample-prompts with {count(fewer, 'prompt')}", fewer != asked),
                )
                if changed
            )
    return ""


def _unsure(dtype: torch.dtype, machine: Machine) -> tuple[str, ...]:
    if dtype == machine.dtype:
        return ()
    return (
        "this GPU has no bfloat16; if float16 overflows, which shows once the model is loaded, float32 is used: slower,"
        " and what memory is planned for",
    )


def _warnings(encoder: Encoder, end_token_id: int, rows: Sequence[Encoded]) -> tuple[str, ...]:
    found = []
    if encoder.end_token_id != end_token_id:
        token = encoder.tokenizer.convert_ids_to_tokens(encoder.end_token_id)
        found.append(
            f"the style {encoder.style.name} ends an answer with {token}, a token that a base model may never have seen"
            " and whose row LoRA does not train; --style chat ends with the model's own end token"
        )
    cuts = {
        "lose their oldest turns": sum(row.turns_dropped > 0 for row in rows),
        "have a prompt that is shortened in its middle": sum(row.prompt_shortened for row in rows),
        "have an answer that is cut off, which does not teach to stop": sum(row.answer_cut for row in rows),
    }
    if any(cuts.values()):
        too_long = sum(bool(row.cut) for row in rows)
        what = "; ".join(f"{number:,} {words}" for words, number in cuts.items() if number)
        found.append(f"{too_long:,} of {len(rows):,} rows are longer than max_length {encoder.max_length:,}: {what}")
    return tuple(found)

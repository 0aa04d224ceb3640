"""The peak memory of a training run, by part, worked out before any weight is loaded."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from playground.models.footprint import Footprint
from playground.models.head import tile_width

CPU_TOKENS_AT_ONCE = 160
# NF4: half a byte, and double quantisation's constants: 8 bits per block of 64, 32 bits per 256 blocks.
NF4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)
ADAPTER_BYTES = 16  # float32 weight, gradient and AdamW's two moments
PROGRAM = "PyTorch itself"
MORE = "more while sampling"  # than a step takes; they use the same memory, one after the other
SLACK = 0.05  # of the total: what allocators keep between their blocks


@dataclass(frozen=True, slots=True)
class Looks:
    """What a run does when it is sampled: the sample prompts are answered at once, the held-out rows are measured.

    Attributes:
        lanes: The answers.
        longest: The tokens of the longest prompt.
        new: The most tokens of an answer.
        held_out: The tokens of the longest row that is held out; 0 without any.
    """

    lanes: int
    longest: int
    new: int
    held_out: int = 0


def memory_by_part(
    size: Footprint,
    quantize: str,
    device: torch.device,
    *,
    program: int = 0,
    rows_at_once: int,
    longest: int,
    checkpointing: bool,
    looks: Looks | None = None,
) -> dict[str, int]:
    """Return the peak memory of a training run in bytes, by part.

    It is that of a step or, if they take more, that of the `looks` between two steps.

    On a CPU the base is dense float32 and a step is cut into pieces of `tokens_at_once`; on a GPU
    the base stays packed and a micro-batch goes through whole.
    """
    cpu = device.type == "cpu"
    wide = size.width
    linear = NF4_BYTES if quantize == "nf4" and not cpu else wide
    tokens = min(rows_at_once * longest, tokens_at_once(longest, device))
    saved = size.saved_bytes + size.pair_bytes * longest
    activations = tokens * (size.checkpointed_bytes if checkpointing else saved)
    if checkpointing:  # one layer at a time is recomputed
        activations += tokens * saved // size.layers
    activations += tokens * 6 * size.hidden * wide  # gradients on their way through a layer
    tile = tokens * tile_width(tokens, size.vocabulary, device) * 4
    parts = {
        "weights": int(size.linear_parameters * linear + size.other_parameters * wide),
        "adapter and optimizer": size.adapter_parameters * ADAPTER_BYTES,
        "activations": activations,
        # A tile of logits and, on a GPU, its copy in the dtype of the head and the passes over it.
        "logits": tile if cpu else 3 * tile,
        # On a CPU the int8 copy of the head that sampling uses; on a GPU the layer being dequantised.
        "overhead": size.vocabulary * size.hidden if cpu else 2 * size.largest_linear,
    }
    if looks is not None:
        apart = max(_sampling(size, looks), _measuring(size, device, rows_at_once, longest, looks.held_out))
        if (more := apart - parts["activations"] - parts["logits"]) > 0:
            parts[MORE] = more
    if cpu:
        # Freed activations of many sizes leave gaps that the C library keeps: measured, about as much again.
        parts["overhead"] += activations
    parts["overhead"] += int(SLACK * sum(parts.values()))
    return parts | ({PROGRAM: program} if program else {})


def _sampling(size: Footprint, looks: Looks) -> int:
    """Return the bytes that answering takes in addition to the weights."""
    cache = looks.lanes * ((looks.longest + looks.new) * size.cache_bytes + size.state_bytes)
    # The prompts go through together. Their padding makes a mask, once of bytes and once of numbers.
    mask = looks.lanes * looks.longest**2 * (1 + size.width)
    # Of one position of each: in the dtype of the head, in float32, and what bounds or caps it.
    logits = looks.lanes * size.vocabulary * 4 * 4
    return cache + max(_read(size, looks.lanes, looks.longest) + mask, logits)


def _measuring(size: Footprint, device: torch.device, rows_at_once: int, longest: int, held_out: int) -> int:
    """Return the bytes that measuring rows takes in addition to the weights; `longest` is the longest trained one."""
    rows = max(1, min(rows_at_once, tokens_at_once(longest, device) // held_out)) if held_out else 0
    tokens = rows * held_out
    return max(_read(size, rows, held_out), 3 * tokens * tile_width(tokens, size.vocabulary, device) * 4)


def _read(size: Footprint, rows: int, length: int) -> int:
    """Return the bytes of a forward pass without gradients: those of a layer, and the hidden states around it."""
    scores = 3 * rows * length**2 * size.pair_bytes // (4 * size.layers)
    return rows * length * (size.layer_bytes + 2 * size.hidden * size.width) + scores


def tokens_at_once(longest: int, device: torch.device) -> int:
    """Return the most tokens, padding included, that go through the model at once.

    On a CPU the activations of a piece set the peak memory (1.6 MB per token with the demo model), and
    larger pieces are a tenth faster (docs/decisions). The row of `longest` tokens goes through whole
    and sets the peak; other pieces may as well be as large. A GPU takes the whole micro-batch.
    """
    return max(CPU_TOKENS_AT_ONCE, longest) if device.type == "cpu" else 1 << 30

"""The learning rate: a pure function of the step."""

from __future__ import annotations

import math


def learning_rate(step: int, num_steps: int, peak: float, warmup_ratio: float) -> float:
    """Return the rate of optimiser step `step` (from 0): linear warm-up, then half a cosine to zero.

    The same values as ``transformers.get_cosine_schedule_with_warmup``, but the first step is not
    spent at rate zero: on a run of 39 steps that is a step lost.
    """
    warmup = math.ceil(num_steps * warmup_ratio)
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / max(1, num_steps - warmup)
    return peak * 0.5 * (1 + math.cos(math.pi * progress))

"""What a model computes on a little real text, looked at before anything is trained or shown."""

from __future__ import annotations

from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

TEXT = "The capital of the country is a question: what does a model know, and what does it say?"
FLOAT16_ROOM = 3e4  # float16 ends at 65,504; other texts may have larger values than the probe


def probe_ids(tokenizer: PreTrainedTokenizerBase, length: int, *, begin: bool = False) -> list[int]:
    """Return exactly `length` tokens of `TEXT`, however the tokenizer cuts it.

    Args:
        tokenizer: The model's tokenizer.
        length: How many.
        begin: Let it put its BOS token first, where the largest values of many models are.
    """
    ids = list(tokenizer(TEXT, add_special_tokens=begin)["input_ids"])[:length]
    return (ids * length)[:length]


@torch.inference_mode()
def largest_value(decoder: torch.nn.Module, ids: list[int], device: torch.device) -> float:
    """Return the largest magnitude that goes into or comes out of any module; infinite if one is not finite."""
    largest = torch.zeros((), device=device)

    def look(found: Any) -> None:
        nonlocal largest
        for value in found if isinstance(found, tuple | list) else (found,):
            if isinstance(value, torch.Tensor) and value.is_floating_point() and value.numel():
                # A minimum would pass over a NaN, so that is made infinite.
                top = value.detach().abs().amax().float().nan_to_num(nan=torch.inf, posinf=torch.inf)
                largest = torch.maximum(largest, top.to(device))

    modules = list(decoder.modules())
    hooks = [module.register_forward_pre_hook(lambda _, given: look(given)) for module in modules]
    hooks += [module.register_forward_hook(lambda _, given, got: look(got)) for module in modules]
    try:
        output = decoder(input_ids=torch.tensor([ids], device=device), use_cache=False)
        look(output.last_hidden_state)
    finally:
        for hook in hooks:
            hook.remove()
    return float(largest)

"""The forward passes of an answer: the prompts, then one token after the other.

Lanes go through the model together where its state is keys and values, which a mask hides row by row. The state of
convolutions and of linear attention has taken in what was before it: there each lane has its own cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from transformers import PretrainedConfig
from transformers.cache_utils import DynamicCache

from playground.inference.cache import LaneCache, cache_argument
from playground.models.head import backbone
from playground.models.lanes import Blend, Lanes
from playground.models.load import Base


class Passes(Protocol):
    """The state of the lanes that are still answering."""

    can_rewind: bool  # whether tokens can be taken back, which guessing needs

    def read(self) -> torch.Tensor:
        """Return the hidden states ``(lanes, 1, hidden)`` after the prompts."""
        ...

    def go_on(self, tokens: Sequence[Sequence[int]], length: int) -> torch.Tensor:
        """Return the hidden states ``(lanes, new, hidden)`` of each lane's next tokens.

        Args:
            tokens: Equally many for each lane.
            length: How many tokens precede them after the prompt; what was read beyond is dropped.
        """
        ...

    def keep(self, indices: Sequence[int]) -> None:
        """Continue with the lanes at `indices` only."""
        ...


def passes(base: Base, prompts: Sequence[tuple[int, ...]], budget: int, current: Lanes) -> Passes:
    """Return the passes of `prompts`, each followed by at most `budget` tokens, in the lanes of `current`."""
    config: Any = base.model.config.get_text_config()
    return Together(base, prompts, budget, current) if LaneCache.serves(config) else Apart(base, prompts, current)


class Together:
    """All lanes in one batch, padded on the left, with one cache."""

    can_rewind = True

    def __init__(self, base: Base, prompts: Sequence[tuple[int, ...]], budget: int, current: Lanes) -> None:
        self._decoder, self._device, self._current = backbone(base.model), base.device, current
        self._longest = max(map(len, prompts))
        self._cache = LaneCache(base.model.config.get_text_config(), self._longest + budget)
        self._ids, self._mask = left_padded(base, prompts, self._longest + budget)
        self._lengths = self._mask[:, : self._longest].sum(1, keepdim=True)

    def read(self) -> torch.Tensor:
        """Return the hidden states after the prompts."""
        positions = (self._mask[:, : self._longest].cumsum(1) - 1).clamp_min(0)
        return self._forward(self._ids, positions)[:, -1:]

    def go_on(self, tokens: Sequence[Sequence[int]], length: int) -> torch.Tensor:
        """Return the hidden states of the next tokens."""
        self._cache.rewind(self._longest + length)
        ids = torch.tensor(tokens, device=self._device)
        return self._forward(ids, self._lengths + length + torch.arange(ids.shape[1], device=self._device))

    def keep(self, indices: Sequence[int]) -> None:
        """Continue with some of the lanes."""
        self._current.keep(indices)
        self._cache.keep(indices)
        self._mask, self._lengths = self._mask[indices], self._lengths[indices]

    @torch.inference_mode()
    def _forward(self, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        mask = self._mask[:, : self._cache.length + ids.shape[1]]
        return _hidden(self._decoder, self._cache, input_ids=ids, attention_mask=mask, position_ids=positions)


class Apart:
    """Each lane on its own, with the cache that transformers has for the model: slower, and right for every model."""

    can_rewind = False

    def __init__(self, base: Base, prompts: Sequence[tuple[int, ...]], current: Lanes) -> None:
        self._decoder, self._device, self._current = backbone(base.model), base.device, current
        self._prompts, self._rows = prompts, current.rows
        config: PretrainedConfig = base.model.config.get_text_config()
        self._caches = [DynamicCache(config=config) for _ in prompts]

    def read(self) -> torch.Tensor:
        """Return the hidden states after the prompts."""
        return self._each(self._prompts)

    def go_on(self, tokens: Sequence[Sequence[int]], length: int) -> torch.Tensor:
        """Return the hidden states of the next tokens."""
        return self._each(tokens)

    def keep(self, indices: Sequence[int]) -> None:
        """Continue with some of the lanes."""
        self._rows, self._caches = [self._rows[at] for at in indices], [self._caches[at] for at in indices]

    @torch.inference_mode()
    def _each(self, tokens: Sequence[Sequence[int]]) -> torch.Tensor:
        return torch.cat([self._one(*lane) for lane in zip(self._rows, self._caches, tokens, strict=True)])

    def _one(self, row: Blend, cache: DynamicCache, tokens: Sequence[int]) -> torch.Tensor:
        self._current.show([row])
        ids = torch.tensor([tokens], device=self._device)
        return _hidden(self._decoder, cache, input_ids=ids)[:, -1:]


def _hidden(decoder: torch.nn.Module, cache: Any, **inputs: torch.Tensor) -> torch.Tensor:
    output = decoder(use_cache=True, **inputs, **{cache_argument(decoder): cache})
    return output.last_hidden_state  # type: ignore[no-any-return]


def left_padded(base: Base, prompts: Sequence[tuple[int, ...]], width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the ids ``(lanes, longest)`` of prompts, and a mask ``(lanes, width)`` that is 0 on their padding."""
    longest = max(map(len, prompts))
    ids = torch.full((len(prompts), longest), base.pad_token_id)
    mask = torch.ones((len(prompts), width), dtype=torch.long)
    for at, prompt in enumerate(prompts):
        pad = longest - len(prompt)
        ids[at, pad:] = torch.tensor(prompt)
        mask[at, :pad] = 0
    return ids.to(base.device), mask.to(base.device)

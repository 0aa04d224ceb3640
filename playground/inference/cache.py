"""A key-value cache for lanes: preallocated for all steps, with rows that can be dropped.

transformers' dynamic cache copies itself at every token; with a hundred lanes that is a tenth of the
time of a step. Here each layer writes into a buffer of the final size.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from transformers import PretrainedConfig
from transformers.cache_utils import Cache, CacheLayerMixin


class _Layer(CacheLayerMixin):
    """Keys and values of one layer, ``(rows, heads, capacity, head_dim)``, filled up to `length`."""

    keys: torch.Tensor  # (rows, heads, capacity, head_dim)
    values: torch.Tensor
    is_sliding = False  # every position is kept; the mask, not the cache, makes the window
    is_compileable = False

    def __init__(self, capacity: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.capacity = capacity
        self.length = 0

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor | None = None) -> None:
        value_states = key_states if value_states is None else value_states
        rows, heads, _, _ = key_states.shape
        self.keys = key_states.new_empty((rows, heads, self.capacity, key_states.shape[-1]))
        self.values = value_states.new_empty((rows, heads, self.capacity, value_states.shape[-1]))
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start, self.length = self.length, self.length + key_states.shape[-2]
        self.keys[:, :, start : self.length] = key_states
        self.values[:, :, start : self.length] = value_states
        return self.keys[:, :, : self.length], self.values[:, :, : self.length]

    def get_mask_sizes(self, query_length: Any) -> tuple[int, int]:
        # transformers 5 passed the positions of the query here before it passed their number.
        new = query_length if isinstance(query_length, int) else query_length.shape[0]
        return self.length + new, 0

    def get_seq_length(self) -> int:
        return self.length

    def get_max_length(self) -> int:
        return self.capacity

    def get_max_cache_shape(self) -> int:
        return self.capacity

    def keep(self, indices: torch.Tensor) -> None:
        self.keys = self.keys[:, :, : self.length].index_select(0, indices)
        self.values = self.values[:, :, : self.length].index_select(0, indices)
        grown = (*self.keys.shape[:2], self.capacity - self.length, self.keys.shape[-1])
        self.keys = torch.cat([self.keys, self.keys.new_empty(grown)], dim=2)
        grown = (*self.values.shape[:2], self.capacity - self.length, self.values.shape[-1])
        self.values = torch.cat([self.values, self.values.new_empty(grown)], dim=2)


class LaneCache(Cache):
    """A cache of `capacity` positions for all attention layers of a model that it `serves`."""

    @staticmethod
    def serves(config: PretrainedConfig) -> bool:
        """Return whether the state of all layers is keys and values."""
        kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
        return kinds <= {"full_attention", "sliding_attention", "chunked_attention", "attention"}

    def __init__(self, config: PretrainedConfig, capacity: int) -> None:
        super().__init__(layers=[_Layer(capacity) for _ in range(config.num_hidden_layers)])

    @property
    def length(self) -> int:
        """How many positions are in it."""
        return int(self.get_seq_length())

    def rewind(self, length: int) -> None:
        """Drop all positions from `length` on."""
        for layer in self.layers:
            assert isinstance(layer, _Layer)
            layer.length = length

    def keep(self, indices: Sequence[int]) -> None:
        """Continue with the rows at `indices` only."""
        for layer in self.layers:
            assert isinstance(layer, _Layer)
            layer.keep(torch.tensor(indices, device=layer.keys.device))


def cache_argument(decoder: torch.nn.Module) -> str:
    """Return by which name a decoder takes its cache; transformers is about to drop the older one, version 5.40."""
    return "cache" if "cache" in inspect.signature(decoder.forward).parameters else "past_key_values"

"""``lanes()``: one batch in which each row has its own adapter and strength; base rows have none.

PEFT's LoRA layers add ``lora_B(lora_A(x)) * scaling[name]``. With a ``(rows, 1, 1)`` tensor in place
of the number, each row gets its own multiple: 0 for base and control, 1 for sft, λ for a slider. Base
and adapted model are then the same weights in the same forward pass, and nothing is switched on and
off between two panes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from peft.tuners.lora import LoraLayer

from playground.errors import InputError


@dataclass(frozen=True, slots=True)
class Blend:
    """The adapter of one row and its strength λ; None is the base."""

    adapter: str | None = None
    strength: float = 1.0


class Lanes:
    """The rows of the batch in progress; `keep` drops the rows that have finished."""

    def __init__(self, layers: list[LoraLayer], names: list[str], rows: Sequence[Blend], device: torch.device) -> None:
        self._layers = layers
        self._names = names
        self._rows = list(rows)
        self._device = device
        # Adapters may be on different layers: one on all of them, another on the query and value projections only.
        self._factors = [
            {name: float(layer.scaling[name]) for name in names if name in layer.scaling} for layer in layers
        ]

    @property
    def rows(self) -> list[Blend]:
        """The adapter and the strength of each row."""
        return list(self._rows)

    def keep(self, indices: Sequence[int]) -> None:
        """Continue with the rows at `indices` only, in that order."""
        self.show([self._rows[index] for index in indices])

    def show(self, rows: Sequence[Blend]) -> None:
        """Compute these rows from here on; their adapters are among those that the block began with."""
        self._rows = list(rows)
        self.apply()

    def apply(self) -> None:
        """Give every LoRA layer the scaling tensors of the current rows; equal ones are shared.

        An adapter without rows is not computed: it would only add 0 to the base.
        """
        made: dict[tuple[str, float], torch.Tensor] = {}
        in_use = [name for name in self._names if any(row.adapter == name for row in self._rows)]
        for layer, factors in zip(self._layers, self._factors, strict=True):
            layer._active_adapter = in_use
            for name, factor in factors.items():
                if (name, factor) not in made:
                    # PEFT computes base(x) + lora_B(lora_A(x)) * scaling. A number would scale all rows alike; a column
                    # scales each row by its own: 0 in the base's rows, where x * 0.0 adds exactly nothing.
                    values = [row.strength * factor if row.adapter == name else 0.0 for row in self._rows]
                    made[name, factor] = torch.tensor(values, device=self._device).view(-1, 1, 1)
                layer.scaling[name] = made[name, factor]

    def check_shape(self, module: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
        """Raise unless a LoRA layer's input is ``(rows, seq, features)``: only then is a row a lane."""
        shape = tuple(inputs[0].shape)
        if len(shape) != 3 or shape[0] != len(self._rows):
            raise InputError(
                f"A layer of this model gets an input of shape {shape} instead of (rows, seq, features).",
                "Models that regroup tokens, such as mixtures of experts, cannot be shown in lanes yet.",
            )
        module._lanes_checked = True  # type: ignore[assignment]


@contextmanager
def lanes(model: torch.nn.Module, rows: Sequence[Blend]) -> Iterator[Lanes]:
    """Make `model` compute `rows` until the block ends, then restore it exactly.

    Set and restored: LoRA scaling, active adapters, ``requires_grad``, training mode, ``use_cache``,
    the random state. Nothing else in this package writes ``scaling``, because merging and training
    break with a tensor in it.

    Raises:
        InputError: If a LoRA layer is of a kind that a per-row scale does not work for (DoRA and others),
            is merged, or gets an input without rows.
    """
    layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
    names = sorted({row.adapter for row in rows if row.adapter is not None})
    for layer in layers:
        if layer.merged or layer.disable_adapters or any(name in layer.lora_variant for name in names):
            raise InputError(
                "This adapter is merged, disabled or of a special kind (such as DoRA).",
                "Lanes need a plain, unmerged LoRA adapter.",
            )
    cuda = torch.cuda.is_available() and torch.cuda.is_initialized()
    random = (torch.get_rng_state(), torch.cuda.get_rng_state_all() if cuda else [])
    training = [module for module in model.modules() if module.training]
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    scaling = [dict(layer.scaling) for layer in layers]
    active = [list(layer.active_adapters) for layer in layers]
    config: Any = model.config.get_text_config()  # type: ignore[operator, union-attr]
    use_cache = config.use_cache
    current = Lanes(layers, names, rows, next(model.parameters()).device)
    hooks: list[torch.utils.hooks.RemovableHandle] = []
    try:
        # Dropout would make the rows differ by chance. Not `eval()`: each module goes back to the mode that it was in.
        for module in training:
            module.training = False
        current.apply()
        # A layer that sees tokens of all rows in one heap (a mixture of experts) would scale the wrong ones. Whether an
        # architecture does that is known after one look at the shape of its inputs.
        unseen = [layer for layer in layers if not getattr(layer, "_lanes_checked", False)]
        hooks = [layer.register_forward_pre_hook(current.check_shape) for layer in unseen]
        config.use_cache = True
        yield current
    finally:
        for hook in hooks:
            hook.remove()
        config.use_cache = use_cache
        for layer, names_before, scaling_before in zip(layers, active, scaling, strict=True):
            layer._active_adapter = names_before
            layer.scaling.clear()
            layer.scaling.update(scaling_before)
        for parameter in learned:
            parameter.requires_grad_(True)
        for module in training:
            module.training = True
        torch.set_rng_state(random[0])
        if random[1]:
            torch.cuda.set_rng_state_all(random[1])

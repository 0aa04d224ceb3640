"""NF4 with double quantisation (QLoRA, arXiv 2305.14314) on a CPU, through bitsandbytes.

Quantising 100 million weights takes bitsandbytes two seconds on two cores, dequantising them a few
tenths. So the demo model stores the packed values next to its weights; other models are quantised at
each load. Both ways give the same float32 values.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

FILE = "nf4.safetensors"


def save(weights: dict[str, torch.Tensor], folder: Path) -> None:
    """Write the packed NF4 values of every linear layer among `weights`, in bitsandbytes' own layout."""
    packed: dict[str, torch.Tensor] = {}
    for name, weight in weights.items():
        if weight.dim() == 2 and "embed" not in name:
            values, state = _quantize(weight)
            packed[name] = values
            packed |= {f"{name}.{key}": part for key, part in state.as_dict(packed=True).items()}
    # The state holds tensors that share storage with constants of bitsandbytes.
    save_file({name: tensor.clone() for name, tensor in packed.items()}, folder / FILE)


class Values:
    """The NF4 values of a model's linear layers, from the file `save` wrote into `folder`, or computed."""

    def __init__(self, folder: Path | None) -> None:
        path = folder / FILE if folder else None
        self._file = safe_open(path, "pt") if path and path.is_file() else None
        self._keys = list(self._file.keys()) if self._file else []

    def of(self, name: str, weight: torch.Tensor) -> torch.Tensor:
        """Return the float32 values that `weight`, called `name`, has after NF4."""
        from bitsandbytes.functional import QuantState, dequantize_4bit

        if self._file is None or name not in self._keys:
            return dequantize_4bit(*_quantize(weight))  # type: ignore[no-any-return]
        parts = {key[len(name) + 1 :]: self._file.get_tensor(key) for key in self._keys if key.startswith(name + ".")}
        state = QuantState.from_dict(parts, device=torch.device("cpu"))
        return dequantize_4bit(self._file.get_tensor(name), state)  # type: ignore[no-any-return]


def _quantize(weight: torch.Tensor):  # type: ignore[no-untyped-def]  # bitsandbytes has no types
    from bitsandbytes.functional import quantize_4bit

    return quantize_4bit(weight.float().contiguous(), blocksize=64, compress_statistics=True, quant_type="nf4")

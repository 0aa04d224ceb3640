"""Environment variables that libraries read when they are imported."""

from __future__ import annotations

import os

BEFORE_TORCH = {
    # Huge pages for large tensors: 6 % of a training step on a CPU.
    "THP_MEM_ALLOC_ENABLE": "1",
    # oneDNN keeps a compiled kernel for every shape it has seen, by default 1,024 of them, and batches have many
    # lengths: a quarter of a gigabyte after one epoch. With 64 nothing is slower (docs/decisions).
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64",
    # Keep library messages out of the program's own output.
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
}


def before_torch() -> None:
    """Set what the user has not set. Call it before torch and transformers are imported."""
    for name, value in BEFORE_TORCH.items():
        os.environ.setdefault(name, value)

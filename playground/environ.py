"""What must be set before libraries are imported: their environment variables, and no search for garbage."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

BEFORE_TORCH = {
    # Huge pages for large tensors: 6 % of a training step on a CPU.
    "THP_MEM_ALLOC_ENABLE": "1",
    # oneDNN keeps a compiled kernel for every shape it has seen, by default 1,024 of them, and batches have many
    # lengths: a quarter of a gigabyte after one epoch. With 64 nothing is slower (docs/decisions).
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64",
    # bitsandbytes, which PEFT imports, decorates functions with torch.compile: this makes it do nothing, and saves the
    # import of the compiler, a fifth of the time to the first answer. Nothing here is compiled.
    "TORCHDYNAMO_DISABLE": "1",
    # With --deterministic, cuBLAS needs workspaces of a fixed size. PyTorch reads this once, at the first product of
    # the process, which may be long before that option is known.
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    # Batches have many lengths: blocks of the GPU's memory that can grow leave fewer gaps than blocks of fixed sizes.
    "PYTORCH_ALLOC_CONF": "expandable_segments:True",
    # Keep library messages out of the program's own output.
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
}


def before_torch() -> None:
    """Set what the user has not set. Call it before torch and transformers are imported."""
    for name, value in BEFORE_TORCH.items():
        if not (name == "PYTORCH_ALLOC_CONF" and "PYTORCH_CUDA_ALLOC_CONF" in os.environ):  # its older name
            os.environ.setdefault(name, value)


@contextmanager
def uncollected() -> Iterator[None]:
    """Collect no garbage in a block that imports PyTorch or loads a model.

    What it makes stays, and looking through it for garbage again and again takes a sixth of its time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()

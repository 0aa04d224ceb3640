"""How much memory is free, how much is used, and what it means to run out of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from playground.errors import EnvironmentFault

_CGROUP = Path("/sys/fs/cgroup")
_RECLAIMABLE = ("inactive_file", "active_file", "slab_reclaimable")  # counted as used, freed on demand


class MemoryFault(EnvironmentFault):
    """There was not enough memory for something that cannot be made smaller here."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out, on any device."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # How the allocator of a CPU says it, then the drivers of full cards ("CUDA error", "CUDA driver error" where blocks
    # are to grow, "HIP error"), and cuBLAS where its workspace does not fit.
    said = str(error)
    return isinstance(error, RuntimeError) and (
        ("alloc" in said and "memory" in said) or "out of memory" in said or "CUBLAS_STATUS_ALLOC_FAILED" in said
    )


@contextmanager
def naming_memory(doing: str) -> Iterator[None]:
    """Name what was being done when memory ran out.

    Raises:
        MemoryFault: If it ran out.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise MemoryFault(
            f"Out of memory while {doing}.",
            "Free some memory, lower --max-length, or choose a smaller model.",
        ) from error


def give_back(device: torch.device) -> None:
    """Give memory that freed tensors still hold back to a GPU."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def free_memory(device: torch.device) -> int:
    """Return the bytes that this process could still allocate on `device`.

    On a CPU this is the system's available memory, or what a container's limit leaves, if that is less.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    import psutil

    available = int(psutil.virtual_memory().available)
    try:
        limit, used = (int((_CGROUP / name).read_text()) for name in ("memory.max", "memory.current"))
        lines = dict(line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines())
        cache = sum(int(lines.get(name, 0)) for name in _RECLAIMABLE)
        return max(0, min(available, limit - used + cache))
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        return available


def held_memory(device: torch.device) -> int:
    """Return the bytes of `device` that are free again when this process ends; on a GPU without its context."""
    return int(torch.cuda.memory_reserved(device)) if device.type == "cuda" else program_memory(device)


def program_memory(device: torch.device) -> int:
    """Return the bytes that the program itself uses on a CPU; 0 for a GPU."""
    if device.type == "cuda":
        return 0
    import psutil

    return int(psutil.Process().memory_info().rss)


def peak_memory(device: torch.device) -> int:
    """Return the peak memory of this process on `device` in bytes, including its code and caches."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_reserved(device))
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    # From the kernel if possible: on Linux `getrusage` starts with the peak of the process that started this one.
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS

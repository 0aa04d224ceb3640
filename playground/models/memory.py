"""How much memory there is, and how much was taken."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import torch

_CGROUP = Path("/sys/fs/cgroup")
_RECLAIMABLE = ("inactive_file", "active_file", "slab_reclaimable")  # counted as used, given back when wanted


def free_memory(device: torch.device) -> int:
    """Return the bytes that this process could still take on `device`.

    On a CPU that is what the system calls available, or what a container's limit leaves, if less.
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


def program_memory(device: torch.device) -> int:
    """Return the bytes that the program itself holds on a CPU; a GPU holds none of it."""
    if device.type == "cuda":
        return 0
    import psutil

    return int(psutil.Process().memory_info().rss)


def peak_memory(device: torch.device) -> int:
    """Return the most bytes that this process has held on `device` so far, its code and caches included."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_reserved(device))
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    # Where the kernel says it: on Linux `getrusage` begins with the peak of the process that started this one.
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS

"""Where models compute, and what that device can do. Nothing but PyTorch is imported here: see `machine`."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import torch

from playground import settings
from playground.errors import EnvironmentFault
from playground.text import count

if TYPE_CHECKING:
    from transformers import PretrainedConfig

AMPERE = (8, 0)  # from here on GPUs compute in bfloat16, and flash attention exists


def pick_device() -> torch.device:
    """Return the device of this process: the one of the settings, else its GPU if it can be used, else the CPU.

    Raises:
        EnvironmentFault: If the settings name a GPU that cannot be used, or there are more processes here than GPUs.
    """
    wanted = settings.device()
    own = int(os.environ.get("LOCAL_RANK", "0"))
    if wanted in ("auto", "cuda") and torch.cuda.is_available() and own >= (there := torch.cuda.device_count()):
        # On the CPU it would speak gloo with others that speak NCCL.
        raise EnvironmentFault(
            f"This is process {own + 1} of a training on this machine, which has {count(there, 'GPU')} to use.",
            f"Start {count(there, 'process', 'processes')}, or use --device cpu for all of them.",
        )
    device = torch.device("cuda", int(wanted[5:]) if wanted.startswith("cuda:") else own)
    why = "" if wanted == "cpu" else why_no_gpu(device)
    if why and wanted != "auto":
        raise EnvironmentFault(f"{wanted} cannot be used: {why}.", "Use --device cpu, or auto.")
    return torch.device("cpu") if why or wanted == "cpu" else device


def why_no_gpu(device: torch.device) -> str:
    """Return why the GPU `device` cannot be used; empty if it can."""
    if not torch.cuda.is_available():
        return "this PyTorch has no CUDA" if torch.version.cuda is None else "no usable GPU was found"
    if (device.index or 0) >= (there := torch.cuda.device_count()):
        return f"there are {there} GPUs, counted from 0"
    if torch.version.hip is None and not _is_compiled_for(torch.cuda.get_device_capability(device)):
        major, minor = torch.cuda.get_device_capability(device)
        built = ", ".join(torch.cuda.get_arch_list())
        return f"{torch.cuda.get_device_name(device)} has capability {major}.{minor}, this PyTorch is built for {built}"
    return ""


def _is_compiled_for(capability: tuple[int, int]) -> bool:
    """Return whether a kernel of this PyTorch runs on `capability`.

    Machine code (``sm_86``) runs on its own major version from its minor version on; code for the driver to compile
    (``compute_90``) on everything newer.
    """
    found = [re.fullmatch(r"(sm|compute)_(\d+)(\d)", name) for name in torch.cuda.get_arch_list()]
    built = [(match[1], (int(match[2]), int(match[3]))) for match in found if match]
    return any(b <= capability and (kind == "compute" or b[0] == capability[0]) for kind, b in built)


def name_of(device: torch.device) -> str:
    """Return what a record says of a device: on another one, the same training has other bits."""
    if device.type != "cuda":
        return device.type
    major, minor = torch.cuda.get_device_capability(device)
    return f"{torch.cuda.get_device_name(device)}, capability {major}.{minor}"


def compute_dtype(device: torch.device) -> torch.dtype:
    """Return the dtype of the arithmetic: float32 on a CPU, bfloat16 on GPUs that support it, else float16.

    Capability decides, because ``torch.cuda.is_bf16_supported`` is also true where it is emulated. Loading a model
    falls back to float32 where float16 overflows, see `planned_dtype`.
    """
    if device.type != "cuda":
        return torch.float32
    return torch.float16 if before_ampere(device) else torch.bfloat16


def planned_dtype(dtype: torch.dtype, config: PretrainedConfig) -> torch.dtype:
    """Return the dtype to plan with on a device that computes in `dtype`.

    It is the wider one where only the loaded model shows whether float16 is enough: a model that was made in bfloat16
    may have values that float16 cannot hold.
    """
    made_in = getattr(config.get_text_config(), "dtype", None) or config.dtype
    return torch.float32 if dtype == torch.float16 and made_in != torch.float16 else dtype


def before_ampere(device: torch.device) -> bool:
    """Return whether `device` is a GPU without bfloat16 and flash attention, such as a T4 or a V100."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) < AMPERE

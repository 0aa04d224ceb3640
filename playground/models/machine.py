"""What a plan has to know of the device. A process that is to hold none of it asks another one: this module.

Asking a GPU how much memory is free makes a context on it, some hundred megabytes that the asking process keeps until
it ends. A training would miss them.
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from playground import settings
from playground.errors import EnvironmentFault, PlaygroundError
from playground.events.values import Json
from playground.models.device import before_ampere, compute_dtype, name_of, pick_device
from playground.models.memory import free_memory, program_memory

ASK_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Machine(Json):
    """Where a training would run.

    Attributes:
        device: As PyTorch calls it.
        name: As a record has it, see `name_of`.
        arithmetic: The name of the dtype in which it computes.
        before_ampere: Whether it is a GPU without bfloat16 and flash attention.
        free: Bytes that are free there.
        program: Bytes that this process already uses there, see `program_memory`.
    """

    device: str
    name: str
    arithmetic: str
    before_ampere: bool
    free: int
    program: int

    @classmethod
    def here(cls) -> Machine:
        """Return the machine as this process sees it; on a GPU it has a context from then on.

        Raises:
            EnvironmentFault: If the settings name a GPU that cannot be used.
        """
        device = pick_device()
        return cls(
            device=str(device),
            name=name_of(device),
            arithmetic=str(compute_dtype(device)).removeprefix("torch."),
            before_ampere=before_ampere(device),
            free=free_memory(device),
            program=program_memory(device),
        )

    @property
    def dtype(self) -> torch.dtype:
        """The dtype in which it computes."""
        return getattr(torch, self.arithmetic)  # type: ignore[no-any-return]


def asked(environment: Mapping[str, str]) -> Callable[[], Machine]:
    """Begin to ask another process for the machine, if there may be a GPU, and return what waits for the answer.

    Args:
        environment: Of that process, which sees the GPUs; this one should not.
    """
    if settings.device() == "cpu" or not _may_have_gpu():
        return Machine.here
    answer = ThreadPoolExecutor(1).submit(_ask, environment)
    return lambda: answer.result() or Machine.here()


def _may_have_gpu() -> bool:
    """Return whether there is a driver of GPUs; nothing of it is started."""
    with suppress(OSError):
        ctypes.CDLL("libcuda.so.1")
        return True
    return Path("/dev/kfd").exists()  # AMD's


def _ask(environment: Mapping[str, str]) -> Machine | None:
    """Return what another process says of the machine; None if it has no GPU, so that this one may look itself.

    Raises:
        PlaygroundError: If the device cannot be used, or does not answer.
    """
    hint = "Choose another device: --device cpu."
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", __name__], env=dict(environment), stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=ASK_SECONDS, check=False,
        )  # fmt: skip
        said = json.loads(done.stdout.splitlines()[-1])
        if "message" in said:
            raise EnvironmentFault(str(said["message"]), str(said["hint"]))
        machine = Machine.from_dict(said)
    except subprocess.TimeoutExpired:
        raise EnvironmentFault(f"The GPU has not answered within {ASK_SECONDS:.0f} s.", hint) from None
    except (IndexError, ValueError, TypeError):
        why = " ".join(done.stderr.split())[-300:] or f"it ended with {done.returncode}"
        raise EnvironmentFault(f"The GPU could not be asked what it has: {why}.", hint) from None
    return None if machine.device == "cpu" else machine


def main() -> None:
    """Print the machine, or why its device cannot be used, as a line of JSON."""
    try:
        print(Machine.here().to_json())
    except PlaygroundError as error:
        print(json.dumps({"message": error.message, "hint": error.hint}))


if __name__ == "__main__":
    main()

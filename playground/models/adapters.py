"""Finding adapters: by name, by path, on the hub, at a step of a run, or the newest one."""

from __future__ import annotations

import re
from pathlib import Path

from playground import paths
from playground.errors import InputError
from playground.runs import library
from playground.runs.folder import ADAPTER_CONFIG, kept_steps, step_folder

_AT_STEP = re.compile(r"(.+)@(\d{1,9})")


def find_adapter(wanted: str | None, adapters_dir: Path) -> Path:
    """Return the folder of the adapter called `wanted`.

    Args:
        wanted: A path, the name of a run, ``RUN@step``, ``hf:org/name``, or None for the newest of the
            user's own adapters, else the newest that came with the program.
        adapters_dir: The folder of the user's own adapters.

    Raises:
        InputError: If there is none.
        EnvironmentFault: If the hub cannot be reached.
    """
    if wanted is None:
        if found := library.adapters(adapters_dir):
            return found[0][0]
        raise InputError(
            f"There is no adapter in {adapters_dir} yet.", "Train one: sft-playground train --data mini.jsonl."
        )
    if wanted.startswith("hf:"):
        from playground.models.source import download_adapter

        return download_adapter(wanted)
    candidates = [paths.expanded(wanted), adapters_dir / wanted, paths.bundled("adapters") / wanted]
    for path in candidates:
        if (path / ADAPTER_CONFIG).is_file():
            return path
    if (match := _AT_STEP.fullmatch(wanted)) and (found_at := _at_step(match[1], int(match[2]), adapters_dir)):
        return found_at
    for path in candidates[:2]:
        if path.is_dir():
            raise InputError(
                f"{path} has no {ADAPTER_CONFIG}.", "Its training has not ended yet, or it is not an adapter."
            )
    everything = library.adapters(adapters_dir)
    own = [path.name for path, whose in everything if whose == "yours"][:5]
    shipped = ", ".join(path.name for path, whose in everything if whose == "shipped")
    known = f"Your newest: {', '.join(own)}." if own else f"There are none in {adapters_dir} yet; shipped: {shipped}."
    raise InputError(f"There is no adapter {wanted!r}.", f"Name a folder or a run. {known}")


def _at_step(name: str, step: int, adapters_dir: Path) -> Path | None:
    for run in (paths.expanded(name), adapters_dir / name):
        if run.is_dir():
            if (step_folder(run, step) / ADAPTER_CONFIG).is_file():
                return step_folder(run, step)
            steps = ", ".join(map(str, kept_steps(run))) or "none"
            raise InputError(f"The run {run.name} kept no adapter at step {step}.", f"It kept: {steps}.")
    return None

"""Checkpoints that are complete or absent.

Files go into a hidden folder, each flushed to the disk; the manifest with their sizes and sha256 comes
last; then the folder is renamed. A folder whose manifest does not verify is skipped, and the
newest that does is used to resume. Old ones are renamed before they are deleted, so that a kill half-way
leaves nothing that looks like a checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Collection
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from playground.disk import make_folder, sync_folder, write_file
from playground.errors import PlaygroundError

MANIFEST = "manifest.json"
FAR_APART = 15  # steps; skipped ones that are closer are one trouble


@dataclass
class TrainState:
    """All that a training run carries from step to step, apart from the adapter and the optimiser.

    The order of rows, the learning rate and the initial adapter are pure functions of the config,
    and nothing in a step draws random numbers, so this is all.
    """

    step: int = 0
    num_tokens: int = 0
    micro_batch_size: int = 0
    skipped_steps: list[int] = field(default_factory=list)
    epoch: int = -1
    epoch_loss_sum: float = 0.0
    epoch_trained: int = 0
    exact: bool = True

    def copy(self) -> TrainState:
        """Return the state as it is now; later steps do not change it."""
        return replace(self, skipped_steps=list(self.skipped_steps))

    @property
    def loss(self) -> float | None:
        """The mean over the trained tokens of the epoch so far: single batches vary too much to quote."""
        return self.epoch_loss_sum / self.epoch_trained if self.epoch_trained else None


def save_checkpoint(folder: Path, state: TrainState, files: dict[str, bytes], keep: int = 2) -> Path:
    """Write a checkpoint into `folder` and delete all but the newest `keep`, and one from before the last trouble.

    The steps between skipped ones may already have learned what makes the next one skipped.

    Raises:
        OSError: If the disk is full or the folder cannot be written; nothing is left behind then.
    """
    make_folder(folder)
    files = {**files, "state.json": json.dumps(asdict(state)).encode()}
    temporary = folder / f".writing-{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir()
        for name, data in files.items():
            write_file(temporary / name, data)
        manifest = {
            name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()
        }
        write_file(temporary / MANIFEST, json.dumps(manifest, indent=1).encode())
        sync_folder(temporary)
        target = folder / f"step-{state.step:06}"
        if _usable(target, files) is not None:  # the same step, saved again: bit-equal by construction, so it may stay
            shutil.rmtree(temporary)
            return target
        if target.exists():
            _discard(target)
        os.replace(temporary, target)
        sync_folder(folder)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    names, trouble = _names(folder), _last_trouble(state.skipped_steps)
    spared = [path for path in names if _step(path) < trouble][-1:] if trouble else []
    for old in names[:-keep]:
        if old != target and old not in spared:  # damaged ones of later steps must not push out the one just written
            _discard(old)
    return target


def _last_trouble(skipped: list[int]) -> int:
    """Return the first of the last skipped steps that are close together; 0 if none was skipped."""
    first = skipped[-1] if skipped else 0
    for step in reversed(skipped):
        if first - step > FAR_APART:
            break
        first = step
    return first


def has_checkpoint(folder: Path) -> bool:
    """Return whether there is any checkpoint in `folder`, complete or damaged."""
    return bool(_names(folder))


class Found(NamedTuple):
    """A checkpoint that can be resumed from.

    Attributes:
        state: Its state.
        files: Its other files, and the state's, by name.
        damaged: The names of later ones, which cannot.
    """

    state: TrainState
    files: dict[str, bytes]
    damaged: tuple[str, ...]


def newest_checkpoint(folder: Path, needs: Collection[str] = ()) -> Found | None:
    """Return the newest checkpoint in `folder` that is complete, has the files in `needs` and is finite, if any.

    Earlier versions also wrote non-finite values, from which no run can continue.
    """
    damaged: list[str] = []
    for path in reversed(_names(folder)):
        if (found := _usable(path, needs)) is not None:
            return Found(*found, tuple(damaged))
        damaged.append(path.name)
    return None


def _usable(path: Path, needs: Collection[str]) -> tuple[TrainState, dict[str, bytes]] | None:
    """Return the state and the files of a checkpoint; None if no run can continue from it as the step that it names."""
    found = _read(path)
    if found is None or found[0].step != _step(path) or not found[1].keys() >= set(needs) or not _is_finite(found[1]):
        return None
    return found


def _is_finite(files: dict[str, bytes]) -> bool:
    """Return whether all tensors of a checkpoint can be read and are finite; one at a time, as they may be large."""
    try:
        return all(
            torch.isfinite(tensor).all()
            for name, data in files.items()
            if name.endswith(".safetensors")
            for tensor in load(data).values()
        )
    except SafetensorError:
        return False


def _read(path: Path) -> tuple[TrainState, dict[str, bytes]] | None:
    try:
        manifest: dict[str, Any] = json.loads((path / MANIFEST).read_bytes())
        if any(Path(name).name != name for name in manifest):
            return None
        files = {name: (path / name).read_bytes() for name in manifest}
        if any(hashlib.sha256(files[name]).hexdigest() != manifest[name]["sha256"] for name in manifest):
            return None
        return TrainState(**json.loads(files["state.json"])), files
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # the ways in which a manifest can be damaged
        return None


def _names(folder: Path) -> list[Path]:
    found = [path for path in folder.glob("step-*") if path.name[5:].isdecimal() and path.is_dir()]
    return sorted(found, key=_step)


def _step(path: Path) -> int:
    return int(path.name[5:])


def _discard(path: Path) -> None:
    gone = path.with_name(f".gone-{path.name}-{os.getpid()}")
    shutil.rmtree(gone, ignore_errors=True)  # a crashed process with the same pid may have left it
    os.replace(path, gone)
    shutil.rmtree(gone, ignore_errors=True)


def clear_leftovers(folder: Path) -> None:
    """Remove what saves and deletions that were killed left in `folder`, whose lock the caller holds."""
    for pattern in (".writing-*", ".gone-*"):
        for left in folder.glob(pattern):
            shutil.rmtree(left, ignore_errors=True)


def tensor_bytes(tensors: dict[str, torch.Tensor]) -> bytes:
    """Return tensors as safetensors. Every tensor that a training run writes goes through here.

    Raises:
        PlaygroundError: See `require_finite`.
    """
    require_finite(tensors)
    return save(tensors, metadata={"format": "pt"})


def require_finite(tensors: dict[str, torch.Tensor]) -> None:
    """Refuse tensors that hold NaN or infinity.

    A file with them would replace a good one, and no run could ever continue from it.

    Raises:
        PlaygroundError: Naming the first tensor that is not finite.
    """
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise PlaygroundError(
                f"The weights are no longer finite ({name}), so nothing of this step is saved.",
                "Resume from the last checkpoint; if it happens again, start a new run with a lower --learning-rate.",
            )


def optimizer_tensors(optimizer: torch.optim.Optimizer, names: list[str]) -> dict[str, torch.Tensor]:
    """Return AdamW's moments and step counts, on the CPU, under the names of the parameters."""
    tensors: dict[str, torch.Tensor] = {}
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for name, parameter in zip(names, parameters, strict=True):
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{name}/{key}"] = torch.as_tensor(value).detach().cpu().contiguous()
    return tensors


def restore_optimizer(optimizer: torch.optim.Optimizer, names: list[str], data: bytes) -> None:
    """Restore what `optimizer_tensors` returned and a checkpoint kept, bit for bit."""
    tensors = load(data)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for name, parameter in zip(names, parameters, strict=True):
        state = {key.split("/", 1)[1]: value for key, value in tensors.items() if key.startswith(f"{name}/")}
        optimizer.state[parameter] = {key: value.to(parameter.device) for key, value in state.items()}

"""A run's folder: the adapter, its record, its events, its card."""

from __future__ import annotations

import platform
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from peft import PeftModel

from playground import __version__
from playground.disk import disk_fault, make_folder, replace_file, write_file
from playground.errors import EnvironmentFault
from playground.events.runs import Event, RunRecord, Sampled
from playground.models import demo, lora
from playground.runs.folder import (
    ADAPTER_CONFIG,
    CARD,
    CHECKPOINTS,
    RECORD,
    RESERVE,
    WEIGHTS,
    EventLog,
    is_file,
    step_folder,
    write_record,
)
from playground.training.checkpoint import TrainState, clear_leftovers, save_checkpoint, tensor_bytes
from playground.training.room import BLOCK, Room

RESERVED = 32_768  # bytes of a file: room for the record and the last event on a full disk
_LIBRARIES = ("torch", "transformers", "peft", "bitsandbytes", "tokenizers", "safetensors")


def versions() -> dict[str, str]:
    """Return the versions that can change a result."""
    found = {"python": platform.python_version(), "sft-playground": __version__}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "missing"
    return found


def now() -> str:
    """Return the current time in the format of a record."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class RunFolder:
    """The open folder of one run; whoever opens it holds its `RunLock`.

    Args:
        path: The folder.
        room: Waits where the disk is full.

    Raises:
        EnvironmentFault: If it cannot be written.
    """

    def __init__(self, path: Path, room: Room) -> None:
        self.path = path
        self.room = room
        self.checkpoints = path / CHECKPOINTS
        try:
            self._events = room.write(lambda: EventLog(path), 0)
        except OSError as error:
            raise write_fault(error, path) from error
        clear_leftovers(self.checkpoints)
        self._reserve = path / RESERVE
        with suppress(OSError):
            write_file(self._reserve, bytes(RESERVED))

    def log(self, event: Event) -> None:
        """Append an event. After a crash, the last line may be cut off; readers skip such a line."""
        self.room.write(lambda: self._events.write(event), BLOCK)

    def write_record(self, record: RunRecord) -> None:
        """Write ``run.json`` whole."""
        self.room.write(lambda: write_record(self.path, record), BLOCK)

    def save_checkpoint(self, state: TrainState, files: dict[str, bytes]) -> Path:
        """Write a checkpoint; return its folder."""
        size = sum(map(len, files.values()))
        return self.room.write(lambda: save_checkpoint(self.checkpoints, state, files), size)

    def write_adapter(self, model: PeftModel, record: RunRecord, samples: Sampled | None) -> None:
        """Write the adapter as plain PEFT reads it, with its card and, for Gemma, the notice."""
        dtype = torch.bfloat16 if record.config["save_dtype"] == "bfloat16" else torch.float32
        tensors = {name: tensor.to(dtype) for name, tensor in lora.state(model).items()}
        self._write(self.path / WEIGHTS, tensor_bytes(tensors))
        self._write(self.path / ADAPTER_CONFIG, lora.config_json(model).encode())
        self._write(self.path / CARD, card(record, samples).encode())
        if _is_gemma(record):
            self._write(self.path / "NOTICE", (demo.LICENCE + "\n").encode())

    def keep_step(self, model: PeftModel, step: int) -> None:
        """Save the adapter after `step` steps, for comparison with others later.

        In bfloat16: half the size, and the checkpoint holds the exact values.
        """
        folder = step_folder(self.path, step)
        tensors = {name: tensor.to(torch.bfloat16) for name, tensor in lora.state(model).items()}
        self._write(folder / WEIGHTS, tensor_bytes(tensors))
        self._write(folder / ADAPTER_CONFIG, lora.config_json(model).encode())

    def give_up(self) -> None:
        """Wait for no more room, and make that for the last words."""
        self.room.patient = False
        with suppress(OSError):
            self._reserve.unlink(missing_ok=True)

    def _write(self, path: Path, data: bytes) -> None:
        def write() -> None:
            make_folder(path.parent)
            replace_file(path, data)

        self.room.write(write, len(data))

    def close(self) -> None:
        """Close the event file; everything has been said."""
        for close in (self._events.close, self._reserve.unlink):
            with suppress(OSError):
                close()


class NullRunFolder(RunFolder):
    """The run's folder for ranks other than the first: nothing is written, because the first rank writes it."""

    def __init__(self) -> None:
        """Open nothing."""

    def log(self, event: Event) -> None:
        """Write nothing."""

    def write_record(self, record: RunRecord) -> None:
        """Write nothing."""

    def save_checkpoint(self, state: TrainState, files: dict[str, bytes]) -> Path:
        """Write nothing."""
        return Path()

    def write_adapter(self, model: PeftModel, record: RunRecord, samples: Sampled | None) -> None:
        """Write nothing."""

    def keep_step(self, model: PeftModel, step: int) -> None:
        """Write nothing."""

    def give_up(self) -> None:
        """Nothing was waited for."""

    def close(self) -> None:
        """Close nothing."""


def write_fault(error: OSError, folder: Path) -> EnvironmentFault:
    """Return the error to show to the user for a failed write in a run's folder."""
    return disk_fault(error, folder, folder.name if is_file(folder / RECORD) else "")


def _is_gemma(record: RunRecord) -> bool:
    return "gemma" in record.base.name.lower()


def card(record: RunRecord, samples: Sampled | None) -> str:
    """Return a model card: what the adapter is, what it was trained on, what it says."""
    config = record.config
    head = ["---", f"base_model: {record.base.name}", "library_name: peft", "tags: [lora, sft, sft-playground]"]
    if _is_gemma(record):
        head.append("license: gemma")
    lines = [
        *head,
        "---",
        "",
        f"# {record.name}",
        "",
        f"A LoRA adapter for {record.base.description} (`{record.base.name}`), trained with sft-playground.",
        "",
        f"- Data: {record.data_name}, {record.num_examples} rows, sha256 `{record.data_sha256[:16]}…`;"
        " loss on response tokens only.",
        f"- Steps: {record.step} of {record.num_steps}, state: {record.state}"
        + (f", loss over the last epoch {record.loss:.3f}" if record.loss is not None else "")
        + (f", on {record.num_eval} held-out rows {record.eval_loss:.3f}." if record.eval_loss is not None else "."),
        f"- Rank {config['lora_r']}, alpha {config['lora_alpha']}, all linear layers; learning rate"
        f" {config['learning_rate']:g}; base in {record.base.quantize}, arithmetic in {record.base.dtype}.",
        f"- Prompt style: `{record.style}`: the text around a prompt, in training and in chat.",
        "",
        "Load it on the base in the same quantisation: an adapter learns the base's rounding too.",
    ]
    if _is_gemma(record):
        lines += ["", "## Licence", "", demo.LICENCE]
    if samples:
        lines += ["", f"## Samples at step {samples.step}", ""]
        for sample in samples.samples:
            answer = sample.answer.text.strip().replace("\n", "\n> ")
            lines += [f"**{sample.prompt}**", "", f"> {answer}", ""]
    return "\n".join(lines) + "\n"

"""A base and the adapters on it, as the sides that are compared: one lane each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from playground.data.encode import Encoder
from playground.data.prompts import Prompt
from playground.data.shapes import Turn
from playground.data.styles import get_style
from playground.errors import InputError
from playground.events import RunRecord
from playground.inference.engine import Engine, Lane, styled_lane
from playground.models import lora
from playground.models.adapters import label, read_record
from playground.models.demo import Progress
from playground.models.fingerprint import Fingerprint
from playground.models.lanes import Row
from playground.models.load import Base, load_base


@dataclass(frozen=True)
class Side:
    """One of the texts that are compared; without an encoder it is the base, fed the raw prompt."""

    name: str
    row: Row
    encoder: Encoder | None


@dataclass(frozen=True)
class Lineup:
    """A base and the adapters on it, ready to answer. `records` belong to the adapters, in order."""

    engine: Engine
    sides: tuple[Side, ...]
    adapters: tuple[str, ...]
    records: tuple[RunRecord | None, ...]
    raw: Encoder


def load_lineup(
    folders: Sequence[Path],
    progress: Progress,
    *,
    model: str | None = None,
    quantize: str | None = None,
    style: str | None = None,
    strength: float = 1.0,
    device: torch.device | None = None,
) -> Lineup:
    """Load adapters on their common base.

    Args:
        folders: The adapters. One is the side ``sft``, several are ``sft:NAME``.
        progress: Called while the model loads.
        model: The base; by default the one that the first adapter's record names.
        quantize: How to store the base; by default as in training, because an adapter learns the
            base's rounding too.
        style: The prompt style; by default the one each adapter was trained with.
        strength: Multiplies what each adapter adds; 1 is as trained.
        device: Where to put the model; by default a GPU if there is one.

    Raises:
        InputError: If an adapter is unsound, or does not fit the base.
    """
    files = [lora.read_adapter(folder) for folder in folders]
    records = [read_record(folder) for folder in folders]
    names = [label(folder) for folder in folders]
    if model is None and records[0] is None:
        raise InputError(
            f"{names[0]} does not say which model it was trained on here (it has no run.json).",
            f"Name its base with --model{f' ({files[0].base_name}?)' if files[0].base_name else ''}.",
        )
    config = records[0].config if records[0] else {}
    base = load_base(
        model or str(config.get("model", "")), quantize or str(config.get("quantize", "nf4")), progress, device
    )
    for name, record in zip(names, records, strict=True):
        if record is not None:
            _require_base(base, name, record, asked=quantize is not None)
    fingerprint = Fingerprint(base)
    adapted, sides = None, []
    for number, (name, record, file) in enumerate(zip(names, records, files, strict=True)):
        key = "default" if number == 0 else f"adapter{number}"
        adapted = lora.attach(base, adapted, file, key)
        rendered = get_style(style or (record.style if record else "chat"), base.tokenizer)
        encoder = Encoder(base.tokenizer, rendered, base.end_token_id, max_length=1 << 30)
        sides.append(Side("sft" if len(files) == 1 else f"sft:{name}", Row(key, strength), encoder))
    assert adapted is not None
    assert sides[0].encoder is not None
    # What the template does without training: the base, fed with the first adapter's style.
    fixed = (Side("base", Row(), None), Side("control", Row(), sides[0].encoder))
    engine = Engine(base, adapted, fingerprint)
    return Lineup(engine, (*fixed, *sides), tuple(names), tuple(records), sides[0].encoder)


def _require_base(base: Base, name: str, record: RunRecord, *, asked: bool) -> None:
    """Refuse an adapter that was trained on other weights; a folder may have moved, the weights are what counts."""
    mine, theirs = base.identity, record.base
    known = "unknown" not in (mine.revision, theirs.revision)
    if (mine.revision != theirs.revision) if known else (mine.name != theirs.name):
        other = "other weights of " if mine.name == theirs.name else ""
        raise InputError(
            f"The adapter {name} was trained on {other}{theirs.name}, not on {mine.name}.",
            "Compare adapters of one base; leave --model out to use their own.",
        )
    if mine.quantize != theirs.quantize and not asked:
        raise InputError(
            f"The adapter {name} was trained on a base in {theirs.quantize}, another one in {mine.quantize}.",
            "Compare them apart, or choose one storage for both with --quantize.",
        )


def lanes_for(lineup: Lineup, prompt: Prompt, draw: int = 0) -> list[Lane]:
    """Return the lanes of one prompt, in the order of the sides; all draw the same random numbers."""
    turns = [Turn("user", prompt.prompt)]
    return [
        Lane(lineup.raw.raw(prompt.prompt), draw=draw)
        if side.encoder is None
        else styled_lane(side.encoder, turns, side.row, draw)
        for side in lineup.sides
    ]

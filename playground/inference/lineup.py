"""A base and the adapters on it, as the sides that are compared: one lane each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from playground.data.encode import Encoder
from playground.data.prompts import Prompt, turns_of
from playground.data.styles import get_style
from playground.data.talk import Turn
from playground.errors import InputError
from playground.events.engine import LaneRequest
from playground.events.runs import RunRecord
from playground.events.values import Progress
from playground.inference.engine import Engine, Lane, styled_lane
from playground.inference.found import ASSUMED, Found, Known, read_adapters
from playground.models import lora
from playground.models.fingerprint import Fingerprint
from playground.models.lanes import Blend
from playground.models.load import Base, load_base, require_memory
from playground.text import one_line

PLACES = {"cpu": "on a CPU", "cuda": "on a GPU", "files": "in its files"}


@dataclass(frozen=True)
class Side:
    """One of the sides that are compared; without an encoder it is the base, fed the raw prompt.

    `known_from` says where the style of an adapter without a record is from.
    """

    name: str
    blend: Blend
    encoder: Encoder | None
    known_from: str = ""

    @property
    def style(self) -> str:
        """The prompt style in words."""
        name = self.encoder.style.name if self.encoder else "raw"
        return f"{name} ({self.known_from})" if self.known_from else name


@dataclass(frozen=True)
class Lineup:
    """A base and the adapters on it, ready to answer.

    `records`, and the chat templates in the folders of those without one, belong to the adapters, in order.
    """

    engine: Engine
    sides: tuple[Side, ...]
    adapters: tuple[str, ...]
    records: tuple[RunRecord | None, ...]
    raw: Encoder
    templates: tuple[str, ...]

    @property
    def style(self) -> str:
        """The prompt style of the first adapter, else of the control, in words."""
        return next((side.style for side in self.sides if side.blend.adapter), self.raw.style.name)

    @property
    def described(self) -> str:
        """The adapters, each with its style where no record says it."""
        adapted = [side for side in self.sides if side.blend.adapter]
        return ", ".join(
            f"{name} (style {side.style})" if side.known_from else name
            for name, side in zip(self.adapters, adapted, strict=True)
        )

    @property
    def advice(self) -> str:
        """What to know before reading the answers, a sentence or two; mostly empty."""
        return "; ".join(filter(None, (self._about_style(), self._about_base())))

    def _about_base(self) -> str:
        """Return which adapters learned from a base that was quantised elsewhere."""
        mine = self.engine.base.identity
        known = [(name, record) for name, record in zip(self.adapters, self.records, strict=True) if record is not None]
        others = [name for name, record in known if not mine.quantized_as(record.base)]
        if not others:
            return ""
        return (
            f"the base of {', '.join(others)} was quantised elsewhere ({PLACES[mine.quantized_on]} here): most of its"
            " values are the same, not all, so answers may differ a little from those of the training"
        )

    def _about_style(self) -> str:
        """Return what to do if a style that is only assumed is wrong; empty if none is assumed."""
        adapted = [side for side in self.sides if side.blend.adapter]
        assumed = [name for name, side in zip(self.adapters, adapted, strict=True) if side.known_from == ASSUMED]
        if not assumed:
            return ""
        return (
            f"no record says in which style {', '.join(assumed)} was trained: chat is assumed;"
            " if it was trained with its base's chat template, give --style tokenizer"
        )


def load_lineup(
    folders: Sequence[Path],
    progress: Progress,
    *,
    model: str | None = None,
    quantize: str | None = None,
    style: str | None = None,
    strength: float = 1.0,
    device: torch.device | None = None,
    as_stored: bool = False,
) -> Lineup:
    """Load adapters on their common base.

    Args:
        folders: The adapters. One is the side ``sft``, several are ``sft:NAME``; without any, `model` must be given.
        progress: Called while the model loads.
        model: The base; by default the one that the first adapter's record names.
        quantize: How to store the base; by default as in training, because an adapter learns the
            base's rounding too.
        style: The prompt style; by default the one each adapter was trained with.
        strength: Multiplies what each adapter adds; 1 is as trained.
        device: Where to put the model; by default a GPU if there is one.
        as_stored: Leave its weights in their files, to be merged; see `load_base`.

    Raises:
        InputError: If an adapter is invalid, or does not fit the base.
        UsageError: If two adapters have the same name.
    """
    found = read_adapters(folders)
    if model is None and folders and found[0].record is None:
        base_name = found[0].file.base_name
        raise InputError(
            f"{found[0].name} does not say which model it was trained on (it has no run.json).",
            f"Name its base with --model{f' ({base_name}?)' if base_name else ''}.",
        )
    config = found[0].record.config if found and found[0].record else {}
    name = model or str(config.get("model", ""))
    if not as_stored:
        require_memory(name, progress, device)
    stored = quantize or str(config.get("quantize", "nf4"))
    base = load_base(name, stored, progress, device, as_stored=as_stored)
    for adapter in found:
        require_base(base, adapter.name, adapter.record, asked=quantize is not None)
    fingerprint = Fingerprint(base)
    keys = _free_keys(len(found), ())
    adapted = _attach(base, None, found, keys)
    engine = Engine(base, adapted or base.model, fingerprint)
    return _lineup(engine, found, keys, style, strength)


def change_adapters(lineup: Lineup, folders: Sequence[Path] | None, style: str | None = None) -> Lineup:
    """Replace the adapters on the loaded base by others, or render in another style.

    Args:
        lineup: Belongs to the returned one afterwards; if this raises, it is unchanged.
        folders: The adapters; None keeps the current ones.
        style: The prompt style; by default the one each adapter was trained with.

    Raises:
        InputError: If an adapter is invalid, or does not fit the base.
    """
    engine, base = lineup.engine, lineup.engine.base
    used = [side.blend.adapter for side in lineup.sides if side.blend.adapter]
    if folders is None:
        kept = zip(lineup.adapters, lineup.records, lineup.templates, strict=True)
        return _lineup(engine, [Known(*adapter) for adapter in kept], used, style, 1.0)
    found = read_adapters(folders)
    for adapter in found:
        require_base(base, adapter.name, adapter.record, asked=False)
    keys = _free_keys(len(found), used)
    for adapter in found:  # an unknown style is refused before anything is attached
        _encoder(base, style or adapter.style, adapter.template)
    adapted = _attach(base, engine.model if used else None, found, keys)
    assert adapted is not None
    for old in used:
        lora.take_off(base, old)
    engine.model = adapted
    return _lineup(engine, found, keys, style, 1.0)


def _free_keys(number: int, used: Sequence[str]) -> list[str]:
    """Return names under which PEFT can keep adapters next to those that are there."""
    keys = [f"adapter{at}" for at in range(number + len(used))]
    return [key for key in keys if key not in used][:number]


def _attach(base: Base, adapted: Any, found: Sequence[Found], keys: Sequence[str]) -> Any:
    """Attach adapters, all or none; return the model with them, or None without any."""
    model, done = adapted, []
    try:
        for adapter, key in zip(found, keys, strict=True):
            model = lora.attach(base, model, adapter.file, key)
            done.append(key)
    except BaseException:  # out of memory too: the lineup of before is used again
        for key in done:
            lora.take_off(base, key)
        raise
    return model


def _lineup(
    engine: Engine,
    adapters: Sequence[Known],
    keys: Sequence[str],
    style: str | None,
    strength: float,
) -> Lineup:
    """Return the sides of a base with the adapters that are attached under these keys."""
    sides = []
    for known, key in zip(adapters, keys, strict=True):
        encoder = _encoder(engine.base, style or known.style, known.template)
        side = "sft" if len(adapters) == 1 else f"sft:{known.name}"
        sides.append(Side(side, Blend(key, strength), encoder, known.known_from(style)))
    raw = sides[0].encoder if sides else _encoder(engine.base, style or "chat")
    assert raw is not None
    # The effect of the template without training: the base in the first adapter's style.
    fixed = (Side("base", Blend(), None), Side("control", Blend(), raw))
    names, records, templates = ([getattr(known, key) for known in adapters] for key in ("name", "record", "template"))
    return Lineup(engine, (*fixed, *sides), tuple(names), tuple(records), raw, tuple(templates))


def _encoder(base: Base, style: str, template: str = "") -> Encoder:
    return Encoder(base.tokenizer, get_style(style, base.tokenizer, template), base.end_token_id, max_length=1 << 30)


def require_base(base: Base, name: str, record: RunRecord | None, *, asked: bool) -> None:
    """Refuse an adapter that was trained on other weights; a folder may have moved, so the weights decide.

    Args:
        base: The base in memory.
        name: The name of the adapter.
        record: Its record; without one nothing is known.
        asked: Whether the user asked for the quantisation of `base`.

    Raises:
        InputError: If it was.
    """
    if record is None:
        return
    mine, theirs = base.identity, record.base
    known = "unknown" not in (mine.revision, theirs.revision)
    if (mine.revision != theirs.revision) if known else (mine.name != theirs.name):
        other = "other weights of " if mine.name == theirs.name else ""
        raise InputError(
            f"The adapter {name} was trained on {other}{one_line(theirs.name, 120)}, not on {mine.name}.",
            "Compare adapters of one base; omit --model to use their own.",
        )
    if mine.quantize != theirs.quantize and not asked:
        raise InputError(
            f"The adapter {name} was trained with --quantize {one_line(theirs.quantize, 20)}, but this base has"
            f" {mine.quantize}.",
            "Compare them separately, or choose one quantisation for both with --quantize.",
        )


def lanes_for(lineup: Lineup, prompt: Prompt, draw: int = 0) -> list[Lane]:
    """Return the lanes of one prompt, in the order of the sides; all draw the same random numbers."""
    turns = turns_of(prompt)
    return [
        Lane(lineup.raw.raw(prompt.prompt), draw=draw)
        if side.encoder is None
        else styled_lane(side.encoder, turns, side.blend, draw)
        for side in lineup.sides
    ]


def conversation_lane(lineup: Lineup, asked: LaneRequest, strength: float, room: int) -> tuple[Lane, int]:
    """Return the lane of a conversation, and how many of its oldest texts were dropped.

    The base is fed the texts as they are, with blank lines between; the other sides use their style.

    Args:
        lineup: The sides.
        asked: The side, and the conversation.
        strength: Multiplies what the adapter adds.
        room: The most tokens the prompt may have; the last text stays even if it does not fit.

    Raises:
        InputError: If there is no such side.
    """
    side = next((side for side in lineup.sides if side.name == asked.side), None)
    if side is None:
        raise InputError(
            f"There is no side {asked.side!r} without an adapter.", "Train one: sft-playground train --data mini.jsonl."
        )
    blend = replace(side.blend, strength=strength) if side.blend.adapter else side.blend
    for dropped in range(0, len(asked.texts), 2):
        texts = asked.texts[dropped:]
        if side.encoder is None:
            lane = Lane(lineup.raw.raw("\n\n".join(texts)), draw=asked.draw)
        else:
            turns = [Turn("assistant" if at % 2 else "user", text) for at, text in enumerate(texts)]
            lane = styled_lane(side.encoder, turns, blend, asked.draw)
        if len(lane.prompt_ids) <= room:
            break
    return lane, dropped

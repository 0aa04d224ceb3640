"""The service of the engine process: load a model, then answer requests until there are no more."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from playground import paths
from playground.data.answered import repeats_itself
from playground.data.prompts import Prompt
from playground.errors import PlaygroundError
from playground.events.answers import Sampling
from playground.events.engine import (
    AdapterInfo,
    Ask,
    Choices,
    EngineError,
    EngineEvent,
    EngineReady,
    EngineStage,
    Fed,
    Spoken,
)
from playground.inference.lineup import Lineup, change_adapters, conversation_lane, lanes_for, load_lineup
from playground.models import demo
from playground.models.adapters import find_adapter
from playground.models.source import on_this_machine
from playground.runs import library
from playground.runs.folder import read_record

LINE_SECONDS = 0.1  # a text is sent at most this often, as the app repaints rarely; the end of an answer is always sent


class Cancellable(Protocol):
    """Something that can be cancelled."""

    def cancelled(self, number: int) -> bool:
        """Return whether a request is no longer wanted; 0 is loading."""
        ...


class Requests(Cancellable, Protocol):
    """Where requests come from."""

    def next(self) -> dict[str, Any] | None:
        """Return the next request, or None when there are no more."""
        ...


def serve(requests: Requests, options: dict[str, Any], send: Callable[[EngineEvent], None], begun: float) -> None:
    """Load what `options` name, then answer `requests` until they end.

    Args:
        requests: ``{"do": "answer", "id": …, "ask": …}``, ``{"do": "use", "adapters": …, "style": …}`` and
            ``{"do": "list"}``.
        options: ``adapters`` (none is the newest), ``adapters_dir``, ``model``, ``bare`` (the model alone) and
            ``style``.
        send: Receives the engine's events.
        begun: When the process started, on the monotonic clock.

    Raises:
        PlaygroundError: If nothing can be loaded.
        BrokenPipeError: If the model is no longer wanted while it loads.
    """
    home = Path(options["adapters_dir"]) if options.get("adapters_dir") else paths.adapters_dir()
    send(_choices(home))

    def progress(stage: str, share: float) -> None:
        if requests.cancelled(0):
            raise BrokenPipeError
        # Only its conversion reads the demo model from its packages; that is its first use.
        send(EngineStage(stage, share, demo.LICENCE if demo.is_installed() and not demo.is_prepared() else ""))

    source = options.get("model")
    names = [] if options.get("bare") else options.get("adapters") or [None]
    folders = [find_adapter(name, home) for name in names]
    lineup = load_lineup(folders, progress, model=source, style=options.get("style"))
    progress("warming up", 0.0)  # the shortlist and lazy imports, which the first answer would pay for
    lineup.engine.answers(lanes_for(lineup, Prompt("", "Hello")), Sampling(2))
    send(_ready(lineup, source, begun))
    while (request := requests.next()) is not None:
        number = int(request.get("id", 0))
        try:
            match request["do"]:
                case "answer":
                    ask = Ask.from_dict(request["ask"])
                    for event in answer(lineup, number, ask, requests):
                        send(event)
                case "use":
                    begun = time.monotonic()
                    chosen = request.get("adapters")
                    others = [find_adapter(name, home) for name in chosen] if chosen else None
                    lineup = change_adapters(lineup, others, request.get("style"))
                    send(_ready(lineup, source, begun))
                case "list":
                    send(_choices(home))
        except PlaygroundError as error:
            send(EngineError(number, error.message, error.hint))


def _ready(lineup: Lineup, source: str | None, begun: float) -> EngineReady:
    first = (lineup.records or (None,))[0]
    adapted = [side for side in lineup.sides if side.blend.adapter]
    styles = dict.fromkeys(side.encoder.style.name for side in adapted if side.encoder) or (lineup.raw.style.name,)
    return EngineReady(
        model=lineup.engine.base.identity.description,
        adapter=", ".join(lineup.adapters),
        style=", ".join(styles),
        single_turn=all(record is None or record.single_turn for record in lineup.records),
        seconds=round(time.monotonic() - begun, 2),
        source=source or (str(first.config.get("model", "")) if first is not None else ""),
        sides=tuple(side.name for side in adapted),
    )


def _choices(home: Path) -> Choices:
    return Choices(tuple(_info(folder, whose) for folder, whose in library.adapters(home)), tuple(on_this_machine()))


def _info(folder: Path, whose: str) -> AdapterInfo:
    record = read_record(folder)
    if record is None:
        return AdapterInfo(folder.name, str(folder), whose, "", "", "", "", "", None)
    return AdapterInfo(
        name=folder.name,
        folder=str(folder),
        whose=whose,
        model=str(record.config.get("model", "")),
        base=record.base.name,
        data=record.data_name,
        style=record.style,
        created_at=record.created_at,
        loss=record.loss,
    )


def answer(lineup: Lineup, number: int, ask: Ask, requests: Cancellable) -> Iterator[Fed | Spoken]:
    """Answer a request, yielding the input and the output of each lane.

    Args:
        lineup: The model and its sides.
        number: The request's number, carried by its events.
        ask: The lanes.
        requests: Says when the answer is no longer wanted.

    Raises:
        PlaygroundError: If the base lane is not the base, or a prompt does not fit.
    """
    context = lineup.engine.context
    room = max(context - ask.sampling.max_new_tokens, context // 2)
    lanes, dropped = [], {}
    for asked in ask.lanes:
        lane, gone = conversation_lane(lineup, asked, ask.strength, room)
        lanes.append(lane)
        if gone:
            dropped[asked.name] = gone
    tokenizer, fingerprint = lineup.raw.tokenizer, lineup.engine.fingerprint
    names = [asked.name for asked in ask.lanes]
    styled = next((lane for lane, asked in zip(lanes, ask.lanes, strict=True) if asked.side.startswith("sft")), None)
    fed = Fed(
        number,
        {name: str(tokenizer.decode(list(lane.prompt_ids))) for name, lane in zip(names, lanes, strict=True)},
        {name: len(lane.prompt_ids) for name, lane in zip(names, lanes, strict=True)},
        fingerprint.digest[:12] if fingerprint else "",
        lineup.raw.without_begin(styled.prompt_ids) if styled else "",
        styled.lead_in if styled else "",
        dropped,
    )
    begun, sent = time.monotonic(), dict.fromkeys(names, 0.0)
    for at, chunk in enumerate(lineup.engine.stream(lanes, ask.sampling, lambda: requests.cancelled(number))):
        if at == 0:
            yield fed  # the first token comes after the proof, so the digest may be shown
        name, now = names[chunk.lane], time.monotonic()
        if chunk.answer is None and now - sent[name] < LINE_SECONDS:
            continue
        sent[name] = now
        loops = chunk.answer is not None and repeats_itself(chunk.answer)
        yield Spoken(number, name, chunk.text, chunk.num_tokens, round(now - begun, 3), chunk.answer, loops)

"""The service of the engine process: load a model, then answer requests until there are no more."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from playground import paths
from playground.data.answered import repeats_itself
from playground.data.prompts import Prompt
from playground.errors import InputError, PlaygroundError
from playground.events.answers import Sampling
from playground.events.engine import (
    AdapterInfo,
    Ask,
    Branched,
    Choices,
    EngineError,
    EngineEvent,
    EngineReady,
    EngineStage,
    Fed,
    LaneRequest,
    Looked,
    Spoken,
    Why,
)
from playground.inference.contrast import Cancelled
from playground.inference.engine import Lane
from playground.inference.lens import Looker, Sides, continued
from playground.inference.lineup import Lineup, change_adapters, conversation_lane, lanes_for, load_lineup
from playground.models import demo
from playground.models.adapters import find_adapter
from playground.models.memory import give_back, held_memory, naming_memory
from playground.models.source import on_this_machine
from playground.runs import library
from playground.runs.folder import read_record

KEPT = 50  # answered requests whose ids are remembered
BRANCH_TOKENS = 32
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


def serve(requests: Requests, options: dict[str, Any], send: Callable[[EngineEvent], None], began: float) -> None:
    """Load what `options` name, then answer `requests` until they end.

    Args:
        requests: ``{"do": "answer", "id": …, "ask": …}``, ``{"do": "why", "id": …, "why": …}``,
            ``{"do": "use", "adapters": …, "style": …}`` and ``{"do": "list"}``.
        options: ``adapters`` (none is the newest), ``adapters_dir``, ``model``, ``bare`` (the model alone) and
            ``style``.
        send: Receives the engine's events.
        began: When the process started, on the monotonic clock.

    Raises:
        PlaygroundError: If nothing can be loaded.
        BrokenPipeError: If the model is no longer wanted while it loads.
    """
    home = Path(options["adapters_dir"]) if options.get("adapters_dir") else paths.adapters_dir()
    send(_choices(home))

    def progress(stage: str, share: float) -> None:
        if requests.cancelled(0):
            raise BrokenPipeError
        send(EngineStage(stage, share, demo.first_use()))

    source = options.get("model")
    names = [] if options.get("bare") else options.get("adapters") or [None]
    folders = [find_adapter(name, home) for name in names]
    with naming_memory("loading the model"):
        lineup = load_lineup(folders, progress, model=source, style=options.get("style"))
        progress("warming up", 0.0)  # the shortlist and lazy imports, which the first answer would pay for
        lineup.engine.answers(lanes_for(lineup, Prompt("", "Hello")), Sampling(2))
    send(_ready(lineup, source, began))
    said: dict[int, _Said] = {}
    while (request := requests.next()) is not None:
        number, fault = int(request.get("id", 0)), None
        try:
            with naming_memory("answering"):
                match request["do"]:
                    case "answer":
                        ask = Ask.from_dict(request["ask"])
                        said[number] = _Said(ask)
                        for old in list(said)[:-KEPT]:
                            del said[old]
                        for event in answer(lineup, number, ask, requests, said[number].ids):
                            send(event)
                    case "why":
                        why = Why.from_dict(request["why"])
                        serve_why = look if why.branch is None else branch
                        with suppress(Cancelled):
                            send(serve_why(lineup, number, why, said, requests))
                    case "use":
                        began = time.monotonic()
                        chosen = request.get("adapters")
                        others = [find_adapter(name, home) for name in chosen] if chosen else None
                        lineup = change_adapters(lineup, others, request.get("style"))
                        said.clear()  # another adapter said it
                        send(_ready(lineup, source, began))
                    case "list":
                        send(_choices(home))
        except PlaygroundError as error:
            fault = EngineError(number, error.message, error.hint)
        if fault is not None:
            send(fault)
            give_back(lineup.engine.base.device)  # not before: the error's traceback holds the tensors


def _ready(lineup: Lineup, source: str | None, began: float) -> EngineReady:
    first = (lineup.records or (None,))[0]
    adapted = [side for side in lineup.sides if side.blend.adapter]
    styles = dict.fromkeys(side.style for side in adapted) or (lineup.raw.style.name,)
    return EngineReady(
        model=lineup.engine.base.identity.description,
        adapter=", ".join(lineup.adapters),
        style=", ".join(styles),
        single_turn=all(record is None or record.single_turn for record in lineup.records),
        seconds=round(time.monotonic() - began, 2),
        source=source or (str(first.config.get("model", "")) if first is not None else ""),
        sides=tuple(side.name for side in adapted),
        held=held_memory(lineup.engine.base.device),
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


def _room(lineup: Lineup, ask: Ask) -> int:
    """Return how many tokens a prompt may have, so that there is room for an answer."""
    context = lineup.engine.context
    return max(context - ask.sampling.max_new_tokens, context // 2)


@dataclass(frozen=True)
class _Said:
    """What was answered: the ids of each lane, by name."""

    ask: Ask
    ids: dict[str, list[int]] = field(default_factory=dict)


def look(lineup: Lineup, number: int, why: Why, said: Mapping[int, _Said], requests: Cancellable) -> Looked:
    """Return what each side expected at the tokens of finished answers.

    Args:
        lineup: The model and its sides, as they answered.
        number: The request's number.
        why: Which answers.
        said: The answers that are remembered.
        requests: Says when the result is no longer wanted.

    Raises:
        Cancelled: If it is not.
        PlaygroundError: If the answers are not remembered, or the base lane is not the base.
    """
    found, asked, sides = _remembered(lineup, why, said)
    name = asked.side.partition(":")[2] or lineup.adapters[0]
    looker = Looker(lineup, asked.texts[-1], name, sides, lambda: requests.cancelled(number))
    base = next((found.ids.get(lane.name) for lane in found.ask.lanes if lane.side == "base"), None)
    walk = looker.walk(base) if base and why.reading == "training" else None
    return Looked(number, why, looker.look(found.ids[why.lane], why.reading), walk)


def branch(lineup: Lineup, number: int, why: Why, said: Mapping[int, _Said], requests: Cancellable) -> Branched:
    """Return what the base says greedily after the first tokens of sft's answer; arguments and errors as of `look`."""
    found, _, sides = _remembered(lineup, why, said)
    prompt = sides.control if why.reading == "training" else sides.raw
    began = continued(prompt, found.ids[why.lane][: why.branch])
    (answer,) = lineup.engine.answers([began], Sampling(BRANCH_TOKENS), lambda: requests.cancelled(number))
    if answer.finish_reason == "cancelled":
        raise Cancelled
    return Branched(number, why, answer)


def _remembered(lineup: Lineup, why: Why, said: Mapping[int, _Said]) -> tuple[_Said, LaneRequest, Sides]:
    """Return an answered request, its lane that is looked at, and the lanes up to where the answers began."""
    found = said.get(why.of)
    lanes = {lane.name: lane for lane in found.ask.lanes} if found else {}
    if found is None or why.lane not in lanes or not found.ids.get(why.lane):
        raise InputError("These answers were made by another adapter or too long ago.", "Ask again with F5.")
    asked, room = lanes[why.lane], _room(lineup, found.ask)
    texts = next((lane.texts for lane in lanes.values() if lane.side == "base"), asked.texts)

    def lane(side: str, texts: tuple[str, ...]) -> Lane:
        return conversation_lane(lineup, LaneRequest(side, side, texts), found.ask.strength, room)[0]

    return found, asked, Sides(lane("base", texts), lane("control", asked.texts), lane(asked.side, asked.texts))


def answer(
    lineup: Lineup, number: int, ask: Ask, requests: Cancellable, ids: dict[str, list[int]] | None = None
) -> Iterator[Fed | Spoken]:
    """Answer a request, yielding the input and the output of each lane.

    Args:
        lineup: The model and its sides.
        number: The request's number, carried by its events.
        ask: The lanes.
        requests: Says when the answer is no longer wanted.
        ids: Receives the ids of each lane's answer, by name, as they are chosen.

    Raises:
        PlaygroundError: If the base lane is not the base, or a prompt does not fit.
    """
    room = _room(lineup, ask)
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
    began, sent = time.monotonic(), dict.fromkeys(names, 0.0)
    for at, chunk in enumerate(lineup.engine.stream(lanes, ask.sampling, lambda: requests.cancelled(number))):
        if at == 0:
            yield fed  # the first token comes after the proof, so the digest may be shown
        name, now = names[chunk.lane], time.monotonic()
        if ids is not None:
            ids.setdefault(name, []).append(chunk.token_id)
        if chunk.answer is None and now - sent[name] < LINE_SECONDS:
            continue
        sent[name] = now
        loops = chunk.answer is not None and repeats_itself(chunk.answer)
        yield Spoken(number, name, chunk.text, chunk.num_tokens, round(now - began, 3), chunk.answer, loops)

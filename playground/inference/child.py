"""The engine as a process of its own: requests as JSON lines on standard input, events on standard output.

``python -m playground.inference.child OPTIONS`` with OPTIONS a JSON object: ``adapter`` (a name or null),
``adapters_dir`` and ``model``. It ends when its standard input does, so it cannot outlive the app.

Requests are ``{"do": "answer", "id": 1, "prompt": …, "sides": ["base", "sft"], "strength": 1.0,
"max_new_tokens": 128, "temperature": 0.0, "top_p": 1.0, "seed": 0}`` and ``{"do": "cancel", "id": 1}``.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from playground.errors import PlaygroundError
from playground.events import EngineError, EngineEvent, EngineReady, EngineStage, Fed, Spoken
from playground.log import write_log

if TYPE_CHECKING:
    from playground.inference.lineup import Lineup

LINE_SECONDS = 1 / 30  # a text is sent at most so often; the end of an answer always


def main() -> None:
    """Serve requests until standard input ends."""
    # No library may write into the stream of events: they get standard error for their output.
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    requests, code = _Requests(sys.stdin), 0
    try:
        serve(requests, json.loads(sys.argv[1]), lambda event: _send(stream, event))
    except BrokenPipeError:
        pass  # the app is gone
    except PlaygroundError as error:
        _send(stream, EngineError(-1, error.message, error.hint))
    except Exception as error:  # noqa: BLE001 - the border of a child: the app gets a line, the log the rest
        code, log = 1, write_log(error)
        hint = f"The details are in {log}." if log else "The details cannot be logged."
        _send(stream, EngineError(-1, f"Something unexpected happened: {type(error).__name__}: {error}", hint))
    finally:
        # Threads of torch and the reader of stdin must not keep a process that nobody listens to.
        sys.stderr.flush()
        os._exit(code)


def serve(requests: _Requests, options: dict[str, Any], send: Callable[[EngineEvent], None]) -> None:
    """Load what `options` name, then answer `requests` until they end."""
    begun = time.monotonic()
    send(EngineStage("starting PyTorch", 0.0))
    from playground import paths
    from playground.data.prompts import Prompt
    from playground.inference.engine import Sampling
    from playground.inference.lineup import lanes_for, load_lineup
    from playground.models.adapters import find_adapter

    home = Path(options["adapters_dir"]) if options.get("adapters_dir") else paths.adapters_dir()
    folder = find_adapter(options.get("adapter"), home)
    lineup = load_lineup([folder], lambda stage, share: send(EngineStage(stage, share)), model=options.get("model"))
    record = lineup.records[0]
    send(EngineStage("warming up", 0.0))  # the shortlist and lazy imports, which the first answer would pay for
    lineup.engine.answers(lanes_for(lineup, Prompt("", "Hello")), Sampling(2))
    send(
        EngineReady(
            model=lineup.engine.base.identity.description,
            adapter=lineup.adapters[0],
            style=lineup.raw.style.name,
            single_turn=record is None or record.single_turn,
            seconds=round(time.monotonic() - begun, 2),
        )
    )
    while (request := requests.next()) is not None:
        try:
            _answer(lineup, request, requests, send)
        except PlaygroundError as error:
            send(EngineError(int(request["id"]), error.message, error.hint))


def _answer(lineup: Lineup, request: dict[str, Any], requests: _Requests, send: Callable[[EngineEvent], None]) -> None:
    from playground.data.answered import repeats_itself
    from playground.data.prompts import Prompt
    from playground.inference.engine import Sampling
    from playground.inference.lineup import lanes_for

    number = int(request["id"])
    every = dict(
        zip((side.name for side in lineup.sides), lanes_for(lineup, Prompt("", request["prompt"])), strict=True)
    )
    wanted = [name for name in every if name in request["sides"]]
    strength = float(request.get("strength", 1.0))
    lanes = [
        replace(lane, row=replace(lane.row, strength=strength)) if lane.row.adapter else lane
        for lane in (every[name] for name in wanted)
    ]
    tokenizer = lineup.raw.tokenizer
    fingerprint = lineup.engine.fingerprint
    fed = Fed(
        number,
        {name: str(tokenizer.decode(list(lane.prompt_ids))) for name, lane in zip(wanted, lanes, strict=True)},
        {name: len(lane.prompt_ids) for name, lane in zip(wanted, lanes, strict=True)},
        fingerprint.digest[:12] if fingerprint else "",
    )
    sampling = Sampling(*(request[name] for name in ("max_new_tokens", "temperature", "top_p", "seed")))
    begun, sent = time.monotonic(), dict.fromkeys(wanted, 0.0)
    for at, chunk in enumerate(lineup.engine.stream(lanes, sampling, lambda: requests.cancelled(number))):
        if at == 0:
            send(fed)  # the first token comes after the proof, so the digest may be shown
        name, now = wanted[chunk.lane], time.monotonic()
        if chunk.answer is None and now - sent[name] < LINE_SECONDS:
            continue
        sent[name] = now
        loops = chunk.answer is not None and repeats_itself(chunk.answer)
        send(Spoken(number, name, chunk.text, chunk.num_tokens, round(now - begun, 3), chunk.answer, loops))


class _Requests:
    """Requests in order; a cancellation is seen while the one before it is being answered."""

    def __init__(self, stream: TextIO) -> None:
        self._waiting: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._cancelled: set[int] = set()
        self._ended = False
        threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream: TextIO) -> None:
        for line in stream:
            try:
                request = json.loads(line)
                if request["do"] == "cancel":
                    self._cancelled.add(int(request["id"]))
                elif request["do"] == "answer":
                    self._waiting.put(request)
            except (ValueError, KeyError, TypeError):
                print(f"no request: {line[:200]!r}", file=sys.stderr)
        self._ended = True
        self._waiting.put(None)

    def next(self) -> dict[str, Any] | None:
        """Return the next request that was not cancelled meanwhile, or None at the end of the stream."""
        while (request := self._waiting.get()) is not None:
            if int(request["id"]) not in self._cancelled:
                return request
        return None

    def cancelled(self, number: int) -> bool:
        """Return whether the request of this number is no longer wanted, by anyone."""
        return self._ended or number in self._cancelled


def _send(stream: TextIO, event: EngineEvent) -> None:
    stream.write(event.to_json() + "\n")
    stream.flush()


if __name__ == "__main__":
    main()

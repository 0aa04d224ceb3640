"""Draw the pictures of the documentation from a recorded session, through the real app and without a model.

``python docs/pictures.py`` draws ``docs/compare.svg``, which moves, and ``docs/lens.svg``. With ``record`` after it,
the real engine is asked first, and what it says is kept with its times in ``docs/recorded/``. A test compares the
manifest there with the recording and with the code and styles of the screens.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import queue
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RECORDING = ROOT / "docs" / "recorded" / "compare.jsonl"
MANIFEST = ROOT / "docs" / "recorded" / "manifest.json"
PROMPTS = ("Do you sleep at night?",)
SIZE = (116, 27)
FRAME_SECONDS, TYPED = 0.5, 6  # of a streamed answer; characters typed per frame
HOLD_SECONDS = 3.0  # for the finished answers, and for the lens


def digest() -> dict[str, str]:
    """Return what the pictures depend on: the recording, and the code and styles of what is on the screens."""
    shown = sorted(
        path
        for folder in ("tui", "report", "events")
        for path in (ROOT / "playground" / folder).rglob("*")
        if path.suffix in (".py", ".tcss")
    )
    code = hashlib.sha256()
    for path in (*shown, Path(__file__)):
        code.update(path.read_bytes())
    return {"recording": hashlib.sha256(RECORDING.read_bytes()).hexdigest(), "code": code.hexdigest()}


def record() -> None:
    """Ask the real engine, and keep what it says."""
    from playground.events.answers import Sampling
    from playground.events.engine import Ask, EngineReady, LaneRequest, Looked, Spoken, Why
    from playground.jobs.engine import EngineProcess

    engine = EngineProcess(["demo-curated"])
    events = engine.events()
    lines: list[dict[str, Any]] = []

    def keep(until: Any, begun: float) -> None:
        for event in events:
            lines.append({"at": round(time.monotonic() - begun, 3), **event.to_dict()})
            if until(event):
                return

    keep(lambda event: isinstance(event, EngineReady), time.monotonic())
    del lines[:-1]  # what it said while it loaded
    for prompt in PROMPTS:
        lanes = tuple(LaneRequest(side, side, (prompt,)) for side in ("base", "sft"))
        left = {"base", "sft"}

        def ended(event: Any, left: set[str] = left) -> bool:
            if isinstance(event, Spoken) and event.answer is not None:
                left.discard(event.lane)
            return not left

        number = engine.ask(Ask(lanes, 1.0, Sampling()))
        keep(ended, time.monotonic())
        engine.why(Why(number, "sft"))
        keep(lambda event: isinstance(event, Looked), time.monotonic())
    engine.close()
    RECORDING.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")


class Replay:
    """An engine that says what was recorded, when it is told to."""

    def __init__(self) -> None:
        from playground.events.engine import ENGINE_EVENTS

        lines = [json.loads(line) for line in RECORDING.read_text("utf-8").splitlines()]
        self._recorded = [(line["at"], ENGINE_EVENTS[line["event"]].from_dict(line)) for line in lines]
        self._said: queue.Queue[Any] = queue.Queue()
        self._number = 0
        self.say_until(float("inf"))  # ready

    def say_until(self, at: float) -> bool:
        """Say what was said up to this time; return whether the request has more to say."""
        while self._recorded:
            when, event = self._recorded[0]
            if getattr(event, "request", self._number) != self._number or when > at:
                return getattr(event, "request", 0) == self._number
            self._said.put(self._recorded.pop(0)[1])
        return False

    def ask(self, ask: Any) -> int:
        """Answer with the next recorded request."""
        self._number += 1
        return self._number

    def why(self, why: Any) -> int:
        """Answer with the next recorded request."""
        return self.ask(why)

    def events(self) -> Iterator[Any]:
        """Yield what is said."""
        while (event := self._said.get()) is not None:
            yield event

    def close(self, grace: float = 0.3) -> None:
        """End."""
        self._said.put(None)

    def nothing(self, *_: object) -> None:
        """Do nothing: a recording has one adapter."""

    use = list = cancel = nothing


async def draw() -> None:
    """Write the pictures and their manifest."""
    from playground.tui.app import PlaygroundApp
    from playground.tui.widgets.prompt import PromptBar

    engine = Replay()
    app = PlaygroundApp(lambda *_, **__: engine)
    frames: list[tuple[float, str]] = []
    async with app.run_test(size=SIZE) as pilot:
        bar = app.screen.query_one(PromptBar)
        bar.cursor_blink = False

        async def shoot(seconds: float) -> None:
            await pilot.pause(0.3)  # streams are painted a few times a second
            frames.append((seconds, app.export_screenshot(title="sft-playground")))

        await shoot(1.0)
        for prompt in PROMPTS:
            for length in range(TYPED, len(prompt) + TYPED, TYPED):
                bar.put(prompt[:length])
                await shoot(0.15)
            await pilot.press("enter")
            at, more = 0.0, True
            while more:
                at += FRAME_SECONDS
                more = engine.say_until(at)
                await shoot(FRAME_SECONDS)
            engine.say_until(float("inf"))  # why
            await shoot(HOLD_SECONDS)
        await pilot.press("ctrl+l", "end")
        await shoot(HOLD_SECONDS)
    (ROOT / "docs" / "lens.svg").write_text(frames[-1][1], "utf-8")
    (ROOT / "docs" / "compare.svg").write_text(moving(frames), "utf-8")
    MANIFEST.write_text(json.dumps(digest(), indent=2) + "\n", "utf-8")


def moving(frames: list[tuple[float, str]]) -> str:
    """Return one SVG that shows frames one after the other, for ever; what cannot move it shows the last one.

    What all frames have in common is drawn once.
    """
    styles: dict[str, str] = {}  # by what it says: its class
    drawn = [_elements(frame, styles) for _, frame in frames]
    common = set(drawn[0]).intersection(*map(set, drawn))
    first = frames[0][1]
    box = re.search(r'viewBox="([^"]+)"', first)
    chrome = re.search(r'(<rect fill="#[^>]+rx="8"/>.*?)<g transform="translate\(9', first, re.DOTALL)
    assert box is not None
    assert chrome is not None
    title = re.sub(r'class="terminal-\d+-title"', 'class="title"', chrome[1])
    rules = "".join(f".{name}{{{rule}}}" for rule, name in styles.items())
    pieces = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box[1]}"><style>text{{font:20px Fira Code,monospace;'
        f"white-space:pre}}.title{{font:bold 18px arial}}{rules}</style>{title}",
        '<g transform="translate(9,41)">',
        *(element for element in drawn[0] if element in common),
    ]
    total = sum(seconds for seconds, _ in frames)
    begin = 0.0
    for number, ((seconds, _), elements) in enumerate(zip(frames, drawn, strict=True)):
        last, end = number == len(frames) - 1, begin + seconds
        edges = [(0.0, "hidden")] * bool(begin) + [(begin / total, "visible")] + [(end / total, "hidden")] * (not last)
        times, values = ";".join(f"{at:.4f}" for at, _ in edges), ";".join(value for _, value in edges)
        pieces += [
            f'<g visibility="{"visible" if last else "hidden"}">',
            f'<animate attributeName="visibility" calcMode="discrete" dur="{total:.2f}s" repeatCount="indefinite" '
            f'keyTimes="{times}" values="{values}"/>',
            *(element for element in elements if element not in common),
            "</g>",
        ]
        begin = end
    return "\n".join([*pieces, "</g></svg>\n"])


def _elements(frame: str, styles: dict[str, str]) -> list[str]:
    """Return what is in a terminal's cells, with classes that mean the same in every frame."""
    rules = dict(re.findall(r"\.(terminal-\d+-r\d+) \{ ([^}]*) \}", frame))
    names = {name: styles.setdefault(rule, f"s{len(styles)}") for name, rule in rules.items()}
    found = re.findall(r"<rect fill=[^>]*crispEdges\"/>|<text class=\"terminal-\d+-r[^>]*>[^<]*</text>", frame)
    return [
        re.sub(r"terminal-\d+-r\d+", lambda name: names[name[0]], re.sub(r' clip-path="[^"]*"', "", element))
        for element in found
    ]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        if "record" in sys.argv[1:]:
            record()
        os.environ["SFT_PLAYGROUND_HOME"] = home  # nothing that was remembered is in the pictures
        asyncio.run(draw())

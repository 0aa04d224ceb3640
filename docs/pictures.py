"""Draw the pictures of the documentation from recordings, through the real app and without a model.

``python docs/pictures.py`` draws ``docs/compare.svg``, which moves, and the stills. What is on them was said by the
real engine, inspector and training; ``docs/record.py`` keeps it in ``docs/recorded/``. A test compares the manifest
there with the recordings and with the code and styles of the screens.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import queue
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
RECORDED = DOCS / "recorded"
MANIFEST = RECORDED / "manifest.json"
RUN = "first-run"  # as the recorded run is called
PROMPTS = ("Do you sleep at night?",)
SIZE, TRAINING_SIZE = (116, 27), (116, 36)
PAINTED = 0.3  # seconds until a stream is painted
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
    recordings = {path.stem: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(RECORDED.glob("*.jsonl"))}
    return {**recordings, "code": code.hexdigest()}


def recorded(name: str) -> list[dict[str, Any]]:
    """Return the lines of a recording."""
    return [json.loads(line) for line in (RECORDED / f"{name}.jsonl").read_text("utf-8").splitlines()]


class Replay:
    """An engine that says what was recorded, when it is told to."""

    def __init__(self) -> None:
        from playground.events.engine import ENGINE_EVENTS

        self._recorded = [(line["at"], ENGINE_EVENTS[line["event"]].from_dict(line)) for line in recorded("compare")]
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


class Reader:
    """An inspector that says what was recorded, in the place of what it is asked."""

    def __init__(self) -> None:
        from playground.events.inspector import INSPECTOR_EVENTS

        self._recorded = [INSPECTOR_EVENTS[line["event"]].from_dict(line) for line in recorded("train")]
        self._said: queue.Queue[Any] = queue.Queue()
        self._number = 0

    def _answer(self, *kinds: str) -> int:
        self._number += 1
        for event in self._recorded:
            if type(event).__name__ in kinds:
                self._said.put(replace(event, request=self._number))
        return self._number

    def list(self) -> int:
        """Say which data sets there are."""
        return self._answer("DataSets")

    def look(self, config: object, released: int = 0) -> int:
        """Say what was found in the recorded data set, and the plan."""
        return self._answer("Looked", "RowsShown", "PlanMade")

    def rows(self, start: int, count: int) -> int:
        """Say the recorded rows."""
        return self._answer("RowsShown")

    def events(self) -> Iterator[Any]:
        """Yield what is said."""
        while (event := self._said.get()) is not None:
            yield event

    def close(self, grace: float = 0.3) -> None:
        """End."""
        self._said.put(None)


async def draw() -> None:
    """Write the pictures and their manifest."""
    await draw_compare()
    await draw_blind()
    await draw_training()
    MANIFEST.write_text(json.dumps(digest(), indent=2) + "\n", "utf-8")


async def draw_compare() -> None:
    """Draw a question that is typed and answered, which moves, and the lens on its answer."""
    from playground.tui.app import PlaygroundApp
    from playground.tui.widgets.prompt import PromptBar

    engine = Replay()
    app = PlaygroundApp(lambda *_, **__: engine)
    frames: list[tuple[float, str]] = []
    async with app.run_test(size=SIZE) as pilot:
        bar = app.screen.query_one(PromptBar)
        bar.cursor_blink = False

        async def shoot(seconds: float) -> None:
            await pilot.pause(PAINTED)
            frames.append((seconds, picture(app)))

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
    (DOCS / "lens.svg").write_text(frames[-1][1], "utf-8")
    (DOCS / "compare.svg").write_text(moving(frames), "utf-8")


async def draw_blind() -> None:
    """Draw the same answers without the names of their sides."""
    from playground.tui.app import PlaygroundApp
    from playground.tui.state.session import Session
    from playground.tui.widgets.prompt import PromptBar

    engine = Replay()
    app = PlaygroundApp(lambda *_, **__: engine, Session(seed=1))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause(PAINTED)
        bar = app.screen.query_one(PromptBar)
        bar.cursor_blink = False
        await pilot.press("f4")
        bar.put(PROMPTS[0])
        await pilot.press("enter")
        engine.say_until(float("inf"))
        await pilot.pause(PAINTED)
        (DOCS / "blind.svg").write_text(picture(app), "utf-8")


async def draw_training() -> None:
    """Draw the training screen on a data set, and a run that has ended."""
    from playground import paths
    from playground.tui.app import PlaygroundApp
    from playground.tui.screens.run import RunScreen

    folder = paths.adapters_dir() / RUN
    folder.mkdir(parents=True)
    shutil.copy(RECORDED / "run.jsonl", folder / "events.jsonl")
    app = PlaygroundApp(lambda *_, **__: Replay(), inspector=Reader)
    async with app.run_test(size=TRAINING_SIZE) as pilot:
        await pilot.press("ctrl+r")
        await pilot.pause(2 * PAINTED)
        (DOCS / "train.svg").write_text(picture(app), "utf-8")
        await pilot.press("escape")
        await app.push_screen(RunScreen(folder))
        await pilot.pause(4 * PAINTED)
        (DOCS / "run.svg").write_text(picture(app), "utf-8")


def picture(app: Any) -> str:
    """Return what is on the screen as SVG."""
    return str(app.export_screenshot(title="sft-playground"))


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
        os.environ["SFT_PLAYGROUND_HOME"] = home  # nothing that was remembered is in the pictures
        asyncio.run(draw())

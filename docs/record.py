"""Record what the pictures of the documentation show: the engine, the inspector and a training, for real.

``python docs/record.py`` asks the demo model, reads ``mini.jsonl`` and trains on it (some minutes), and keeps what they
said in ``docs/recorded/``. Then ``python docs/pictures.py`` draws it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs"))
from pictures import PROMPTS, RECORDED, RUN  # noqa: E402 - a script next to this one


def keep(name: str, lines: list[dict[str, Any]]) -> None:
    """Write a recording; paths of this machine are left out."""
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    (RECORDED / f"{name}.jsonl").write_text(text.replace(f"{ROOT}/", ""), "utf-8")


def record_answers() -> None:
    """Ask the shipped adapter, and keep what is said with its times."""
    from playground.events.answers import Sampling
    from playground.events.engine import Ask, EngineReady, LaneRequest, Looked, Spoken, Why
    from playground.jobs.engine import EngineProcess

    engine = EngineProcess(["demo-curated"])
    events = engine.events()
    lines: list[dict[str, Any]] = []

    def hear(until: Any, start: float) -> None:
        for event in events:
            lines.append({"at": round(time.monotonic() - start, 3), **event.to_dict()})
            if until(event):
                return

    hear(lambda event: isinstance(event, EngineReady), time.monotonic())
    del lines[:-1]  # what it said while it loaded
    for prompt in PROMPTS:
        lanes = tuple(LaneRequest(side, side, (prompt,)) for side in ("base", "sft"))
        left = {"base", "sft"}

        def ended(event: Any, left: set[str] = left) -> bool:
            if isinstance(event, Spoken) and event.answer is not None:
                left.discard(event.lane)
            return not left

        number = engine.ask(Ask(lanes, 1.0, Sampling()))
        hear(ended, time.monotonic())
        engine.why(Why(number, "sft"))
        hear(lambda event: isinstance(event, Looked), time.monotonic())
    engine.close()
    keep("compare", lines)


def record_data() -> None:
    """Keep what the inspector says about mini.jsonl."""
    from playground.config import TrainConfig
    from playground.events.inspector import DataSets, PlanMade
    from playground.jobs.inspector import InspectorProcess

    inspector = InspectorProcess()
    events, lines = inspector.events(), []
    for ask, last in (
        (inspector.list, DataSets),
        (lambda: inspector.look(TrainConfig(data="mini.jsonl").to_dict()), PlanMade),
    ):
        ask()
        for event in events:
            lines.append(event.to_dict())
            if isinstance(event, last):
                break
    inspector.close()
    keep("train", [line for line in lines if line["event"] != "InspectorStage"])


def record_run() -> None:
    """Train, and keep the events of the run."""
    from playground import paths

    folder = paths.adapters_dir() / RUN
    if not folder.exists():
        command = [sys.executable, "-m", "playground", "train", "--data", "mini.jsonl", "--name", RUN]
        subprocess.run(command, check=True)  # noqa: S603 - our own interpreter
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_text("utf-8").splitlines()]
    home = str(folder.parent)
    keep("run", [json.loads(json.dumps(line).replace(home, "adapters")) for line in lines])


if __name__ == "__main__":
    record_answers()
    record_data()
    record_run()

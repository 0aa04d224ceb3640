"""Trainings with and without the app watching, scrubbing, and prompts that are typed to an ended run.

    python benchmarks/training_screen.py

One epoch of mini.jsonl on the demo model, which must be converted; nothing else may run. The speed of a training is
its own count of tokens over its own seconds of training.
"""

from __future__ import annotations

import os
import tempfile
import time
from itertools import islice
from pathlib import Path
from statistics import median

from app import APP, Terminal, judge, marks, share, table

from playground import paths
from playground.config import TrainConfig
from playground.events.answers import Sampling
from playground.events.engine import Ask, EngineReady, LaneRequest, Spoken
from playground.events.runs import RunEnded
from playground.jobs.engine import EngineProcess
from playground.jobs.runs import RunLink, start_training

REPEATS, SCRUBS, ASKS = 3, 40, 3
PROMPT = "Name three fruits."
LEFT, RIGHT = "\x1b[D", "\x1b[C"


def wait(folder: Path) -> float:
    """Return the speed of a run, when it has ended."""
    return next(event for event in RunLink(folder).follow(True) if isinstance(event, RunEnded)).tokens_per_second


def headless(home: Path, number: int) -> float:
    folder = home / "adapters" / f"alone-{number}"
    start_training(TrainConfig(num_train_epochs=1).to_dict(), folder)
    return wait(folder)


def watched(home: Path) -> tuple[float, Path, Terminal]:
    """Train from the training screen and watch; return speed, folder and the app, still open."""
    before = set((home / "adapters").glob("*"))
    app = Terminal(APP)
    app.wait("style chat")
    app.send("\x12")  # Ctrl+R
    app.wait("F5 starts training. Lit")
    app.send("\x1b[15~")
    until = time.monotonic() + 60
    while not (new := set((home / "adapters").glob("*")) - before):
        assert time.monotonic() < until
        time.sleep(0.1)
    (folder,) = new
    rate = wait(folder)
    app.wait("finished")
    time.sleep(1)
    return rate, folder, app


def scrub(app: Terminal) -> list[float]:
    """Return the ms from a key until the timeline has moved."""
    took = []
    for number in range(SCRUBS):
        sent, after = app.send(LEFT if number % 4 < 2 else RIGHT)
        took.append(1000 * (app.wait("●", after) - sent))
        time.sleep(0.1)
    return took


def typed(app: Terminal, folder: Path) -> None:
    steps = sorted(int(path.name) for path in (folder / "steps").iterdir())
    names = [f"{folder}@{step}" for step in steps][-4:]
    sides = [f"sft:{folder.name}@{step}" for step in steps][-4:]
    lanes = [("base", "base"), *zip([side.rpartition(":")[2] for side in sides], sides, strict=True)]
    app.send("a")
    app.wait("beside their base")
    firsts, tooks = [], []
    engine = EngineProcess(adapters=names)
    events = engine.events()
    next(event for event in events if isinstance(event, EngineReady))
    alone = []
    for _ in range(ASKS + 1):
        begun = time.monotonic()
        engine.ask(Ask(tuple(LaneRequest(name, side, (PROMPT,)) for name, side in lanes), 1.0, Sampling()))
        ends = list(islice((event for event in events if isinstance(event, Spoken) and event.answer), len(lanes)))
        alone.append(time.monotonic() - begun)
    engine.close()
    time.sleep(2)
    slowest = marks([max(ends, key=lambda end: end.num_tokens)])[0][:20]
    for _ in range(ASKS + 1):
        app.wait(PROMPT, app.send(PROMPT)[1])
        time.sleep(0.5)
        begun, after = app.send("\r")
        firsts.append(app.wait("▶", after) - begun)
        tooks.append(app.wait(slowest, after) - begun)
        time.sleep(0.5)
    tokens = sum(end.num_tokens for end in ends)
    rates = tokens / median(alone[1:]), tokens / median(tooks[1:])
    table(
        (f"{len(lanes)} lanes, {tokens} tokens", "tokens/s", "first words, s"),
        ("engine alone", f"{rates[0]:.1f}", ""),
        ("typed in the app", f"{rates[1]:.1f}", f"{median(firsts[1:]):.2f}"),
    )
    judge("typed prompts, app / engine alone", rates[1] / rates[0], "at least", 0.8)
    judge("first words, s", median(firsts[1:]), "at most", 1.0)


def main() -> None:
    cache = paths.cache_dir()
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        (home / "cache").symlink_to(cache)
        (home / "settings.toml").write_text("num_train_epochs = 1\n")
        os.environ |= {"SFT_PLAYGROUND_HOME": name, "HF_HUB_OFFLINE": "1"}
        rates: dict[str, list[float]] = {"alone": [], "watched in the app": []}
        for number in range(REPEATS):
            rates["alone"].append(headless(home, number))
            rate, folder, app = watched(home)
            rates["watched in the app"].append(rate)
            if number + 1 < REPEATS:
                app.close()
        table(
            ("training", f"tokens/s, median of {REPEATS}", "range"),
            *((kind, f"{median(of):.0f}", f"{min(of):.0f}–{max(of):.0f}") for kind, of in rates.items()),
        )
        ratio = median(rates["watched in the app"]) / median(rates["alone"])
        judge("training, watched / alone", ratio, "at least", 0.95)
        took = scrub(app)
        table(
            ("scrubbing", "p50 ms", "p95 ms", "worst ms"),
            (len(took), *(f"{share(took, p):.0f}" for p in (0.5, 0.95, 1.0))),
        )
        judge("p95 of scrubbing, ms", share(took, 0.95), "at most", 100.0)
        typed(app, folder)
        app.close()


if __name__ == "__main__":
    main()

"""Trainings with and without the app watching, keys meanwhile, scrubbing, and prompts typed to an ended run.

    python benchmarks/training_screen.py

One epoch of mini.jsonl on the demo model, which must be converted; nothing else may run. The speed of a training is
its own count of tokens over its own seconds of training.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from itertools import islice
from pathlib import Path
from statistics import median

from app import APP, Terminal, judge, letters, marks, share, table, type_keys

from playground import paths
from playground.config import TrainConfig
from playground.events.answers import Sampling
from playground.events.engine import Ask, EngineReady, LaneRequest, Spoken
from playground.events.runs import RunEnded
from playground.jobs.engine import EngineProcess
from playground.jobs.training import RunLink, start_training
from playground.runs.folder import kept_steps
from playground.tui.screens.ask import spread

REPEATS, SCRUBS, ASKS, LETTERS = 3, 40, 3, 40
PROMPT = "Name three fruits."
LEFT, RIGHT = "\x1b[D", "\x1b[C"


def wait(folder: Path) -> float:
    """Return the speed of a run, when it has ended."""
    return next(event for event in RunLink(folder).follow(True) if isinstance(event, RunEnded)).tokens_per_second


def headless(home: Path, number: int) -> float:
    folder = home / "adapters" / f"alone-{number}"
    start_training(TrainConfig(num_train_epochs=1).to_dict(), folder)
    return wait(folder)


def start(home: Path) -> tuple[Path, Terminal]:
    """Start a training from the training screen; return its folder and the app, which watches it."""
    before = set((home / "adapters").glob("*"))
    app = Terminal(APP)
    app.wait("style chat")
    app.send("\x12")  # Ctrl+R
    app.wait("F5 starts training")
    app.send("\x1b[15~")
    until = time.monotonic() + 60
    while not (new := set((home / "adapters").glob("*")) - before):
        assert time.monotonic() < until
        time.sleep(0.1)
    (folder,) = new
    return folder, app


def watched(home: Path) -> tuple[float, Path, Terminal]:
    """Train and watch; return speed, folder and the app, still open."""
    folder, app = start(home)
    rate = wait(folder)
    app.wait("finished")
    time.sleep(1)
    return rate, folder, app


def keys_meanwhile(home: Path) -> None:
    """Press keys while the model is in training: letters in the data screen's field, then looking back at samples."""
    folder, app = start(home)
    app.wait("● 2")  # two samplings, so that there is one to look back at
    app.wait("a file, or", app.send("d")[1])
    app.send("\t")
    time.sleep(0.5)
    typed = [late for _, late in type_keys(app, letters(), lambda number: number < LETTERS)]
    app.wait("samples at step", app.send("\x1b")[1])
    back: list[float] = []
    while app.seen("finished") is None and len(back) < LETTERS:
        sent, after = app.send(LEFT)
        back.append(1000 * (app.wait("looking back", after) - sent))
        app.send(RIGHT)  # follow the run again
        time.sleep(random.uniform(0.3, 0.6))
    wait(folder)
    app.close()
    rows = [("keys during a training", "number", "p50 ms", "p95 ms", "worst ms")]
    for name, took in (("a letter typed", typed), ("looking back", back)):
        rows.append((name, len(took), *(f"{share(took, p):.0f}" for p in (0.5, 0.95, 1.0))))
    table(*rows)
    judge("p95 of keys during a training, ms", share(typed + back, 0.95), "below", 50.0)


def scrub(app: Terminal) -> list[float]:
    """Return the ms from a key until the timeline has moved."""
    took = []
    for number in range(SCRUBS):
        sent, after = app.send(LEFT if number % 4 < 2 else RIGHT)
        took.append(1000 * (app.wait("●", after) - sent))
        time.sleep(0.1)
    return took


def answers(names: list[str], lanes: list[tuple[str, str]]) -> tuple[list[float], list[Spoken]]:
    """Ask an engine whose events are only read; return the seconds of each answer, and the last ends."""
    engine, took = EngineProcess(adapters=names), []
    events = engine.events()
    next(event for event in events if isinstance(event, EngineReady))
    for _ in range(ASKS + 1):
        time.sleep(1.0)  # as a person does below: without a pause the same answers take up to a tenth less
        began = time.monotonic()
        engine.ask(Ask(tuple(LaneRequest(name, side, (PROMPT,)) for name, side in lanes), 1.0, Sampling()))
        ends = list(islice((event for event in events if isinstance(event, Spoken) and event.answer), len(lanes)))
        took.append(time.monotonic() - began)
    engine.close()
    return took[1:], ends


def typed(app: Terminal, folder: Path) -> None:
    """Ask in turn an engine alone and the app, each time in a new process: processes differ by a tenth."""
    steps = spread(kept_steps(folder))
    sides = [f"sft:{folder.name}@{step}" for step in steps]
    lanes = [("base", "base"), *((side.rpartition(":")[2], side) for side in sides)]
    found: dict[str, list[float]] = {"engine alone": [], "typed in the app": []}
    firsts: list[float] = []
    for _ in range(REPEATS):
        took, ends = answers([f"{folder}@{step}" for step in steps], lanes)
        tokens, slowest = sum(end.num_tokens for end in ends), marks([max(ends, key=lambda end: end.num_tokens)])
        found["engine alone"].append(tokens / median(took))
        app.wait("compared with their base", app.send("a")[1])
        took = []
        for number in range(ASKS + 1):
            app.wait(PROMPT, app.send(PROMPT)[1])
            time.sleep(0.5)
            began, after = app.send("\r")
            first, last = app.wait("▶", after), app.wait(slowest[0][:20], after)
            if number:
                firsts.append(first - began)
                took.append(last - began)
            time.sleep(0.5)
        found["typed in the app"].append(tokens / median(took))
        app.wait("samples at step", app.send("\x1b")[1])
    table(
        (f"{len(lanes)} lanes, {tokens} tokens", f"tokens/s, median of {REPEATS} processes", "range"),
        *((kind, f"{median(of):.1f}", f"{min(of):.1f}–{max(of):.1f}") for kind, of in found.items()),
    )
    ratio = median(found["typed in the app"]) / median(found["engine alone"])
    judge("typed prompts, app / engine alone", ratio, "at least", 0.8)
    judge("first words, s", median(firsts), "at most", 1.0)


def main() -> None:
    cache = paths.cache_dir()
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        (home / "cache").symlink_to(cache)
        (home / "settings.toml").write_text("num_train_epochs = 1\n")
        os.environ |= {"SFT_PLAYGROUND_HOME": name, "HF_HUB_OFFLINE": "1"}
        keys_meanwhile(home)
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

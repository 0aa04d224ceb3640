"""The app as a person meets it: first paint, keys while answers stream, tokens/s on screen.

    python benchmarks/app.py [paint] [keys] [speed]

In pseudo-terminals of 120 by 40; times end when bytes come back, so this script stands where a terminal would. Echo
is off: a letter that comes back was painted. The demo model must be converted, and nothing else may run.
- paint: from a process's start until a letter is on screen; letters are typed every 10 ms once the alternate screen
  was entered. The app, whose engine loads beside it, against a bare Textual app of as many widgets.
- keys: from a letter sent until it is painted, while base and sft answer; sent on a schedule, late or not.
- speed: an engine whose events are only read, against Enter until both ends are on screen.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import platform
import pty
import random
import re
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import tty
from bisect import bisect_left
from collections.abc import Callable, Iterator
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from statistics import median
from unittest.mock import MagicMock

import psutil

from playground import paths
from playground.events.engine import Ask, EngineReady, LaneRequest, Spoken
from playground.jobs.engine import EngineProcess
from playground.report.words import caption

PAINTS, KEYS, REPEATS, ASKS = 5, 120, 3, 2
PROMPT = "Explain quantum physics."
APP = [sys.executable, "-m", "playground"]
# As many widgets as the app has, as many of them hidden, as many keys in the footer.
BARE = """
from textual.app import App
from textual.containers import Horizontal, Vertical
from textual.widgets import Footer, Static, TextArea

class Bare(App):
    CSS = "Vertical { width: 1fr; } Static { height: 1; } TextArea { height: 3; } .hidden { display: none; }"
    BINDINGS = [(f"f{n + 8}", f"focus('{n}')", f"key {n}") for n in range(KEYS)]

    def compose(self):
        with Horizontal():
            for n in range(4):
                with Vertical():
                    for _ in range(n, SHOWN, 4):
                        yield Static("some words")
                    for _ in range(n, HIDDEN, 4):
                        yield Static("some words", classes="hidden")
        yield TextArea()
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self):
        self.query_one(TextArea).focus()
"""


class Terminal:
    """A process in a pseudo-terminal. All it writes is kept, with the time at which it came."""

    def __init__(self, command: list[str]) -> None:
        self._ours, theirs = pty.openpty()
        tty.setraw(theirs)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        env = os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
        self._data, self._ends, self._times = bytearray(), [0], [0.0]
        self._came = threading.Condition()
        self.began = time.monotonic()
        self._process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
        )  # fmt: skip
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._ours, 1 << 16)
            except OSError:  # the process has ended
                return
            now = time.monotonic()
            with self._came:
                self._data += data
                self._ends.append(len(self._data))
                self._times.append(now)
                self._came.notify_all()

    def send(self, text: str) -> tuple[float, int]:
        """Type `text`; return when that was, and how much had come until then."""
        with self._came:
            now, before = time.monotonic(), len(self._data)
        os.write(self._ours, text.encode())
        return now, before

    def seen(self, text: str, after: int = 0) -> float | None:
        """Return when `text` came, or None if it did not."""
        with self._came:
            at = self._data.find(text.encode(), after)
            return None if at < 0 else self._times[bisect_left(self._ends, at + len(text.encode()))]

    def wait(self, text: str, after: int = 0, seconds: float = 60.0) -> float:
        """Return when `text` came; wait for it."""
        until = time.monotonic() + seconds
        while (when := self.seen(text, after)) is None:
            assert time.monotonic() < until, f"{text!r} did not come, but {bytes(self._data[-300:])!r}"
            with self._came:
                self._came.wait(0.01)
        return when

    def ask(self) -> tuple[float, int]:
        """Ask in the app; return what `send` does for Enter."""
        for text, then in (("\x15", "our prompt"), (PROMPT, PROMPT)):  # Ctrl+U empties the line, and hints appear
            self.wait(then, self.send(text)[1])
        time.sleep(0.5)
        return self.send("\r")

    def close(self) -> None:
        """Quit as a person does."""
        self.send("\x11")
        self._process.wait(20)
        self._reader.join(1)
        os.close(self._ours)
        time.sleep(1.0)  # an engine is killed 0.3 s after its input ended


def alone(asks: int) -> tuple[str, list[float], list[Spoken]]:
    """Ask an engine whose events are only read; return its adapter, the seconds of each answer and the last ends."""
    engine, took = EngineProcess(), []
    events = engine.events()
    adapter = next(event for event in events if isinstance(event, EngineReady)).adapter
    for _ in range(asks):
        began = time.monotonic()
        engine.ask(Ask(tuple(LaneRequest(side, side, (PROMPT,)) for side in ("base", "sft"))))
        ends = list(islice((event for event in events if isinstance(event, Spoken) and event.answer), 2))
        took.append(time.monotonic() - began)
    engine.close()
    time.sleep(1.0)
    return adapter, took, ends


def open_app(adapter: str) -> Terminal:
    """Return the app with its model loaded."""
    app = Terminal(APP)
    app.wait(f"adapter {adapter} · style")
    time.sleep(0.5)
    return app


def marks(ends: list[Spoken]) -> list[str]:
    """Return how the panes' captions begin at the end; the sign before them has a style of its own."""
    return [caption(end.lane, end.answer, 0)[2:40] for end in ends]


def letters() -> Iterator[str]:
    """Yield letters, one cell wide, of a script that no answer has; none twice."""
    return map(chr, range(0x1401, 0x166D))  # Canadian syllabics


def table(*rows: tuple[object, ...]) -> None:
    """Print a Markdown table; the first row names the columns."""
    print("", *(f"| {' | '.join(map(str, row))} |" for row in (rows[0], ["---"] * len(rows[0]), *rows[1:])), sep="\n")


def judge(what: str, value: float, how: str, limit: float) -> None:
    holds = {"at most": value <= limit, "below": value < limit, "at least": value >= limit}[how]
    print(f"\n{what}: {value:.2f}; wanted {how} {limit:g}: {'holds' if holds else '**does not hold**'}", flush=True)


async def widgets(app) -> tuple[int, int, int]:
    """Return how many widgets an app has, how many of them it shows, and how many keys its footer names."""
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause(0.5)
        every = list(app.screen.walk_children())
        shown = [w for w in every if all(getattr(above, "display", True) for above in w.ancestors_with_self)]
        return len(every), len(shown), sum(type(w).__name__ == "FooterKey" for w in every)


def paint() -> None:
    from playground.tui.app import PlaygroundApp

    counts = every, shown, keys = asyncio.run(widgets(PlaygroundApp(lambda *a, **k: MagicMock(events=list))))
    own = 7 + keys  # five containers, the text area, the footer and its keys
    exec(bare := f"SHOWN, HIDDEN, KEYS = {shown - own}, {every - shown}, {keys}\n{BARE}", inside := {})
    assert asyncio.run(widgets(inside["Bare"]())) == counts
    found: dict[str, list[tuple[float, float, int]]] = {"app": [], "bare": []}
    for turn in range(PAINTS + 1):
        for name in sorted(found, reverse=turn % 2 == 1):
            terminal = Terminal(APP if name == "app" else [sys.executable, "-c", f"{bare}\nBare().run()"])
            entered, fresh, sent = terminal.wait("\x1b[?1049h"), letters(), []
            while not (came := [when for letter in sent if (when := terminal.seen(letter))]):
                sent.append(next(fresh))
                terminal.send(sent[-1])
                time.sleep(0.01)
            time.sleep(0.5)
            lost = sum(terminal.seen(letter) is None for letter in sent)
            terminal.close()
            if turn:  # the first of each fills the caches
                found[name].append((1000 * (came[0] - terminal.began), 1000 * (entered - terminal.began), lost))
    rows = [(f"{every} widgets, {shown} shown", "letter on screen, ms", "range", "screen entered, ms", "letters lost")]
    middle = {name: [median(column) for column in zip(*runs, strict=True)] for name, runs in found.items()}
    for name, (seen, entered, lost) in middle.items():
        between = f"{min(found[name])[0]:.0f}–{max(found[name])[0]:.0f}"
        rows.append((f"{name}, median of {PAINTS}", f"{seen:.0f}", between, f"{entered:.0f}", lost))
    table(*rows)
    judge("first paint, app / bare", middle["app"][0] / middle["bare"][0], "at most", 1.4)


def type_keys(app: Terminal, fresh: Iterator[str], going: Callable[[int], bool]) -> list[tuple[float, float]]:
    """Type letters every 150 ms or so while `going`; return when each was sent, and the ms until it was painted."""
    sent: list[tuple[str, float, int]] = []
    while going(len(sent)):
        letter = next(fresh)
        assert app.seen(letter) is None, letter
        sent.append((letter, *app.send(letter)))
        time.sleep(random.uniform(0.1, 0.2))
    return [(at, 1000 * (app.wait(letter, after) - at)) for letter, at, after in sent]


def share(times: list[float], part: float) -> float:
    """Return the smallest time that so large a part of `times` does not exceed."""
    return sorted(times)[max(0, int(-(-part * len(times) // 1)) - 1)]


def keys() -> None:
    adapter, _, last_ends = alone(1)
    ends, app, fresh = marks(last_ends), open_app(adapter), letters()
    idle = [late for _, late in type_keys(app, fresh, lambda number: number < 40)]
    both, one = [], []
    while len(both) + len(one) < KEYS:
        _, after = app.ask()
        app.wait("▶", after)
        sent = type_keys(app, fresh, lambda _, a=after: any(app.seen(end, a) is None for end in ends))
        first, last = sorted(app.wait(end, after) for end in ends)
        both += [late for at, late in sent if at < first]
        one += [late for at, late in sent if first <= at < last]
    app.close()
    rows = [("letters typed while", "number", "p50 ms", "p95 ms", "p99 ms", "worst ms")]
    kinds = {"nothing streams": idle, "two lanes stream": both, "one lane streams": one, "streaming": both + one}
    for name, times in kinds.items():
        rows.append((name, len(times), *(f"{share(times, part):.1f}" for part in (0.5, 0.95, 0.99, 1.0))))
    table(*rows)
    judge("p95 of keys while streaming, ms", share(both + one, 0.95), "below", 50.0)


def speed() -> None:
    found = {"engine alone": [], "app": []}
    for _ in range(REPEATS):
        adapter, took, ends = alone(ASKS + 1)
        found["engine alone"].append(sum(took[1:]))  # the first answer of a process is not counted
        app, took = open_app(adapter), []
        for _ in range(ASKS + 1):
            began, after = app.ask()
            app.wait("▶", after)
            took.append(max(app.wait(end, after) for end in marks(ends)) - began)
        app.close()
        found["app"].append(sum(took[1:]))
    tokens = ASKS * sum(end.num_tokens for end in ends)
    rates = {name: sorted(tokens / seconds for seconds in runs) for name, runs in found.items()}
    rows = ((name, f"{median(of):.1f}", f"{of[0]:.1f}–{of[-1]:.1f}") for name, of in rates.items())
    table((f"{tokens} tokens each", f"tokens/s, median of {REPEATS}", "range"), *rows)
    judge("tokens/s, app / engine alone", median(rates["app"]) / median(rates["engine alone"]), "at least", 0.95)


def main() -> None:
    names = re.findall(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    versions = ", ".join(f"{name} {version(name)}" for name in ("textual", "torch", "transformers", "peft"))
    print(f"{names[0]}, {psutil.cpu_count()} processors; Python {platform.python_version()}, {versions}", flush=True)
    before, cache = psutil.cpu_percent(2.0), paths.cache_dir()
    with tempfile.TemporaryDirectory() as home:  # the converted model, the shipped adapter, nothing of the user's
        (Path(home) / "cache").symlink_to(cache)
        os.environ |= {"SFT_PLAYGROUND_HOME": home, "HF_HUB_OFFLINE": "1"}
        for section in (paint, keys, speed):
            if len(sys.argv) < 2 or section.__name__ in sys.argv[1:]:
                section()
    print(f"\nWithout us the machine was {before:.0f} % busy before and {psutil.cpu_percent(2.0):.0f} % after.")


if __name__ == "__main__":
    main()

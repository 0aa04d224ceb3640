"""Walk the app in tmux by a script of keys, as a person would, and keep each screen as text.

    python benchmarks/walk.py benchmarks/walks/learner.txt --size 80x24 --out build/walk

A script has an action a line: ``type TEXT``, ``key NAME…`` (tmux's names), ``wait REGEX`` (three minutes),
``sleep SECONDS``, ``shot NAME``. It is read and looked at by a person: nothing is judged here but that no wait is in vain.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT = 180.0  # seconds


class Window:
    """The app in a window of a tmux server of its own, ended with `close`."""

    def __init__(self, columns: str, lines: str) -> None:
        self._socket = str(Path(tempfile.mkdtemp()) / "tmux")
        kept = {name: value for name, value in os.environ.items() if name.startswith(("SFT_", "HF_", "PYTHONPATH"))}
        exports = "".join(f"export {name}={shlex.quote(value)}; " for name, value in kept.items())
        app = f"{exports}export COLORTERM=truecolor; exec {shlex.quote(sys.executable)} -m playground"
        self.tmux("-f", "/dev/null", "new-session", "-d", "-s", "walk", "-x", columns, "-y", lines, app)
        self.tmux("set", "-g", "status", "off")

    def tmux(self, *words: str) -> str:
        """Call tmux; return what it prints."""
        call = ["tmux", "-S", self._socket, *words]
        return subprocess.run(call, capture_output=True, text=True, check=False).stdout

    def text(self) -> str:
        """Return the screen."""
        return self.tmux("capture-pane", "-p", "-t", "walk")

    def close(self) -> None:
        """End the app."""
        self.tmux("kill-server")


def act(window: Window, line: str, out: Path) -> bool:
    """Do one line; return False if it waited in vain."""
    verb, _, rest = line.partition(" ")
    match verb:
        case "type":
            window.tmux("send-keys", "-t", "walk", "-l", rest)
        case "key":
            window.tmux("send-keys", "-t", "walk", *rest.split())
        case "sleep":
            time.sleep(float(rest))
        case "shot":
            (out / f"{rest}.txt").write_text(window.text(), "utf-8")
        case "wait":
            end = time.monotonic() + LIMIT
            while not re.search(rest, window.text()):
                if time.monotonic() > end:
                    print(f"waited in vain for {rest}")
                    return False
                time.sleep(0.1)
        case _:
            sys.exit(f"not an action: {line}")
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("steps", type=Path)
    parser.add_argument("--size", default="120x40")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    lines = [line for line in options.steps.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    window = Window(*options.size.split("x"))
    try:
        done = [act(window, line, options.out) for line in lines]
    finally:
        window.close()
    sys.exit(0 if all(done) else 1)


if __name__ == "__main__":
    main()

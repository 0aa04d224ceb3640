"""A terminal that runs a command for a test, and, as a program, the app with a hostile engine to run in it."""

import base64
import codecs
import fcntl
import itertools
import os
import pty
import queue
import re
import select
import signal
import struct
import sys
import termios
import threading
import time
import unicodedata
from contextlib import suppress
from pathlib import Path

import psutil
from rich.cells import cell_len

from playground.events.answers import Answer
from playground.events.contrast import Candidate, Expectation, Position
from playground.events.engine import AdapterInfo, Choices, EngineError, EngineReady, EngineStage, Fed, Looked, Spoken
from playground.events.lens import Lens, Walk

ROOT = Path(__file__).parents[2]
KEYS = {
    "F1": "\x1bOP", "F4": "\x1bOS", "F5": "\x1b[15~", "F6": "\x1b[17~", "F9": "\x1b[20~", "Enter": "\r", "Esc": "\x1b",
    "End": "\x1b[F", **{f"Ctrl+{letter}": chr(ord(letter) - 64) for letter in "CGLOPQRSTUY"},
}  # fmt: skip
TOKEN = re.compile(
    r"\x1b\[(?P<private>[?<>]?)(?P<numbers>[\d;]*)(?P<end>\$?[a-zA-Z])|\x1b[\]P][^\x07\x1b]*(?:\x07|\x1b\\)"
    r"|(?P<line>[\r\n])|(?P<text>[^\x1b\r\n]+)"
)

# The escape sequences that Textual writes here; whatever else holds a control character came from outside.
OWN = re.compile(r"\x1b\[[?<>]?[\d;]*(?:\$p|[Hhlmu])|\x1b\](?:52;c;[A-Za-z0-9+/=]*|22;[a-z]+)\x07|\r?\n")
CORPUS = {
    "clipboard": "\x1b]52;c;SE9TVElMRQ==\x07",
    "title": "\x1b]0;HOSTILE\x07",
    "link": "\x1b]8;;http://hostile\x1b\\x\x1b]8;;\x1b\\",
    "blinking": "\x1b[31;45;5mHOSTILE\x1b[0m",
    "cursor": "\x1b[999;1HHOSTILE",
    "device control": "\x1bP+q484f5354\x1b\\",
    "C1": "\x9b31;45;5mHOSTILE \x9d0;HOSTILE\x9c \x90q\x9c",
    "bidi": "\u202eHOSTILE\u202c \u2066x\u2069",
    "invisible": "HOS\u200bTILE\u2060\u00ad\U000e0041\ufeff",
    "surrogates": "\ud83d \udc00",
    "controls": "a\x00b\x08\x08c\rd\x7fe\x0c\x0bf",
    "markup": "[@click=app.quit]x[/] [/foo] [link=http://hostile]y[/link] [bold",
    "Markdown": "**strong** [x](http://hostile) ![y](http://hostile/y.png) <b>z</b>",
    "entities": "&#x202e;HOSTILE &#27;]0;HOSTILE&#7; &#x9b;31;45;5m &ZeroWidthSpace; &shy; &rlm;",
    "letters": "👩\u200d👩\u200d👧 e\u0301\u0302\u0303 한국어 नि",
}
TEXT = "\n".join(CORPUS.values())
LINE = " ".join(CORPUS.values())
BIG = "a" * 1_000_000 + "\n"  # one line
SEEN = "␛]52;c;"  # how the corpus begins where it is shown
NEVER = (
    "\x1b]52;c;SE9TVElMRQ", "\x1b]0;HOSTILE", "\x1b]8;", "\x1b[31;45;5m", "\x1b[999;", "\x1bP", "\x9b", "\u202e", "\x00",
    r"\ud83d",  # what standard error makes of a surrogate
)  # fmt: skip


def complaints(raw: bytes) -> set[str]:
    """Return what a terminal must not get: a sequence of the corpus, or any character that could act or hide."""
    text = raw.decode("utf-8", "surrogateescape")
    found = {repr(sequence) for sequence in NEVER if sequence in text}
    for copied in re.findall(r"\x1b\]52;c;([^\x07]*)\x07", text):
        with suppress(ValueError):
            found |= _unsafe(base64.b64decode(copied).decode("utf-8", "surrogateescape"))
    return found | _unsafe(OWN.sub("", text))


def _unsafe(text: str) -> set[str]:
    return {
        f"U+{ord(character):04X}"
        for character in set(text) - set("\n\u200c\u200d")  # the joiners make emoji and several scripts
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") or character in "\u115f\u1160\u3164\uffa0"
    }


def _as_in_a_terminal():
    """Take the terminal, and hear when it hangs up, even if the tests themselves run under nohup."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def app_with(python):
    """Return the command of the app whose children are started with the Python `python`."""
    return [sys.executable, "-c", f"import sys; sys.executable = {python!r}; from playground.cli import main; main()"]


class Terminal:
    """A pseudo-terminal with a process in it. Keeps all it wrote in `raw`, and what stands on the screen."""

    def __init__(self, command, folder, size=(120, 40)):
        self.raw = bytearray()
        self._changed = threading.Condition()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest, self._closing, self._ended = "", False, False
        self._master, slave = pty.openpty()
        self.resize(*size)
        environment = {
            k: v for k, v in os.environ.items() if not k.startswith(("TEXTUAL", "NO_COLOR", "LINES", "COLUMNS"))
        }
        environment |= {
            "TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1",
            "SFT_PLAYGROUND_HOME": str(folder),
        }  # fmt: skip
        self.process = psutil.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, cwd=folder, env=environment, start_new_session=True,
            preexec_fn=_as_in_a_terminal,
        )  # fmt: skip
        os.close(slave)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        left = [self.process, *(self.process.children(recursive=True) if self.process.is_running() else [])]
        for process in left:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()
        self.hang_up()

    def send(self, text):
        """Send text as it is."""
        os.write(self._master, text.encode("utf-8", "surrogatepass"))

    def press(self, *keys):
        """Press keys of these names."""
        self.send("".join(KEYS[key] for key in keys))

    def resize(self, width, height):
        """Give the screen another size; it is blank until the program draws again."""
        with self._changed:
            self._width, self._height = width, height
            self._clear()
            fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def shown(self, left=0):
        """Return what is on the screen from this column on."""
        return "\n".join("".join(row[left:]).rstrip() for row in self._rows)

    def wait(self, *texts, gone=(), left=0, seconds=60.0):
        """Wait until all these texts are on the screen and those that are to be gone are gone."""
        self.until(lambda: all(t in self.shown(left) for t in texts) and not any(t in self.shown(left) for t in gone),
                   f"{texts} without {gone}", seconds)  # fmt: skip

    def until(self, condition, words, seconds=60.0):
        """Wait for a condition; it is looked at whenever the program has written something."""
        with self._changed:
            assert self._changed.wait_for(lambda: condition() or self._ended, seconds), self._tell(words)
            assert condition(), self._tell(words)

    def _tell(self, words):
        left = self.raw.rpartition(b"\x1b[?1049l")[2].decode("utf-8", "replace")  # such as a traceback
        last = re.sub("\x1b\\[[\\d;]*m", "", left)[-8000:] if self._ended else ""
        return f"{words} did not come; exit code {self.process.poll()}; on the screen:\n{self.shown()}\n{last}"

    def exit_code(self, seconds):
        """Wait for the end of the process and of its output; return its exit code."""
        code = self.process.wait(seconds)
        self._reader.join(5)
        return code

    def echoes(self):
        """Return whether typing is echoed by lines, as a shell needs it."""
        return termios.tcgetattr(self._master)[3] & (termios.ECHO | termios.ICANON) == termios.ECHO | termios.ICANON

    def stop_reading(self):
        """Read no more, as a terminal does that is stuck."""
        self._closing = True
        self._reader.join()

    def hang_up(self):
        """Close the terminal, as closing its window does."""
        self.stop_reading()
        if self._master is not None:
            os.close(self._master)
            self._master = None

    def _read(self):
        with suppress(OSError):  # EIO: nobody has the other end open any more
            while not self._closing:
                if select.select([self._master], [], [], 0.1)[0]:
                    data = os.read(self._master, 65536)
                    with self._changed:
                        self.raw += data
                        self._draw(self._rest + self._decoder.decode(data))
                        self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _clear(self):
        self._rows = [[" "] * self._width for _ in range(self._height)]
        self._x = self._y = 0

    def _draw(self, text):
        at = 0
        while at < len(text):
            token = TOKEN.match(text, at)
            if token is None:
                if "\x1b" not in text[at + 1 :]:  # its end is still to come
                    break
                at += 1
                continue
            at = token.end()
            if token["text"]:
                self._put(token["text"])
            elif token["line"]:
                self._x, self._y = 0, self._y + (token["line"] == "\n")
            elif token["end"] == "H":
                y, x = (int(number) for number in (token["numbers"] or "1;1").split(";"))
                self._x, self._y = x - 1, y - 1
            elif token["end"] == "J" or token["numbers"] == "1049":
                self._clear()
        self._rest = text[at:]

    def _put(self, text):
        if not 0 <= self._y < self._height:
            return
        row = self._rows[self._y]
        for character in text:
            width = 1 if " " <= character <= "~" else cell_len(character)
            if self._x + width > self._width:
                return
            if width:
                row[self._x : self._x + width] = [character, *[""] * (width - 1)]
            elif self._x:
                row[self._x - 1] += character
            self._x += width


class FakeEngine:
    """Says hostile things only. It is ready when its choices are asked for; an answer ends when it is cancelled."""

    def __init__(self, *options, **more):
        self._said, self._asked, self._cancelled, self._ready = queue.Queue(), 0, set(), False
        self._said.put(EngineStage(LINE, 0.5, LINE))
        texts = (*CORPUS.values(), "the last one")
        adapters = [AdapterInfo(text, "/a", "yours", text, text, text, text, text, 1.0) for text in texts]
        self._said.put(Choices(tuple(adapters), texts))

    def ask(self, ask):
        self._asked += 1
        threading.Thread(target=self._answer, args=(self._asked, ask), daemon=True).start()
        return self._asked

    def why(self, why):
        self._asked += 1
        top = (Candidate(0, LINE, 0.5, False),)
        positions = tuple(
            Position(
                0, text, False, Expectation(0.5, -0.7, 1, 1.0, 0.1, top), Expectation(0.9, -0.1, 1, 1.0, 0.1, top), 0.5
            )
            for text in CORPUS.values()
        )
        lens = Lens(LINE, why.reading, LINE, LINE, LINE, LINE, positions)
        texts = tuple(CORPUS.values())
        share = (0.1,) * (len(texts) + 1)
        walk = Walk(LINE, LINE, texts, share, share, (False,) * len(texts) + (True,))
        self._said.put(Looked(self._asked, why, lens, walk))
        return self._asked

    def use(self, adapters=(), style=None):
        pass

    def list(self):
        if not self._ready:
            self._ready = True
            self._said.put(EngineReady(LINE, LINE, LINE, False, 1.0))

    def cancel(self, number):
        self._cancelled.add(number)

    def events(self):
        while (event := self._said.get()) is not None:
            yield event

    def close(self, grace=0.3):
        Path("closed").touch()
        self._said.put(None)
        return True

    def _answer(self, number, ask):
        names = [lane.name for lane in ask.lanes]
        prompt = ask.lanes[0].texts[-1]
        if prompt == "fail":
            self._said.put(EngineError(-1, LINE, LINE))
            return
        self._said.put(Fed(number, dict.fromkeys(names, f"fed {LINE}"), dict.fromkeys(names, 7), LINE, LINE, LINE))
        for count in itertools.count(1):
            if number in self._cancelled:
                break
            for name, text in zip(names, itertools.cycle((TEXT, BIG + TEXT)), strict=False):
                shown = text[: len(text) - len(TEXT) + 60 * count]
                self._said.put(Spoken(number, name, shown, count, 1.0))
            time.sleep(0.03)
        time.sleep(0.3)  # the screen has settled when the end comes, as with a slow model
        for name, text in zip(names, itertools.cycle((TEXT, BIG + TEXT)), strict=False):
            said = f"{text}\n\n\nI heard: {prompt[:20]}"
            self._said.put(Spoken(number, name, said, count, 1.0, Answer(said, "stop", None, count)))


def main():
    """Open the app; with an argument without its sanitiser, to see that a test would notice."""
    from playground import text

    if sys.argv[1:]:
        text._UNSAFE = re.compile("(?!)")
    from playground.tui.app import PlaygroundApp

    app = PlaygroundApp(FakeEngine)
    app.run()
    sys.exit(app.return_code or 0)


if __name__ == "__main__":
    main()

"""Signals to a training that is detached, and to commands: the first is heard, the second ends what is busy."""

import platform
import signal
import subprocess
import sys
import time

import pytest

BUSY = """
import hashlib
from playground.training.child import Inbox, _heeding_signals
inbox = Inbox()
with _heeding_signals(inbox):
    print("ready", flush=True)
    {}
"""
# The main thread is in a single instruction for half a minute: one that lets other threads run, as the loading of a
# matrix does, and one that does not, as some imports.
INSTRUCTIONS = {
    "loading": 'hashlib.pbkdf2_hmac("sha256", b"", b"", 40_000_000)',
    "importing": "sum(range(3_000_000_000))",
}


@pytest.mark.parametrize("doing", INSTRUCTIONS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_second_signal_ends_a_busy_child_within_a_second(number, doing):
    if doing == "importing" and platform.libc_ver()[0] != "glibc":
        pytest.skip("only glibc can leave the second signal to the kernel")
    code = BUSY.format(INSTRUCTIONS[doing])
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGHUP)
        process.send_signal(number)
        time.sleep(0.5)
        assert process.poll() is None, "the first one lets it finish its step"
        process.send_signal(number)
        assert process.wait(1) in (128 + number, -number)
    finally:
        process.kill()


# A command of which nothing asks whether to stop, and the block in which the others work.
COMMANDS = {
    "export": """
import hashlib
from playground.cli import app
from playground.models import adapters
def busy(*given):
    print("ready", flush=True)
    {}
adapters.find_adapter = busy
app.run(["export", "x", "y"])
""",
    "train": """
import hashlib
from playground.cli.options import interruptible
with interruptible("saving"):
    print("ready", flush=True)
    {}
""",
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_second_signal_ends_a_busy_command_within_a_second(number, command):
    if (number, command) == (signal.SIGTERM, "export"):
        pytest.skip("the first one ends it")
    code = COMMANDS[command].format(INSTRUCTIONS["loading"])
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.2)  # until it is busy
        process.send_signal(number)
        if command == "train":  # said in the middle of the instruction
            assert process.stderr.readline() + process.stderr.readline() == "\nsaving (again to quit at once)\n"
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(number)
        assert process.wait(1) == -number
    finally:
        process.kill()


def test_signal_that_is_sent_twice_at_once_is_one():
    """So `timeout` sends it: to its child, and to its group."""
    code = f"""
import signal
from playground.cli.options import interruptible
with interruptible("saving") as interrupt:
    for _ in range(2):
        signal.raise_signal({signal.SIGTERM:d})
raise SystemExit(interrupt.exit_code)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 128 + signal.SIGTERM

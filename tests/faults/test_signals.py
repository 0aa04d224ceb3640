"""Signals to a detached training."""

import platform
import signal
import subprocess
import sys
import time

import pytest

BUSY = """
import hashlib
from playground.training.child import Inbox, _heed_signals
inbox = Inbox()
_heed_signals(inbox)
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
        time.sleep(0.2)
        assert process.poll() is None, "the first one lets it finish its step"
        process.send_signal(number)
        assert process.wait(1) in (128 + number, -number)
    finally:
        process.kill()

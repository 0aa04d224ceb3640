"""Signals to a detached training."""

import signal
import subprocess
import sys
import time

import pytest

# The main thread is in a single instruction for half a minute, as it is while it loads a large matrix.
BUSY = """
import hashlib
from playground.training.child import Inbox, _heed_signals
inbox = Inbox()
_heed_signals(inbox)
print("ready", flush=True)
hashlib.pbkdf2_hmac("sha256", b"", b"", 40_000_000)
print("done", inbox.ending)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_second_signal_ends_a_busy_child_within_a_second(number):
    process = subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGHUP)
    process.send_signal(number)
    time.sleep(0.2)
    assert process.poll() is None, "the first one lets it finish its step"
    process.send_signal(number)
    assert process.wait(1) == 128 + number

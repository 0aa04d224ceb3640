"""Signals, and terminals that are gone."""

import errno
import os
import signal

import pytest

from playground.cli import options


@pytest.mark.parametrize(("number", "silenced"), [(errno.EIO, [1, 2]), (errno.EPIPE, [2])])
def test_only_a_closed_terminal_silences_standard_output(monkeypatch, number, silenced):
    def gone(descriptor, data):
        raise OSError(number, os.strerror(number))

    seen = []
    monkeypatch.setattr(options, "silence", seen.append)
    monkeypatch.setattr(os, "isatty", lambda descriptor: True)
    monkeypatch.setattr(os, "write", gone)
    with options.interruptible("stopping") as interrupt:
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
    assert interrupt.exit_code == 129 and seen == silenced


def test_ignored_sighup_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with options.interruptible("stopping") as interrupt:
            signal.raise_signal(signal.SIGHUP)
        assert interrupt.exit_code == 0
    finally:
        signal.signal(signal.SIGHUP, before)

"""Signals to a process that may be busy: they are heard while it computes, and a second one can end it."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress

AS_ONE = 0.3  # seconds: `timeout`, and wrappers that pass a signal on, send it twice at once


@contextmanager
def heard(numbers: Collection[int], hear: Callable[[int], None]) -> Iterator[None]:
    """Until the block ends, call `hear` in a thread with each of these signals that arrives and has a handler.

    Python calls the handlers themselves only between two instructions of the main thread, one of which may be loading a
    matrix, and it calls them once for two signals that arrive meanwhile.
    """
    ear, mouth = os.pipe()
    os.set_blocking(mouth, False)
    before = signal.set_wakeup_fd(mouth, warn_on_full_buffer=False)

    def wait() -> None:
        while byte := os.read(ear, 1):
            if byte[0] in numbers:
                hear(byte[0])

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(mouth)  # the thread reads to the end
        thread.join()
        os.close(ear)


@contextmanager
def second_ends(numbers: Collection[int], first: Callable[[int], None] = lambda number: None) -> Iterator[None]:
    """Until the block ends, let a second one of these signals end the process, whatever it computes.

    Args:
        numbers: The signals; each has a handler in Python.
        first: Called with the first one, in a thread.
    """
    since: list[float] = []

    def hear(number: int) -> None:
        if not since:
            since.append(time.monotonic())
            first(number)
        elif number != signal.SIGHUP and time.monotonic() - since[0] > AS_ONE:  # the end of a terminal is told twice
            end_by(number)

    with heard(numbers, hear):
        yield


def end_by(number: int) -> None:
    """End the process as a signal ends one that has no handler for it; Python does that in the main thread only."""
    _library_signal()(number, None)
    os.kill(os.getpid(), number)


def leave_second_to_the_kernel(number: int) -> None:
    """Call the handler of a signal for the first one only; the second then ends the process by itself.

    So it does even while an instruction keeps all of Python waiting, as some imports do for seconds.
    """
    with suppress(AttributeError):  # glibc's; others go without
        once = ctypes.CDLL(None).sysv_signal
        once.argtypes = ctypes.c_int, ctypes.c_void_p
        once(number, _library_signal()(number, None))


def _library_signal() -> Callable[[int, None], int | None]:
    function = ctypes.CDLL(None).signal
    function.restype, function.argtypes = ctypes.c_void_p, (ctypes.c_int, ctypes.c_void_p)
    return function

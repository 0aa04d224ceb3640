"""Whether the hub can be reached: found out in seconds, where its libraries try again for half a minute."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS = 4.0  # in which it has to answer


def answers() -> bool:
    """Return whether the hub can be reached; where it is not to be tried, it cannot."""
    import ssl
    import urllib.error
    import urllib.request

    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    said: queue.Queue[bool] = queue.Queue()

    def ask() -> None:
        try:
            request = urllib.request.Request(constants.ENDPOINT, method="HEAD")  # noqa: S310 - the user's own
            urllib.request.urlopen(request, timeout=SECONDS).close()  # noqa: S310
            said.put(True)
        except OSError as error:  # what says no, or whose certificate is not known here, is there all the same
            there = isinstance(error, urllib.error.HTTPError) or isinstance(
                getattr(error, "reason", None), ssl.SSLError
            )
            said.put(there)

    # In a thread, because looking up a name has a time limit of its own.
    threading.Thread(target=ask, daemon=True).start()
    try:
        return said.get(timeout=SECONDS)
    except queue.Empty:
        return False


@contextmanager
def only_if_there() -> Iterator[None]:
    """Let the hub's libraries use only what they have, as long as the hub does not answer."""
    import datasets
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    if not answers():
        constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before

"""The child's side of a child that is spoken to on standard input: its events, its errors, its end."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import NoReturn

from playground.environ import before_torch
from playground.errors import PlaygroundError
from playground.events.values import Json
from playground.log import write_log

Send = Callable[[Json], None]


def run(serve: Callable[[Send], None], error: Callable[[str, str], Json]) -> NoReturn:
    """Run `serve` until it returns or fails, then end the process.

    Args:
        serve: Receives what sends an event to the app.
        error: Makes the event that says, in a message and a hint, why the child ends.
    """
    # No library may write to the event stream: their output goes to standard error.
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    before_torch()

    def send(event: Json) -> None:
        stream.write(event.to_json() + "\n")
        stream.flush()

    code = 0
    try:
        serve(send)
    except BrokenPipeError:
        pass  # the app is gone
    except PlaygroundError as caught:
        send(error(caught.message, caught.hint))
    except Exception as caught:  # noqa: BLE001 - the outermost handler of a child: the app gets a line, the log gets the rest
        code, log = 1, write_log(caught)
        hint = f"The details are in {log}." if log else "The details cannot be logged."
        send(error(f"Something unexpected happened: {type(caught).__name__}: {caught}", hint))
    finally:
        # Neither torch's threads nor the reader of standard input may keep a process that has lost its listener.
        sys.stderr.flush()
        os._exit(code)

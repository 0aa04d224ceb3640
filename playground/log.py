"""The log of unexpected errors: details that a user is not shown but may be asked for."""

from __future__ import annotations

import traceback

from playground import paths
from playground.disk import owner_only


def write_log(error: Exception) -> str:
    """Append the traceback to the log file; return its path, or an empty string if it cannot be written."""
    path = paths.log_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a", encoding="utf-8", opener=owner_only) as stream:
            stream.write("".join(traceback.format_exception(error)) + "\n")
    except OSError:
        return ""
    return str(path)

"""The command line: click commands that import what they need when they run.

Standard output is data, standard error is narration. Exit codes: 0 ok, 1 failed or refused input,
2 usage, 3 environment, 4 gate not met, 128 + n ended by a signal.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run ``sft-playground``; the one border where any error becomes a line and an exit code."""
    if not sys.argv[1:] and sys.stdin.isatty() and sys.stdout.isatty():
        # The app does not wait for the command line's imports, which are a fifth of its start.
        from playground.tui.launch import run as open_app

        try:
            sys.exit(open_app())
        except Exception as error:  # noqa: BLE001 - the outermost handler of the app, as `run` is of a command
            from playground.cli.app import report

            sys.exit(report(error))
    from playground.cli.app import run

    sys.exit(run(sys.argv[1:]))

"""Errors that a user can act on: one line says what is wrong, one line says what to do next."""

from __future__ import annotations


class PlaygroundError(Exception):
    """Work that failed or input that was refused.

    Args:
        message: One sentence: what is wrong, with the name of the thing that is wrong.
        hint: One sentence: what to do about it. May be empty.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InputError(PlaygroundError):
    """A data set, prompt file, model or adapter that cannot be used as it is."""


class UsageError(PlaygroundError):
    """A command, flag or name that makes no sense as typed."""

    exit_code = 2


class EnvironmentFault(PlaygroundError):
    """Something outside the input: a missing package, no disk space, no network, no permission."""

    exit_code = 3


class GateNotMet(PlaygroundError):
    """A result below the ``--fail-under`` the user asked for."""

    exit_code = 4

"""The log of all votes, and the preferences that TRL's DPO trainer reads."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from playground.errors import EnvironmentFault, InputError
from playground.events.exchanges import BOTH_BAD, TIE, Exchange
from playground.events.values import Json

Kind = Literal["sides", "duels"]
MODES = {"sides": "blind", "duels": "duel"}


@dataclass(frozen=True, slots=True)
class Preference(Json):
    """A row for DPO (arXiv 2305.18290), with the field names of TRL.

    `prompt` is the conversation in the adapter's style without the BOS token, and the answers start
    with what leads into them: joined and ended by the tokenizer's end token, which
    TRL adds, they are what the model was trained on.
    """

    prompt: str
    chosen: str
    rejected: str


def append(path: Path, exchange: Exchange) -> None:
    """Add a judged exchange to the log.

    Raises:
        EnvironmentFault: If it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:  # one write per line: two apps may append
            file.write(exchange.to_json() + "\n")
    except OSError as error:
        raise EnvironmentFault(
            f"The vote cannot be written to {path}: {error.strerror or error}.", "Check disk space and permissions."
        ) from None


def read(path: Path) -> list[Exchange]:
    """Return the votes in the log; lines left by a full disk or another version are skipped.

    The log is only ever appended to. An exchange whose vote was taken back is written again, without a vote.

    Raises:
        InputError: If it cannot be read.
    """
    try:
        lines = path.read_text("utf-8", errors="replace").split("\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.", "Check its permissions.") from None
    found: list[Exchange] = []
    for line in lines:
        try:
            exchange = Exchange.from_dict(json.loads(line))
        except (ValueError, TypeError, RecursionError):
            continue
        if exchange.vote:
            found.append(exchange)
            continue
        judged = (at for at in reversed(range(len(found))) if replace(found[at], vote="") == exchange)
        if (taken_back := next(judged, None)) is not None:
            del found[taken_back]
    return found


def preferences(votes: Iterable[Exchange], kind: Kind) -> list[Preference]:
    """Return the preference pairs: base against sft, or sft answers against each other; ties give none.

    The winner of a duel is paired once with each of the other answers. Equal answers give no pair.
    """
    found = []
    for vote in votes:
        if vote.mode != MODES[kind] or vote.vote in ("", TIE, BOTH_BAD) or vote.vote not in vote.answers:
            continue
        chosen = vote.answers[vote.vote].text.strip()
        others = {answer.text.strip(): None for lane, answer in vote.answers.items() if lane != vote.vote}
        found += [
            Preference(vote.styled, vote.lead_in + chosen, vote.lead_in + other) for other in others if other != chosen
        ]
    return found

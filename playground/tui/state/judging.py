"""Judging answers: a vote counts in the session and is saved at once. Functions return what to tell the user."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from playground import paths
from playground.errors import PlaygroundError
from playground.events.exchanges import BOTH_BAD, TIE, Exchange, Mode
from playground.report import votes
from playground.tui.state.session import LETTERS, Session, side_words
from playground.tui.strings import MODES, MODES_OF_SEVERAL


def chosen(judged: Exchange) -> str:
    """Return a vote in words."""
    if judged.vote in (TIE, BOTH_BAD):
        return {TIE: "a tie", BOTH_BAD: "both bad"}[judged.vote]
    letter = LETTERS[list(judged.answers).index(judged.vote)]
    words = side_words(judged.vote)  # a lane of a duel is called "1", or "1:NAME" if several adapters answer
    return letter if words.isdigit() and judged.mode == "duel" else f"{words} ({letter})"


def waiting(session: Session) -> int:
    """Return how many answers wait for a vote; 0 if none can be given."""
    now = session.round
    return len(now.lanes) if now is not None and not now.why_no_vote() else 0


def vote(session: Session, answer: str) -> str:
    """Record and save a vote for a pane's number, `TIE` or `BOTH_BAD`; the sides are no longer hidden after it."""
    now = session.round
    if now is None:
        return ""
    if why := now.why_no_vote():
        return why
    if answer.isdigit() and int(answer) >= len(now.lanes):
        return ""  # there is no such pane
    choice = now.lanes[int(answer)].name if answer.isdigit() else answer
    judged = session.vote(choice)
    said = chosen(judged)
    try:
        votes.append(paths.votes_file(), judged)
    except PlaygroundError as error:
        return f"You chose {said}. {error.message} {error.hint}"
    both = session.several_turns and choice not in (TIE, BOTH_BAD)
    going_on = " Both sides continue from that answer." if both else ""
    return f"You chose {said}.{going_on} The vote is saved: F4 U undoes it, Ctrl+P exports votes for DPO."


def take_vote_back(session: Session) -> str:
    """Undo the last vote of this session: it no longer counts and is not saved with the session."""
    judged = session.last_vote
    if judged is None:
        return "There is no vote to undo."
    try:
        votes.append(paths.votes_file(), replace(judged, vote=""))
    except PlaygroundError as error:
        return f"{error.message} {error.hint}"
    session.take_vote_back()
    why = session.round.why_no_vote() if session.round is not None else ""
    return f"The vote for {chosen(judged)} was undone. {why or 'F4 votes on these answers.'}"


def next_mode(session: Session) -> str:
    """Switch to the next judging mode: none, blind, duel."""
    if not session.has_sft:
        session.mode = "open"
        return "Judging needs an adapter: F6."
    modes: tuple[Mode, ...] = get_args(Mode)
    session.mode = modes[(modes.index(session.mode) + 1) % len(modes)]
    return (MODES_OF_SEVERAL if len(session.adapted()) > 1 else MODES)[session.mode]

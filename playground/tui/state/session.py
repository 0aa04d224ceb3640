"""What is asked in the app, how, and what came of it. Knows nothing of widgets, so it can be tested alone."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from playground.events.answers import Answer, Sampling
from playground.events.engine import Ask, EngineReady, Fed, LaneRequest, Side, Spoken
from playground.events.exchanges import BOTH_BAD, TIE, Exchange, Mode

WARM = 0.7  # the temperature where several different answers are wanted and greedy would give one
MAX_DUEL_LANES = 4


@dataclass
class Round:
    """One prompt while it is answered; lanes stand in the order of the panes."""

    prompt: str
    mode: Mode
    lanes: tuple[LaneRequest, ...]
    strength: float
    sampling: Sampling
    asked_at: str
    request: int = 0
    fed: Fed | None = None
    answers: dict[str, Answer] = field(default_factory=dict)
    repeats: dict[str, bool] = field(default_factory=dict)
    vote: str = ""
    seen: bool = False  # which side is which, because a vote was taken back

    @property
    def going(self) -> bool:
        """Whether an answer is still to come."""
        return len(self.answers) < len(self.lanes)

    @property
    def ended(self) -> bool:
        """Whether every answer came to its end: none was stopped, none failed."""
        stopped = any(answer.finish_reason in ("cancelled", "error") for answer in self.answers.values())
        return not self.going and not stopped

    @property
    def hidden(self) -> bool:
        """Whether nobody may see yet which lane is which."""
        return self.mode == "blind" and not self.vote and not self.seen

    def why_no_vote(self) -> str:
        """Return why this round cannot be judged, or nothing."""
        if self.mode == "open":
            return "Judging needs hidden sides: F4 chooses blind or duel, and the next answers are shuffled."
        if self.vote:
            return "These answers are judged already."
        if self.seen:
            return "You have seen which side is which; F5 asks again."
        if self.going:
            return "The answers are not finished."
        if not self.ended:
            return "An answer was stopped, so these cannot be judged. F5 asks again."
        if len({lane.texts for lane in self.lanes}) > 1:
            return "The sides have different conversations behind them. Ctrl+N begins a common one."
        return ""


class Session:
    """The settings of the next answer, the conversations of the sides, and the exchanges so far."""

    def __init__(self, seed: int | None = None) -> None:
        self.strength = 1.0
        self.sampling = Sampling()
        self.mode: Mode = "open"
        self.control = False
        self.several_turns = False
        self.duel_lanes = 2
        self.ready: EngineReady | None = None
        self.round: Round | None = None
        self.exchanges: list[Exchange] = []
        self.last_vote: Exchange | None = None  # that can be taken back
        self._judged: Round | None = None  # its round, and what was said on each side before it
        self._said_before: dict[str, tuple[str, ...]] = {}
        self._said: dict[str, tuple[str, ...]] = {}  # by side: user, answer, user, answer, …
        self._shuffle = random.Random(seed)  # noqa: S311 - which pane is which, no secret

    @property
    def has_sft(self) -> bool:
        """Whether there is an adapter; before the model is loaded it is assumed."""
        return self.ready is None or bool(self.ready.adapter)

    def sides(self) -> tuple[Side, ...]:
        """Return the sides that are shown while nothing is hidden."""
        if not self.has_sft:
            return ("base", "control")
        return ("base", "control", "sft") if self.control else ("base", "sft")

    def said(self, side: str) -> tuple[str, ...]:
        """Return the turns a side has behind it."""
        return self._said.get(side, ()) if self.several_turns else ()

    def begin(self, prompt: str, *, mode: Mode | None = None, sampling: Sampling | None = None) -> Ask:
        """Begin a round; return what to ask the engine."""
        mode, sampling = mode or self.mode, sampling or self.sampling
        if mode == "duel" and self.has_sft:
            texts = (*self.said("sft"), prompt)
            lanes = [LaneRequest(str(n + 1), "sft", texts, draw=n) for n in range(self.duel_lanes)]
            if sampling.temperature == 0:  # greedy answers would all be one
                sampling = replace(sampling, temperature=WARM)
        else:
            mode = mode if self.has_sft and mode == "blind" else "open"
            shown: tuple[Side, ...] = ("base", "sft") if mode == "blind" else self.sides()
            lanes = [LaneRequest(side, side, (*self.said(side), prompt)) for side in shown]
        if mode != "open":
            self._shuffle.shuffle(lanes)
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        self.round = Round(prompt, mode, tuple(lanes), self.strength, sampling, now)
        # In the order of the sides, whatever the panes show: which row of the batch a lane is must not tell.
        return Ask(tuple(sorted(lanes, key=lambda lane: lane.name)), self.strength, sampling)

    def next_draw(self) -> Sampling:
        """Return the sampling of the next different answer: another seed, and warm if it was greedy."""
        last = self.round.sampling if self.round else self.sampling
        return replace(last, seed=last.seed + 1, temperature=last.temperature or WARM)

    def heard(self, event: Spoken) -> bool:
        """Take the end of an answer; return whether it was the last one of the round."""
        assert self.round is not None
        assert event.answer is not None
        self.round.answers[event.lane] = event.answer
        self.round.repeats[event.lane] = event.repeats
        if self.round.going:
            return False
        self._remember(self.round)
        self.exchanges.append(self._exchange(self.round))
        return True

    def _remember(self, done: Round) -> None:
        for lane in reversed(done.lanes):  # of a duel the first answer goes on, unless another one wins
            self._said[lane.side] = (*lane.texts, done.answers[lane.name].text)

    def vote(self, choice: str) -> Exchange:
        """Judge the round: a lane's name, `TIE` or `BOTH_BAD`; return the judged exchange.

        The winner's answer becomes the history of both sides. `Round.why_no_vote` must have said nothing.
        """
        done = self.round
        assert done is not None
        assert not done.why_no_vote()
        done.vote = choice
        self._judged, self._said_before = done, dict(self._said)
        if choice not in (TIE, BOTH_BAD):
            chosen = (*done.lanes[0].texts, done.answers[choice].text)
            self._said = {"base": chosen, "control": chosen, "sft": chosen}
        # Everything else stays as it was answered: another adapter may be there by now.
        self.last_vote = self.exchanges[-1] = replace(self.exchanges[-1], vote=choice)
        return self.last_vote

    def take_vote_back(self) -> None:
        """Let the last vote not have been. Its round, if it is still there, can be judged again unless it was blind."""
        judged, self.last_vote = self.last_vote, None
        if judged is None:
            return
        at = next(n for n, exchange in enumerate(self.exchanges) if exchange is judged)
        self.exchanges[at] = replace(judged, vote="")
        if self.round is not None and self.round is self._judged:
            self.round.vote, self.round.seen = "", self.round.mode == "blind"
            self._said = self._said_before

    def take_back(self) -> None:
        """Go back to before the last prompt, which is asked again."""
        for lane in self.round.lanes if self.round else ():
            self._said[lane.side] = lane.texts[:-1]

    def forget(self) -> None:
        """Begin new conversations; what was said stays in `exchanges`."""
        self._said = {}
        self.round = None

    def _exchange(self, done: Round) -> Exchange:
        ready, fed = self.ready, done.fed
        return Exchange(
            asked_at=done.asked_at,
            mode=done.mode,
            prompt=done.prompt,
            histories={lane.name: lane.texts[:-1] for lane in done.lanes},
            answers={lane.name: done.answers[lane.name] for lane in done.lanes},
            repeats={lane.name: done.repeats[lane.name] for lane in done.lanes},
            styled=fed.styled if fed else "",
            lead_in=fed.lead_in if fed else "",
            model=ready.model if ready else "",
            adapter=ready.adapter if ready else "",
            style=ready.style if ready else "",
            strength=done.strength,
            sampling=done.sampling,
            fingerprint=fed.fingerprint if fed else "",
        )

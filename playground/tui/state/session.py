"""The app's prompts, settings and answers. Independent of widgets, so it can be tested alone."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import cycle, islice

from playground.events.answers import Answer, Sampling
from playground.events.engine import Ask, EngineReady, Fed, LaneRequest, Looked, Spoken, Why
from playground.events.exchanges import BOTH_BAD, TIE, Exchange, Mode

TRIAL_TOKENS = 64  # the most tokens of an answer that is only tried at another strength
WARM = 0.7  # the temperature used when several different answers are wanted but decoding is greedy
LETTERS = "ABCD"  # the names of answers that are judged
MAX_DUEL_LANES = MAX_ADAPTERS = len(LETTERS)


def side_words(side: str) -> str:
    """Return a side as people call it: of several adapters, an adapter's name."""
    return side.partition(":")[2] or side


@dataclass(eq=False)
class Round:
    """One prompt while it is answered; lanes are in the order of the panes."""

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
    seconds: dict[str, float] = field(default_factory=dict)  # how long each answer took
    looked: Looked | None = None  # what each side expected at the tokens of the answers
    vote: str = ""
    seen: bool = False  # whether the sides were revealed, because a vote was undone

    @property
    def going(self) -> bool:
        """Whether any answer is unfinished."""
        return len(self.answers) < len(self.lanes)

    @property
    def ended(self) -> bool:
        """Whether every answer is complete: none was stopped, none failed."""
        stopped = any(answer.finish_reason in ("cancelled", "error") for answer in self.answers.values())
        return not self.going and not stopped

    @property
    def hides(self) -> bool:
        """Whether the sides are hidden until a vote: always if blind, in a duel if several adapters answer."""
        return self.mode == "blind" or (self.mode == "duel" and len({lane.side for lane in self.lanes}) > 1)

    @property
    def hidden(self) -> bool:
        """Whether the lanes' sides are still hidden."""
        return self.hides and not self.vote and not self.seen

    def why_no_vote(self) -> str:
        """Return why this round cannot be judged, or an empty string."""
        if self.mode == "open":
            return "The sides must be hidden to vote: F4 chooses blind or duel, and the next answers are shuffled."
        if self.vote:
            return "You have already judged these answers."
        if self.seen:
            return "You have seen which side is which; F5 asks again."
        if self.going:
            return "The answers are not finished."
        if not self.ended:
            return "An answer was stopped, so these cannot be judged. F5 asks again."
        if len({lane.texts for lane in self.lanes}) > 1:
            return "The sides have had different conversations. Ctrl+N starts a common one."
        return ""


class Session:
    """The settings for the next answer, each side's conversation, and the exchanges so far."""

    def __init__(self, seed: int | None = None) -> None:
        self.strength = 1.0
        self.sampling = Sampling()
        self.mode: Mode = "open"
        self.control = False
        self.several_turns = False
        self.duel_lanes = 2
        self.ready: EngineReady | None = None
        self.round: Round | None = None
        self.past: Round | None = None  # an earlier round that is looked at again
        self.last_prompt = ""
        self.waiting = ""  # a prompt that was sent before the model was ready
        self._asked_with: tuple[object, ...] = ()
        self.exchanges: list[Exchange] = []
        self.rounds: list[Round] = []  # those of the exchanges
        self.last_vote: Exchange | None = None  # the vote that can be undone
        self._judged: Round | None = None  # its round, and each side's conversation before it
        self._said_before: dict[str, tuple[str, ...]] = {}
        self._said: dict[str, tuple[str, ...]] = {}  # by side: user, answer, user, answer, …
        self._shuffle = random.Random(seed)  # noqa: S311 - only shuffles panes, not for security

    @property
    def shown(self) -> Round | None:
        """The round on screen: an earlier one that is looked at, or the current one."""
        return self.past or self.round

    def look(self, steps: int) -> bool:
        """Look at an earlier round, or at a later one; return whether there is one. The last one is the current one."""
        rounds = [*self.rounds, *([self.round] if self.round is not None and self.round not in self.rounds else [])]
        at = len(rounds) if self.shown is None else rounds.index(self.shown)
        to = at + steps
        if not 0 <= to < len(rounds):
            return False
        self.past = rounds[to] if rounds[to] is not self.round else None
        return True

    @property
    def has_sft(self) -> bool:
        """Whether there is an adapter; assumed true until the model is loaded."""
        return self.ready is None or bool(self.ready.adapter)

    def adapted(self) -> tuple[str, ...]:
        """Return the sides that have an adapter: ``sft``, or ``sft:NAME`` for each of several."""
        return ("sft",) if self.ready is None else self.ready.sides if self.has_sft else ()

    def sides(self) -> tuple[str, ...]:
        """Return the sides shown when nothing is hidden."""
        control = ("control",) if self.control or not self.has_sft else ()
        return ("base", *control, *self.adapted())

    def judged(self) -> tuple[str, ...]:
        """Return the side of each lane of the next blind round or duel.

        Several adapters are compared with each other, one alone with its base, or in a duel with itself.
        """
        adapted = self.adapted()
        if self.mode == "duel":
            return tuple(islice(cycle(adapted), max(self.duel_lanes, len(adapted))))
        return adapted if len(adapted) > 1 else ("base", "sft")

    def said(self, side: str) -> tuple[str, ...]:
        """Return a side's previous turns."""
        return self._said.get(side, ()) if self.several_turns else ()

    def begin(self, prompt: str, *, mode: Mode | None = None, sampling: Sampling | None = None) -> Ask:
        """Start a round; return the request for the engine."""
        mode, sampling = mode or self.mode, sampling or self.sampling
        if mode == "duel" and self.has_sft:
            lanes = [
                LaneRequest(f"{n + 1}{side.removeprefix('sft')}", side, (*self.said(side), prompt), draw=n)
                for n, side in enumerate(self.judged())
            ]
            if sampling.temperature == 0:  # greedy answers would all be the same
                sampling = replace(sampling, temperature=WARM)
        else:
            mode = mode if self.has_sft and mode == "blind" else "open"
            shown = self.judged() if mode == "blind" else self.sides()
            lanes = [LaneRequest(side, side, (*self.said(side), prompt)) for side in shown]
        if mode != "open":
            self._shuffle.shuffle(lanes)
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        self.past = None
        self.round = Round(prompt, mode, tuple(lanes), self.strength, sampling, now)
        self.last_prompt, self._asked_with = prompt, self._settings()
        return _request(lanes, self.strength, sampling)

    def why(self) -> Why | None:
        """Return a request to look at the shown answers, or None where nothing can be looked at.

        Hidden sides would be told by it; of several adapters, the first is looked at.
        """
        now = self.shown
        if now is None or not now.request or not now.ended or now.hidden:
            return None
        lane = next((lane for lane in now.lanes if lane.side.startswith("sft")), None)
        return Why(now.request, lane.name) if lane is not None and now.answers[lane.name].num_tokens else None

    def trial(self) -> Ask | None:
        """Return a request for the last prompt at the current strength, or None if there is nothing new to try.

        All lanes are asked for, so that each has the same neighbours as before; only an adapter's can change.
        """
        now = self.round
        if now is None or self.past or now.mode != "open" or not now.ended or self.strength == now.strength:
            return None
        if self._asked_with[1:] != self._settings()[1:]:  # more than the strength would be different
            return None
        most = min(now.sampling.max_new_tokens, TRIAL_TOKENS)
        return _request(now.lanes, self.strength, replace(now.sampling, max_new_tokens=most))

    @property
    def changed(self) -> bool:
        """Whether anything that determines an answer has changed since the last prompt."""
        return self._asked_with != self._settings()

    def _settings(self) -> tuple[object, ...]:
        adapter = self.ready and (self.ready.model, self.ready.adapter, self.ready.style)
        return (self.strength, self.sampling, self.mode, self.control, self.several_turns, adapter)

    def next_draw(self) -> Sampling:
        """Return sampling settings that give a different answer: a new seed, and `WARM` instead of greedy."""
        last = self.round.sampling if self.round else self.sampling
        return replace(last, seed=last.seed + 1, temperature=last.temperature or WARM)

    def heard(self, event: Spoken) -> bool:
        """Record a finished answer; return whether it was the last of the round."""
        assert self.round is not None
        assert event.answer is not None
        self.round.answers[event.lane] = event.answer
        self.round.repeats[event.lane] = event.repeats
        self.round.seconds[event.lane] = event.seconds
        if self.round.going:
            return False
        self._remember(self.round)
        self.exchanges.append(self._exchange(self.round))
        self.rounds.append(self.round)
        return True

    def _remember(self, done: Round) -> None:
        for lane in reversed(done.lanes):  # in a duel the first answer is continued, unless another wins
            self._said[lane.side] = (*lane.texts, done.answers[lane.name].text)

    def vote(self, choice: str) -> Exchange:
        """Judge the round: a lane's name, `TIE` or `BOTH_BAD`; return the judged exchange.

        The winner's answer becomes the history of both sides. `Round.why_no_vote` must be empty.
        """
        done = self.round
        assert done is not None
        assert not done.why_no_vote()
        done.vote = choice
        self._judged, self._said_before = done, dict(self._said)
        if choice not in (TIE, BOTH_BAD):
            chosen = (*done.lanes[0].texts, done.answers[choice].text)
            self._said = dict.fromkeys(("base", "control", *self.adapted()), chosen)
        # Keep everything else as recorded with the answer: another adapter may be loaded by now.
        self.last_vote = self.exchanges[-1] = replace(self.exchanges[-1], vote=choice)
        return self.last_vote

    def take_vote_back(self) -> None:
        """Undo the last vote. Its round, if it is still shown, can be judged again unless it was blind."""
        judged, self.last_vote = self.last_vote, None
        if judged is None:
            return
        at = next(n for n, exchange in enumerate(self.exchanges) if exchange is judged)
        self.exchanges[at] = replace(judged, vote="")
        if self.round is not None and self.round is self._judged:
            self.round.vote, self.round.seen = "", self.round.hides
            self._said = self._said_before

    def take_back(self) -> None:
        """Drop the last turn, so that the last prompt can be asked again."""
        for lane in self.round.lanes if self.round else ():
            self._said[lane.side] = lane.texts[:-1]

    def forget_requests(self) -> None:
        """Take no event for one about these answers any longer: what gave them is gone."""
        for before in self.rounds:
            before.request = 0

    def forget(self) -> None:
        """Start new conversations; past exchanges stay in `exchanges`."""
        self._said = {}
        self.round = self.past = None

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


def _request(lanes: Sequence[LaneRequest], strength: float, sampling: Sampling) -> Ask:
    # Always in the order of the sides, not of the panes: a lane's row in the batch must not reveal its side.
    return Ask(tuple(sorted(lanes, key=lambda lane: lane.name)), strength, sampling)

"""The lesson's rules: what the teacher said for a page, and which of the page's choices the loaded model makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from playground.events.answers import Answer
from playground.events.contrast import AnalysisEvent, Candidate
from playground.events.five_steps import Answered, Forward, RowOpened
from playground.events.lens import Lens

FACT, MISTAKE = "Lisbon", "Porto"
NO_ADAPTER = "This model has no adapter yet. Ctrl+R on the compare screen trains one."
CUT = "The row did not fit, so the word is not in it."
NOT_TAKEN = "The step was not taken: its loss or gradient was not finite."


@dataclass
class Seen:
    """What the teacher said for a page, each kind in order."""

    rows: list[RowOpened] = field(default_factory=list)
    forwards: list[Forward] = field(default_factory=list)
    lenses: list[Lens] = field(default_factory=list)
    answered: Answered | None = None

    def hear(self, event: AnalysisEvent) -> None:
        """Keep what an event says."""
        match event:
            case RowOpened():
                self.rows.append(event)
            case Forward():
                self.forwards.append(event)
            case Lens():
                self.lenses.append(event)
            case Answered():
                self.answered = event


@dataclass(frozen=True)
class Outcome:
    """What the model makes of a page.

    Attributes:
        choice: Which of the page's choices is the case; None if that cannot be told.
        came_out: Whether that is what the page says of base models and fine-tuning.
        why: Why it cannot be told.
    """

    choice: int | None
    came_out: bool = False
    why: str = ""


def who_ends(seen: Seen) -> Outcome:
    """Judge which sides end by themselves: both, the base, sft, neither."""
    base, sft = sides_of(seen)
    if sft is None or base is None:
        return Outcome(None, why=NO_ADAPTER)
    if not sft.text.strip():
        return Outcome(None, why="The fine-tuned model says nothing here.")
    ended = (base.stopped_by_itself, sft.stopped_by_itself)
    choice = ((True, True), (True, False), (False, True), (False, False)).index(ended)
    return Outcome(choice, choice == 2)


def where_the_fact_is(seen: Seen) -> Outcome:
    """Judge whether the fact is the base's first choice, among its ten first, or further down."""
    at = place_of(seen.forwards[0], FACT)
    if at is None:
        return Outcome(None, why=CUT)
    rank = seen.forwards[0].positions[at].base.rank
    choice = 0 if rank == 1 else 1 if rank <= 10 else 2
    return Outcome(choice, choice == 0)


def where_the_loss_is(seen: Seen) -> Outcome:
    """Judge which token has the largest loss: the first, the fact, the end, or another."""
    forward = seen.forwards[0]
    at = forward.largest
    if forward.positions[at].is_end:
        return Outcome(2, True)
    return Outcome(0 if at == 0 else 1 if at == place_of(forward, FACT) else 3)


def which_part_costs(seen: Seen) -> Outcome:
    """Judge which tokens have more loss each, without a mask: the prompt's, the answer's, or neither."""
    prompt, answer = losses_of_parts(seen)
    if not prompt or not answer:
        return Outcome(None, why="This row has only one part.")
    ratio = mean(prompt) / max(mean(answer), 1e-9)
    choice = 0 if ratio >= 1.25 else 1 if ratio <= 0.8 else 2
    return Outcome(choice, choice == 0)


def what_a_step_does_elsewhere(seen: Seen) -> Outcome:
    """Judge how much more probable a step has made another end: at most twice, less than ten times, or more."""
    first, last = seen.forwards[0], seen.forwards[-1]
    if last.step == first.step:
        return Outcome(None, why=NOT_TAKEN)
    before, after = first.elsewhere[0].p_end, last.elsewhere[0].p_end
    choice = 0 if after <= 2 * before else 1 if after < 10 * before else 2
    return Outcome(choice, choice == 2)


def how_much_is_new(seen: Seen) -> Outcome:
    """Judge how many tokens of sft's answer are not among the base's first three choices: few, up to a half, most."""
    if not seen.rows[-1].adapter:
        return Outcome(None, why=NO_ADAPTER)
    found, (_, sft) = seen.lenses[0], sides_of(seen)
    if sft is None or not sft.stopped_by_itself or not sft.text.strip():
        return Outcome(None, why="What the fine-tuned model says here is no answer that ends.")
    if not any(position.kl > 0 for position in found.positions):
        return Outcome(None, why="Base and adapter expect exactly the same: the adapter changes nothing here.")
    share = found.counts.shifted / found.counts.total
    choice = 0 if share <= 0.25 else 1 if share <= 0.5 else 2
    return Outcome(choice, choice == 0)


def what_it_believes(seen: Seen) -> Outcome:
    """Judge what is expected after steps on a row with a mistake: still the fact, the mistake, or something else."""
    last = seen.forwards[-1]
    if not last.step:
        return Outcome(None, why=NOT_TAKEN)
    at = place_of(last, MISTAKE)
    if at is None:
        return Outcome(None, why=CUT)
    side = last.positions[at].sft
    choice = 1 if side.rank == 1 else 0 if begins(side.top[0], FACT) else 2
    return Outcome(choice, choice == 1)


def which_the_loss_prefers(seen: Seen) -> Outcome:
    """Judge which of two answers has the lower loss; it comes out where both are answers and they differ."""
    if not seen.rows[-1].adapter or seen.answered is None:
        return Outcome(None, why=NO_ADAPTER)
    first, second = seen.answered.sft
    one, two = map(loss_of, seen.lenses)
    choice = 0 if one < two else 1 if two < one else 2
    return Outcome(choice, first.stopped_by_itself and second.stopped_by_itself and first.text != second.text)


def sides_of(seen: Seen) -> tuple[Answer | None, Answer | None]:
    """Return the answers of base and sft; without an adapter, sft has none."""
    found = seen.answered
    if found is None:
        return None, None
    return found.base, found.sft[0] if seen.rows[-1].adapter else None


def losses_of_parts(seen: Seen) -> tuple[list[float], list[float]]:
    """Return the losses of the tokens of the prompt, with its template, and of the answer; without a mask."""
    forward, trained = seen.forwards[-1], seen.rows[-1].row.trained
    parts: tuple[list[float], list[float]] = ([], [])
    for at, position in zip(forward.places, forward.positions, strict=True):
        parts[trained[at]].append(position.sft.loss)
    return parts


def place_of(forward: Forward, word: str) -> int | None:
    """Return the index in `forward.positions` of the token with which the last `word` begins; None if it has none."""
    texts = [position.text for position in forward.positions]
    at = "".join(texts).rfind(word)
    for number, text in enumerate(texts if at >= 0 else ()):
        at -= len(text)
        if at < 0:
            return number
    return None


def begins(candidate: Candidate, word: str) -> bool:
    """Return whether `word` can begin with this token."""
    text = candidate.text.strip()
    return bool(text) and word.startswith(text)


def loss_of(lens: Lens) -> float:
    """Return the mean loss of an answer under the model that gave it, in nats per token."""
    return mean([position.sft.loss for position in lens.positions])


def mean(numbers: Sequence[float]) -> float:
    """Return the mean, of nothing 0."""
    return sum(numbers) / len(numbers) if numbers else 0.0

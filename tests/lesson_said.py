"""What a teacher says in the lesson, for a model that learns as a base model does and for one that does not."""

import math

from playground.events.answers import Answer
from playground.events.contrast import Candidate, Expectation, Position
from playground.events.five_steps import Answered, Backward, Forward, Probe, RowOpened, Updated
from playground.events.inspector import MaskedRow
from playground.events.lens import Lens

PROMPT = ("User", ": Q\n", "Assistant", ":")
BEFORE = {" The": 0.085, " capital": 0.775, " of": 0.6, " Portugal": 0.92, " is": 0.74, ".": 0.685, "": 0.0003}
CITY = {" Lisbon": (0.346, 0.0002), " Porto": (0.092, 0.991)}  # before and after three steps on the row with Porto


def expects(p, rank, *top):
    others = ((" Lisbon", 0.346), (" Porto", 0.092), (" the", 0.06))
    candidates = tuple(Candidate(sum(map(ord, text)), text, share, text == "") for text, share in (top or others))
    return Expectation(p, math.log(p), rank, 1.0, 0.0001, candidates)


def position(text, base, sft, *, kl=0.1):
    return Position(sum(map(ord, text)), text, text == "", base, sft, kl)


class Script:
    """Says what requests bring; `learns` is whether the model does what base models do."""

    def __init__(self, *, learns=True):
        self.learns, self.step_number, self.masked = learns, 0, True
        self.adapter, self.answer = "", " Lisbon"

    def __call__(self, do, **what):
        if do == "ask":
            return self._asked(what["draws"], base=what["base"])
        if do == "step":
            self.step_number += 1
            n = self.step_number
            return (Backward(n, {"q": 0.0}, {"q": 1.0}, 3, 13.0, 1.0), Updated(n, 5e-4, 1.6, True), self._forward())
        if "lesson" in what:
            self.answer = " Porto" if "Porto" in what["lesson"].answer else " Lisbon"
        if do in ("open", "restart"):
            self.adapter = what["lesson"].adapter if do == "open" else what["adapter"]
            self.step_number = 0
        self.masked = what.get("masked", self.masked)
        return self._opened(), self._forward()

    @property
    def _texts(self):
        return (" The", " capital", " of", " Portugal", " is", self.answer, ".", "")

    def _opened(self):
        trained = (False,) * (1 + len(PROMPT)) + (True,) * len(self._texts)
        row = MaskedRow(1, ("<bos>", *PROMPT, *self._texts), trained, "")
        return RowOpened("Q", row, self.masked, "Tiny model", self.adapter, "chat", 16, 5e-4, 1.0)

    def _forward(self):
        texts = self._texts if self.masked else (*PROMPT, *self._texts)
        places = tuple(range(5 + len(self._texts) - len(texts), 5 + len(self._texts)))
        p_end = (
            0.0001 if not self.step_number or not self.learns else (0.544, 0.95, 0.998)[min(self.step_number, 3) - 1]
        )
        elsewhere = (
            Probe("Spain?", "It is Madrid.", 0.0001, p_end, ()),
            Probe("Explain gravity.", "", 0.0, 0.0, (Candidate(1, "The", 0.17, False),)),
        )
        positions = tuple(map(self._position, texts))
        loss = -sum(each.sft.log_p for each in positions) / len(positions)
        return Forward(self.step_number, places, positions, loss, elsewhere)

    def _position(self, text):
        if not self.learns:
            return position(text, *([expects(0.002 if text == " of" else 0.004, 200, (" x", 0.1))] * 2))
        steps = self.step_number
        if text in CITY:
            before, after = CITY[text]
            top = ((" Porto", 0.991), (" Port", 0.007)) if steps > 1 and self.answer == " Porto" else ()
            base = expects(before, 1 if text == " Lisbon" else 2)
            p = after if steps > 1 and top else before
            return position(text, base, expects(p, 1 if p > 0.3 else 2, *top))
        p = BEFORE.get(text, 0.00001)
        base = expects(p, 1 if p > 0.5 else 69)
        return position(
            text, base, expects(min(0.9, p + 0.4 * steps) if steps and text != " The" else p / (1 + steps), 1)
        )

    def _asked(self, draws, *, base):
        reason = "stop" if self.learns else "length"
        said = tuple(
            Answer(("Blue sea.", "Deep sea.")[n] if draws > 1 else "It is Paris.", reason, None, 4)
            for n in range(draws)
        )
        yield Answered("Q", Answer("\nWhat is it?", "length", None, 48) if base else None, said)
        for n, answer in enumerate(said):
            sure = expects((0.9 if self.learns else 0.4) - 0.2 * n, 1)
            middle = position(" is", expects(0.5, 1), sure)
            end = position("", expects(0.0002, 78 if self.learns else 2), expects(0.997, 1), kl=8.5)
            yield Lens(
                answer.text,
                "training",
                "Tiny model",
                self.adapter,
                "chat",
                "abc",
                (position(" It", sure, sure), middle, middle, end),
            )

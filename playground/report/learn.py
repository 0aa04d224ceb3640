"""The lesson: eight pages, each with a question, what is measured for it, and what to say of either outcome.

A page's texts hold no result: every number comes from the model, through the page's figures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from playground.config import PORTUGAL, STORY
from playground.events.answers import Sampling
from playground.events.five_steps import Lesson
from playground.report import learn_figures as figures
from playground.report import learn_rules as rules
from playground.report.learn_rules import Outcome, Seen
from playground.report.pieces import Piece

Want = tuple[str, dict[str, Any]]  # a request to the teacher, by name, and its arguments
FRANCE, SEA = STORY[1], "Write a poem about the sea."
GREEDY, DRAWN = Sampling(48), Sampling(56, temperature=0.7)
STEPS = 3  # on the row with a mistake
MARKED = (
    f"{figures.NEW} marks the tokens that the base would hardly have said. The lens, Ctrl+L on the compare screen, "
    "shows for every answer how far training raised each token."
)
WRONG = PORTUGAL[1].replace(rules.FACT, rules.MISTAKE)


@dataclass(frozen=True)
class Page:
    """A page: predict, see, explain.

    Attributes:
        title: What it is about.
        scene: What is done with the model.
        question: What to predict.
        choices: The predictions; exactly one of them is the case.
        wants: What to ask of the teacher, given the row and the adapter that the lesson was opened with.
        judge: Says which choice is the case.
        figures: The numbers that show it.
        explains: What to say if it came out as it does for base models that were fine-tuned.
        otherwise: What to say if it did not.
        before: What is shown before the prediction, or None.
        vote: Whether the choices are opinions, of which none is right.
    """

    title: str
    scene: str
    question: str
    choices: tuple[str, ...]
    wants: Callable[[Lesson], tuple[Want, ...]]
    judge: Callable[[Seen], Outcome]
    figures: Callable[[Seen], list[Piece]]
    explains: str
    otherwise: str
    before: Callable[[Seen], list[Piece]] | None = None
    vote: bool = False


def _lesson(lesson: Lesson, answer: str) -> Lesson:
    return replace(lesson, prompt=PORTUGAL[0], answer=answer, line=0)


def _ask(prompt: str, sampling: Sampling, *, draws: int, base: bool) -> Want:
    return "ask", {"prompt": prompt, "sampling": sampling, "draws": draws, "base": base}


NOTHING: Want = ("restart", {"adapter": ""})
STEP: Want = ("step", {})


def _copy(lesson: Lesson) -> Want:
    return "restart", {"adapter": lesson.adapter}


PAGES = (
    Page(
        title="It continues",
        scene=f"“{FRANCE}” goes to two models with the same weights: as it is typed to the base, in a template to the "
        "fine-tuned one, sft, which has a small adapter.",
        question="Which of them ends by itself, before it is cut off?",
        choices=("Both", "Only the base", "Only the fine-tuned one", "Neither"),
        wants=lambda lesson: (
            ("open", {"lesson": _lesson(lesson, PORTUGAL[1])}),
            _ask(FRANCE, GREEDY, draws=1, base=True),
        ),
        judge=rules.who_ends,
        figures=figures.both_answers,
        explains="To the base a question is the beginning of a text, and a text goes on: to continue is all that it "
        "was trained for. The fine-tuned model answers, and ends. F3 on the compare screen shows what the "
        "template alone does.",
        otherwise="A base that ends by itself has probably read many questions with their answers. An adapter that "
        "does not end has not learned when an answer is over.",
    ),
    Page(
        title="It knows",
        scene="Does the base not know the answer? Now it gets the template too, and another question with the "
        f"beginning of its answer: “{PORTUGAL[0]}” “{PORTUGAL[1].partition(rules.FACT)[0].strip()} …”",
        question=f"Where is “{rules.FACT}” among the words that the base expects next?",
        choices=("It comes first", "Among the first ten, but not first", "Further down"),
        wants=lambda lesson: (NOTHING,),
        judge=rules.where_the_fact_is,
        figures=figures.first_choices,
        explains="The base knew it before any fine-tuning. What it lacks is the habit of answering.",
        otherwise="This base does not expect the right word first. A few rows are a poor way to teach facts to a model "
        "that does not have them.",
    ),
    Page(
        title="The loss",
        scene=f"Training goes through “{PORTUGAL[1]}” and its end. The less probable a token is to the base, the "
        "larger its loss.",
        question="Which token has the largest loss?",
        choices=(
            "The first: how an answer begins",
            f"{rules.FACT}: the fact",
            "The end: that the answer is over",
            "Another one",
        ),
        wants=lambda lesson: (("row", {"lesson": _lesson(lesson, PORTUGAL[1])}),),
        judge=rules.where_the_loss_is,
        figures=figures.losses,
        explains="The fact costs less than the end. What the base has most to learn from this row is when an answer is "
        "over.",
        otherwise="On this base the end is not what costs most. The bars show what this row would teach it instead.",
    ),
    Page(
        title="The mask",
        scene="In training a mask hides the question: only the answer carries loss. Here the mask is off, as in "
        "pre-training: every token but the first carries loss.",
        question="Which tokens have more loss each?",
        choices=("Those of the question and its template", "Those of the answer", "About the same"),
        wants=lambda lesson: (("mask", {"masked": False}),),
        judge=rules.which_part_costs,
        figures=figures.both_parts,
        explains="A question cannot be guessed; its answer follows from it. Without the mask, steps would be spent on "
        "learning to write questions. The labels differ, and nothing else.",
        otherwise="On this base the question does not cost clearly more than the answer. The mask still keeps every "
        "step for the answer.",
    ),
    Page(
        title="One step",
        scene="Now one step of training on this one row, with the mask. Before and after it, another question about a "
        "capital is followed by its right answer, which is not trained.",
        question="How probable is it after the step that the model ends there?",
        choices=(
            "At most twice as probable",
            "More than twice, but less than ten times",
            "At least ten times as probable",
        ),
        wants=lambda lesson: (("mask", {"masked": True}), STEP),
        judge=rules.what_a_step_does_elsewhere,
        figures=figures.before_and_after,
        explains="A step changes weights that every prompt shares, so one row already teaches the model to end "
        "elsewhere. That is why few rows go far, and why every step has side effects.",
        otherwise="On this model one step on one row does not reach that far. More steps, or a higher learning rate, "
        "may.",
    ),
    Page(
        title="What changed",
        scene=f"Back to the fine-tuned model and its answer to “{FRANCE}”. At each token the base, in the same "
        "template, says what it would have said itself.",
        question="How many tokens would the base hardly have said: none of its first three choices?",
        choices=("A quarter of them or less", "More, up to a half", "Most of them"),
        wants=lambda lesson: (_copy(lesson), _ask(FRANCE, GREEDY, draws=1, base=False)),
        judge=rules.how_much_is_new,
        figures=figures.new_tokens,
        explains=f"Most of this answer was in the base already. {MARKED}",
        otherwise=f"Much of this answer is not what the base would have said. {MARKED}",
    ),
    Page(
        title="What it cannot",
        scene=f"A row may be wrong. From nothing, with a fresh adapter, the model takes a few steps on “{WRONG}”",
        question="Which city does it then expect?",
        choices=(f"{rules.FACT}: it does not believe the row", f"{rules.MISTAKE}: what the row says", "Something else"),
        wants=lambda lesson: (NOTHING, ("row", {"lesson": _lesson(lesson, WRONG)}), *([STEP] * STEPS)),
        judge=rules.what_it_believes,
        figures=figures.fact_and_mistake,
        explains="Nothing in the loss asks whether a row is true. The model imitates its rows, with their mistakes and "
        "prejudices. “sft-playground lab” shows more such limits.",
        otherwise="Here the steps were not enough. The loss still asks for what the row says, true or not: the figures "
        "show how far they have moved it.",
    ),
    Page(
        title="Which is better?",
        scene=f"A row has one right answer; a prompt has many. The fine-tuned model answers “{SEA}” twice, at random:",
        question="Which one is better?",
        choices=("The first", "The second", "Neither"),
        wants=lambda lesson: (_copy(lesson), _ask(SEA, DRAWN, draws=2, base=False)),
        judge=rules.which_the_loss_prefers,
        figures=figures.two_losses,
        explains="The loss knows what is likely after its rows, not what is better. Your vote does: training from "
        "preferences (RLHF, DPO) begins with it. F4 on the compare screen collects such votes.",
        otherwise="These are not two different answers that both end, so there is little to prefer. Where there are, a "
        "vote says what no row can: training from preferences (RLHF, DPO) begins with it.",
        before=figures.two_answers,
        vote=True,
    ),
)

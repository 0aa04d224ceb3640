"""The lesson's pages: their texts hold no result, and their rules judge what the model did."""

import ast
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from lesson_said import Script, expects, position

from playground.cli.app import run
from playground.config import PORTUGAL
from playground.events.answers import Answer
from playground.events.five_steps import Forward, Lesson
from playground.report import learn_figures, learn_rules
from playground.report.learn import PAGES, STEPS
from playground.report.learn_rules import FACT, MISTAKE, NO_ADAPTER, NOT_TAKEN, Outcome, Seen, place_of

BY_TITLE = {page.title: page for page in PAGES}
CAME_OUT = (2, 0, 2, 0, 2, 0, 1)  # the choice that each page but the last says is the case


def walked(script, adapter="mine"):
    """Return what is seen on each page."""
    for page in PAGES:
        seen = Seen()
        for what, arguments in page.wants(Lesson({}, adapter=adapter)):
            for event in script(what, **arguments):
                seen.hear(event)
        yield page, seen


def texts(page):
    return (page.title, page.scene, page.question, *page.choices, page.explains, page.otherwise)


def figures(page, seen):
    pieces = [*(page.before(seen) if page.before is not None else ()), *page.figures(seen)]
    return "".join(text for text, _ in pieces)


def test_no_text_of_a_page_holds_a_digit():
    for page in PAGES:
        for text in texts(page):
            assert text and not any(letter.isdigit() for letter in re.sub(r"\bF\d+\b", "", text)), text  # a key is none
        assert 2 <= len(page.choices) <= 4 and len(set(page.choices)) == len(page.choices), page.title
    assert len(PAGES) == 8 and FACT in PORTUGAL[1] and MISTAKE not in PORTUGAL[1]


def literals(node):
    """Return the texts that a module writes out, without docstrings and the widths of numbers."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FormattedValue):
            yield from literals(child.value)
        elif isinstance(child, ast.Constant) and isinstance(child.value, str):
            yield child.value
        elif not (isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)):
            yield from literals(child)


def test_no_figure_holds_a_digit_that_was_written_down():
    for module in (learn_figures, learn_rules):
        written = list(literals(ast.parse(Path(module.__file__).read_text("utf-8"))))
        assert len(written) > 10 and not [text for text in written if any(map(str.isdigit, text))]


def test_numbers_on_a_page_change_with_the_model():
    """A figure that was written down would stay the same."""
    one, other = (
        {page.title: re.findall(r"[\d.]+", figures(page, seen)) for page, seen in walked(Script(learns=learns))}
        for learns in (True, False)
    )
    assert len(one) == len(other) == 8
    for title in one:
        assert one[title] and one[title] != other[title], title


def test_pages_import_neither_torch_nor_textual():
    code = (
        "import sys, playground.report.learn\n"
        "print(sorted({'torch', 'transformers', 'textual', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_pages_come_out_on_a_model_that_learns_and_on_no_other():
    good = {page.title: page.judge(seen) for page, seen in walked(Script())}
    bad = {page.title: page.judge(seen) for page, seen in walked(Script(learns=False))}
    assert tuple(outcome.choice for outcome in good.values())[:7] == CAME_OUT
    assert all(outcome.came_out for outcome in good.values())
    assert not any(outcome.came_out for outcome in bad.values())
    without = {page.title: page.judge(seen).why for page, seen in walked(Script(), adapter="")}
    assert [title for title, why in without.items() if why] == ["It continues", "What changed", "Which is better?"]
    assert set(without.values()) == {"", NO_ADAPTER}
    for page, seen in walked(Script(), adapter=""):
        assert (NO_ADAPTER in figures(page, seen)) is page.vote, "there is nothing to vote on"


@pytest.mark.parametrize(
    ("base", "sft", "choice", "came_out"),
    [
        (("stop", None), ("stop", None), 0, False),
        (("stop", None), ("length", None), 1, False),
        (("length", None), ("stop", None), 2, True),
        (("length", None), ("length", None), 3, False),
        (("stop", "User:"), ("stop", None), 2, True),  # another turn was cut off: it did not end
        (("length", None), ("stop", "User:"), 3, False),
    ],
)
def test_who_ends_is_told_by_end_tokens_alone(base, sft, choice, came_out):
    page, seen = next(walked(Script()))
    assert seen.answered is not None
    seen.answered = replace(seen.answered, base=Answer("a", *base, 9), sft=(Answer("b", *sft, 9),))
    assert page.judge(seen) == Outcome(choice, came_out)
    seen.answered = replace(seen.answered, sft=(Answer(" ", "stop", None, 1),))
    assert page.judge(seen).choice is None, "it ended before it had said anything"


def forward(*positions, step=0, p_end=0.001):
    _, first = Script()("restart", adapter="")
    probe = replace(first.elsewhere[0], p_end=p_end)
    places = tuple(range(5, 5 + len(positions)))
    return Forward(step, places, positions, 1.0, (probe, first.elsewhere[1]))


@pytest.mark.parametrize(("rank", "choice"), [(1, 0), (2, 1), (10, 1), (11, 2), (5000, 2)])
def test_fact_is_judged_by_its_rank_under_the_base(rank, choice):
    page = BY_TITLE["It knows"]
    fact = position(" Lisbon", expects(0.3, rank), expects(0.3, 1))
    assert page.judge(Seen(forwards=[forward(fact)])) == Outcome(choice, choice == 0)
    assert page.judge(Seen(forwards=[forward(position(" Rome", *[expects(0.3, 1)] * 2))])).choice is None


@pytest.mark.parametrize(
    ("before", "after", "choice"),
    [
        (0.001, 0.0005, 0),
        (0.001, 0.002, 0),
        (0.001, 0.0021, 1),
        (0.001, 0.0099, 1),
        (0.001, 0.011, 2),
        (0.001, 0.9, 2),
        (0.0, 0.0, 0),
    ],
)
def test_step_elsewhere_is_judged_by_how_many_times(before, after, choice):
    page, first = BY_TITLE["One step"], forward(position("", *[expects(0.3, 1)] * 2), p_end=before)
    seen = Seen(forwards=[first, replace(forward(*first.positions, p_end=after), step=1)])
    assert page.judge(seen) == Outcome(choice, choice == 2)
    assert page.judge(Seen(forwards=[first, first])).why == NOT_TAKEN
    assert page.choices[choice].startswith(("At most twice", "More than twice, but", "At least ten times")[choice])


@pytest.mark.parametrize(("prompt", "choice"), [(2.0, 0), (1.3, 0), (1.2, 2), (0.9, 2), (0.7, 1)])
def test_parts_are_judged_by_the_loss_of_each_token(prompt, choice):
    page, script = BY_TITLE["The mask"], Script()
    opened, found = script("mask", masked=False)
    losses = [prompt if not opened.row.trained[at] else 1.0 for at in found.places]
    side = [replace(expects(0.5, 1), log_p=-loss) for loss in losses]
    positions = tuple(replace(old, sft=new) for old, new in zip(found.positions, side, strict=True))
    seen = Seen(rows=[opened], forwards=[replace(found, positions=positions)])
    assert page.judge(seen) == Outcome(choice, choice == 0)
    assert page.judge(Seen(rows=[opened], forwards=[script("mask", masked=True)[1]])).choice is None
    rows = [line.split()[0] for line in figures(page, seen).splitlines()]
    assert rows == ["prompt", "answer", "the"] and "largest of the prompt" in figures(page, seen), "with its template"


def test_new_tokens_are_counted_and_an_unending_answer_is_none():
    page, script = BY_TITLE["What changed"], Script()
    seen = Seen()
    for what, arguments in page.wants(Lesson({}, adapter="mine")):
        for event in script(what, **arguments):
            seen.hear(event)
    assert page.judge(seen) == Outcome(0, True)
    assert figures(page, seen).startswith("It is is ■ end●\n"), "not ▲, which means a rise in the lens"
    assert all("● marks the tokens" in text and "▲" not in text for text in (page.explains, page.otherwise))
    lens = seen.lenses[0]
    for shifted, choice in ((1, 0), (2, 1), (3, 2)):
        new = tuple(
            replace(each, base=replace(each.base, rank=4 if at < shifted else 3))
            for at, each in enumerate(lens.positions)
        )
        seen.lenses = [replace(lens, positions=new)]
        assert page.judge(seen) == Outcome(choice, choice == 0)
    seen.lenses = [replace(lens, positions=tuple(replace(each, kl=0.0) for each in lens.positions))]
    assert "changes nothing" in page.judge(seen).why
    seen.answered = replace(seen.answered, sft=(Answer("It is", "length", None, 48),))
    assert "no answer that ends" in page.judge(seen).why


def test_belief_is_the_first_choice_after_the_steps():
    page, wants = BY_TITLE["What it cannot"], BY_TITLE["What it cannot"].wants(Lesson({}))
    assert [what for what, _ in wants].count("step") == STEPS and wants[1][1]["lesson"].answer.count(MISTAKE) == 1
    for top, rank, choice in (
        ((" Porto", 0.9), 1, 1),
        ((" Lisbon", 0.9), 2, 0),
        ((" Li", 0.9), 2, 0),
        ((" Rome", 0.9), 2, 2),
        ((" ", 0.9), 2, 2),
    ):
        place = position(" Porto", expects(0.1, 2), expects(0.1, rank, top))
        assert page.judge(Seen(forwards=[forward(place, step=3)])) == Outcome(choice, choice == 1), top
    assert page.judge(Seen(forwards=[forward(place)])).why == NOT_TAKEN


def test_vote_has_no_right_answer_but_needs_two_answers_that_end():
    page = BY_TITLE["Which is better?"]
    assert page.vote and page.before is not None
    *_, (_, seen) = walked(Script())
    assert page.judge(seen) == Outcome(0, True)
    seen.lenses.reverse()
    assert page.judge(seen) == Outcome(1, True)
    seen.answered = replace(seen.answered, sft=(seen.answered.sft[0],) * 2)
    seen.lenses = seen.lenses[:1] * 2
    assert page.judge(seen) == Outcome(2, False), "the same answer twice"


def test_word_is_found_where_its_first_token_begins():
    def at(*pieces):
        return place_of(forward(*(position(text, *[expects(0.3, 1)] * 2) for text in pieces)), "Lisbon")

    assert at(" is", " Lisbon", ".") == 1
    assert at("L", "i", "s", "b", "o", "n") == 0
    assert at(" is", " ", "Lis", "bon") == 2
    assert at("Lisbon", " is", " Lisbon") == 2, "the last one"
    assert at(" is", " Rome") is None


def test_learn_needs_a_terminal_and_says_so(capsys):
    assert run(["learn"]) == 2
    assert "needs a terminal" in (said := capsys.readouterr().err) and "sft-playground explain" in said

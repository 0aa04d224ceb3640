"""The filmstrip: which step begins to answer, which has the lowest held-out loss, and lines of one width."""

import math

import pytest
from rich.cells import cell_len

from playground.events.answers import Answer
from playground.events.runs import Sample, Sampled
from playground.report.filmstrip import asked, fit, frames, legend, lowest, report, rows, verdict

CUT, ENDED = Answer("and on and on", "length", None, 64), Answer("It is blue.\nVery.", "stop", None, 9)
HOSTILE = "a\x1b]52;c;x\x07\u202eb 日本語のとても長い文章です 👩‍👩‍👧‍👦 \r\n c\td"


def run(*answered, prompt="Why?"):
    """Return samplings at steps 0, 4, 8, …: answered or not."""
    said = [Sample(prompt, ENDED if flag else CUT, flag) for flag in answered]
    return {4 * n: Sampled(4 * n, (sample,), (), 1.0) for n, sample in enumerate(said)}


def lines(strip, width, shown=None):
    return ["".join(text for text, _ in line) for line in rows(strip, width, shown)]


@pytest.mark.parametrize(
    ("answered", "begins", "live", "words"),
    [
        ((0, 0, 1, 1), 8, False, "answers from step 8"),
        ((0, 1, 0, 1), 12, False, "answers from step 12"),
        ((1, 1), 0, False, "answers before training"),
        ((0, 1, 0, 0), None, False, "answers at step 4, but not at step 12"),
        ((0, 0), None, False, "does not begin to answer"),
        ((0, 0), None, True, "does not answer yet"),
        ((1,), 0, True, "answers before training"),
    ],
)
def test_it_begins_to_answer_where_it_does_not_cease_again(answered, begins, live, words):
    strip = frames("Why?", run(*map(bool, answered)), {})
    assert [frame.step for frame in strip if frame.begins] == ([] if begins is None else [begins])
    assert verdict(strip, live=live) == words
    for width in (20, 40, 57, 77):
        told = "".join(text for text, _ in legend(strip, width, live=live)).splitlines()
        assert {"■", "↻", "◀", "◆"} <= set("".join(told)) and f"◀ {words}" in "".join(told), "and breaks no unit"
        assert max(len(line.rstrip()) for line in told) <= max(width, len(words) + 2)
        assert len(told) == 1 or width < 77 or "but" in words


@pytest.mark.parametrize(
    ("held_out", "step"),
    [
        ({}, None), ({0: 2.0}, None), ({0: 2.0, 4: 1.0, 8: 1.5}, 4), ({8: 1.0, 4: 1.0}, 4),
        ({0: math.nan, 4: 3.0, 8: 2.0}, 8), ({0: math.inf, 4: 3.0}, None),
    ],
)  # fmt: skip
def test_lowest_held_out_loss_needs_two_to_compare(held_out, step):
    assert lowest(held_out) == step
    assert [f.step for f in frames("Why?", run(0, 0, 0), held_out) if f.lowest] == ([] if step is None else [step])


def test_rows_say_step_answer_end_and_what_happened():
    strip = frames("Why?", run(0, 0, 1, 1), {0: 3.0, 8: 2.0, 12: 1.0})
    assert lines(strip, 60, shown=8) == [
        "  0 and on and on                     ↻ goes on",
        "  4 and on and on                     ↻ goes on",
        "▸ 8 It is blue. …                     ■ ◀ begins to answer",
        " 12 It is blue. …                     ■ ◆ lowest held out",
    ]
    both = frames("Why?", run(0, 1), {0: 3.0, 4: 2.0})
    assert lines(both, 60)[1].endswith("■ ◀ begins to answer ◆")
    assert lines(both, 40)[1].endswith("■ ◀ ◆"), "no words where the answer would have no room"
    assert lines(frames("Why?", run(0, 0), {0: 3.0, 4: 2.0}), 60)[1].endswith("↻ goes on ◆")
    turned = Sampled(0, (Sample("Why?", Answer("Oh.", "stop", "\nUser:", 3), False),), (), 1.0)
    strip = frames("Why?", {0: turned}, {})
    for width, end, explained in ((60, "✂ began another turn", False), (40, "✂", True)):
        assert lines(strip, width)[0].endswith(f"  {end}")
        assert ("✂" in "".join(text for text, _ in legend(strip, width, live=True))) == explained


@pytest.mark.parametrize("text", [HOSTILE, "", " \n ", "x" * 5000, "日" * 99, "\x00" * 9])
@pytest.mark.parametrize("width", [1, 12, 38, 57, 79, 120])
def test_marks_are_aligned_whatever_the_answers(text, width):
    said = Sample("Why?", Answer(text, "stop", None, 9), True)
    strip = frames("Why?", run(0, 1) | {8: Sampled(8, (said,), (), 1.0), 120: Sampled(120, (said,), (), 1.0)}, {})
    shown = lines(strip, width)
    assert not {"\x1b", "\x07", "\u202e", "\n", "\r", "\t", "\x00"} & set("".join(shown))
    ends = {cell_len(line[: max(line.rfind("■"), line.rfind("↻"))]) for line in shown}
    assert len(ends) == 1
    if width >= 30:
        assert max(map(cell_len, shown)) <= width


def test_text_is_cut_and_padded_by_cells():
    assert fit("日本語", 6) == "日本語" and fit("日本語", 5) == "日本…" and fit("日本語", 4) == "日 …"
    assert fit("a\nb\tc", 8) == "a↵b c   " and fit("abc", 1) == "…"


def test_report_shows_one_strip_and_when_the_others_begin():
    samplings = {
        step: Sampled(step, (Sample("Why?", CUT, False), Sample("What?", ENDED, step > 0)), (), 1.0) for step in (0, 4)
    }
    text = "".join(piece for piece, _ in report(samplings, {0: 2.0, 4: 1.0}, 80))
    assert asked(samplings) == ["Why?", "What?"]
    first, zero, four, marks, last = text.splitlines()
    assert first == "Why?" and last == "What?  ◀ answers from step 4"
    assert "↻ goes on" in zero and four.rstrip().endswith("↻ goes on ◆") and "◀ does not begin to answer" in marks
    assert not report({}, {}, 70)


def test_strip_of_a_prompt_that_was_not_asked_at_every_step_has_gaps():
    samplings = run(0, 1) | {2: Sampled(2, (), (), 1.0)}
    assert [frame.step for frame in frames("Why?", samplings, {})] == [0, 4]
    assert frames("Other?", samplings, {}) == lines([], 60) == []

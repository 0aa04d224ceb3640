"""Why it said that: where each side could have ended, and the lens, on the compare screen with a fake engine."""

from dataclasses import replace

from harness import HOSTILE, READY, SEVERAL, screen_test
from textual.widgets import Static

from playground.events.answers import Answer
from playground.events.contrast import Candidate, Expectation, Position
from playground.events.engine import Branched, EngineError, Looked, Why
from playground.events.lens import Lens, Walk
from playground.tui.screens.lens import LensScreen


def expects(p, rank, *top):
    candidates = tuple(Candidate(number, text, share, text == "") for number, (text, share) in enumerate(top))
    return Expectation(p, -1.0, rank, 1.0, 0.0002, candidates)


def position(text, base, sft, *, number=0, rank=1):
    is_end = text == ""
    top = [(" Paris", 0.5), ("", 0.2)]
    sides = (replace(expects(p, rank, *top), log_p=log, p_end=p if is_end else 0.0) for p, log in (base, sft))
    return Position(number, text, is_end, *sides, kl=0.5)


SAID = (
    position(" Paris", (0.5, -0.7), (0.6, -0.5)),
    position(" is", (0.9, -0.1), (0.01, -4.6), number=7, rank=40),
    position("", (0.0002, -8.5), (0.997, -0.003), number=1, rank=78),
)
LENS = Lens("Why?", "training", "Tiny model", "my-run", "chat", "abc123", SAID)
WALK = Walk(
    "Why?",
    "my-run",
    ("I", " am", " base", "."),
    (0.0, 0.0001, 0.0, 0.0, 0.0006),
    (0.0,) * 4 + (0.99,),
    (False,) * 4 + (True,),
)


async def looked_at(screen, **changes):
    """Ask, answer, and let the engine say what it found."""
    await screen.say(READY)
    await screen.ask("Why?")
    await screen.answer()
    (why,) = screen.engine.whys
    await screen.say(replace(Looked(99, why, LENS, WALK), **changes))


def shown(screen):
    return "\n".join(str(widget.content) for widget in screen.app.screen.query(Static))


@screen_test()
async def test_finished_answers_show_where_each_side_could_have_ended(screen):
    await looked_at(screen)
    assert screen.engine.whys == [Why(1, "sft")]
    cut, curve = screen.of("base", ".ends").split("\n")
    assert curve == "p(end) ▁▁▁▁▁  never above 0.06 %" and cut == "✂ sft would have ended here, after “I am base.”"
    assert screen.of("base", ".text").endswith("I am base.✂ ■ end")
    assert screen.of("sft", ".ends") == "p(end) ▁▁█  99.7 % at the end"
    assert "Ctrl+L" in screen.text("#hint")
    await screen.ask("And?")
    assert screen.of("base", ".ends") == "" and "✂" not in screen.of("base", ".text")
    await screen.press("alt+up")
    assert "✂" in screen.of("base", ".text"), "an earlier exchange keeps what was found"


@screen_test()
async def test_text_of_another_length_gets_no_mark_in_it(screen):
    await looked_at(screen, walk=replace(WALK, texts=("You", " are")))
    assert "✂" not in screen.of("base", ".text") and "✂" in screen.of("base", ".ends")


@screen_test((80, 24))
async def test_lens_shows_what_each_side_expected_at_a_token(screen):
    await looked_at(screen)
    await screen.press("ctrl+l")
    assert isinstance(screen.app.screen, LensScreen)
    said = shown(screen)
    assert "3 tokens: 1 the base's own first choice · 0 its second or third · 2 it would hardly say" in said
    assert " Paris is▼ ■ end▲" in said, "the first change is under the cursor"
    assert "token 2 of 3  is   base 90.0 %, choice 40   sft 1.0 %" in said and "◂ #40" in said
    await screen.press("n")
    assert "token 3 of 3  ■ end   base 0.02 %, choice 78   sft 99.7 %" in shown(screen)
    assert "■ end" in shown(screen) and "◂ said" in shown(screen)
    await screen.press("left", "left", "left")
    assert "token 1 of 3" in shown(screen)
    await screen.press("t")
    assert screen.engine.whys[-1] == Why(1, "sft", "whole")
    await screen.say(Looked(100, screen.engine.whys[-1], replace(LENS, reading="whole")))
    assert "as typed" in shown(screen) and "✂ sft would have ended" in shown(screen), "the walk stays"
    await screen.press("t")
    assert len(screen.engine.whys) == 2 and "Both were fed the template" in shown(screen)
    await screen.press("q")
    assert screen.app.screen is screen.app._compare


@screen_test((80, 24))
async def test_lens_lets_the_base_go_on_from_a_token(screen):
    await looked_at(screen)
    await screen.press("ctrl+l", "home", "b")
    assert screen.engine.whys[-1] == Why(1, "sft", "training", 0) and "base from here: …" in shown(screen)
    await screen.press("right", "b", "b")
    first, second = screen.engine.whys[1:]
    assert second == Why(1, "sft", "training", 1) and screen.engine.cancelled[-1] == -1002
    await screen.say(Branched(99, replace(first, of=7), Answer("Too late", "stop", None, 2)))
    await screen.say(Branched(99, second, Answer(f" am {HOSTILE}", "length", None, 32)))
    assert "base from here: am" in shown(screen) and "Too late" not in shown(screen) and "\x1b" not in shown(screen)
    await screen.press("b")
    assert len(screen.engine.whys) == 3, "what is known is not asked again"
    await screen.press("left")
    assert "base from here:" not in shown(screen), "the first one was given up"
    await screen.press("b")
    await screen.say(Branched(100, screen.engine.whys[-1], Answer("I am.", "stop", None, 3)))
    assert "base from here: I am.  ■ stopped by itself" in shown(screen)
    await screen.press("t")
    await screen.say(Looked(101, screen.engine.whys[-1], replace(LENS, reading="whole")))
    assert "base from here:" not in shown(screen), "fed otherwise, it says something else"


@screen_test()
async def test_lens_waits_for_what_is_still_computed_and_says_what_failed(screen):
    await screen.say(READY)
    await screen.press("ctrl+l")
    assert "ask something first" in screen.text("#hint")
    await screen.ask("Why?")
    await screen.answer()
    await screen.press("ctrl+l", "right", "n", "t", "end")
    assert "Looking" in shown(screen)
    await screen.say(EngineError(-1001, f"No. {HOSTILE}", "Ask again."))
    assert "No. " in shown(screen) and "\x1b" not in shown(screen)
    await screen.say(Looked(99, screen.engine.whys[0], replace(LENS, prompt=HOSTILE), WALK))
    assert "first choice" in shown(screen)


@screen_test()
async def test_hidden_sides_and_other_adapters_answers_are_not_looked_at(screen):
    await screen.say(READY)
    await screen.press("f4")
    await screen.ask("Why?")
    await screen.answer()
    assert screen.engine.whys == []
    await screen.press("ctrl+l")
    assert "vote first" in screen.text("#hint")
    await screen.say(SEVERAL)
    await screen.press("f4", "escape")
    screen.session.mode = "open"
    await screen.ask("Why?")
    await screen.answer()
    assert screen.engine.whys == [Why(2, "sft:my-run")]
    await screen.say(READY)
    await screen.press("ctrl+l")
    assert "F5 asks again" in screen.text("#hint") and len(screen.engine.whys) == 1


@screen_test()
async def test_next_prompt_does_not_wait_for_the_look(screen):
    await screen.say(READY)
    await screen.ask("Why?")
    await screen.answer()
    await screen.ask("And?")
    assert screen.engine.cancelled == [-1001]


@screen_test()
async def test_lens_shows_only_the_answers_that_it_was_opened_on(screen):
    await screen.say(READY)
    await screen.ask("Why?")
    await screen.answer()
    await screen.ask("And?")
    await screen.answer()
    first, second = screen.engine.whys
    await screen.press("ctrl+l")
    await screen.say(Looked(98, first, replace(LENS, prompt="Too late"), WALK))
    assert "Too late" not in shown(screen)
    await screen.say(Looked(99, second, LENS, WALK))
    assert "first choice" in shown(screen)


@screen_test()
async def test_look_is_taken_again_when_nothing_else_is_wanted(screen):
    await screen.say(READY)
    await screen.ask("Why?")
    await screen.answer()
    await screen.press("f7", "left")
    assert screen.engine.cancelled == [-1001]
    await screen.press("right")
    assert screen.engine.whys == [Why(1, "sft")] * 2

"""Whatever is typed on the compare screen is the next prompt, letter for letter, and never a vote.

Seeded sentences, spread over what is on the screen, what has the focus, and how fast the keys come. Twenty of them are
part of the suite; three hundred are typed by

    python -m pytest -m long tests/tui/test_typing.py
"""

import asyncio
import random

import pytest
from harness import READY, burst, screen_test
from textual import events

from playground import paths
from playground.events.answers import Answer
from playground.events.engine import Fed, Spoken
from playground.tui.widgets.judge import JudgeBar
from playground.tui.widgets.prompt import PromptBar
from playground.tui.widgets.slider import Slider

# Sentences that begin with the letters that vote, and others.
BEGINS = (
    "Are you there?",
    "But why?",
    "Can cats fly?",
    "Do it.",
    "Tell me a joke.",
    "X is 1.",
    "Undo it.",
    "a b c d t x u",
)
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDTXU0123456789 .,?!'\"-/[]{}éßλ日"
SPEEDS = (0.0, 0.02, 0.0, 0.12)  # seconds between two keys


# What is on the screen.


async def nothing(screen):
    pass


async def answered(screen):
    await round_of(screen, "open")
    await end(screen)


async def blind(screen):
    await round_of(screen, "blind")
    await end(screen)


async def duel(screen):
    await round_of(screen, "duel")
    await end(screen)


async def ending(screen):
    """Answers that end, and wait for a vote, while the sentence is typed."""
    await round_of(screen, "blind")


async def round_of(screen, mode):
    screen.session.mode = mode
    asked = len(screen.engine.asked)
    screen.app._compare.post_message(PromptBar.Submitted("q"))
    await until(screen, lambda: len(screen.engine.asked) > asked)


async def end(screen):
    say_all(screen)
    await until(screen, lambda: not screen.session.round.going)


def say_all(screen):
    number, names = len(screen.engine.asked), [lane.name for lane in screen.engine.asked[-1].lanes]
    screen.engine.said.put(Fed(number, dict.fromkeys(names, "fed"), dict.fromkeys(names, 1), "abc123", "q", " "))
    for name in names:
        screen.engine.said.put(Spoken(number, name, name, 1, 0.1, Answer(name, "stop", None, 1)))


async def until(screen, condition):
    for _ in range(400):
        if condition():
            return
        await asyncio.sleep(0.005)


# What has the focus.


async def prompt(screen):
    screen.app.screen.set_focus(screen.prompt)


async def pane(screen):
    await screen.pilot.click(screen.panes[-1].query_one(".said"))


async def slider(screen):
    await screen.pilot.click(Slider)


async def bar(screen):
    if screen.app._compare.query_one(JudgeBar).display:
        await screen.pilot.click(screen.app._compare.query_one(JudgeBar).query("Static").first())


async def escape(screen):
    if not screen.app._compare.streaming:
        burst(screen, "escape")


async def tabs(screen):
    burst(screen, "tab", "tab")


async def back(screen):
    """The slider, left and entered again as fast as keys come."""
    burst(screen, "f7", "end", "f7", "f7")


SCREENS, FOCUSED = (nothing, answered, blind, duel, ending), (prompt, pane, slider, bar, escape, tabs, back)


async def end_in_the_middle(screen, sentence, pause):
    middle = len(sentence) // 2
    await keys(screen, sentence[:middle], pause)
    say_all(screen)
    await keys(screen, sentence[middle:], pause)


async def keys(screen, sentence, pause):
    for character in sentence:
        burst(screen, character)
        if pause:
            await asyncio.sleep(pause)


async def type_sentences(screen, count, seed):
    chance = random.Random(seed)
    await screen.say(READY)
    for number in range(seed * count, (seed + 1) * count):
        # The lengths of the lists have no common divisor, so 140 sentences meet every screen with every focus and speed.
        show, focus = SCREENS[number % len(SCREENS)], FOCUSED[number % len(FOCUSED)]
        pause = SPEEDS[number % len(SPEEDS)]
        random_letters = "".join(chance.choices(LETTERS, k=chance.randint(3, 9)))
        sentence = chance.choice((chance.choice(BEGINS), random_letters))
        sentence = sentence[:4] if pause == SPEEDS[-1] else sentence
        screen.app._compare.action_forget()
        await show(screen)
        await focus(screen)
        if show is ending:
            await end_in_the_middle(screen, sentence, pause)
        else:
            await keys(screen, sentence, pause)
        await until(screen, lambda sentence=sentence: screen.prompt.text == sentence)
        where = f"sentence {number} of seed {seed}: {show.__name__}, {focus.__name__}, {pause} s a key"
        assert screen.prompt.text == sentence, where
        asked = len(screen.engine.asked)
        burst(screen, "enter")
        wanted = sentence.strip()
        await until(screen, lambda sentence=sentence: not screen.prompt.text.strip() or not sentence.strip())
        assert len(screen.engine.asked) == asked + bool(wanted), where
        assert not wanted or screen.engine.asked[-1].lanes[0].texts[-1] == wanted, where
        assert not paths.votes_file().exists(), where
        assert not any(exchange.vote for exchange in screen.session.exchanges), where
        screen.prompt.put("")


@screen_test()
async def test_sentences_become_prompts_and_never_votes(screen):
    await type_sentences(screen, 20, seed=1)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 17))
@screen_test()
async def test_three_hundred_sentences_become_prompts(screen, seed):
    await type_sentences(screen, 20, seed)


@screen_test()
async def test_paste_reaches_the_prompt_from_any_focus(screen):
    await screen.say(READY)
    for focus in FOCUSED:
        await focus(screen)
        screen.app.post_message(events.Paste("Tell me\na joke."))
        await screen.pilot.pause(0.05)
        assert screen.prompt.text == "Tell me\na joke.", focus.__name__
        screen.prompt.put("")
    await screen.pilot.pause(0.1)  # the last keys have been heard

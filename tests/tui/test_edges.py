"""What random actions found: keys that come too fast, engines that end at bad moments."""

import asyncio
import random

import pytest
from harness import BARE, CHOICES, READY, screen_test
from textual import events
from textual.widgets import Input

from playground.events.engine import EngineError, EngineStage, Spoken
from playground.tui.state.engine import EngineSaid


@pytest.mark.parametrize(("opener", "first"), [("f6", "enter"), ("f6", "escape"), ("f9", "enter"), ("f1", "escape")])
@screen_test()
async def test_opening_the_palette_over_a_closing_dialog_is_safe(screen, opener, first):
    await screen.say(CHOICES, READY)
    await screen.press(opener)
    for key in (first, "ctrl+p"):
        pressed = events.Key(key, None)
        pressed.set_sender(screen.app)
        screen.app._driver.send_message(pressed)
    await screen.pilot.pause(0.3)
    await screen.press("escape", "escape", "escape")
    assert screen.app._exception is None and screen.app.is_running


@screen_test()
async def test_ready_event_after_cancelled_loading_is_ignored(screen):
    await screen.say(EngineStage("loading", 0.5))
    await screen.press("escape")
    screen.app._compare.post_message(EngineSaid(READY, screen.engine))
    await screen.pilot.pause()
    assert not screen.app._compare.engine.loaded and "cancelled" in screen.text("#top")


@screen_test()
async def test_waiting_prompt_survives_cancelled_loading(screen):
    await screen.say(EngineStage("loading", 0.5))
    await screen.press("h", "i", "enter", "escape")
    await asyncio.sleep(0.1)
    await screen.press("f5")
    await screen.say(READY)
    assert screen.engine.asked[0].lanes[0].texts == ("hi",)


@screen_test()
async def test_answered_prompt_is_not_asked_again_after_a_restart(screen):
    await screen.say(READY)
    await screen.press("f8")
    await screen.ask("a")
    await screen.answer()
    await screen.say(EngineError(-1, "gone", "F5"))
    await screen.press("f5")
    await screen.say(READY)
    assert screen.engine.asked == []


@screen_test()
async def test_judging_ends_when_there_is_no_adapter(screen):
    await screen.say(CHOICES, READY)
    await screen.press("f4")
    await screen.say(BARE)
    assert [pane.kind for pane in screen.panes] == ["base", "control"] and "blind" not in screen.text("#how")


@screen_test()
async def test_large_seed_stays_an_exact_integer(screen):
    await screen.say(READY)
    for _ in range(2):
        await screen.press("f9")
        field = screen.app.screen.query_one("#seed", Input)
        field.value = field.value if field.value != "0" else "1234567"
        await screen.press("ctrl+s")
    assert screen.session.sampling.seed == 1234567


@screen_test((80, 24))
async def test_pane_scrolls_to_the_end_of_growing_text(screen):
    await screen.say(READY)
    await screen.press("f8")
    await screen.ask("a")
    await screen.answer(base="x\n" * 30)
    await screen.ask("b")
    for lines in range(1, 20, 3):
        await screen.say(Spoken(2, "base", "y\n" * lines, lines, 0.1))
    scroll = screen.pane("base").query_one(".said")
    assert scroll.max_scroll_y > 0 and scroll.scroll_y >= scroll.max_scroll_y - 1


@screen_test()
async def test_focus_moves_on_when_the_focused_pane_is_removed(screen):
    await screen.say(READY)
    await screen.press("f3")
    screen.panes[1].query_one(".said").focus()
    screen.panes[2].query_one(".said").focus()
    await screen.pilot.pause()
    await screen.press("f3")
    assert screen.app.focused is not None and screen.app.focused.display


@screen_test()
async def test_keys_typed_without_focus_go_into_the_prompt(screen):
    screen.app._compare.set_focus(None)
    await screen.press("h", "i", "space", "1")
    assert screen.prompt.text == "hi 1"


@screen_test((60, 40))
async def test_growing_text_is_painted_completely(screen):
    """Only the lines that may be new are painted: a word that grows, or folds, must not leave an old one behind."""
    chance = random.Random(0)
    await screen.say(READY)
    await screen.press("h", "i", "enter")
    pane, text = screen.pane("base"), ""
    for number in range(120):
        text = "" if number % 20 == 0 else text  # so that it mostly fits
        text += chance.choice(("a", "wordy", " ", "\n", "ein-", "verylongword" * 4, "漢字", ". "))
        pane.say(text, number, 0.0)
        pane._paint()
        await screen.pilot.pause()
        seen = screen.app.export_screenshot()
        pane.query_one(".text").refresh(layout=True)
        await screen.pilot.pause()
        assert seen == screen.app.export_screenshot(), repr(text[-80:])

"""What a screen offers when there is nothing on it yet, and when there is little room."""

import pytest
from harness import READY, screen_test
from test_training_screens import training_test
from textual.widgets import OptionList, Static

from playground.events.answers import Answer
from playground.events.engine import EngineError, Fed, Spoken
from playground.tui.dialogs.runs import RunsDialog
from playground.tui.strings import EMPTY, EXAMPLES
from playground.tui.widgets.examples import Examples
from playground.tui.widgets.footer import Keys
from playground.tui.widgets.line import Question


@screen_test((80, 24))
async def test_an_example_is_asked_by_click_or_by_tab_and_enter(screen):
    await screen.say(READY)
    offered = screen.app._compare.query_one(Examples)
    assert offered.display and len(offered.query(".example")) == 3
    await screen.press("d", "r", "a", "f", "t")
    await screen.pilot.click(offered.query(".example")[1])
    await screen.pilot.pause()
    assert screen.engine.asked[-1].lanes[0].texts == (EXAMPLES[1],)
    assert not offered.display and screen.app.focused is screen.prompt
    assert screen.prompt.text == "draft", "what was being typed is still there"
    await screen.answer()
    await screen.press("ctrl+n")
    assert offered.display
    for _ in range(9):
        await screen.press("tab")
        if screen.app.focused in offered.query(".example"):
            break
    await screen.press("enter")
    assert screen.engine.asked[-1].lanes[0].texts == (EXAMPLES[0],)


@screen_test((80, 24))
async def test_an_example_chosen_while_loading_waits_for_the_model(screen):
    await screen.pilot.click(screen.app._compare.query(".example").first())
    await screen.pilot.pause()
    assert "waiting for the model" in screen.text("#hint")
    await screen.say(READY)
    assert screen.engine.asked[-1].lanes[0].texts == (EXAMPLES[0],)


@screen_test((80, 24))
async def test_no_model_is_said_at_the_top_and_in_the_panes(screen):
    await screen.say(EngineError(-1, "The demo model is not installed.", "pip install it."))
    assert screen.text("#top").startswith("no model is loaded") and "not installed" in screen.text("#hint")
    assert screen.of("base", ".text") == screen.of("sft", ".text") == EMPTY["no model"]
    await screen.press("f5")
    assert "restarting" in screen.text("#top") and screen.text("#hint") == ""
    assert screen.of("base", ".text") == EMPTY["base"]


@training_test((80, 24))
async def test_runs_dialog_without_runs_offers_the_data_sets(screen, home):
    dialog = RunsDialog(home / "adapters")
    screen.app.push_screen(dialog)
    await screen.settle(lambda: screen.app.screen is dialog)
    assert not dialog.query_one(".columns").display
    shown = [str(key.content) for key in dialog.query_one(Keys).query(Static)]
    assert shown == ["f1 help", "esc back"] and not dialog.query(".key.off")
    assert str(dialog.query_one(".heading", Static).content).startswith("No runs yet")
    assert "data set" in str(dialog.query_one(OptionList).get_option_at_index(0).prompt)
    await screen.press("r", "d", "c", "space", "enter")
    assert screen.app.screen is screen.app._compare


async def answered(screen):
    await screen.say(READY)
    await screen.ask("Why do leaves fall?")
    names = ("base", "sft")
    ends = (Answer("word " * 128, "length", None, 128), Answer("Because. " * 9, "stop", None, 31))
    said = [Spoken(1, name, end.text, end.num_tokens, 1.0, end) for name, end in zip(names, ends, strict=True)]
    await screen.say(Fed(1, dict.fromkeys(names, "fed"), dict.fromkeys(names, 1), "abc"), *said)


@pytest.mark.parametrize("size", [(40, 12), (59, 20)])
def test_a_small_window_opens_one_pane_and_tells_both_ends(size):
    @screen_test(size)
    async def go(screen):
        await answered(screen)
        base, sft = screen.panes

        def open_now():
            for pane in (base, sft):
                title, state = (pane.query_one(part).region for part in (".title", ".state"))
                assert title.height >= 1 and state.height >= 1 and state.bottom <= size[1] - 2
            assert "stopped by itself" in str(sft.query_one(".state").content) or size[0] > 50
            heights = [pane.query_one(".said").region.height for pane in (base, sft)]
            assert min(heights) == 0 and max(heights) >= 2, heights
            return (base, sft)[heights.index(max(heights))]

        assert open_now() is base
        await screen.press("escape", "tab")
        assert open_now() is sft
        await screen.pilot.click(base.query_one(".title"))
        await screen.pilot.pause()
        assert open_now() is base and not base.query_one(".fed").display

    go()


@screen_test((80, 24))
async def test_long_question_says_how_much_is_not_shown(screen):
    await screen.say(READY)
    shown = screen.app._compare.query_one(Question)
    for prompt, end in (
        ("a\nb\nc", "c"),
        ("\n".join("abcdefgh"), "… and 6 more lines"),
        ("word " * 2000, "… and more"),
    ):
        shown.ask(prompt)
        await screen.pilot.pause()
        assert str(shown.content).endswith(end) and shown.region.height == 3, prompt[:9]

"""The compare screen, driven with a fake engine."""

import asyncio
import subprocess
import sys

import pytest
from harness import BARE, CHOICES, HOSTILE, READY, Screen, burst, screen_test
from textual import events
from textual.geometry import Region
from textual.widgets import Markdown, Static

from playground.events.answers import Answer
from playground.events.engine import EngineError, EngineStage, Fed, Spoken
from playground.tui.strings import EXAMPLES
from playground.tui.widgets.prompt import PromptBar
from playground.tui.widgets.slider import Slider


@screen_test()
async def test_prompt_entered_while_loading_is_asked_when_ready(screen):
    assert screen.app.focused is screen.prompt
    await screen.say(EngineStage("loading the model", 0.63))
    assert screen.text("#top") == "loading the model 63 % … · Esc cancels"
    await screen.press(*"Hi", "space", *"you", "enter")
    assert screen.engine.asked == []
    assert "waiting for the model: Hi you" in screen.text("#hint")
    await screen.say(READY)
    (ask,) = screen.engine.asked
    assert [(lane.name, lane.side, lane.texts) for lane in ask.lanes] == [
        ("base", "base", ("Hi you",)),
        ("sft", "sft", ("Hi you",)),
    ]
    assert "Tiny model" in screen.text("#top") and "adapter my-run" in screen.text("#top")


@screen_test()
async def test_licence_is_shown_during_the_first_conversion(screen):
    await screen.say(EngineStage("converting the weights", 0.1, "Gemma is provided under its terms."))
    assert "Gemma is provided" in screen.text("#hint")


@screen_test()
async def test_escape_cancels_loading_and_f5_loads_again(screen):
    await screen.say(EngineStage("converting the weights", 0.1))
    await screen.press("escape")
    await asyncio.sleep(0.1)
    assert screen.engine.closed and "cancelled" in screen.text("#top")
    await screen.press("f5")
    assert len(screen.engines) == 2
    await screen.say(READY)
    assert "Tiny model" in screen.text("#top")


@screen_test((80, 24))
async def test_mark_of_an_end_stays_on_one_line(screen):
    await screen.say(READY)
    await screen.ask("Why?")
    await screen.answer()
    pane, seen = screen.pane("sft"), set()
    text = pane.query_one(".text")
    for length in range(45, 75):
        pane.end(Answer(f"It {'i' * length}", "stop", None, 4), 1.0)
        await screen.pilot.pause()
        lines = [strip.text.rstrip() for strip in text.render_lines(Region(0, 0, *text.size)) if strip.text.strip()]
        assert lines[-1].endswith("■ end") and "".join(lines).count("■") == 1, lines
        seen.add(lines[-1] == "■ end")
    assert seen == {False, True}, "after the answer, and on a line of its own"
    assert text.content.plain.endswith("i ■ end")


@screen_test()
async def test_both_panes_stream_and_show_how_they_ended(screen):
    await screen.say(READY)
    await screen.ask("Why?")
    await screen.say(
        Fed(1, {"base": "Why?", "sft": "User: Why?\nAssistant:"}, {"base": 2, "sft": 7}, "abc123"),
        Spoken(1, "base", "Because", 1, 0.1),
        Spoken(1, "sft", "It", 1, 0.1),
    )
    assert screen.of("base", ".text") == "Why?▏Because", "one text, with a mark where the model goes on"
    assert screen.of("sft", ".text") == "You        Why?\nAssistant  It"
    assert "verified" in screen.text("#top") and screen.text("#question") == "› Why?"
    assert "fed 7 tokens ▸" in screen.of("sft", ".title")
    await screen.say(
        Spoken(1, "base", "Because" * 9, 128, 4.0, Answer("Because " * 128, "length", None, 128), True),
        Spoken(1, "sft", "It is.", 3, 0.3, Answer("It is.", "stop", None, 3)),
    )
    assert "beginning of a document" in screen.of("base", ".state") and "32 tokens/s" in screen.of("base", ".state")
    assert "still writing" in screen.of("base", ".text") and "repeats itself" in screen.of("base", ".state")
    assert "as a question. Answered, and ended by itself after 3 tokens" in screen.of("sft", ".state")
    assert screen.of("sft", ".text").endswith("It is. ■ end")


@screen_test()
async def test_fed_text_opens_by_key_and_by_mouse(screen):
    await screen.say(READY)
    await screen.ask("Why?")
    await screen.say(Fed(1, {"base": "Why?", "sft": "User: Why?\nAssistant:"}, {"base": 2, "sft": 7}, "abc123"))
    fed = screen.pane("sft").query_one(".fed", Static)
    assert not fed.display
    await screen.press("ctrl+o")
    assert fed.display and str(fed.content) == "User: Why?\nAssistant:"
    await screen.pilot.click(screen.pane("sft").query_one(".title"))
    assert not fed.display and screen.pane("base").query_one(".fed").display


@screen_test()
async def test_escape_stops_streaming_or_leaves_the_prompt(screen):
    await screen.say(READY)
    await screen.press("a", "enter", "escape")
    assert screen.engine.cancelled == [1]
    await screen.answer("cancelled")
    assert "Stopped by you" in screen.of("base", ".state")
    await screen.press("escape")
    assert screen.engine.cancelled == [1]
    assert screen.app.focused is not screen.prompt
    await screen.press("escape")
    assert screen.app.focused is screen.prompt


@screen_test()
async def test_new_prompt_cancels_streaming_and_drops_late_text(screen):
    await screen.say(READY)
    await screen.press("a", "enter", "b", "enter")
    assert screen.engine.cancelled == [1]
    await screen.say(Spoken(1, "base", "late", 1, 0.1), Spoken(2, "base", "new", 1, 0.1))
    assert screen.of("base", ".text") == "b▏new"


@screen_test()
async def test_f2_enters_an_example_and_f3_adds_the_control(screen):
    await screen.say(READY)
    await screen.press("f2")
    assert screen.prompt.text == EXAMPLES[0]
    await screen.press("enter")
    await screen.answer()
    assert [pane.kind for pane in screen.panes] == ["base", "sft"]
    await screen.press("f3")
    assert [lane.side for lane in screen.engine.asked[-1].lanes] == ["base", "control", "sft"]
    assert [pane.kind for pane in screen.panes] == ["base", "control", "sft"]


@screen_test()
async def test_slider_moves_by_key_and_mouse_and_sets_next_strength(screen):
    await screen.say(READY)
    await screen.ask("a")
    await screen.answer()
    await screen.press("f7", "right", "right")
    assert screen.app.focused is screen.app._compare.query_one(Slider)
    await screen.press("f5")
    assert screen.engine.asked[-1].strength == pytest.approx(1.1)
    await screen.press("home", "f5")
    assert screen.engine.asked[-1].strength == 0.0
    await screen.press(*["left"] * 3, "end", *["right"] * 40)
    assert screen.session.strength == 1.5
    await screen.pilot.click("#slider", offset=(8, 0))
    assert screen.session.strength == 0.0


@screen_test()
async def test_f5_offers_another_seed_when_greedy_would_repeat(screen):
    await screen.say(READY)
    await screen.ask("a")
    await screen.answer()
    await screen.press("f5")
    assert len(screen.engine.asked) == 1 and "the same answers" in screen.text("#hint")
    await screen.press("f5")
    sampling = screen.engine.asked[-1].sampling
    assert (sampling.temperature, sampling.seed) == (0.7, 1)
    await screen.answer()
    await screen.press("f5")
    assert screen.engine.asked[-1].sampling.seed == 2
    await screen.answer()
    assert screen.session.sampling.temperature == 0, "the settings themselves stay greedy"


@screen_test()
async def test_several_turns_give_each_side_its_own_conversation(screen):
    await screen.say(READY)
    await screen.press("f8")
    assert "single questions only" in screen.text("#hint") and "multi-turn" in screen.text("#how")
    await screen.ask("a")
    await screen.answer(base="B1", sft="S1")
    await screen.ask("b")
    texts = {lane.side: lane.texts for lane in screen.engine.asked[-1].lanes}
    assert texts == {"base": ("a", "B1", "b"), "sft": ("a", "S1", "b")}
    assert "You        a\nAssistant  S1\n" in screen.of("sft", ".text")
    assert screen.of("base", ".text").startswith("a\n\nB1\n\nb▏")
    await screen.answer(base="B2", sft="S2")
    await screen.press("f5", "f5")
    assert {lane.texts for lane in screen.engine.asked[-1].lanes} == {("a", "B1", "b"), ("a", "S1", "b")}
    await screen.answer()
    await screen.press("ctrl+n")
    await screen.ask("c")
    assert {lane.texts for lane in screen.engine.asked[-1].lanes} == {("c",)}


@screen_test()
async def test_dropped_turns_are_reported_in_the_title(screen):
    await screen.say(READY)
    await screen.ask("a")
    await screen.say(Fed(1, {"base": "a", "sft": "a"}, {"base": 1, "sft": 1}, "x", dropped={"sft": 4}))
    assert "the oldest 4 turns did not fit" in screen.of("sft", ".title")
    assert "did not fit" not in screen.of("base", ".title")


@screen_test()
async def test_raw_text_is_the_default_and_markdown_a_toggle(screen):
    await screen.say(READY)
    await screen.ask("a")
    await screen.answer(sft="# Title\n\n- one\n- two\n\n[x](https://example.org) [@click=app.quit]q[/]")
    pane = screen.pane("sft")
    assert pane.query_one(".text").display and not pane.query(Markdown)
    await screen.press("ctrl+t")
    await screen.pilot.pause(0.1)
    assert not pane.query_one(".text").display
    assert "Title" in str(next(iter(pane.query_one(Markdown).query("MarkdownBlock")))._content)
    await screen.press("escape", "ctrl+t")
    await screen.pilot.pause(0.1)
    assert pane.query_one(".text").display and not pane.query(Markdown)


@screen_test()
async def test_arrows_browse_prompt_history_and_keep_the_draft(screen):
    await screen.say(READY)
    await screen.press("a", "enter", "b", "enter", "b", "enter", "c")
    seen = []
    for key in ("up", "up", "up", "down", "down", "down"):
        await screen.press(key)
        seen.append(screen.prompt.text)
    assert seen == ["b", "a", "a", "b", "c", "c"]


@screen_test()
async def test_prompt_may_be_multiline_and_a_huge_paste_is_cut(screen):
    from textual.events import Paste

    await screen.say(READY)
    await screen.press("a", "ctrl+j", "b", "up", "enter")
    assert screen.engine.asked[-1].lanes[0].texts == ("a\nb",)
    screen.app.post_message(Paste("x\n" * 500_000))
    await screen.pilot.pause(0.3)
    assert len(screen.prompt.text) == 100_000 and "was cut" in screen.text("#hint")


@screen_test((80, 24))
async def test_help_opens_and_closes_without_losing_typed_text(screen):
    await screen.press("x", "f1")
    shown = "".join(str(widget.content) for widget in screen.app.screen.query(".meaning").results(Static))
    assert "hide the sides" in shown and screen.app.screen.query_one("#help").region.bottom <= 24
    await screen.press("f1", "y")
    assert screen.app.screen is screen.app._compare and screen.prompt.text == "xy"


@screen_test()
async def test_f5_repeats_a_stopped_answer_unchanged(screen):
    await screen.say(READY)
    await screen.ask("hi")
    await screen.press("escape")
    await screen.answer("cancelled")
    await screen.press("f5")
    assert len(screen.engine.asked) == 2 and screen.engine.asked[1] == screen.engine.asked[0]


@screen_test()
async def test_answers_of_an_engine_that_is_gone_are_left_as_they_are(screen):
    await screen.say(READY)
    await screen.ask("Why?")
    await screen.answer()
    fed = screen.session.round.fed
    await screen.press("ctrl+n")
    await screen.ask("And?")
    await screen.answer()
    await screen.say(EngineError(-1, "It was killed.", "F5."))
    await screen.press("f5")
    for number in (0, 1, 2):  # whatever number the new engine uses
        await screen.say(Fed(number, {"sft": "other"}, {"sft": 1}, "abc123", "q", " "))
    await screen.say(READY, Fed(0, {"sft": "other"}, {"sft": 1}, "abc123", "q", " "))
    assert [now.fed.texts.keys() for now in screen.session.rounds] == [fed.texts.keys()] * 2


@screen_test()
async def test_crash_is_reported_and_f5_restarts_with_the_last_prompt(screen):
    await screen.say(READY)
    await screen.press("f8")
    await screen.ask("a")
    await screen.answer()
    await screen.ask("b")
    await screen.say(EngineError(-1, "The engine was killed by signal 9. Killed", "Restart it with F5."))
    assert "by signal 9" in screen.text("#hint") and "answer interrupted" in screen.of("base", ".state")
    await screen.press("f5")
    assert len(screen.engines) == 2 and screen.engines[0].closed
    await screen.say(READY)
    assert {lane.texts for lane in screen.engine.asked[0].lanes} == {
        ("a", "I am base.", "b"),
        ("a", "I am sft.", "b"),
    }, "the conversation is kept"


@screen_test()
async def test_failed_answer_shows_why_and_the_app_continues(screen):
    await screen.say(READY)
    await screen.press("a", "enter")
    await screen.say(EngineError(1, "The base lane is not the base.", "Report it."))
    assert "not the base" in screen.of("base", ".state")
    await screen.press("b", "enter")
    assert screen.engine.asked[-1].lanes[0].texts == ("b",)


@screen_test()
async def test_a_model_without_an_adapter_says_what_to_do(screen):
    await screen.say(CHOICES, BARE)
    assert [pane.kind for pane in screen.panes] == ["base", "control"]
    assert "sft-playground train" in screen.of("control", ".text") and "no adapter" in screen.text("#top")
    await screen.press("f4")
    assert screen.session.mode == "open" and "needs an adapter" in screen.text("#hint")
    await screen.ask("a")
    assert [lane.side for lane in screen.engine.asked[-1].lanes] == ["base", "control"]


@screen_test()
async def test_hostile_text_is_shown_harmlessly_everywhere(screen):
    from playground.events.engine import EngineReady

    await screen.say(EngineStage(HOSTILE, 0.5), EngineReady(HOSTILE, HOSTILE, "chat", False, 1.0))
    screen.prompt.put(HOSTILE.replace("\ud83d", ""))
    await screen.press("enter")
    await screen.say(
        Fed(1, {"base": HOSTILE, "sft": HOSTILE}, {"base": 1, "sft": 1}, "x"),
        Spoken(1, "base", HOSTILE, 1, 0.1),
        Spoken(1, "sft", HOSTILE, 1, 0.1, Answer(HOSTILE, "stop", None, 1)),
    )
    await screen.press("ctrl+o")
    await screen.say(EngineError(1, HOSTILE, HOSTILE))
    shown = "".join(str(widget.content) for widget in screen.app._compare.query(Static))
    assert "␛]52" in shown and "[@click=app.quit]q[/]" in shown
    assert not {"\x1b", "\x07", "\u202e", "\ud83d"} & set(shown)


@screen_test((80, 24))
async def test_narrow_terminal_stacks_panes_with_visible_states(screen):
    await screen.say(READY)
    await screen.press("f3")
    assert len(screen.panes) == 3
    for pane in screen.panes:
        state = pane.query_one(".state").region
        assert state.height == 1 and state.bottom <= 24 and pane.region.width >= 36
    first, second, third = (pane.region for pane in screen.panes)
    assert first.y < second.y < third.y and first.x == third.x
    await screen.pilot.resize_terminal(120, 40)
    await screen.pilot.pause()
    assert screen.panes[0].region.y == screen.panes[2].region.y


@screen_test()
async def test_ctrl_c_copies_then_stops_then_asks_then_quits(screen):
    await screen.say(READY)
    await screen.press(*"word", "shift+left", "shift+left", "ctrl+c")
    assert screen.app.clipboard == "rd"
    await screen.press("end", "enter", "ctrl+c")
    assert screen.engine.cancelled == [1]
    await screen.answer("cancelled")
    await screen.press("ctrl+c")
    assert "again to quit" in next(iter(screen.app._notifications)).message and screen.app.is_running
    await screen.press("ctrl+c")
    assert not screen.app._running or screen.app._exit


def test_keys_pressed_while_the_app_closes_are_ignored():
    async def go():
        async with Screen((80, 24)) as screen:
            close = screen.app._close_all  # what is typed may arrive when it has taken the screens away

            async def closed_amid_typing():
                await close()
                burst(screen, *"abc", "enter", "f4")
                screen.app._driver.send_message(events.Paste("pasted"))
                await asyncio.sleep(0.05)

            screen.app._close_all = closed_amid_typing

    asyncio.run(go())


def test_closing_the_app_ends_the_engine():
    async def go():
        async with Screen((80, 24)) as screen:
            await screen.pilot.press("ctrl+q")
        assert screen.engine.closed

    asyncio.run(go())


def test_the_app_imports_nothing_heavy():
    code = (
        "import sys, playground.tui.app, playground.tui.launch, playground.jobs\n"
        "heavy = {'torch', 'transformers', 'peft', 'bitsandbytes', 'datasets', 'pyarrow', 'pandas'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("size", [(1, 1), (20, 5), (36, 10), (200, 60)])
def test_no_size_breaks_the_screen(size):
    async def go():
        async with Screen(size) as screen:
            await screen.say(READY)
            await screen.pilot.press("a", "enter")
            await screen.say(Spoken(1, "base", "word " * 500, 1, 0.1))
            for other in ((120, 40), (37, 9), (300, 100), (2, 2), size):
                await screen.pilot.resize_terminal(*other)
            assert screen.app._compare.query_one(PromptBar) is screen.app.focused

    asyncio.run(go())


@screen_test()
async def test_last_prompt_is_tried_at_another_strength_while_the_slider_moves(screen):
    await screen.say(READY)
    await screen.ask("Why?")
    await screen.answer(sft="It is so.")
    await screen.press("f7", "right", "right")
    assert "Trying λ 1.10" in screen.text("#hint")
    await screen.pilot.pause(0.4)
    (trial,) = screen.engine.asked[1:]
    assert trial.strength == 1.1 and trial.sampling.max_new_tokens == 64 and trial.lanes == screen.engine.asked[0].lanes
    assert "It is so." in screen.of("sft", ".text"), "the old answer stays until the first new words"
    await screen.say(Spoken(2, "base", "other", 1, 0.1), Spoken(2, "sft", "It was", 2, 0.1))
    assert screen.of("base", ".text").endswith("I am base. ■ end"), "no strength changes the base"
    await screen.say(Spoken(2, "sft", "It was.", 3, 0.2, Answer("It was.", "stop", None, 3)))
    shown = screen.pane("sft").query_one(".text").content
    marked = [shown.plain[span.start : span.end] for span in shown.spans if "reverse" in str(span.style)]
    assert marked == ["was.", " ■ end"] and "λ 1.10" in screen.of("sft", ".title")
    assert screen.engine.cancelled[-1] == 2, "nothing waits for the base"
    assert len(screen.session.exchanges) == 1 and screen.session.exchanges[0].answers["sft"].text == "It is so."
    await screen.press("end")  # as trained again
    assert "It is so." in screen.of("sft", ".text") and "λ" not in screen.of("sft", ".title")
    await screen.press("right", "escape", "enter")
    assert screen.engine.asked[-1].strength == 1.05 and screen.engine.asked[-1].sampling.max_new_tokens == 128
    assert "λ 1.05" in screen.of("sft", ".title")


@screen_test()
async def test_newer_strength_cancels_a_trial_and_a_prompt_ends_it(screen):
    await screen.say(READY)
    await screen.ask("Why?")
    await screen.answer()
    await screen.press("f7", "left")
    await screen.pilot.pause(0.4)
    await screen.press("left")
    assert screen.engine.cancelled == [-1001, 2], (
        "the look at the answers, which a trial would wait for, then the trial"
    )
    await screen.say(Spoken(2, "sft", "late", 1, 0.1))
    assert "late" not in screen.of("sft", ".text")
    await screen.pilot.pause(0.4)
    assert [ask.strength for ask in screen.engine.asked] == [1.0, 0.95, 0.9]
    await screen.ask("And?")
    assert screen.engine.cancelled == [-1001, 2, 3] and screen.engine.asked[-1].strength == 0.9
    await screen.say(Spoken(3, "sft", "late", 1, 0.1))
    assert "late" not in screen.of("sft", ".text")


@screen_test()
async def test_strength_waits_for_the_next_prompt_while_answers_are_judged(screen):
    await screen.say(READY)
    await screen.press("f4")
    await screen.ask("Why?")
    await screen.answer()
    await screen.press("f7", "left")
    await screen.pilot.pause(0.4)
    assert len(screen.engine.asked) == 1 and "from the next prompt on" in screen.text("#hint")
    assert not any("λ" in str(pane.query_one(".title").content) for pane in screen.panes)


@screen_test()
async def test_earlier_exchanges_can_be_looked_at_again(screen):
    await screen.say(READY)
    for prompt in ("one", "two"):
        await screen.ask(prompt)
        await screen.answer(sft=f"Answer {prompt}.")
    await screen.press("alt+up")
    assert screen.text("#question") == "› one" and "Answer one." in screen.of("sft", ".text")
    assert "Exchange 1 of 2" in screen.text("#hint") and "by itself after 4 tokens" in screen.of("sft", ".state")
    await screen.press("alt+up")
    assert "first exchange" in screen.text("#hint")
    await screen.press("alt+down")
    assert screen.text("#question") == "› two" and "Answer two." in screen.of("sft", ".text")
    await screen.press("alt+up", "f5")
    assert screen.text("#question") == "› two", "F5 is about the last prompt"


@screen_test()
async def test_answers_go_on_while_an_earlier_exchange_is_looked_at(screen):
    await screen.say(READY)
    await screen.ask("one")
    await screen.answer(sft="First.")
    await screen.ask("two")
    await screen.say(Spoken(2, "sft", "Sec", 1, 0.1))
    await screen.press("alt+up")
    await screen.say(Spoken(2, "sft", "Second", 2, 0.1))
    assert "First." in screen.of("sft", ".text") and "Sec" not in screen.of("sft", ".text")
    await screen.press("alt+down")
    await screen.answer(sft="Second.")
    assert "Second." in screen.of("sft", ".text") and len(screen.session.exchanges) == 2
    await screen.press("alt+up")
    await screen.ask("three")
    assert screen.text("#question") == "› three" and screen.of("base", ".text") == "three▏"

"""Several adapters at once: chosen, streamed next to each other, judged and compared word by word."""

import asyncio

from harness import CHOICES, READY, SEVERAL, Screen, burst, screen_test
from textual.widgets import OptionList

from playground.events.answers import Answer
from playground.events.engine import Spoken
from playground.tui.widgets.panes import Panes


@screen_test()
async def test_space_marks_adapters_of_one_base_and_enter_loads_them(screen):
    await screen.say(CHOICES, READY)
    await screen.press("f6", "down", "space", "up", "space")
    rows = screen.app.screen.query_one(OptionList)
    assert [str(rows.get_option_at_index(at).prompt)[0] for at in range(3)] == ["●", "●", " "]
    await screen.press("down", "down", "space")
    assert "another base" in str(screen.app.screen.query_one("#keys").content)
    await screen.press("enter")
    assert screen.engine.used == [(("/a/older", "/a/my-run"), None)] and len(screen.engines) == 1


@screen_test()
async def test_each_adapter_has_a_lane_and_a_pane_under_its_name(screen):
    await screen.say(SEVERAL)
    assert "adapters my-run, older" in screen.text("#top")
    ask = await screen.ask("Why?")
    assert [(lane.name, lane.side) for lane in ask.lanes] == [
        ("base", "base"),
        ("sft:my-run", "sft:my-run"),
        ("sft:older", "sft:older"),
    ]
    assert [pane.kind for pane in screen.panes] == ["base", "sft", "sft"]
    assert screen.of("sft:older", ".title").startswith("older")
    await screen.answer(**{"sft:my-run": "It is so.", "sft:older": "It was so."})
    await screen.press("ctrl+t", "ctrl+t")
    marked = {}
    for lane in ("sft:my-run", "sft:older"):
        shown = screen.pane(lane).query_one(".text").content
        marked[lane] = [shown.plain[span.start : span.end] for span in shown.spans if "reverse" in str(span.style)]
    assert marked == {"sft:my-run": ["is", " ■ end"], "sft:older": ["was", " ■ end"]}
    await screen.ask("And?")
    await screen.answer(**{"sft:my-run": "Yes.", "sft:older": "Yes. No."})
    shown = screen.pane("sft:older").query_one(".text").content
    assert "No." in [shown.plain[span.start : span.end] for span in shown.spans], "the view stays"
    await screen.press("ctrl+t")
    assert "Answers as they are" in screen.text("#hint")


@screen_test()
async def test_blind_hides_adapters_from_each_other_and_a_vote_names_them(screen):
    await screen.say(SEVERAL)
    await screen.press("f4")
    ask = await screen.ask("Why?")
    assert sorted(lane.side for lane in ask.lanes) == ["sft:my-run", "sft:older"]
    assert [str(pane.query_one(".title").content)[0] for pane in screen.panes] == ["A", "B"]
    assert not any("older" in str(pane.query_one(".title").content) for pane in screen.panes)
    await screen.answer()
    await screen.press("f4")
    burst(screen, "b")
    await screen.pilot.pause(0.1)
    chosen = screen.session.round.lanes[1].side
    assert screen.session.exchanges[-1].vote == chosen
    assert f"You chose {chosen.removeprefix('sft:')} (B)" in screen.text("#hint")
    assert f"B · {chosen.removeprefix('sft:')} ★" in str(screen.panes[1].query_one(".title").content)


@screen_test()
async def test_duel_lets_every_adapter_answer_unnamed(screen):
    await screen.say(SEVERAL)
    await screen.press("f4", "f4")
    ask = await screen.ask("Why?")
    assert [(lane.name, lane.side, lane.draw) for lane in ask.lanes] == [
        ("1:my-run", "sft:my-run", 0),
        ("2:older", "sft:older", 1),
    ]
    assert ask.sampling.temperature == 0.7 and all(pane.kind == "hidden" for pane in screen.panes)


@screen_test((80, 24))
async def test_four_adapters_and_their_base_all_have_room(screen):
    sides = tuple(f"sft:{name}" for name in "abcd")
    await screen.say(type(READY)("Tiny model", "a, b, c, d", "chat", True, 1.0, "demo", sides))
    await screen.ask("Why?")
    number = len(screen.engine.asked)
    await screen.say(*(Spoken(number, side, "Yes.", 2, 0.1, Answer("Yes.", "stop", None, 2)) for side in sides))
    assert len(screen.panes) == 5
    assert all(pane.size.width >= 30 and pane.query_one(".said").size.height >= 1 for pane in screen.panes)


def test_prompt_does_not_wait_for_panes_after_the_first_paint(monkeypatch):
    monkeypatch.setattr(Panes, "on_mount", lambda self: None)

    async def go():
        async with Screen() as screen:
            await screen.say(SEVERAL)
            await screen.ask("Why?")
            lane = screen.engine.asked[-1].lanes[-1].name
            await screen.say(Spoken(1, lane, "It was", 2, 0.1))
            await screen.press("ctrl+t")
            assert [pane.kind for pane in screen.panes] == ["base", "sft"]
            await screen.app.query_one(Panes)._add_the_others()
            await screen.say(Spoken(1, lane, "It was so.", 3, 0.2))
            assert [pane.kind for pane in screen.panes] == ["base", "sft", "sft"]
            assert "It was so." in screen.of(lane, ".text")

    asyncio.run(go())

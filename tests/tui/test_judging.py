"""Blind votes and duels, their log, and what DPO gets of them."""

import json

import pytest
from harness import READY, screen_test

from playground import paths
from playground.report import votes
from playground.tui.widgets.judge import JudgeBar


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SFT_PLAYGROUND_HOME", str(tmp_path))
    return tmp_path


def bar(screen):
    return screen.app._compare.query_one(JudgeBar)


async def blind(screen):
    await screen.say(READY)
    await screen.press("f4")


@screen_test()
async def test_blind_hides_the_sides_until_voted_and_keeps_the_vote(screen):
    await blind(screen)
    await screen.ask("Why?")
    assert [pane.kind for pane in screen.panes] == ["hidden", "hidden"]
    assert [lane.name for lane in screen.engine.asked[-1].lanes] == ["base", "sft"], "the batch's order must not tell"
    await screen.answer(base="Because. Because.", sft="It is so.")
    titles = [str(pane.query_one(".title").content) for pane in screen.panes]
    assert not any(side in title for side in ("base", "sft") for title in titles)
    assert bar(screen).display and screen.app.focused is bar(screen)
    place = [lane.name for lane in screen.session.round.lanes].index("sft")
    await screen.press("ab"[place])
    assert sorted(pane.kind for pane in screen.panes) == ["base", "sft"] and not bar(screen).display
    assert "★" in screen.of("sft", ".title")
    (kept,) = votes.read(paths.votes_file())
    assert (kept.vote, kept.mode, kept.styled) == ("sft", "blind", "User: q\nAssistant:")
    (pair,) = votes.preferences([kept], "sides")
    assert (pair.prompt, pair.chosen, pair.rejected) == ("User: q\nAssistant:", " It is so.", " Because. Because.")
    assert votes.preferences([kept], "duels") == []


@screen_test()
async def test_the_sides_are_really_shuffled(screen):
    await blind(screen)
    orders = set()
    for number in range(8):
        await screen.ask(str(number))
        orders.add(tuple(lane.name for lane in screen.session.round.lanes))
        await screen.answer()
        await screen.press("t")
    assert len(orders) == 2


@screen_test()
async def test_ties_are_kept_in_the_log_and_never_exported(screen):
    await blind(screen)
    for key in ("t", "x"):
        await screen.ask("q")
        await screen.answer()
        await screen.press(key)
    log = votes.read(paths.votes_file())
    assert [exchange.vote for exchange in log] == ["tie", "both bad"]
    assert votes.preferences(log, "sides") == []


@screen_test()
async def test_a_stopped_answer_cannot_be_judged(screen):
    await blind(screen)
    await screen.ask("q")
    await screen.answer("cancelled")
    assert not bar(screen).display
    bar(screen).post_message(JudgeBar.Voted("0"))
    await screen.pilot.pause()
    assert "was stopped" in screen.text("#hint") and not paths.votes_file().exists()


@screen_test()
async def test_who_is_typing_goes_on_typing_and_other_keys_reach_the_prompt(screen):
    await blind(screen)
    await screen.ask("q")
    await screen.press("n")
    await screen.answer()
    assert screen.app.focused is screen.prompt and bar(screen).display
    await screen.press("tab", "shift+tab")
    bar(screen).focus()
    await screen.press("z")
    assert screen.prompt.text == "nz" and screen.app.focused is screen.prompt


@screen_test()
async def test_in_several_turns_a_vote_makes_the_common_history(screen):
    await blind(screen)
    await screen.press("f8")
    await screen.ask("a")
    await screen.answer(base="B1", sft="S1")
    place = [lane.name for lane in screen.session.round.lanes].index("base")
    await screen.press("ab"[place])
    await screen.ask("b")
    assert {lane.texts for lane in screen.engine.asked[-1].lanes} == {("a", "B1", "b")}
    await screen.answer(base="B2", sft="S2")
    await screen.press("t")
    await screen.ask("c")
    await screen.answer()
    assert not bar(screen).display, "after a tie the histories differ"
    assert "different conversations" in screen.session.round.why_no_vote()


@screen_test()
async def test_a_duel_is_one_model_several_times_warm_and_shuffled(screen):
    await screen.say(READY)
    await screen.press("f4", "f4")
    screen.session.duel_lanes = 3
    ask = await screen.ask("q")
    assert [(lane.side, lane.draw) for lane in ask.lanes] == [("sft", 0), ("sft", 1), ("sft", 2)]
    assert ask.sampling.temperature == 0.7
    await screen.answer(**{"1": "one", "2": "two", "3": "one"})
    place = [lane.name for lane in screen.session.round.lanes].index("2")
    await screen.press(str(place + 1))
    (kept,) = votes.read(paths.votes_file())
    assert votes.preferences([kept], "sides") == []
    assert [(pair.chosen, pair.rejected) for pair in votes.preferences([kept], "duels")] == [(" two", " one")]


@screen_test()
async def test_a_vote_can_be_clicked(screen):
    await blind(screen)
    await screen.ask("q")
    await screen.answer()
    await screen.pilot.click(bar(screen).query(".choice").last())
    assert screen.session.round.vote == "both bad"


@screen_test()
async def test_a_log_that_cannot_be_written_is_said_and_nothing_else_is_lost(screen, home):
    (home / "votes.jsonl").mkdir()
    await blind(screen)
    await screen.ask("q")
    await screen.answer()
    await screen.press("a")
    assert "cannot be written" in screen.text("#hint")
    assert screen.session.exchanges[-1].vote


def test_a_damaged_line_of_the_log_is_skipped(home):
    (home / "votes.jsonl").write_text('{"mode": "blind"}\nnonsense\n[]\n')
    assert votes.read(paths.votes_file()) == []


@screen_test()
async def test_votes_are_exported_as_rows_that_dpo_reads(screen, home):
    await blind(screen)
    await screen.ask("q")
    await screen.answer(base="B", sft="S")
    await screen.press("a")
    screen.app._compare.action_export_sides()
    await screen.pilot.pause()
    field = screen.app.screen.query_one("#file")
    field.value = str(home / "out.txt")
    await screen.press("enter")
    assert "must end in .jsonl" in str(screen.app.screen.query_one("#problems").content)
    field.value = str(home / "out.jsonl")
    await screen.press("enter")
    (row,) = map(json.loads, (home / "out.jsonl").read_text().splitlines())
    assert set(row) == {"prompt", "chosen", "rejected"}
    screen.app._compare.action_export_duels()
    await screen.pilot.pause()
    assert "no such votes" in screen.text("#hint")

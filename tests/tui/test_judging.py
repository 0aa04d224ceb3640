"""Blind votes and duels, their log, and what DPO gets of them."""

import dataclasses
import json

from harness import READY, burst, screen_test
from textual.screen import ModalScreen

from playground import paths
from playground.report import votes
from playground.tui.widgets.judge import JudgeBar


def bar(screen):
    return screen.app._compare.query_one(JudgeBar)


async def blind(screen):
    await screen.say(READY)
    await screen.press("f4")


@screen_test()
async def test_blind_mode_hides_sides_until_voted_and_logs_the_vote(screen):
    await blind(screen)
    await screen.ask("Why?")
    assert [pane.kind for pane in screen.panes] == ["hidden", "hidden"]
    assert [lane.name for lane in screen.engine.asked[-1].lanes] == ["base", "sft"], "the batch's order must not tell"
    await screen.answer(base="Because. Because.", sft="It is so.")
    titles = [str(pane.query_one(".title").content) for pane in screen.panes]
    assert not any(side in title for side in ("base", "sft") for title in titles)
    assert bar(screen).display and screen.app.focused is screen.prompt
    place = [lane.name for lane in screen.session.round.lanes].index("sft")
    await screen.press("f4", "aB"[place])
    assert "You chose sft" in screen.text("#hint")
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
        await screen.press("f4", "t")
    assert len(orders) == 2


@screen_test()
async def test_ties_are_kept_in_the_log_and_never_exported(screen):
    await blind(screen)
    for key in ("T", "x"):
        await screen.ask("q")
        await screen.answer()
        await screen.press("f4", key)
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
async def test_only_the_dialog_and_a_click_can_vote(screen):
    await blind(screen)
    await screen.ask("q")
    await screen.answer()
    await screen.press("a", "B", "t", "X", "1", "0")
    assert screen.prompt.text == "aBtX10" and not screen.session.round.vote
    assert not paths.votes_file().exists()
    await screen.press("f4", "escape")
    assert not screen.session.round.vote and screen.session.mode == "blind" and screen.prompt.text == "aBtX10"


@screen_test()
async def test_the_vote_dialog_opens_again_while_it_closes(screen):
    await blind(screen)
    await screen.ask("q")
    await screen.answer()
    for _ in range(20):
        await screen.app.run_action("judge", default_namespace=screen.app._compare)
        screen.app.screen.dismiss(None)
    await screen.pilot.pause()
    assert not isinstance(screen.app.screen, ModalScreen)


@screen_test()
async def test_f4_changes_the_mode_or_opens_a_waiting_vote(screen):
    await blind(screen)
    await screen.ask("q")
    await screen.press("f4")
    assert screen.session.mode == "duel", "while the answers stream nothing waits for a vote"
    await screen.press("f4", "f4")
    assert screen.session.mode == "blind"
    await screen.answer()
    await screen.press("f4")
    assert screen.session.mode == "blind", "the dialog"
    await screen.press("f4")
    assert screen.session.mode == "duel" and not screen.session.round.vote


@screen_test()
async def test_last_duel_vote_can_be_undone_and_cast_again(screen):
    await screen.say(READY)
    await screen.press("f4", "f4", "f8")
    await screen.ask("q")
    await screen.answer(**{"1": "one", "2": "two"})
    before = dict(screen.session._said)
    await screen.press("f4", "a")
    (first,) = votes.read(paths.votes_file())
    assert screen.session.exchanges[-1].vote == first.vote
    await screen.press("f4", "U")
    assert votes.read(paths.votes_file()) == [] and screen.session.exchanges[-1].vote == ""
    assert screen.session._said == before and bar(screen).display
    assert "was undone. F4 votes" in screen.text("#hint")
    await screen.press("f4", "u")  # there is none any more
    assert screen.session.round.vote == ""
    await screen.press("b")
    (second,) = votes.read(paths.votes_file())
    assert second.vote != first.vote and len(votes.preferences([second], "duels")) == 1


@screen_test()
async def test_undone_blind_vote_cannot_be_cast_after_the_reveal(screen):
    await blind(screen)
    await screen.ask("q")
    await screen.answer()
    await screen.press("f4", "a", "f4", "u")
    assert votes.read(paths.votes_file()) == []
    assert "You have seen which side is which" in screen.text("#hint") and not bar(screen).display
    assert sorted(pane.kind for pane in screen.panes) == ["base", "sft"]
    await screen.ask("r")
    await screen.answer()
    await screen.press("f4", "a")
    await screen.ask("s")
    await screen.answer()
    await screen.press("f4", "u")  # that of the prompt before
    assert votes.read(paths.votes_file()) == []
    assert bar(screen).display and screen.session.round.prompt == "s"
    assert [pane.kind for pane in screen.panes] == ["hidden", "hidden"]


@screen_test()
async def test_text_typed_right_after_a_vote_is_the_next_prompt(screen):
    await blind(screen)
    for keys, voted in (("f4 a", True), ("f4 escape", False)):
        await screen.ask("q")
        await screen.answer()
        burst(screen, *keys.split(), *"Hello tux")
        for _ in range(100):
            await screen.pilot.pause(0.02)
            if screen.prompt.text == "Hello tux":
                break
        assert screen.prompt.text == "Hello tux" and bool(screen.session.round.vote) == voted, keys
        screen.prompt.put("")


@screen_test()
async def test_last_vote_can_be_undone_while_answers_stream(screen):
    await blind(screen)
    await screen.ask("q")
    await screen.answer()
    await screen.press("f4", "a")
    await screen.ask("r")
    await screen.press("f4", "u")
    assert votes.read(paths.votes_file()) == [] and screen.session.mode == "blind" and screen.prompt.text == ""
    assert screen.session.round.prompt == "r" and not screen.session.round.seen


@screen_test()
async def test_vote_that_cannot_be_removed_from_the_log_is_kept(screen, home):
    await blind(screen)
    await screen.ask("q")
    await screen.answer()
    await screen.press("f4", "x")
    log = (home / "votes.jsonl").rename(home / "kept.jsonl")
    (home / "votes.jsonl").mkdir()
    await screen.press("f4", "u")
    assert "cannot be written" in screen.text("#hint") and screen.session.exchanges[-1].vote == "both bad"
    assert len(votes.read(log)) == 1


@screen_test()
async def test_vote_sets_the_common_history_in_multi_turn(screen):
    await blind(screen)
    await screen.press("f8")
    await screen.ask("a")
    await screen.answer(base="B1", sft="S1")
    place = [lane.name for lane in screen.session.round.lanes].index("base")
    await screen.press("f4", "ab"[place])
    await screen.ask("b")
    assert {lane.texts for lane in screen.engine.asked[-1].lanes} == {("a", "B1", "b")}
    await screen.answer(base="B2", sft="S2")
    await screen.press("f4", "t")
    await screen.ask("c")
    await screen.answer()
    assert not bar(screen).display, "after a tie the histories differ"
    assert "different conversations" in screen.session.round.why_no_vote()


@screen_test()
async def test_duel_samples_one_model_several_times_and_shuffles(screen):
    await screen.say(READY)
    await screen.press("f4", "f4")
    screen.session.duel_lanes = 3
    ask = await screen.ask("q")
    assert [(lane.side, lane.draw) for lane in ask.lanes] == [("sft", 0), ("sft", 1), ("sft", 2)]
    assert ask.sampling.temperature == 0.7
    await screen.answer(**{"1": "one", "2": "two", "3": "one"})
    place = [lane.name for lane in screen.session.round.lanes].index("2")
    await screen.press("f4", "d")  # there are three answers only
    assert not screen.session.round.vote
    await screen.press("abc"[place])
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
async def test_unwritable_vote_log_is_reported_and_the_vote_kept(screen, home):
    (home / "votes.jsonl").mkdir()
    await blind(screen)
    await screen.ask("q")
    await screen.answer()
    await screen.press("f4", "a")
    assert "cannot be written" in screen.text("#hint")
    assert screen.session.exchanges[-1].vote


def test_damaged_log_line_is_skipped(home):
    (home / "votes.jsonl").write_text('{"mode": "blind"}\nnonsense\n[]\n')
    assert votes.read(paths.votes_file()) == []


@screen_test()
async def test_votes_are_exported_as_rows_that_dpo_reads(screen, home):
    await blind(screen)
    await screen.ask("q")
    await screen.answer(base="B", sft="S")
    await screen.press("f4", "a")
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


def test_votes_with_different_times_are_distinct(home):
    from playground.events.answers import Answer, Sampling
    from playground.events.exchanges import Exchange

    answers = {"base": Answer("b", "stop", None, 1), "sft": Answer("s", "stop", None, 1)}
    one = Exchange("t1", "blind", "q", {}, answers, {}, "u", "", "m", "a", "chat", 1.0, Sampling(), "f", "sft")
    other = dataclasses.replace(one, asked_at="t2", prompt="\u2028 in a prompt")
    for vote in (one, other, dataclasses.replace(one, vote="")):
        votes.append(paths.votes_file(), vote)
    assert votes.read(paths.votes_file()) == [other]

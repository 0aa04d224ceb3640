"""The five steps on the screen with a fake teacher: no model, no child."""

import json
import stat
from dataclasses import replace

import filelock
import pytest
from harness import ADAPTERS, BARE, CHOICES, HOSTILE, READY, burst, screen_test
from recorded import record, run_record
from taught import OPENED, FakeLooker, FakeTeacher, Looking, Taking, expects, forward
from test_training_screens import open_training
from textual.geometry import Region

from playground import paths
from playground.config import TrainConfig
from playground.data.examples import read_dataset
from playground.data.lessons import keep
from playground.data.library import data_sets
from playground.errors import EnvironmentFault
from playground.events.five_steps import Forward, Lesson, RowOpened, Served, TeacherError, TeacherStage, Updated
from playground.events.inspector import InspectorError
from playground.report import five_steps as report
from playground.tui.commands import commands
from playground.tui.dialogs.teach import TeachDialog
from playground.tui.screens.compare import CompareScreen
from playground.tui.screens.five_steps import FiveStepsScreen
from playground.tui.screens.train import TrainScreen
from playground.tui.state.taught import MOST_WAITING, RATES, Taught, Teaching


async def on_first_row(screen):
    await open_training(screen)
    await screen.press("f10")
    await screen.settle(lambda: isinstance(screen.app.screen, FiveStepsScreen) and "Space" in screen.shown("#hint"))


async def on_own_row(screen):
    """Answer on the compare screen, and correct the answer."""
    await screen.say(CHOICES, READY)
    await screen.ask("Hi?")
    await screen.answer(sft="I am sft.")
    await screen.press("f10")
    await screen.settle(lambda: isinstance(screen.app.screen, TeachDialog))
    await screen.press(*" 2", "enter")
    await screen.settle(lambda: isinstance(screen.app.screen, FiveStepsScreen) and "Space" in screen.shown("#hint"))


@screen_test((80, 24), Taking)
async def test_each_space_is_a_step_that_u_takes_back(screen):
    await on_first_row(screen)
    (asked,) = screen.teacher.asked
    assert (asked[1].line, asked[1].adapter, asked[1].prompt) == (1, "", "")
    row = screen.app.screen.query_one("#taught-row").content
    lit = "".join(str(row)[span.start : span.end] for span in row.spans if "underline" in str(span.style))
    assert lit == " Hello.<eos>", "underlined, not only coloured"
    assert screen.shown("#taught-row").startswith("3 of 6 tokens carry loss (as in training)")
    top = screen.shown("#top")
    assert top == "five steps · step 0 · nothing is saved · learning rate 0.0005 · from nothing"
    assert "the largest loss: ■ end, 83 % of the row's; p 0.03 %, choice 69" in screen.shown("#taught-findings")
    assert "after" not in screen.shown("#taught-table")
    await screen.key("space")
    assert "after 1" in screen.shown("#taught-table") and "49.0 %" in screen.shown("#taught-table")
    assert "6 A matrices: exactly 0, because B starts at 0" in screen.shown("#taught-backward")
    assert "13.07, clipped to 1" in screen.shown("#taught-backward")
    assert "0.01 % → 54.0 %" in screen.shown("#taught-update")
    assert "step 1 made 1 of 3 less likely: Hello 30.0 % → 10.0 %" in screen.shown("#taught-findings")
    await screen.key("space")
    table = screen.shown("#taught-table")
    assert "after 2" in table and "after 1" not in table and "step 2" in screen.shown("#top"), "one column at 80"
    assert max(map(len, table.split("\n"))) <= 76
    await screen.pilot.resize_terminal(120, 40)
    await screen.pilot.pause()
    assert "after 1" in screen.shown("#taught-table") and "after 2" in screen.shown("#taught-table")
    await screen.key("u")
    assert "after 1" in screen.shown("#taught-table") and "step 2" not in screen.all()
    await screen.key("m")
    assert screen.teacher.asked[-1] == ("mask", False)
    assert "5 of 6 tokens carry loss (no mask" in screen.shown("#taught-row")
    assert "would teach it to write the prompt" in screen.shown("#taught-findings")
    assert "after 1" in screen.shown("#taught-table").split("\n")[0], "other tokens: what was expected now"
    await screen.key("m", "r")
    assert screen.teacher.asked[-1] == ("rate", 0.001) and "learning rate 0.001" in screen.shown("#top")
    assert "3 of 6 tokens" in screen.shown("#taught-row"), "a rate changes nothing else"
    actions = {binding.action for binding in commands(screen.app.screen)}
    assert not {"keep", "start"} & actions and {"step", "edit"} <= actions, "no adapter is loaded"
    await screen.press("q")
    assert screen.teacher.closed and screen.app.screen is not screen.app._compare, "back on the training screen"
    assert "F5 brings the model back" in screen.text("#top") and screen.engines[-1].closed


@screen_test(kind=Taking)
async def test_slow_step_says_computing_and_errors_leave_the_row(screen):
    screen.app._teach(Lesson(TrainConfig().to_dict(), line=1))
    await screen.heard()
    screen.teacher.slow = True
    await screen.press("space")
    assert "computing" not in screen.shown("#hint"), "what is quick says nothing"
    await screen.settle(lambda: screen.shown("#hint") == "computing …")
    await screen.press("m")
    assert [do for do, _ in screen.teacher.asked] == ["open", "step"] and "Still computing" in screen.shown("#hint")
    screen.teacher.serve(TeacherError(2, f"Out of memory. {HOSTILE}", "Lower --max-length."))
    await screen.heard()
    assert "Out of memory" in screen.shown("#hint") and "\x1b" not in screen.all() and "--" not in screen.shown("#hint")
    await screen.tell(TeacherStage("loading", 0.63))
    assert screen.shown("#hint") == "loading 63 % …"
    await screen.tell(replace(OPENED, prompt="Other", row=replace(OPENED.row, line=2)))
    assert screen.shown("#taught-table") == "", "nothing of the row before"
    hostile = replace(OPENED, adapter=HOSTILE, row=replace(OPENED.row, texts=(HOSTILE,) * 6, cut=HOSTILE))
    await screen.tell(hostile, forward(0))
    assert "\x1b" not in screen.all() and "␛" in screen.shown("#taught-row")
    await screen.tell(TeacherError(-1, "It was killed.", "Reopen."))
    await screen.press("space")
    assert "has ended" in screen.shown("#hint") and len(screen.teacher.asked) == 2


def test_steps_wait_for_each_other_but_not_without_end():
    teaching = Teaching(FakeTeacher, None)
    for number in range(MOST_WAITING + 1):
        assert not teaching.full and teaching.busy is bool(number)
        teaching.ask("step")
    assert teaching.full
    teaching.heard(Served(1))
    assert teaching.busy and not teaching.full
    for number in range(2, MOST_WAITING + 2):
        teaching.heard(Served(number))
    assert not teaching.busy


@screen_test((80, 24), Taking)
async def test_own_answer_is_taught_to_a_copy_and_kept_on_request(screen, home):
    await on_own_row(screen)
    lesson = screen.teacher.asked[0][1]
    assert (lesson.prompt, lesson.answer, lesson.adapter) == ("Hi?", "I am sft. 2", ADAPTERS[0].folder)
    assert "a copy of /a/my-run" in screen.shown("#top")
    await screen.key("n")
    assert screen.teacher.asked[-1] == ("restart", "") and "from nothing" in screen.shown("#top")
    await screen.key("n")
    assert screen.teacher.asked[-1] == ("restart", "/a/my-run")
    assert not (home / "lessons.jsonl").exists()
    await screen.key("k", "k")
    assert "already the last one" in screen.shown("#hint")
    await screen.press("e")
    assert isinstance(screen.app.screen, TeachDialog)
    await screen.press("q", "ctrl+s")
    await screen.heard()
    assert (screen.teacher.asked[-1][0], screen.teacher.asked[-1][1].answer) == ("row", "I am sft. 2q")
    await screen.key("k")
    assert screen.shown("#hint").startswith(f"Kept: 2 rows in {home / 'lessons.jsonl'}")
    assert [row.turns[1].content for row in read_dataset(home / "lessons.jsonl").examples] == [
        "I am sft. 2", "I am sft. 2q",
    ]  # fmt: skip
    assert "lessons.jsonl" in [found.name for found in data_sets()]
    assert stat.S_IMODE((home / "lessons.jsonl").stat().st_mode) == 0o600
    await screen.press("escape", "f5")
    await screen.say(READY)
    screen.session.mode = "blind"
    await screen.ask("Hi?")
    await screen.answer()
    await screen.press("f10")
    assert isinstance(screen.app.screen, CompareScreen) and "vote first" in screen.text("#hint")


@screen_test(kind=Taking)
async def test_nothing_is_taught_while_answers_come_whatever_is_looked_at(screen):
    await screen.say(CHOICES, READY)
    await screen.ask("Hi?")
    await screen.answer()
    await screen.ask("Ho?")
    for look in ([], ["alt+up"]):
        await screen.press(*look, "f10")
        assert isinstance(screen.app.screen, CompareScreen) and "not finished" in screen.text("#hint"), look
    await screen.answer()
    await screen.press("f10")
    assert isinstance(screen.app.screen, TeachDialog)


def test_certain_token_costs_zero_and_not_minus_zero():
    one = forward(0).positions[0]
    sure = Forward(0, (3,), (replace(one, base=expects(1.0), sft=expects(1.0)),), 0.0, ())
    said = [*report.losses(replace(OPENED, adapter="mine"), sure), *report.table([sure], 80)]
    text = "".join(text for text, _ in said)
    assert text.count("0.00") == 6 and "-0.00" not in text and "100.0 %" in text


def test_undone_and_untaken_steps_are_told_apart():
    taught = Taught()
    for event in (
        OPENED,
        forward(0),
        Updated(1, 5e-4, 1.6, True),
        forward(1),
        Updated(2, 5e-4, 9.0, False),
        forward(1),
    ):
        taught.hear(event)
    assert [seen.step for seen in taught.history] == [0, 1] and [step.step for step in taught.updates] == [1, 2]
    taught.hear(forward(0))
    assert [seen.step for seen in taught.history] == [0] and [step.finite for step in taught.updates] == [False]
    other = replace(OPENED, prompt="Other", row=replace(OPENED.row, texts=("a", *OPENED.row.texts[1:])))
    taught.hear(other)
    assert taught.history == [] and taught.row == other


def test_rates_go_round():
    taught, seen = Taught(), []
    taught.row = replace(OPENED, learning_rate=3e-4)
    for _ in range(len(RATES) + 1):
        seen.append(taught.next_rate)
        assert isinstance(taught.row, RowOpened)
        taught.row = replace(taught.row, learning_rate=seen[-1])
    assert seen[0] == 5e-4 and set(seen) == set(RATES) and seen[-1] == seen[0] * 1


def test_lessons_survive_a_full_disk_and_a_broken_line(tmp_path, monkeypatch):
    path = tmp_path / "new" / "lessons.jsonl"
    assert keep(path, "Grüß \ud83d", "Hallo\nWelt") == 1
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert keep(path, "2", "zwei") == 2
    before = path.read_bytes()
    assert [json.loads(line)["prompt"] for line in before.decode().splitlines()] == ["Grüß \ud83d", "2"]

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(EnvironmentFault, match="No space"):
        keep(path, "3", "drei")
    assert path.read_bytes() == before
    assert paths.lessons_file().name == path.name


@screen_test((80, 24), Looking)
async def test_losses_are_shown_of_the_row_that_is_read(screen):
    await screen.say(CHOICES, READY)
    await screen.on_losses()
    assert screen.shown("#top") == "losses · base and my-run · style chat · Tiny model"
    row = screen.app.screen.query_one("#taught-row").content
    lit = "".join(str(row)[span.start : span.end] for span in row.spans if "underline" in str(span.style))
    assert lit == " Hello.<eos>", "underlined, not only coloured"
    table = screen.shown("#taught-table").split("\n")
    assert table[0].split() == ["−ln", "p,", "base", "adapter", "p"] and max(map(len, table)) <= 76
    assert table[3].split() == ["■", "end", "██████████", "8.11", "▉", "0.71", "0.03", "%", "→", "49.0", "%"]
    assert table[4].split() == ["mean", "3.28", "1.04"]
    assert screen.shown("#hint") == "row 1 of the first 30 · ← → show another"
    (_, lesson), *_ = screen.teacher.asked
    assert (lesson.line, lesson.adapter, lesson.config["data"]) == (1, "/a/my-run", "mini.jsonl")
    await screen.key("left", "right")
    assert [(do, asked.line) for do, asked in screen.teacher.asked] == [("open", 1), ("row", 2)]
    assert screen.shown("#taught-row").startswith("line 2 · 6 tokens, held out"), "as the training screen says"
    await screen.press("escape")
    assert screen.teacher.closed and isinstance(screen.app.screen, TrainScreen)
    assert "F5 brings the model back" in screen.text("#top") and screen.engines[-1].closed
    look = screen.app.screen.query_one("#look")
    await screen.press("pagedown", "pagedown", "pagedown")
    below = screen.app.screen.query_one("#rows")
    hidden = look.scroll_offset.y - below.virtual_region.y
    assert hidden > 0, "the first rows are out of sight"
    seen = [strip.text for strip in below.render_lines(Region(0, hidden, below.size.width, look.size.height))]
    title = next(line for line in seen if line.startswith("line"))
    await screen.press("ctrl+l")
    await screen.heard()
    assert title.startswith(f"line {screen.teacher.asked[0][1].line} ·")


@screen_test(kind=Looking)
async def test_losses_without_an_adapter_are_the_base_alone(screen):
    await screen.say(CHOICES, BARE)
    await screen.on_losses()
    assert screen.shown("#top").startswith("losses · base only") and "F6 on the compare" in screen.shown("#hint")
    head, first, *_, mean = screen.shown("#taught-table").rstrip().split("\n")
    assert head.split() == ["−ln", "p,", "base", "p"] and mean.split() == ["mean", "3.28"]
    assert first.split() == ["Hello", "█▌", "1.20", "30.0", "%"]


@screen_test(kind=Looking)
async def test_losses_that_take_long_or_fail_are_said_to(screen, home):
    await screen.say(CHOICES, READY)
    await screen.on_losses()
    screen.teacher.slow = True
    await screen.press("right")
    assert "computing" not in screen.shown("#hint"), "what is quick says nothing"
    await screen.settle(lambda: screen.shown("#hint") == "computing …")
    await screen.press("right")
    assert len(screen.teacher.asked) == 2 and "Still computing" in screen.shown("#hint")
    screen.teacher.serve(TeacherError(2, f"The row cannot be trained on. {HOSTILE}", "Lower --max-length."))
    await screen.heard()
    assert "cannot be trained on" in screen.shown("#hint") and "\x1b" not in screen.all()
    assert screen.shown("#taught-row") == screen.shown("#taught-table") == "", "nothing of the row before"
    screen.teacher.slow = False
    await screen.key("right")
    assert screen.shown("#taught-row").startswith("line 3") and "0.71" in screen.shown("#taught-table")
    await screen.tell(TeacherError(-1, "It was killed.", "Reopen."))
    await screen.press("left")
    assert "has ended" in screen.shown("#hint") and len(screen.teacher.asked) == 3
    await screen.press("escape")
    folder = record(home / "adapters" / "busy", last=6, ended="")
    run_record(folder, state="running")
    with filelock.FileLock(folder / ".lock"):
        await screen.press("ctrl+l")
        assert isinstance(screen.app.screen, TrainScreen) and len(screen.teachers) == 1
        (said,) = [toast.message for toast in screen.app._notifications]
        assert "busy is still training" in said
    screen.inspector.said.put(InspectorError(len(screen.inspector.looked), "There is no file.", ""))
    screen.app.screen.query_one("#look").clear()
    await screen.settle(lambda: "no file" in screen.shown("#hint"))
    await screen.press("ctrl+l")
    assert isinstance(screen.app.screen, TrainScreen) and "no file" in screen.shown("#hint")


@pytest.mark.parametrize("key", ["ctrl+l", "f10"])
def test_key_that_is_held_down_starts_one_teacher(key):
    @screen_test((80, 24), Looking)
    async def go(screen):
        await screen.say(CHOICES, READY)
        await open_training(screen)
        burst(screen, key, key, key)
        await screen.settle(lambda: screen.teachers)
        await screen.settle()
        assert len(screen.teachers) == 1 and len(screen.app.screen_stack) == 3

    go()


@screen_test(kind=Looking)
async def test_model_that_does_not_load_is_told_and_tried_again(screen, monkeypatch):
    await screen.say(CHOICES, READY)
    await open_training(screen)
    with monkeypatch.context() as failing:
        failing.setattr(FakeLooker, "open", lambda self, lesson: self._ask("open", lesson))
        await screen.press("ctrl+l")
        await screen.settle(lambda: screen.teachers)
        await screen.tell(TeacherError(1, "The model does not fit into memory.", "Choose a smaller one."))
    assert screen.shown("#hint") == "The model does not fit into memory. Choose a smaller one."
    assert screen.shown("#top") == "losses" and screen.shown("#taught-table") == ""
    await screen.key("right")
    assert [do for do, _ in screen.teacher.asked] == ["open", "open"] and "line 2" in screen.shown("#taught-row")

"""The lesson on the screen with a scripted teacher: right and wrong predictions, and a model on which it does not come out."""

import asyncio
from dataclasses import replace

from contrast import measured
from harness import CHOICES, HOSTILE, READY, screen_test
from lesson_said import Script
from taught import Serving, Taking
from test_remembering import Again

from playground.events.engine import EngineReady
from playground.events.five_steps import Answered, Served, TeacherError, TeacherStage
from playground.report.learn import PAGES
from playground.tui.commands import commands, title
from playground.tui.screens.compare import CompareScreen
from playground.tui.screens.learn import LearnScreen
from playground.tui.widgets.prompt import PromptBar

RIGHT = "31313121"  # the keys of what is the case on a model that learns; on the last page a vote
WRONG = "12121213"


class Teacher(Serving):
    """Answers by the script."""

    def __init__(self, *, learns=True):
        super().__init__()
        self.script = Script(learns=learns)

    def _ask(self, do, **what):
        return super()._ask(do, what, *(() if self.slow else self.script(do, **what)))

    def open(self, lesson):
        return self._ask("open", lesson=lesson)

    def row(self, lesson):
        return self._ask("row", lesson=lesson)

    def step(self):
        return self._ask("step")

    def mask(self, *, masked):
        return self._ask("mask", masked=masked)

    def restart(self, adapter):
        return self._ask("restart", adapter=adapter)

    def ask(self, prompt, sampling, *, draws, base):
        return self._ask("ask", prompt=prompt, sampling=sampling, draws=draws, base=base)


class Learner(Taking):
    """The app with a scripted teacher."""

    learns = True

    def make_teacher(self):
        return Teacher(learns=self.learns)

    async def open(self, *events):
        await self.say(*(events or (CHOICES, READY)))
        await self.press("f12")
        await self.settle(lambda: isinstance(self.app.screen, LearnScreen))
        await self.heard()

    def line(self, words):
        return next(line for line in self.all().split("\n") if words in line)


class Unlearned(Learner):
    learns = False


class AtOnce(Learner):
    at_once = True


@screen_test((80, 24), Learner)
async def test_lesson_is_walked_with_right_predictions(screen):
    await screen.open()
    assert screen.engines[-1].closed and len(screen.engines) == 1
    assert [do for do, _ in screen.teacher.asked] == ["open", "ask"]
    assert screen.teacher.asked[0][1]["lesson"].adapter == "/a/my-run"
    for number, (page, key) in enumerate(zip(PAGES, RIGHT, strict=True), 1):
        assert screen.shown("#top").startswith(f"the lesson · {number} of 8 · {page.title}")
        before = screen.all()
        assert page.question in before and page.explains not in before
        assert ("Blue sea." in before) is page.vote, "what is voted on comes first"
        asked = len(screen.teacher.asked)
        await screen.key(key)
        said = screen.all()
        assert len(screen.teacher.asked) == asked, "everything was asked when the page opened"
        chosen = screen.line(page.choices[int(key) - 1])
        assert ("your vote · what the loss prefers" if page.vote else "your prediction · so it is here") in chosen
        assert page.explains in said and page.otherwise not in said and "does not come out" not in said
        assert screen.shown("#learn-figures"), page.title
        body = screen.app.screen.query_one("#learn")
        assert body.max_scroll_y == 0 and body.max_scroll_x == 0, page.title
        await screen.key("space")
    assert "prompt of your own" in screen.all() and isinstance(screen.app.focused, PromptBar)
    await screen.press(*"2 b", "question_mark", "left")
    assert screen.app.focused.text == "2 b?", "digits, blanks and marks are typed here"
    await screen.press("enter")
    await screen.settle(lambda: isinstance(screen.app.screen, CompareScreen))
    assert screen.teacher.closed and len(screen.engines) == 2
    await screen.say(READY)
    assert [lane.texts for lane in screen.engine.asked[-1].lanes] == [("2 b?",)] * 2


@screen_test((120, 40), Learner)
async def test_wrong_predictions_are_told_what_is_the_case(screen):
    await screen.open()
    for page, key in zip(PAGES, WRONG, strict=True):
        await screen.key(key)
        mine = screen.line(page.choices[int(key) - 1])
        assert ("your vote" if page.vote else "your prediction") in mine and "▸" not in mine and "·" in mine
        right = next(line for line in screen.all().split("\n") if "▸" in line)
        assert ("what the loss prefers" if page.vote else "so it is here") in right and right != mine
        assert page.explains in screen.all(), "why it is so, whatever was predicted"
        await screen.key("1", "4", "space")
    await screen.press("escape")
    await screen.settle(lambda: isinstance(screen.app.screen, CompareScreen))
    await screen.say(READY)
    assert len(screen.engines) == 2 and not screen.engine.asked, "the model is back, and nothing is asked"


@screen_test((80, 24), Unlearned)
async def test_page_that_does_not_come_out_says_so(screen):
    await screen.open()
    for page, key in zip(PAGES, RIGHT, strict=True):
        await screen.key(key)
        said = screen.all()
        assert page.explains not in said
        assert "On this model it does not come out." in said or "This cannot be told here." in said
        assert (page.otherwise in said) is ("does not come out" in said)
        await screen.key("space")


@screen_test((80, 24), Learner)
async def test_predictions_do_not_wait_for_the_model_but_votes_do(screen):
    await screen.say(CHOICES, READY)
    screen.app._teacher = lambda adapters_dir: slow(screen)
    await screen.press("f12")
    await screen.settle(lambda: isinstance(screen.app.screen, LearnScreen))
    screen.teacher.said.put(TeacherStage("loading", 0.63))
    await screen.heard()
    assert screen.shown("#hint") == "loading 63 % … Predict meanwhile."
    screen.teacher.said.put(TeacherStage("converting", 0.1, "Subject to terms."))
    await screen.heard()
    assert screen.shown("#hint") == "Subject to terms.\nconverting 10 % … Predict meanwhile."
    await screen.press("space")
    assert "First a prediction" in screen.shown("#hint") and not screen.shown("#learn-said")
    screen.teacher.said.put(screen.teacher.script("open", lesson=screen.teacher.asked[0][1]["lesson"])[0])
    await screen.heard()
    assert "First a prediction" in screen.shown("#hint"), "nothing else replaces it"
    await screen.press("3")
    assert screen.shown("#hint") == "computing …" and "your prediction" not in screen.all()
    screen.teacher.said.put(TeacherStage("loading", 0.9))
    await screen.heard()
    assert screen.shown("#hint") == "loading 90 % …", "it was predicted"
    await screen.press("space", "1")
    assert "1 of 8" in screen.shown("#top"), "there is nothing to go on from"
    teacher = screen.teacher
    for number, (do, what) in enumerate(teacher.asked, 1):
        for event in (*teacher.script(do, **what), Served(number)):
            teacher.said.put(event)
    await screen.heard()
    assert "your prediction · so it is here" in screen.all()
    teacher.slow = False
    for _ in PAGES[1:-1]:
        await screen.key("space", "space", "space")
        assert "so it is here" in screen.all() and "your prediction" not in screen.all(), "seen without a prediction"
    teacher.slow = True
    await screen.press("space", "1", "space", "space")
    assert "The answers are being written" in screen.shown("#hint") and "your vote" not in screen.all()
    assert "Which one" not in screen.all(), "the question comes with what it is about"
    await screen.press("left")
    for number, (do, what) in enumerate(teacher.asked[-2:], len(teacher.asked) - 1):
        for event in (*teacher.script(do, **what), Served(number)):
            teacher.said.put(event)
    await screen.heard()
    await screen.press("space")
    assert "Vote: 1 to 3." in screen.shown("#hint") and "Deep sea." in screen.all(), "it came while another was open"
    await screen.press("left")
    assert screen.shown("#top").endswith("7 of 8 · What it cannot · from nothing · Tiny model")
    assert "Porto" in screen.shown("#learn-figures"), "as it was"
    asked = len(teacher.asked)
    await screen.press("space", "2")
    assert "your vote" in screen.all() and len(teacher.asked) == asked


def slow(screen):
    screen.teachers.append(Teacher())
    screen.teacher.slow = True
    return screen.teacher


@screen_test((80, 24), Learner)
async def test_errors_are_shown_and_hostile_text_is_cleaned(screen):
    await screen.open()
    screen.teacher.slow = True
    await screen.key("3", "space", "1")
    screen.teacher.serve(TeacherError(len(screen.teacher.asked), f"Out of memory. {HOSTILE}", "Lower --max-length."))
    await screen.heard()
    assert "Out of memory" in screen.shown("#hint") and "--" not in screen.shown("#hint") and "\x1b" not in screen.all()
    assert not screen.shown("#learn-said")
    screen.teacher.slow = False
    await screen.key("space", "3")
    assert "3 of 8" in screen.shown("#top") and "so it is here" in screen.all(), "one page fails, the others do not"
    await screen.key("space", "1", "space", "3")
    screen.teacher.slow = True
    await screen.key("space")
    opened, _ = screen.teacher.script("restart", adapter=HOSTILE)
    answered, lens = screen.teacher.script("ask", draws=1, base=False)
    texts = tuple(replace(each, text=HOSTILE) for each in lens.positions[:-1])
    hostile = Answered(HOSTILE, None, (replace(answered.sft[0], text=HOSTILE),))
    screen.teacher.serve(opened, hostile, replace(lens, positions=(*texts, lens.positions[-1])))
    for number in range(len(screen.teacher.asked) + 1):
        screen.teacher.said.put(Served(number))
    await screen.key("1")
    assert "so it is here" in screen.all() and "\x1b" not in screen.all() and "␛" in screen.shown("#learn-figures")
    await screen.press("space")
    screen.teacher.said.put(TeacherError(-1, "It was killed.", "Reopen this screen."))
    await screen.heard()
    assert "It was killed" in screen.shown("#hint")
    asked = len(screen.teacher.asked)
    await screen.press("space")
    assert "8 of 8" in screen.shown("#top") and "has ended. Esc leaves" in screen.shown("#hint"), "nothing computes it"
    assert len(screen.teacher.asked) == asked


@screen_test((120, 40), AtOnce)
async def test_learn_begins_without_an_engine_and_ends_with_one(screen):
    await screen.settle(lambda: isinstance(screen.app.screen, LearnScreen))
    await screen.heard()
    assert screen.engines == [] and len(screen.teachers) == 1
    adapter = screen.teacher.asked[0][1]["lesson"].adapter
    assert adapter.endswith("demo-curated"), "the one with which the app opens"
    await screen.press("escape")
    await screen.settle(lambda: len(screen.engines) == 1)
    await screen.say(READY)
    assert "adapter my-run" in screen.text("#top")


def test_learn_with_settings_that_are_not_valid_is_the_app_with_its_model(home):
    (home / "settings.toml").write_text("[train]\nlora_r = 4\n")

    async def go():
        async with AtOnce() as screen:
            await screen.settle(lambda: len(screen.engines) == 1)
            await screen.say(READY)
            assert isinstance(screen.app.screen, CompareScreen) and not screen.teachers
            assert "adapter my-run" in screen.text("#top")
            assert any("settings.toml" in said.message for said in screen.app._notifications)

    asyncio.run(go())


@screen_test((120, 40), Learner)
async def test_bare_model_has_a_lesson_that_says_what_it_lacks(screen):
    await screen.open(EngineReady("Tiny model", "", "chat", True, 1.0))
    assert screen.teacher.asked[0][1]["lesson"].adapter == ""
    await screen.key("3")
    assert "This cannot be told here." in screen.all() and "no adapter" in screen.all()


@screen_test((80, 24), Learner)
async def test_clicks_predict_and_the_palette_offers_the_lesson(screen):
    await screen.say(READY)
    await screen.ask("Hi?")
    await screen.press("f12")
    assert isinstance(screen.app.screen, CompareScreen) and "Esc stops them" in screen.text("#hint")
    await screen.answer()
    offered = {binding.action: title(binding) for binding in commands(screen.app.screen)}
    assert offered["app.learn"].startswith("Learn: a lesson")
    assert "F12" in str(next(c.help for c in screen.app.get_system_commands(screen.app.screen) if "lesson" in c.title))
    await screen.open(READY)
    await screen.pilot.click(screen.app.screen.query(".choice-line")[2])
    await screen.heard()
    assert "your prediction · so it is here" in screen.all()


@screen_test((80, 24), Learner)
async def test_pages_have_enough_contrast(screen):
    await screen.open()
    await screen.key("3", "space", "3")
    for theme, least in (
        ("textual-dark", 4.5),
        ("textual-light", 4.5),
        ("high-contrast", 7),
        ("colour-blind-safe", 4.5),
    ):
        screen.app.theme = theme
        await screen.pilot.pause(0.05)
        assert not [(theme, text.text, text.ratio) for text in measured(screen.app) if text.ratio < least]


def test_first_start_offers_the_lesson_and_later_ones_do_not(tmp_path):
    file = tmp_path / "state.json"

    async def go():
        async with Again(file) as screen:
            teachers = []
            screen.app._teacher = lambda adapters_dir: teachers.append(Teacher()) or teachers[-1]
            await screen.say(CHOICES, READY)
            offer = next(line for line in screen.app._compare.query(".example") if "F12" in str(line.content))
            await screen.pilot.click(offer)
            await screen.pilot.pause(0.1)
            assert isinstance(screen.app.screen, LearnScreen) and len(teachers) == 1
            await screen.press("escape")
            await screen.pilot.pause(0.1)
            assert not screen.app._compare.query(".offer")
            screen.memory.keep_prompt("Hi?")
        async with Again(file) as screen:
            assert not [line for line in screen.app._compare.query(".example") if "F12" in str(line.content)]

    asyncio.run(go())

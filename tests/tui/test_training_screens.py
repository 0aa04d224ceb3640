"""The training screens: data sets and plans from a fake inspector, runs from recorded events. No model, no child."""

import asyncio
import json
import threading
import time
from dataclasses import fields, replace
from textwrap import wrap
from types import SimpleNamespace

import pytest
from harness import HOSTILE, READY, FakeChild, FakeEngine, Screen, burst, screen_test
from recorded import PLAN, events, record, run_record, sampled, step_done
from rich.cells import cell_len
from textual.events import DescendantFocus
from textual.widgets import Input, OptionList, Select, Static

from playground.config import TrainConfig
from playground.errors import EnvironmentFault
from playground.events.answers import Answer
from playground.events.data import DataCheck, Finding
from playground.events.engine import Spoken
from playground.events.inspector import (
    DataSetInfo,
    DataSets,
    InspectorError,
    InspectorStage,
    Looked,
    MaskedRow,
    PlanMade,
    RowsShown,
    Table,
    TableFound,
)
from playground.events.prompts import Prompt
from playground.events.runs import BatchHalved, Continued, Paused, RunEnded, RunStage, RunStarted, Sample, Sampled
from playground.tui.app import PlaygroundApp
from playground.tui.content.advice import in_app
from playground.tui.dialogs.columns import ColumnsDialog
from playground.tui.dialogs.files import PathSuggester
from playground.tui.dialogs.runs import RunsDialog
from playground.tui.screens.ask import AskScreen
from playground.tui.screens.compare import CompareScreen
from playground.tui.screens.run import RunScreen
from playground.tui.screens.train import TrainScreen
from playground.tui.state.beginning import Beginning
from playground.tui.state.run_history import RunHistory
from playground.tui.widgets.chart import Chart, nice
from playground.tui.widgets.data_sets import DataSetList
from playground.tui.widgets.filmstrip import Filmstrip
from playground.tui.widgets.prompt import PromptBar

CHECK = DataCheck(
    "mini.jsonl", "JSON Lines", "prompt and completion", 115, 113, 230,
    (Finding(7, "error", "bad row", "no answer"), Finding(9, "warning", "twin", "as line 3")), "words", 3000, 2000, 55,
    (0, 40, 75, *[0] * 7),
)  # fmt: skip
ROW = MaskedRow(1, ("<bos>", "User: Hi\n", "Assistant:", " Hello.", "<eos>"), (False, False, False, True, True), "")


class FakeInspector(FakeChild):
    """Answers every look at once, unless a test speaks for it."""

    rows = (ROW,)

    def __init__(self):
        super().__init__()
        self.looked, self.plan = [], PLAN

    def list(self):
        sets = (
            DataSetInfo("mini.jsonl", "/d/mini.jsonl", "bundled", 115, "prompt"),
            DataSetInfo(HOSTILE.replace("\ud83d", ""), "/d/hostile.jsonl", "here", None, ""),
        )
        self.said.put(DataSets(0, sets))
        return 0

    def look(self, config, released=0):
        self.looked.append(config)
        self.released = released
        number = len(self.looked)
        for event in (
            InspectorStage(number, "reading the data", 0.0), Looked(number, CHECK), RowsShown(number, 0, 113, self.rows),
            PlanMade(number, self.plan, "sft-playground train --data mini.jsonl"),
        ):  # fmt: skip
            self.said.put(event)
        return number


def is_there():
    """Whether the process of a training that was only pretended to start is there."""
    return True


class Training(Screen):
    """The app with a fake inspector."""

    inspector_kind = FakeInspector

    def __init__(self, size=(120, 40)):
        super().__init__(size)
        self.inspector = self.inspector_kind()
        self.app = PlaygroundApp(self._start, self.app._compare.session, inspector=lambda: self.inspector)
        self.engines = self.engines[-1:]

    def _start(self, adapter=None, model=None, *, bare=False):
        self.engines.append(FakeEngine(adapter, model, bare=bare))
        return self.engines[-1]

    async def settle(self, until=lambda: True):
        deadline = time.monotonic() + 10
        while True:
            await asyncio.sleep(0.05)
            await self.pilot.pause()
            if until():
                return
            assert time.monotonic() < deadline

    def shown(self, where):
        return str(self.app.screen.query_one(where, Static).content)


def training_test(size=(120, 40)):
    return screen_test(size, Training)


async def open_training(screen):
    await screen.press("ctrl+r")
    await screen.settle(lambda: isinstance(screen.app.screen, TrainScreen))
    await screen.settle(lambda: "F5 starts" in screen.shown("#hint"))


@training_test((80, 24))
async def test_the_mask_the_findings_and_the_plan_are_shown(screen):
    await open_training(screen)
    rows = screen.app.screen.query_one("#first", Static).content
    lit = "".join(str(rows)[span.start : span.end] for span in rows.spans if "underline" in str(span.style))
    assert lit == " Hello.<eos>", "trained tokens, and only they, are lit"
    assert "5 tokens, 2 trained" in str(rows) and "112 more rows" in screen.shown("#rows")
    assert "113 can be trained on, 1 error, 1 warning" in screen.shown("#about")
    assert "error: bad row, 1 row" in screen.shown("#findings") and "line 7: no answer" in screen.shown("#findings")
    look = screen.app.screen.query_one("#look")
    assert screen.app.screen.query_one("#first").region.bottom <= look.region.bottom, "seen without scrolling"
    await screen.press("pagedown")
    assert look.scroll_offset.y > 0, "although the list of data sets has the focus"
    await screen.press("pageup")
    assert look.scroll_offset.y == 0
    plan = screen.shown("#whole-plan")
    assert (
        "45 steps of 8 rows, about 63 s" in plan and "nf4 (quantize): QLoRA" in plan and "69 % of them trained" in plan
    )


@training_test()
async def test_data_set_is_picked_or_typed_and_names_are_sanitised(screen):
    await open_training(screen)
    sets = screen.app.screen.query_one(OptionList)
    hostile = str(sets.get_option_at_index(1).prompt)
    assert "␛" in hostile and "\x1b" not in hostile
    sets.focus()
    await screen.press("down", "enter")
    assert screen.inspector.looked[-1]["data"] == "/d/hostile.jsonl"
    screen.app.screen.query_one("#path", Input).focus()
    await screen.press(*"a.csv", "enter")
    assert screen.inspector.looked[-1]["data"] == "a.csv"


TABLE = Table(
    "mine.csv", "CSV", 8, ("frage", "antwort", "datum"),
    tuple((f"Was ist {n}?", HOSTILE.replace("\ud83d", "") if n == 2 else "Eine Zahl.", "2024") for n in range(3)),
    {"prompt": "frage", "completion": "antwort"},
)  # fmt: skip


class TableInspector(FakeInspector):
    """Knows a table whose columns have to be named, and reads it once they are."""

    def list(self):
        unnamed = DataSetInfo("mine.csv", "/d/mine.csv", "here", 8, "", columns=("prompt=frage", "completion=antwort"))
        bad = DataSetInfo("broken.jsonl", "/d/broken.jsonl", "here", 4, "prompt and completion", 3)
        self.said.put(DataSets(0, (DataSetInfo("mini.jsonl", "/d/mini.jsonl", "bundled", 115, "prompt"), bad, unnamed)))
        return 0

    def look(self, config, released=0):
        if not config["data"].endswith("mine.csv"):
            return super().look(config, released)
        self.looked.append(config)
        number, columns = len(self.looked), config["columns"]
        self.said.put(TableFound(number, TABLE, needed=not columns))
        if columns:
            check = replace(CHECK, name="mine.csv", num_rows=8, num_sound=8, findings=())
            command = TrainConfig(**config).command()
            for event in (Looked(number, check), RowsShown(number, 0, 8, (ROW,)), PlanMade(number, PLAN, command)):
                self.said.put(event)
        return number


class Tables(Training):
    """The app with an inspector that knows a table."""

    inspector_kind = TableInspector


def rows_of_list(screen):
    options = screen.app.screen.query_one(DataSetList)
    return [str(options.get_option_at_index(n).prompt) for n in range(options.option_count)]


@pytest.mark.parametrize("way", ["list", "path"])
@screen_test((80, 24), Tables)
async def test_csv_of_other_columns_is_trained_on_without_leaving_the_app(screen, monkeypatch, home, way):
    started = []
    monkeypatch.setattr(
        "playground.jobs.training.start_training",
        lambda config, folder, resume: started.append((config, record(folder, last=12, ended=""))) or is_there,
    )
    await open_training(screen)
    (row,) = [line for line in rows_of_list(screen) if "mine.csv" in line]
    assert "8 rows, choose the columns" in row
    if way == "list":
        await screen.press("down", "down", "enter")
    else:
        await screen.press(*"/d/mine.csv", "enter")
    await screen.settle(lambda: isinstance(screen.app.screen, ColumnsDialog))
    shown = screen.app.screen.query_one("#columns", OptionList)
    rows = [str(shown.get_option_at_index(n).prompt) for n in range(3)]
    assert rows[0].startswith("prompt") and "Was ist 0?" in rows[0] and "Was ist 2?" in rows[0]
    assert rows[1].startswith("answer") and rows[2].startswith(" ")
    assert "␛" in rows[1] and "\x1b" not in rows[1]
    await screen.press("enter")
    await screen.settle(lambda: "F5 starts" in screen.shown("#hint"))
    assert " Hello.<eos>" in screen.shown("#first"), "the mask is there at once"
    assert "prompt=frage, completion=antwort" in screen.shown("#about")
    (row,) = [line for line in rows_of_list(screen) if "mine.csv" in line]
    assert "8 rows" in row and "choose" not in row
    await screen.press("ctrl+y")
    assert "--map prompt=frage --map completion=antwort" in screen.app.clipboard
    await screen.press("f5")
    await screen.settle(lambda: isinstance(screen.app.screen, RunScreen))
    ((config, _),) = started
    assert config["data"] == "/d/mine.csv" and config["columns"] == ("prompt=frage", "completion=antwort")


@screen_test((80, 24), Tables)
async def test_columns_get_roles_and_both_are_required(screen):
    await open_training(screen)
    await screen.press("down", "down", "enter")
    await screen.settle(lambda: isinstance(screen.app.screen, ColumnsDialog))
    await screen.press("down", "down", "a", "up", "s", "up", "space", "enter")
    assert "No column is the prompt yet." in screen.shown("#problems")
    said = screen.shown("#conversation")
    assert "Assistant  2024" in said and "no column yet: P makes one the prompt" in said and "System" in said
    await screen.press("escape")
    assert screen.shown("#hint").startswith("No row can be read before") and "f4" in screen.app.screen.active_bindings
    await screen.press("f5")
    assert isinstance(screen.app.screen, TrainScreen), "F5 has nothing to train on"
    await screen.press("f4", "p", "down", "a", "down", "s", "enter")
    await screen.settle(lambda: screen.inspector.looked[-1]["columns"])
    assert screen.inspector.looked[-1]["columns"] == ("prompt=frage", "completion=antwort", "system=datum")


@screen_test((80, 24), Tables)
async def test_column_of_messages_needs_no_prompt_and_answer(screen):
    await open_training(screen)
    await screen.press("down", "down", "enter")
    await screen.settle(lambda: isinstance(screen.app.screen, ColumnsDialog))
    await screen.press("down", "m", "down", "s")
    said = screen.shown("#conversation")
    assert "System     2024" in said and "Messages   Eine Zahl." in said and "Assistant" not in said
    await screen.press("enter")
    await screen.settle(lambda: screen.inspector.looked[-1]["columns"])
    assert screen.inspector.looked[-1]["columns"] == ("system=datum", "messages=antwort")
    await screen.settle(lambda: "F5 starts" in screen.shown("#hint"))
    await screen.press("f4", "up", "up", "p")
    assert "no column yet: A makes one the answer" in screen.shown("#conversation"), "messages have a prompt in them"
    assert "Messages" not in screen.shown("#conversation")


@screen_test((120, 40), Tables)
async def test_highlighted_data_set_is_the_open_one(screen):
    await open_training(screen)
    options = screen.app.screen.query_one(DataSetList)
    assert "4 rows, 3 cannot be read" in rows_of_list(screen)[1]
    await screen.press("down")
    assert "broken" in screen.shown("#top")
    await screen.settle(lambda: screen.inspector.looked[-1]["data"] == "/d/broken.jsonl")
    await screen.settle(lambda: "F5 starts" in screen.shown("#hint"))
    await screen.press("down")
    assert screen.shown("#hint") == "mine.csv: 8 rows, choose the columns. Enter chooses them."
    await screen.press("f5")
    assert isinstance(screen.app.screen, TrainScreen) and screen.inspector.looked[-1]["data"] == "/d/broken.jsonl"
    path = screen.app.screen.query_one("#path", Input)
    path.focus()
    await screen.press(*"new.jsonl", "enter")
    await screen.settle(lambda: "F5 starts" in screen.shown("#hint"))
    assert path.value == "" and options.current.path == "new.jsonl" and options.current.where == "opened"
    path.value = "half a na"
    options.focus()
    await screen.press("down")
    await screen.settle(lambda: screen.inspector.looked[-1]["data"] == "/d/mini.jsonl")
    assert path.value == "" and options.current.path == "/d/mini.jsonl"


@training_test()
async def test_reading_from_the_hub_can_be_cancelled(screen):
    await open_training(screen)
    slow, looked = screen.inspector, []
    slow.look = lambda config, released: looked.append(config["data"]) or 50
    screen.app.screen.query_one("#path", Input).focus()
    await screen.press(*"hf:a/b", "enter")
    slow.said.put(InspectorStage(50, "reading hf:a/b from the hub", 0.0))
    await screen.settle(lambda: screen.shown("#hint") == "reading hf:a/b from the hub … Esc cancels.")
    screen.inspector = FakeInspector()
    await screen.press("escape")
    assert slow.closed and screen.shown("#hint").startswith("Cancelled.") and isinstance(screen.app.screen, TrainScreen)
    slow.said.put(InspectorError(-1, "The inspector exited.", ""))
    screen.app.screen.query_one(DataSetList).focus()
    await screen.press("down")
    await screen.settle(lambda: screen.inspector.looked and "F5 starts" in screen.shown("#hint"))
    assert screen.inspector.looked[-1]["data"] == "/d/mini.jsonl"


@training_test()
async def test_data_set_errors_are_shown_and_stale_replies_dropped(screen):
    await open_training(screen)
    number = len(screen.inspector.looked)
    screen.inspector.said.put(InspectorError(number, "There is no file.", "Check its name."))
    await screen.settle(lambda: "There is no file." in screen.shown("#hint"))
    screen.inspector.said.put(InspectorError(number, "a:1: bad\na:2: worse\na:3: worst", "--skip-bad leaves them out."))
    said = "a:1: bad (and 2 more). “leave out bad rows” leaves them out (F9 opens the options)."
    await screen.settle(lambda: screen.shown("#hint") == said)
    screen.inspector.said.put(InspectorError(number - 1, "late", "late"))
    screen.inspector.said.put(Looked(number - 1, replace(CHECK, name="late")))
    await screen.settle()
    assert "late" not in screen.shown("#hint") + screen.shown("#about")


@training_test((80, 24))
async def test_options_are_validated_while_typed_and_update_the_plan(screen):
    await open_training(screen)
    await screen.press("f9")
    form = screen.app.screen
    form.query_one("#lora_r", Input).value = "0"
    await screen.pilot.pause()
    assert "lora_r must be between 1 and 512" in str(form.query_one("#problem-lora_r", Static).content)
    assert form.query_one("#problem-lora_r").display and not form.query_one("#problem-seed").display
    await screen.press("ctrl+s")
    assert screen.app.screen is form and screen.app.focused.id == "lora_r", "where the problem is"
    form.query_one("#lora_r", Input).value = "8"
    form.query_one("#learning_rate", Input).value = "1e-3"
    await screen.press("ctrl+s")
    await screen.settle(lambda: isinstance(screen.app.screen, TrainScreen))
    assert (screen.inspector.looked[-1]["lora_r"], screen.inspector.looked[-1]["learning_rate"]) == (8, 1e-3)


@training_test((80, 24))
async def test_each_option_has_its_whole_help_and_its_choices_without_a_mouse(screen):
    await open_training(screen)
    await screen.press("f9")
    form = screen.app.screen
    declared = [f for f in fields(TrainConfig) if "help" in f.metadata and f.name not in ("data", "columns")]
    told, changed = {}, "deterministic"
    assert form.focus_chain == [
        form.query_one(f"#{f.name}") for f in sorted(declared, key=lambda f: not f.metadata["basic"])
    ]
    await screen.press("tab")
    assert "Mend rows" in screen.shown("#about"), "the help is that of the option that has the focus"
    for widget in form.focus_chain:
        form.tell(DescendantFocus(widget))
        about = form.query_one("#about", Static)
        told[widget.id] = str(about.content)
        width = about.size.width
        assert sum(len(wrap(line, width)) for line in told[widget.id].splitlines()) <= about.size.height, (
            "nothing is cut"
        )
    for f in declared:
        assert f.metadata["help"] in told[f.name] and f"Default: {'off' if f.default is False else ''}" in told[f.name]
        chosen = isinstance(form.query_one(f"#{f.name}"), Select)
        assert chosen == ("choices" in f.metadata or isinstance(f.default, bool))
    assert "chosen now: nf4, QLoRA" in told["quantize"]
    assert not [mark for mark in form.query(".mark") if str(mark.content)]
    form.query_one(f"#{changed}").focus()
    await screen.press("enter", "down", "enter")
    assert form.query_one(f"#{changed}", Select).value == "on"
    marked = [mark.id for mark in form.query(".mark") if str(mark.content)]
    assert marked == [f"mark-{changed}"] and "1 differs from the default" in str(form.query_one(".heading").content)
    await screen.press("f9")
    await screen.settle(lambda: screen.inspector.looked[-1][changed])


@training_test()
async def test_plan_counts_what_the_apps_own_engine_gives_back(screen):
    await screen.say(replace(READY, held=5 << 30))
    await open_training(screen)
    assert screen.inspector.released == 5 << 30
    await screen.press("escape")
    screen.app._compare.release("busy")
    await open_training(screen)
    assert screen.inspector.released == 0


@training_test()
async def test_f5_refuses_a_plan_that_does_not_fit_and_suggests_one(screen):
    screen.inspector.plan = replace(PLAN, free=1, nearest="--max-length 64")
    await open_training(screen)
    await screen.press("f5")
    assert "not enough memory" in screen.shown("#hint") and "“longest row” 64" in screen.shown("#hint")


@training_test()
async def test_f5_starts_training_closes_the_engine_and_shows_the_run(screen, monkeypatch, home):
    started = []
    monkeypatch.setattr(
        "playground.jobs.training.start_training",
        lambda config, folder, resume: started.append((config, record(folder, last=12, ended=""))) or is_there,
    )
    await open_training(screen)
    await screen.press("f5")
    await screen.settle(lambda: isinstance(screen.app.screen, RunScreen))
    ((config, folder),) = started
    assert config["data"] == "mini.jsonl" and folder.parent == home / "adapters"
    await screen.settle(lambda: "step 12 of 45" in screen.shown("#top"))
    assert screen.engine.closed, "one process holds a model"
    await screen.press("escape")
    assert "training run" in str(screen.app._compare.query_one("#top", Static).content)


class Lingering(FakeEngine):
    """Ends when it is let go."""

    def __init__(self, *given, **options):
        super().__init__(*given, **options)
        self.let_go, self.goes = threading.Event(), True

    def close(self, grace=0.3):
        self.let_go.wait(10)
        super().close(grace)
        return self.goes


class Slow(Training):
    """The app with an engine that takes its time to end."""

    def _start(self, adapters=(), model=None, *, bare=False):
        self.engines.append(Lingering(adapters, model, bare=bare))
        return self.engines[-1]


@screen_test((120, 40), Slow)
async def test_training_starts_only_when_the_engine_is_gone(screen, home, monkeypatch):
    started = []
    monkeypatch.setattr(
        "playground.jobs.training.start_training",
        lambda config, folder, resume: (
            started.append((screen.engine.closed, record(folder, last=12, ended=""))) or is_there
        ),
    )
    await open_training(screen)
    engines = len(screen.engines)
    await screen.press("f5")
    assert screen.shown("#hint").startswith("Waiting until the model")
    await screen.press("f5", "f10")
    await screen.pilot.pause(0.05)
    assert started == [] and len(screen.engines) == engines, "nothing else takes the device meanwhile"
    screen.engine.let_go.set()
    await screen.settle(lambda: isinstance(screen.app.screen, RunScreen))
    screen.app.post_message(TrainScreen.StartRequested({}, home / "adapters" / "again"))  # F5 was still held down
    await screen.settle()
    assert [closed for closed, _ in started] == [True]


def test_second_training_waits_for_the_first_to_be_shown(monkeypatch, tmp_path):
    """Until then nothing on the disk says that one has started."""
    started, said = [], []
    monkeypatch.setattr(
        "playground.jobs.training.start_training", lambda *given, **options: started.append(given) or is_there
    )
    app = SimpleNamespace(post_message=said.append)
    beginning = Beginning(app, lambda then: then(True))
    beginning.start({}, tmp_path / "one")
    beginning.start({}, tmp_path / "two")
    with pytest.raises(EnvironmentFault, match="about to start"):
        beginning.require_none()
    assert len(started) == len(said) == 1
    beginning.done()
    beginning.require_none()


@screen_test((120, 40), Slow)
async def test_resumed_training_says_that_it_waits_too(screen, home, monkeypatch):
    monkeypatch.setattr("playground.jobs.training.start_training", lambda *given, **options: is_there)
    run_record(record(home / "adapters" / "one", ended=""), "2026-11-21T10:00:00+00:00", "stopped")
    await open_training(screen)
    await screen.press("f6", "r")
    await screen.settle(lambda: screen.shown("#hint").startswith("Waiting until the model"))
    screen.engine.let_go.set()
    await screen.settle(lambda: isinstance(screen.app.screen, RunScreen))


@training_test()
async def test_key_that_is_held_down_opens_one_list_of_runs(screen):
    await open_training(screen)
    burst(screen, "f6", "f6", "f6")
    await screen.settle(lambda: isinstance(screen.app.screen, RunsDialog))
    await screen.settle()
    assert len(screen.app.screen_stack) == 3


@pytest.mark.parametrize(("key", "opens"), [("a", AskScreen), ("d", TrainScreen), ("f6", CompareScreen)])
@training_test()
async def test_key_held_down_on_the_run_screen_acts_once(screen, home, key, opens):
    folder = record(home / "adapters" / "done", last=36)
    (folder / "steps" / "000036").mkdir(parents=True)
    (folder / "steps" / "000036" / "adapter_config.json").write_text("{}")
    asked, engines = [], len(screen.engines)
    screen.app._engine = lambda adapters, adapters_dir: asked.append(FakeEngine()) or asked[-1]
    await watch(screen, folder)
    await screen.settle(lambda: "finished" in screen.shown("#top"))
    depth = len(screen.app.screen_stack)
    burst(screen, key, key, key)
    await screen.settle(lambda: isinstance(screen.app.screen, opens))
    await screen.settle()
    assert len(screen.app.screen_stack) <= depth + 1 and len(asked) <= 1 and len(screen.engines) <= engines + 1


@screen_test((120, 40), Slow)
async def test_engine_that_does_not_end_is_said_instead_of_trained_next_to(screen, monkeypatch):
    started = []
    monkeypatch.setattr(
        "playground.jobs.training.start_training", lambda *given, **options: started.append(given) or is_there
    )
    screen.engine.goes = False
    screen.engine.let_go.set()
    await open_training(screen)
    await screen.press("f5")
    await screen.settle(lambda: "does not leave the memory" in screen.shown("#hint"))
    assert started == [] and isinstance(screen.app.screen, TrainScreen)


@training_test()
async def test_plan_is_made_again_when_the_engine_says_what_it_holds(screen):
    """It was still loading: its memory looked as if it were used by someone else."""
    screen.inspector.plan = replace(PLAN, free=1)
    await open_training(screen)
    screen.inspector.plan = PLAN
    await screen.say(replace(READY, held=5 << 30))
    await screen.press("f5")
    await screen.settle(lambda: screen.inspector.released == 5 << 30 and "F5 starts" in screen.shown("#hint"))


async def watch(screen, folder):
    screen.app.push_screen(RunScreen(folder))
    await screen.settle(lambda: isinstance(screen.app.screen, RunScreen) and screen.app.screen.history.started)
    await screen.settle(lambda: screen.shown("#marks"))


@training_test((80, 24))
async def test_scrubbing_moves_the_answers_the_figures_and_the_chart_cursor(screen, home):
    await watch(screen, record(home / "adapters" / "done", last=18))
    await screen.settle(lambda: "finished" in screen.shown("#top"))
    assert "Answer at step 18." in screen.shown("#answers") and "base" in screen.shown("#answers")
    seen = []
    for key in ("left", "left", "left", "left", "right"):
        began = time.perf_counter()
        await screen.pilot.press(key)
        seen.append(next(s for s in (0, 6, 12, 18) if f"Answer at step {s}." in screen.shown("#answers")))
        assert time.perf_counter() - began < 5
    assert seen == [12, 6, 0, 0, 6]
    assert screen.app.screen.query_one(Chart)._cursor == 6
    assert screen.shown("#numbers").startswith("step 6 of 45  loss ⠂ 1.22  mean ━ 1.63  held out ◇ 1.44")
    rows = screen.shown("#frames").splitlines()
    assert rows[1].startswith("▸ 6 ") and rows[1].endswith("■ ◀ begins to answer")
    assert rows[3].endswith("■ ◆ lowest held out") and "lowest ◆ 1.40 at step 18" in screen.shown("#numbers")
    await screen.press("g")
    assert screen.shown("#numbers") == "before training  held out ◇ 1.90  lowest ◆ 1.40 at step 18"
    assert "1 of 2 ↑↓" in screen.shown("#asked") and "quantum" in screen.shown("#asked")
    await screen.press("j")
    assert "capital of France" in screen.shown("#asked") and "2 of 2" in screen.shown("#asked")
    await screen.press("down", "G")
    assert "quantum" in screen.shown("#asked") and "step 18 of 45" in screen.shown("#numbers")
    await screen.press("k")
    assert "capital of France" in screen.shown("#asked")
    await screen.pilot.click("#frames", offset=(3, 1))
    await screen.settle(lambda: screen.shown("#numbers").startswith("step 6 of 45"))
    await screen.press("q")
    assert screen.app.screen is screen.app._compare


@training_test()
async def test_run_that_ends_while_it_is_watched_plays_its_film_once(screen, home, monkeypatch):
    monkeypatch.setattr("playground.tui.screens.run.FRAME_SECONDS", 0.02)
    folder, alive = record(home / "adapters" / "live", last=18, ended=""), [True]
    monkeypatch.setattr("playground.jobs.training.RunLink.is_alive", lambda link: alive[0])
    seen, draw = [], RunScreen.draw
    monkeypatch.setattr(RunScreen, "draw", lambda self: (seen.append(self._film.at), draw(self))[1])
    await watch(screen, folder)
    await screen.settle(lambda: "▶ step 18" in screen.shown("#top"))
    assert {*seen} == {None}
    with (folder / "events.jsonl").open("a") as file:
        file.write(events(folder, last=18)[-1].to_json() + "\n")
    await screen.settle(lambda: 12 in seen and seen[-1] is None)
    assert list(dict.fromkeys(seen)) == [None, 0, 6, 12], "and then the last step"
    seen.clear()
    await screen.settle(lambda: screen.app.screen._player is None)
    alive[0] = False
    await asyncio.sleep(0.6)
    assert {*seen} <= {None}, "it plays once"


@training_test()
async def test_a_key_plays_a_finished_run_and_any_key_stops_it(screen, home, monkeypatch):
    monkeypatch.setattr("playground.tui.screens.run.FRAME_SECONDS", 60.0)
    monkeypatch.setattr("playground.tui.screens.run.PLAY_SECONDS", 600.0)
    await watch(screen, record(home / "adapters" / "done", last=18))
    await screen.settle(lambda: "finished" in screen.shown("#top"))
    await asyncio.sleep(0.6)  # a beat
    run = screen.app.screen
    assert run._player is None and run._film.at is None, "opening it does not play it"
    for stop, at in (("p", 0), ("down", 0), ("right", 6)):
        await screen.press("p")
        assert run._player is not None and run._film.at == 0
        await screen.press(stop)
        assert run._player is None and run._film.at == at, stop
    await screen.press("p", "escape")
    assert screen.app.screen is screen.app._compare


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"samples": ()}, "This run answered no sample prompts."),
        ({"samples": (Sample("日本\n👩‍👩‍👧‍👦" * 40, Answer("は" * 400, "length", None, 64), False),)}, "日本↵"),
        ({"samples": (Sample(HOSTILE.replace("\ud83d", ""), Answer("\x1b[2J\r\n", "stop", None, 2), True),)}, "␛"),
    ],
    ids=["none", "wide", "hostile"],
)
@training_test((80, 24))
async def test_film_of_unusual_samples_stays_legible(screen, home, change, said):
    folder = home / "adapters" / "odd"
    odd = [replace(e, **change, base=()) if isinstance(e, Sampled) else e for e in events(folder, last=18)]
    record(folder)
    (folder / "events.jsonl").write_text("".join(event.to_json() + "\n" for event in odd))
    screen.app.push_screen(RunScreen(folder))
    await screen.settle(lambda: isinstance(screen.app.screen, RunScreen) and screen.app.screen.history.ended)
    await screen.press("left", "left", "up", "p", "end")
    shown = "".join(screen.shown(where) for where in ("#asked", "#frames", "#marks", "#answers"))
    assert said in shown and not {"\x1b", "\x07", "\u202e", "\r"} & set(shown)
    assert all(cell_len(row) <= 78 for row in screen.shown("#frames").splitlines())


@training_test((80, 24))
async def test_film_of_many_samplings_scrolls_to_the_step_that_is_shown(screen, home):
    folder = home / "adapters" / "long"
    many = [event for event in events(folder, last=36) if not isinstance(event, Sampled | RunEnded)]
    many += [replace(sampled(step), step=step) for step in range(41)] + events(folder, last=36)[-1:]
    record(folder)
    (folder / "events.jsonl").write_text("".join(event.to_json() + "\n" for event in many))
    await watch(screen, folder)
    await screen.settle(lambda: "finished" in screen.shown("#top"))
    strip = screen.app.screen.query_one("#strip")
    await screen.settle(lambda: strip.size.height > 4 and strip.scroll_offset.y == 41 - strip.size.height)
    strip.scroll_to(y=20, animate=False)
    await screen.settle(lambda: strip.scroll_offset.y == 20)
    screen.app.screen.draw()
    await screen.settle()
    assert strip.scroll_offset.y == 20, "a redraw keeps the place of the reader"
    await screen.press("home")
    await screen.settle(lambda: strip.scroll_offset.y == 0)
    assert strip.size.height <= 9 and screen.app.screen.query_one("#detail").size.height >= 2
    await screen.press(*["right"] * 12)
    await screen.settle(lambda: strip.scroll_offset.y <= 12 < strip.scroll_offset.y + strip.size.height)


@training_test((80, 24))
async def test_both_answers_of_a_paused_run_are_seen_from_their_beginnings(screen, home):
    await watch(screen, record(home / "adapters" / "asked", last=6))
    for lane, text in (("sft", "It is a river.\n"), ("base", f"What{HOSTILE}"), ("sft", "It is a river.\nYes.")):
        screen.app.screen.post_message(RunScreen.Replied(Spoken(1, lane, text, 3, 0.1)))
    await screen.settle(lambda: "Yes" in screen.shown("#hint"))
    sft, base = screen.shown("#hint").split("\n")
    assert sft == "sft: It is a river.↵Yes." and base.startswith("base: What") and "\x1b" not in base and len(base) < 80
    for request, text in ((2, "It is a sea."), (1, "Late.")):
        screen.app.screen.post_message(RunScreen.Replied(Spoken(request, "sft", text, 4, 0.2)))
    await screen.settle(lambda: "sea" in screen.shown("#hint"))
    assert screen.shown("#hint") == "sft: It is a sea.", "nothing of the prompt before"


@training_test()
async def test_reference_answer_of_the_data_is_shown_below(screen, home):
    folder = home / "adapters" / "own"
    asked = Prompt("7", sampled(0).samples[0].prompt, reference="It is \x1b small.", rows="held out")
    start, *more = events(folder, last=6)
    record(folder)
    lines = [replace(start, plan=replace(PLAN, sample_prompts=(asked,))), *more]
    (folder / "events.jsonl").write_text("".join(event.to_json() + "\n" for event in lines))
    await watch(screen, folder)
    await screen.settle(lambda: "reference" in screen.shown("#answers"))
    text = screen.shown("#answers")
    assert "reference  the answer in the data, never trained\nIt is ␛ small." in text
    assert text.index("Answer at step 6.") < text.index("reference") < text.index("base  ")
    assert screen.shown("#asked").endswith("held out")


@training_test()
async def test_ended_run_offers_only_available_actions(screen, home):
    await watch(screen, record(home / "adapters" / "gone", last=6, ended=""))
    await screen.settle(lambda: "is gone" in screen.shown("#top"))
    await screen.press("x", "space")
    offered = set(screen.app.screen.active_bindings)
    assert not offered & {"space", "s", "x", "ctrl+s"} and {"a", "d", "f6", "left", "right"} <= offered
    assert "F6 compares it" in screen.shown("#hint"), "and pressing them does nothing"
    await screen.press("a")
    assert isinstance(screen.app.screen, RunScreen), "it kept no step that could be asked"


@training_test()
async def test_cancelled_run_offers_nothing_that_needs_its_folder(screen, home, monkeypatch):
    folder = record(home / "adapters" / "gone", last=6, ended="")
    with (folder / "events.jsonl").open("a") as file:
        file.write(events(folder, ended="cancelled")[-1].to_json() + "\n")
    await watch(screen, folder)
    await screen.settle(lambda: "cancelled at step 6" in screen.shown("#top"))
    assert not {"a", "f6"} & set(screen.app.screen.active_bindings) and "F6" not in screen.shown("#hint")
    await screen.press("a", "f6", "left")
    assert "Answer at step 0." in screen.shown("#answers"), "what was seen can still be looked at"


@training_test()
async def test_runs_are_listed_opened_and_compared(screen, home):
    for name, day in (("old", 20), ("new", 22)):
        run_record(record(home / "adapters" / name), f"2026-11-{day}T10:00:00+00:00")
    (home / "adapters" / "broken").mkdir()
    (home / "adapters" / "broken" / "run.json").write_text("[]")
    await open_training(screen)
    await screen.press("f6")
    rows = screen.app.screen.query_one(OptionList)
    assert [str(rows.get_option_at_index(n).prompt).split()[0] for n in range(rows.option_count)] == ["new", "old"]
    await screen.press("down", "enter")
    await screen.settle(lambda: isinstance(screen.app.screen, RunScreen))
    await screen.settle(lambda: "finished" in screen.shown("#top"))
    await screen.press("f6")
    await screen.settle(lambda: screen.app.screen is screen.app._compare or len(screen.app.screen_stack) < 3)
    assert screen.engine.options == ((str(home / "adapters" / "old"),), None, False)


@training_test((80, 24))
async def test_runs_are_filtered_and_moved_through_with_letters(screen, home):
    for name, day in (("pirate-1", 20), ("mini-2", 21), ("pirate-3", 22)):
        run_record(record(home / "adapters" / name), f"2026-11-{day}T10:00:00+00:00")
    await open_training(screen)
    await screen.press("f6")
    rows = screen.app.screen.query_one(OptionList)
    await screen.press("G")
    assert rows.highlighted == 2
    await screen.press("k", "g", "j")
    assert rows.highlighted == 1
    await screen.press("slash", *"Pirate")
    await screen.settle(lambda: rows.option_count == 2)
    assert screen.shown("#problems") == "2 of 3 runs"
    await screen.press("enter", "j")
    assert rows.highlighted == 1, "the letters act again"
    await screen.press("n")
    assert screen.app.screen.query_one("#name", Input).value == "pirate-1"
    await screen.press("escape", "slash", *"xyz")
    await screen.settle(lambda: rows.option_count == 0)
    assert not {"r", "n", "d", "c"} & set(screen.app.screen.active_bindings), "nothing to do it to"
    await screen.press("escape")
    await screen.settle(lambda: rows.option_count == 3)
    await screen.press("q")
    assert isinstance(screen.app.screen, TrainScreen)


@training_test((80, 24))
async def test_runs_dialog_without_runs_says_what_to_do(screen):
    await open_training(screen)
    await screen.press("f6")
    assert screen.shown(".heading").startswith("No runs yet.")
    assert not screen.app.screen.query_one(".columns").display
    offered = set(screen.app.screen.active_bindings)
    assert not offered & {"r", "n", "d", "space", "c", "slash"} and {"escape", "q"} <= offered
    await screen.press("d", "r", "n", "c", "slash", "j", "enter", "q")
    assert isinstance(screen.app.screen, TrainScreen)


@training_test()
async def test_ended_run_can_be_asked_at_up_to_four_steps(screen, home):
    folder = record(home / "adapters" / "done", last=36)
    for step in (6, 12, 18, 24, 30, 36):
        (folder / "steps" / f"{step:06d}").mkdir(parents=True)
        (folder / "steps" / f"{step:06d}" / "adapter_config.json").write_text("{}")
    asked = []
    screen.app._engine = lambda adapters, adapters_dir: asked.append((adapters, engine := FakeEngine())) or engine
    await watch(screen, folder)
    await screen.settle(lambda: "finished" in screen.shown("#top"))
    await screen.press("a", *"Hi", "enter")
    ((names, engine),) = asked
    assert [name.rpartition("@")[2] for name in names] == ["6", "18", "24", "36"]
    assert engine.asked == [] and screen.engine.closed, "asked before it is loaded, it waits"
    engine.said.put(READY)
    await screen.settle(lambda: engine.asked)
    assert [(lane.name, lane.side) for lane in engine.asked[0].lanes] == [
        ("base", "base"), ("step 6", "sft:done@6"), ("step 18", "sft:done@18"), ("step 24", "sft:done@24"),
        ("step 36", "sft:done@36"),
    ]  # fmt: skip
    engine.said.put(Spoken(1, "step 24", "So.", 2, 0.1, Answer("So.", "stop", None, 2)))
    await screen.settle(lambda: " by itself" in str(screen.app.screen.query(".state")[3].content))
    await screen.press("escape")
    assert engine.cancelled == [1]
    await screen.press("escape")
    await screen.settle(lambda: engine.closed and isinstance(screen.app.screen, RunScreen))


@training_test((80, 24))
async def test_run_is_renamed_resumed_and_removed_after_confirmation(screen, home, monkeypatch):
    started = []
    monkeypatch.setattr(
        "playground.jobs.training.start_training",
        lambda config, folder, resume: started.append((folder.name, resume)) or is_there,
    )
    for name, day in (("one", 22), ("two", 21)):
        run_record(record(home / "adapters" / name, ended=""), f"2026-11-{day}T10:00:00+00:00", "stopped")
    await open_training(screen)
    await screen.press("f6", "n")
    field = screen.app.screen.query_one("#name", Input)
    field.value = "../evil"
    await screen.press("enter")
    assert "not a valid run name" in screen.shown("#problems")
    field.value = "three"
    await screen.press("enter", "down", "d")
    assert (home / "adapters" / "three" / "run.json").is_file() and "D again removes two" in screen.shown("#problems")
    assert (home / "adapters" / "two").is_dir()
    await screen.press("d")
    assert not (home / "adapters" / "two").exists()
    await screen.press("r")
    await screen.settle(lambda: isinstance(screen.app.screen, RunScreen))
    assert started == [("three", True)] and screen.engine.closed


@pytest.mark.parametrize(
    ("change", "said"), [({"step": "x"}, ""), ({"loss": {}}, ""), ({"config": {"lora_r": {}}}, "lora_r cannot be {}")]
)
@training_test()
async def test_run_record_with_wrong_types_does_not_crash_the_app(screen, home, change, said):
    run_record(record(home / "adapters" / "good", ended=""), "2026-11-21T10:00:00+00:00", "stopped")
    run_record(record(home / "adapters" / "foreign", ended=""), "2026-11-22T10:00:00+00:00", "stopped")
    path = home / "adapters" / "foreign" / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    await open_training(screen)
    await screen.press("f6")
    names = [str(option.prompt).split()[0] for option in screen.app.screen.query_one(OptionList).options]
    assert names == (["foreign", "good"] if said else ["good"])
    if said:
        await screen.press("r")
        assert said in screen.shown("#problems")
    assert screen.app._exception is None


@training_test()
async def test_letter_keys_are_actions_until_the_run_prompt_opens(screen, home, monkeypatch):
    folder, told = record(home / "adapters" / "live", last=6, ended=""), []
    monkeypatch.setattr("playground.jobs.training.RunLink.is_alive", lambda link: True)
    monkeypatch.setattr("playground.jobs.training.RunLink.tell", lambda link, do: not told.append(do))
    await watch(screen, folder)
    await screen.settle(lambda: "step" in screen.shown("#top"))
    await screen.press("space", "s", "x", "x")
    await screen.settle(lambda: len(told) == 3)
    assert sorted(told) == ["cancel", "pause", "sample_now"]
    assert screen.app.screen.query_one(PromptBar).text == ""
    with (folder / "events.jsonl").open("a") as file:
        file.write(Paused(6).to_json() + "\n")
    await screen.settle(lambda: "paused" in screen.shown("#top"))
    await screen.press("a", "tab", *"dasx")
    assert screen.app.screen.query_one(PromptBar).text == "dasx" and len(told) == 3


@training_test()
async def test_hostile_text_of_a_run_is_harmless(screen, home):
    folder = record(home / "adapters" / "bad", last=6, ended="")
    bad = replace(sampled(6), samples=(replace(sampled(6).samples[0], prompt=HOSTILE.replace("\ud83d", "")),))
    end = RunEnded.failed(folder, HOSTILE.replace("\ud83d", ""))
    with (folder / "events.jsonl").open("a") as file:
        file.write(bad.to_json() + "\n" + end.to_json() + "\n")
    await watch(screen, folder)
    await screen.settle(lambda: "failed" in screen.shown("#top"))
    shown = "".join(str(widget.content) for widget in screen.app.screen.query(Static))
    assert "␛]52" in shown and not {"\x1b", "\x07", "\u202e"} & set(shown)


@training_test()
async def test_leaving_the_training_screen_ends_the_desk(screen):
    await open_training(screen)
    await screen.press("escape")
    await screen.settle(lambda: screen.inspector.closed)
    assert screen.app.screen is screen.app._compare


def test_history_describes_the_state_of_the_run(tmp_path):
    history = RunHistory()
    assert not history.live
    history.add(RunStage("loading the model", 0.63))
    assert history.state() == "… loading the model, 63 %" and history.live
    for event in events(tmp_path, last=24, ended=""):
        history.add(event)
    assert history.state() == "▶ step 24 of 45 · 58 s left"
    history.add(Paused(24))
    assert history.state() == "‖ paused at step 24 of 45" and history.paused
    history.add(Continued(24))
    history.add(BatchHalved(25, 4))
    assert "4 rows" in history.note
    history.add(RunEnded.failed(tmp_path, "disk full"))
    assert history.state() == "✗ failed at step 24: disk full" and not history.live
    history.add(RunStarted("run", "x", "m", PLAN, 20, 1.0))
    history.add(step_done(21, 9.0))
    assert history.live and dict(history.losses())[21] == 9.0, "a step taken again counts as the later one"


def test_smoothed_loss_is_a_weighted_mean_of_past_steps():
    history = RunHistory()
    losses = [3.0, 1.0, 2.0]
    for step, loss in enumerate(losses, 1):
        history.add(step_done(step, loss))
    weights = [0.8**n for n in range(3)]
    for n, (_, value) in enumerate(history.smoothed(), 1):
        expected = sum(w * v for w, v in zip(weights, reversed(losses[:n]), strict=False)) / sum(weights[:n])
        assert value == pytest.approx(expected)


@pytest.mark.parametrize(("value", "top"), [(2.7, 3), (3.0, 3), (0.031, 0.04), (12, 15), (0, 1), (float("nan"), 1)])
def test_axes_end_at_round_numbers(value, top):
    assert nice(value) == pytest.approx(top)


@training_test()
async def test_the_curves_of_marked_runs_are_shown_together(screen, home):
    for name, day in (("one", 23), ("two", 22), ("three", 21)):
        run_record(record(home / "adapters" / name, last=36), f"2026-11-{day}T10:00:00+00:00", "finished")
    await open_training(screen)
    await screen.press("f6", "space", "down", "down", "space", "c")
    legend = screen.shown("#legend")
    assert "A one: " in legend and "B three: " in legend and "two" not in legend and "after 36 steps" in legend
    chart = str(screen.app.screen.query_one(Chart).render())
    assert "A" in chart or "B" in chart  # equal runs end in the same cell
    await screen.press("escape", "space", "up", "up", "space", "c")
    assert "two" in screen.shown("#legend"), "none is marked: the newest"


@training_test()
async def test_a_path_is_completed_and_a_file_is_picked(screen, tmp_path, monkeypatch):
    (tmp_path / "rows").mkdir()
    for name in ("rows/a[bold].jsonl", "rows/notes.txt", ".hidden.jsonl"):
        (tmp_path / name).write_text("{}")
    monkeypatch.chdir(tmp_path)
    suggest = PathSuggester().get_suggestion
    assert await suggest("ro") == "rows/"
    assert await suggest("rows/a") == "rows/a[bold].jsonl"
    assert await suggest(f"{tmp_path}/rows/a") == f"{tmp_path}/rows/a[bold].jsonl"
    for nothing in ("rows/n", ".h", "", "hf:org", "none/x", "\0", "~nobody-at-all/x"):
        assert await suggest(nothing) is None
    await open_training(screen)
    await screen.press("f3")
    await screen.press("enter")
    assert names(screen) == ["../", "a[bold].jsonl"], "the first entry was the folder; no other file can be trained on"
    await screen.press("enter")
    await screen.settle(lambda: screen.inspector.looked[-1]["data"] == str(tmp_path / "rows" / "a[bold].jsonl"))


def names(screen):
    options = screen.app.screen.query_one("#files", OptionList)
    return [str(options.get_option_at_index(n).prompt).split("  ")[0] for n in range(options.option_count)]


@training_test((80, 24))
async def test_files_are_filtered_and_folders_above_and_home_are_reached(screen, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("home/own.csv", "work/deep/a.jsonl", "work/deep/b-mine.csv", "work/deep/Mine.json", "work/c.parquet"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * 1_234)
    monkeypatch.chdir(tmp_path / "work" / "deep")
    await open_training(screen)
    await screen.press("f3")
    assert names(screen) == ["../", "a.jsonl", "b-mine.csv", "Mine.json"]
    options = screen.app.screen.query_one("#files", OptionList)
    assert "1 kB" in str(options.get_option_at_index(1).prompt)
    await screen.press(*"mine", "down")
    assert names(screen) == ["b-mine.csv", "Mine.json"] and options.highlighted == 1
    await screen.press(*["backspace"] * 4)
    assert len(names(screen)) == 4
    await screen.press("backspace")
    assert names(screen) == ["../", "deep/", "c.parquet"] and options.highlighted == 1, "where one came from"
    await screen.press("~")
    assert names(screen) == ["../", "own.csv"] and screen.shown("#folder") == "~"
    await screen.press(*"../work/")
    assert names(screen) == ["../", "deep/", "c.parquet"]
    await screen.press(*"zzz")
    assert names(screen) == [] and "'zzz'" in screen.shown("#problems")
    await screen.press("enter", "escape")
    assert isinstance(screen.app.screen, TrainScreen)


@training_test()
async def test_data_can_be_viewed_but_not_trained_during_a_run(screen, home):
    import filelock

    folder = record(home / "adapters" / "busy", last=6, ended="")
    run_record(folder, "2026-11-23T10:00:00+00:00", "running")
    with filelock.FileLock(folder / ".lock"):
        await screen.press("ctrl+r")
        await screen.settle(lambda: isinstance(screen.app.screen, RunScreen))
        await screen.press("d")
        await screen.settle(lambda: isinstance(screen.app.screen, TrainScreen) and "F5" in screen.shown("#hint"))
        assert "line 1" in screen.shown("#first")
        await screen.press("f5")
        assert "busy is still training" in screen.shown("#hint")
        await screen.press("escape")
        await screen.settle(lambda: isinstance(screen.app.screen, RunScreen))


@training_test()
async def test_app_opened_during_training_does_not_load_a_model(screen, home):
    import filelock

    folder = record(home / "adapters" / "busy", last=6, ended="")
    run_record(folder, "2026-11-23T10:00:00+00:00", "running")
    with filelock.FileLock(folder / ".lock"):
        screen.app.on_ready()
        await screen.settle(lambda: screen.engine.closed)
        assert "training run" in screen.text("#top")


@training_test()
async def test_f5_without_a_plan_repeats_the_reason(screen, monkeypatch):
    await open_training(screen)
    monkeypatch.setattr(screen.inspector, "look", lambda config, released: 77)
    screen.app.screen.query_one("#path", Input).focus()
    await screen.press("x", "enter", "f5")
    assert screen.shown("#hint") == "The plan is not ready yet."
    screen.inspector.said.put(InspectorError(77, "There is no file 'x'.", "Check the name."))
    await screen.settle(lambda: "no file" in screen.shown("#hint"))
    screen.app.screen.hint("")
    await screen.press("f5")
    assert screen.shown("#hint") == "There is no file 'x'. Check the name."
    assert isinstance(screen.app.screen, TrainScreen)


@training_test()
async def test_invalid_settings_file_is_reported_without_a_crash(screen, home):
    (home / "settings.toml").write_text("[train]\nlora_r = 4\n")
    await screen.press("ctrl+r")
    await screen.settle(lambda: isinstance(screen.app.screen, TrainScreen))
    await screen.settle(lambda: "no option 'train'" in screen.shown("#hint"))
    await screen.press("f9", "f5", "enter")
    assert isinstance(screen.app.screen, TrainScreen)


@training_test()
async def test_no_second_model_is_loaded_during_a_run(screen, home):
    import filelock

    busy, done = record(home / "adapters" / "busy", last=6, ended=""), record(home / "adapters" / "done", last=36)
    for folder, day, state in ((busy, 23, "running"), (done, 22, "stopped")):
        run_record(folder, f"2026-11-{day}T10:00:00+00:00", state)
        (folder / "steps" / "000006").mkdir(parents=True)
        (folder / "steps" / "000006" / "adapter_config.json").write_text("{}")
    started = len(screen.engines)
    with filelock.FileLock(busy / ".lock"):
        screen.app.on_ready()
        await screen.press("f5")
        assert "busy is still training" in screen.text("#hint")
        await screen.press("ctrl+r")
        await screen.settle(lambda: isinstance(screen.app.screen, RunScreen))
        await screen.press("d")
        await screen.settle(lambda: isinstance(screen.app.screen, TrainScreen) and "F5" in screen.shown("#hint"))
        await screen.press("f6", "down", "r")
        assert "busy is still training" in screen.shown("#problems")
        await screen.press("enter")
        await screen.settle(lambda: "done" in screen.shown("#top"))
        await screen.press("a")
        assert isinstance(screen.app.screen, RunScreen)
    assert len(screen.engines) == started
    await screen.press("f6")
    await screen.settle(lambda: len(screen.engines) == started + 1)


@training_test()
async def test_compare_screen_stops_telling_of_a_run_that_has_ended(screen, home):
    import filelock

    busy = record(home / "adapters" / "busy", last=6, ended="")
    run_record(busy, "2026-11-23T10:00:00+00:00", "running")
    with filelock.FileLock(busy / ".lock"):
        screen.app.on_ready()
        await screen.press("ctrl+r")
        await screen.settle(lambda: isinstance(screen.app.screen, RunScreen))
        await screen.press("q")
        assert "is using the device · Ctrl+R" in screen.text("#top")
        await screen.press("ctrl+r")
        await screen.settle(lambda: isinstance(screen.app.screen, RunScreen))
    await screen.press("q")
    assert "F5 loads the model" in screen.text("#top")


def test_long_rows_open_at_the_first_trained_token():
    from playground.tui.content.dataset import SHORT, begins_to_learn

    texts = [f"p{n} " for n in range(400)] + [f"a{n} " for n in range(300)]
    long = replace(ROW, texts=tuple(texts), trained=(False,) * 400 + (True,) * 300)
    shown = begins_to_learn(long)
    lit = "".join(str(shown)[span.start : span.end] for span in shown.spans if "underline" in str(span.style))
    assert "700 tokens, 300 trained" in str(shown) and "p359" not in str(shown) and "p360" in str(shown)
    assert lit.startswith("a0 ") and len(lit.split()) == SHORT - 40 and str(shown).endswith(" …")
    unlearned = begins_to_learn(replace(long, trained=(False,) * 700))
    assert "p0 " in str(unlearned) and "a299" not in str(unlearned)


def test_replies_are_shown_with_the_sampling_before_them(tmp_path):
    from recorded import events

    from playground.events.answers import Answer
    from playground.events.runs import Replied
    from playground.tui.content.samples import answers_at
    from playground.tui.state.run_history import RunHistory

    history = RunHistory()
    said = {"base": Answer("and on", "length", None, 9), "sft": Answer("Blue.", "stop", None, 3)}
    for event in (*events(tmp_path), Replied(8, "A colour?", said)):
        history.add(event)
    shown = {step: str(answers_at(history, None, step)) for step in (0, 6, 12)}
    assert shown[6].startswith("A colour?  asked at step 8\n") and "Blue." in shown[6]
    assert "A colour?" not in shown[0] + shown[12]


def test_run_figures_are_not_broken_across_lines(tmp_path):
    from recorded import events

    from playground.tui.state.run_history import RunHistory

    history = RunHistory()
    for event in events(tmp_path):
        history.add(event)
    whole = history.numbers(200)
    assert whole.startswith(
        "step 12 of 45  loss ⠂ 0.87  mean ━ 1.09  held out ◇ 1.41  lowest ◆ 1.41 at step 12  lr 5.0e-04"
    )
    assert "grad 0.90" in whole and "peak 2.40 GB" in whole and "\n" not in whole
    for width in (26, 38, 58, 78):
        lines = history.numbers(width).splitlines()
        assert max(map(len, lines)) <= width and "  ".join(lines) == whole


def test_held_out_row_is_labelled():
    from playground.tui.content.dataset import masked

    text = str(masked([replace(ROW, held_out=True)], 1))
    assert "held out: never trained" in text and "trained\n" not in text.replace("never trained, only", "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Check its name.", "Check its name."),
        ("Lower --eval-rows, or add rows.", "Lower “held-out rows”, or add rows (F9 opens the options)."),
        ("Say which is which: --map prompt=frage --map 'completion=a b'", "Say which is which: F4 (column)"),
        ("This fits: --max-length 64. --force tries anyway.", "This fits: “longest row” 64 (F9 opens the options)."),
        ("To train on its better side: --map messages=chosen", "To train on its better side: F4 (column)"),
        (
            "It has both; read one: --map messages=COLUMN",
            "It has both; on the command line: read one: --map messages=COLUMN",
        ),
        ("Only text; --map images= leaves it out", "Only text; on the command line: --map images= leaves it out"),
        ("See 'sft-playground train --help' for what each option takes.", ""),
    ],
)
def test_advice_in_the_app_names_its_own_places(text, said):
    assert in_app(text) == said


def test_filmstrip_is_not_scrolled_once_its_screen_was_left():
    Filmstrip()._keep_in_sight()  # as a callback that was waiting for the next refresh: its parts are gone

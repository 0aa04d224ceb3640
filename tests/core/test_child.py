"""The engine child, for real: a process, a tiny model, JSON lines."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from playground.config import TrainConfig
from playground.events.answers import Sampling
from playground.events.engine import (
    Ask,
    Branched,
    Choices,
    EngineError,
    EngineReady,
    EngineStage,
    Fed,
    LaneRequest,
    Looked,
    Spoken,
    Why,
)
from playground.jobs.engine import EngineProcess
from playground.training.loop import train


def ask(prompt, *sides, strength=1.0, history=(), **sampling):
    lanes = tuple(LaneRequest(side, side, (*history, prompt)) for side in sides)
    return Ask(lanes, strength, Sampling(**{"max_new_tokens": 12, **sampling}))


@pytest.fixture(scope="module")
def home(tmp_path_factory, tiny_folder):
    home = tmp_path_factory.mktemp("home")
    rows = "".join(json.dumps({"prompt": f"What is {n}?", "completion": f"It is {n}."}) + "\n" for n in range(8))
    (home / "rows.jsonl").write_text(rows)
    config = TrainConfig(
        model=str(tiny_folder("llama")), data=str(home / "rows.jsonl"), lora_r=4, num_train_epochs=1,
        sample_max_new_tokens=2,
    )  # fmt: skip
    list(train(config, home / "adapters" / "mine"))
    return home


@pytest.fixture
def engine(home, monkeypatch, warm_children):
    monkeypatch.setenv("SFT_PLAYGROUND_HOME", str(home))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    engine = EngineProcess()
    yield engine
    engine.close()


def until(events, kind):
    seen = []
    for event in events:
        seen.append(event)
        if isinstance(event, kind):
            return seen
    raise AssertionError(seen)


def test_engine_reports_stages_answers_and_cancels(engine):
    events = engine.events()
    *stages, ready = until(events, EngineReady)
    assert isinstance(stages[0], EngineStage) and stages[0].stage == "starting PyTorch"
    assert (ready.adapter, ready.style, ready.single_turn) == ("mine", "chat", True)
    info = next(event for event in stages if isinstance(event, Choices)).adapters[0]
    assert ready.source == info.model != "", "another adapter of this model needs no new engine"

    number = engine.ask(ask("Say hi.", "base", "sft"))
    (fed,) = until(events, Fed)
    assert fed.texts == {"base": "<bos>Say hi.", "sft": "<bos>User: Say hi.\nAssistant:"}
    assert fed.request == number and fed.num_tokens["base"] == 8 and len(fed.fingerprint) == 12
    ended = {}
    while len(ended) < 2:
        event = next(events)
        assert isinstance(event, Spoken) and event.request == number
        if event.answer:
            ended[event.lane] = event.answer
    assert all(0 < answer.num_tokens <= 12 for answer in ended.values())

    # At strength 0 both sides are one model: with equal input they must say the same.
    number = engine.ask(ask("Say hi.", "control", "sft", strength=0.0))
    until(events, Fed)
    said = {}
    while len(said) < 2:
        if (event := next(events)).answer:
            said[event.lane] = event.answer
    assert said["control"] == said["sft"]

    long = engine.ask(ask("Tell me everything.", "base", max_new_tokens=400))
    engine.cancel(long)
    later = engine.ask(ask("Again.", "base"))
    ends = [event for event in until_answer(events, later) if isinstance(event, Spoken) and event.answer]
    assert [event.request for event in ends][-1] == later
    assert all(event.answer.finish_reason == "cancelled" for event in ends[:-1])


def test_engine_lists_choices_and_switches_adapter_and_style(engine, home):
    events = engine.events()
    *before, ready = until(events, EngineReady)
    (choices,) = (event for event in before if isinstance(event, Choices))
    assert [(info.name, info.whose) for info in choices.adapters] == [
        ("mine", "yours"),
        ("demo-curated", "shipped"),
        ("demo-mini", "shipped"),
    ]
    assert choices.adapters[0].data == "rows.jsonl" and choices.adapters[0].loss > 0

    engine.use((), "alpaca")
    assert until(events, EngineReady)[-1].style == "alpaca"
    engine.use(["demo-mini"])
    refused = until(events, EngineError)[-1]
    assert refused.request == 0 and "was trained on" in refused.message
    engine.use(["mine"])
    again = until(events, EngineReady)[-1]
    assert (again.adapter, again.style, again.model) == ("mine", "chat", ready.model)
    engine.list()
    assert until(events, Choices)[-1] == choices


def test_lanes_keep_own_conversations_and_equal_draws_agree(engine):
    events = engine.events()
    until(events, EngineReady)
    lanes = (
        LaneRequest("1", "sft", ("a", "b", "c"), draw=0),
        LaneRequest("2", "sft", ("a", "b", "c"), draw=1),
        LaneRequest("3", "sft", ("a", "b", "c"), draw=0),
        LaneRequest("4", "base", ("a", "B", "c")),
    )
    number = engine.ask(Ask(lanes, 1.0, Sampling(12, 5.0, 1.0, 3)))
    ends = {}
    for event in until_answer(events, number, lanes=4):
        if isinstance(event, Fed):
            assert event.texts["4"] == "<bos>a\n\nB\n\nc"
            assert event.styled == event.texts["1"].removeprefix("<bos>")
            assert (event.styled, event.lead_in) == ("User: a\nAssistant: b<eos>\nUser: c\nAssistant:", " ")
        elif event.answer:
            ends[event.lane] = event.answer
    assert ends["1"] == ends["3"] != ends["2"]


def test_a_run_and_one_of_its_steps_answer_in_one_batch(engine, home):
    mine = home / "adapters" / "mine"
    step = min(int(path.name) for path in (mine / "steps").iterdir())
    several = EngineProcess([str(mine), f"{mine}@{step}"])
    events = several.events()
    sides = ("base", "sft:mine", f"sft:mine@{step}")
    assert until(events, EngineReady)[-1].sides == sides[1:]
    number = several.ask(Ask(tuple(LaneRequest(side, side, ("Say hi.",)) for side in sides), 1.0, Sampling(12)))
    together = {e.lane: e.answer for e in until_answer(events, number, 3) if isinstance(e, Spoken) and e.answer}
    several.close()
    alone = engine.events()
    until(alone, EngineReady)
    number = engine.ask(ask("Say hi.", "base"))
    assert together["base"] == [*until_answer(alone, number)][-1].answer
    assert set(together) == set(sides)


def test_finished_answers_are_looked_at_until_another_adapter_is_used(engine):
    events = engine.events()
    until(events, EngineReady)
    number = engine.ask(ask("Say hi.", "base", "control", "sft"))
    said = {e.lane: e.answer for e in until_answer(events, number, 3) if isinstance(e, Spoken) and e.answer}
    asked = engine.why(Why(number, "sft"))
    *_, looked = until(events, Looked)
    assert (looked.request, looked.lens.prompt, looked.lens.adapter) == (asked, "Say hi.", "mine")
    assert len(looked.lens.positions) == said["sft"].num_tokens and len(looked.walk.texts) <= said["base"].num_tokens
    assert said["base"].text.startswith("".join(looked.walk.texts)[:20])
    for reading, side in (("training", "control"), ("whole", "base")):
        engine.why(Why(number, "sft", reading, 0))
        *_, branched = until(events, Branched)
        assert said[side].text.startswith(branched.answer.text) or branched.answer.text.startswith(said[side].text)
    greedy = [position.sft.rank for position in looked.lens.positions]
    assert greedy == [1] * len(greedy), "what was said is what sft expected most"
    engine.use(["mine"])
    until(events, EngineReady)
    engine.why(Why(number, "sft"))
    assert "too long ago" in until(events, EngineError)[-1].message


def until_answer(events, number, lanes=1):
    for event in events:
        yield event
        if isinstance(event, Spoken) and event.request == number and event.answer:
            lanes -= 1
            if not lanes:
                return


def test_engine_serves_the_next_request_after_an_error(engine):
    events = engine.events()
    until(events, EngineReady)
    bad = engine.ask(ask("x" * 5000, "base"))
    assert until(events, EngineError)[-1].request == bad
    engine.ask(ask("Say hi.", "base"))
    until(events, Fed)


def test_engine_process_exits_when_closed(engine):
    until(engine.events(), EngineReady)
    engine.close()
    assert engine._process.poll() is not None


def test_killed_engine_is_reported_with_its_signal(engine):
    events = engine.events()
    until(events, EngineReady)
    engine._process.kill()
    last = list(events)[-1]
    assert isinstance(last, EngineError) and "by signal 9, probably out of memory" in last.message


def test_child_that_outlives_being_killed_is_not_called_gone():
    """As one whose driver hangs; it is not waited for without end."""

    class Hanging:
        stdin = returncode = None

        def wait(self, seconds):
            raise subprocess.TimeoutExpired("child", seconds)

        def kill(self):
            pass

    child = EngineProcess.__new__(EngineProcess)
    child._process = Hanging()
    assert child.close() is False


def test_missing_adapter_is_reported(home, monkeypatch, warm_children):
    monkeypatch.setenv("SFT_PLAYGROUND_HOME", str(home))
    engine = EngineProcess(["absent"])
    last = list(engine.events())[-1]
    assert isinstance(last, EngineError) and "There is no adapter 'absent'" in last.message
    engine.close()


def test_bad_input_lines_are_survived_and_eof_ends_loading(home, warm_children):
    environment = {**os.environ, "SFT_PLAYGROUND_HOME": str(home)}
    command = [sys.executable, "-m", "playground.inference.child", "{}"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    child = subprocess.Popen(command, text=True, env=environment, **pipes)
    child.stdin.write('oops\n{"do": 5}\n[]\n{"do": "use"}\n')
    child.stdin.flush()
    heard = [json.loads(child.stdout.readline())["event"]]
    while heard[-1] != "EngineReady":
        heard.append(json.loads(child.stdout.readline())["event"])
    assert json.loads(child.stdout.readline())["event"] == "EngineReady", "what made sense is still served"
    _, errors = child.communicate(timeout=20)
    assert child.returncode == 0 and errors.count("not a request") == 3

    done = subprocess.run(command, input="", text=True, capture_output=True, env=environment, timeout=120, check=False)
    assert done.returncode == 0 and "EngineReady" not in done.stdout


def test_unexpected_errors_are_logged_and_exit_1(home):
    done = subprocess.run(
        [sys.executable, "-m", "playground.inference.child", '{"adapters": [5]}'], text=True, capture_output=True,
        env={**os.environ, "SFT_PLAYGROUND_HOME": str(home)}, stdin=subprocess.DEVNULL, timeout=120, check=False,
    )  # fmt: skip
    last = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, last["event"], last["request"]) == (1, "EngineError", -1)
    assert str(home / "errors.log") in last["hint"]
    assert "Traceback" in (home / "errors.log").read_text()

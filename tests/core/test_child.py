"""The engine child, for real: a process, a tiny model, JSON lines."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from playground.config import TrainConfig
from playground.events import Ask, EngineError, EngineReady, EngineStage, Fed, LaneRequest, Sampling, Spoken
from playground.jobs import EngineProcess
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
def engine(home, monkeypatch):
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


def test_it_says_what_it_does_answers_and_cancels(engine):
    events = engine.events()
    *stages, ready = until(events, EngineReady)
    assert isinstance(stages[0], EngineStage) and stages[0].stage == "starting PyTorch"
    assert (ready.adapter, ready.style, ready.single_turn) == ("mine", "chat", True)

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


def until_answer(events, number):
    for event in events:
        yield event
        if isinstance(event, Spoken) and event.request == number and event.answer:
            return


def test_a_request_that_cannot_be_served_is_an_error_and_the_next_one_is(engine):
    events = engine.events()
    until(events, EngineReady)
    bad = engine.ask(ask("x" * 5000, "base"))
    assert until(events, EngineError)[-1].request == bad
    engine.ask(ask("Say hi.", "base"))
    until(events, Fed)


def test_it_dies_with_the_app(engine):
    until(engine.events(), EngineReady)
    begun = time.monotonic()
    engine.close()
    assert time.monotonic() - begun < 1.5
    assert engine._process.poll() is not None


def test_a_kill_becomes_an_error_with_the_exit_code(engine):
    events = engine.events()
    until(events, EngineReady)
    engine._process.kill()
    last = list(events)[-1]
    assert isinstance(last, EngineError) and "ended with -9" in last.message


def test_a_missing_adapter_is_said_in_words(home, monkeypatch):
    monkeypatch.setenv("SFT_PLAYGROUND_HOME", str(home))
    engine = EngineProcess(adapter="absent")
    last = list(engine.events())[-1]
    assert isinstance(last, EngineError) and "There is no adapter 'absent'" in last.message
    engine.close()


def test_garbage_on_its_input_is_survived(home, monkeypatch):
    environment = {**os.environ, "SFT_PLAYGROUND_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-m", "playground.inference.child", "{}"], input='oops\n{"do": 5}\n[]\n', text=True,
        capture_output=True, env=environment, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert json.loads(done.stdout.splitlines()[-1])["event"] == "EngineReady"
    assert "no request" in done.stderr


def test_what_nobody_foresaw_is_a_line_an_exit_code_and_a_traceback_in_the_log(home):
    done = subprocess.run(
        [sys.executable, "-m", "playground.inference.child", '{"adapter": 5}'], text=True, capture_output=True,
        env={**os.environ, "SFT_PLAYGROUND_HOME": str(home)}, stdin=subprocess.DEVNULL, timeout=120, check=False,
    )  # fmt: skip
    last = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, last["event"], last["request"]) == (1, "EngineError", -1)
    assert str(home / "errors.log") in last["hint"]
    assert "Traceback" in (home / "errors.log").read_text()

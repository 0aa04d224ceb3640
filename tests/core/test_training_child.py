"""The training child, for real: a process that is followed, paused, asked, stopped, killed and resumed."""

import os
import signal
import socket
import threading
import time

import pytest
from digests import digest

from playground import paths
from playground.config import TrainConfig
from playground.events.answers import Sampling
from playground.events.engine import Ask, EngineError, Fed, LaneRequest, Spoken
from playground.events.requests import Request
from playground.events.runs import Continued, Paused, Replied, RunEnded, RunStage, RunStarted, Sampled, StepDone
from playground.jobs.training import RunLink, start_training
from playground.runs.folder import is_busy
from playground.training.loop import train

ASK = Ask(tuple(LaneRequest(side, side, ("Say hi.",)) for side in ("base", "sft")), 1.0, Sampling(6))


@pytest.fixture(scope="module")
def config(tmp_path_factory, tiny_folder, write_rows):
    data = write_rows(tmp_path_factory.mktemp("data") / "rows.jsonl", 24)
    return TrainConfig(
        model=str(tiny_folder("llama")), data=str(data), lora_r=4, num_train_epochs=2, sample_max_new_tokens=2
    )


@pytest.fixture(scope="module")
def plain(config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain") / "run"
    list(train(config, folder))
    return digest(folder)


@pytest.fixture
def folder(tmp_path, monkeypatch, warm_children):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    folder = tmp_path / "run"
    yield folder
    RunLink(folder).tell("cancel")


def long(config):
    return TrainConfig(**{**config.to_dict(), "num_train_epochs": 1000})


def until(events, kind):
    for event in events:
        if isinstance(event, kind):
            return event
    raise AssertionError(f"no {kind}")


class Script:
    """Asks the same things behind each step."""

    def __init__(self, *requests):
        self._requests, self._left = requests, []

    def next(self, *, wait):
        if not self._left:
            self._left = [*self._requests, None]
        return self._left.pop(0)

    def cancelled(self, number):
        return False


def test_requests_during_training_do_not_change_the_result(config, plain, tmp_path):
    heard = []
    asked = Request("ask", 7, ASK, heard.append)
    script = Script(Request("pause"), asked, Request("sample_now"), Request("continue"))
    events = list(train(config, tmp_path / "run", requests=script))
    assert digest(tmp_path / "run") == plain
    kinds = [type(event) for event in events]
    assert kinds.count(Paused) == kinds.count(Continued) == kinds.count(Replied) == 7
    assert isinstance(heard[0], Fed) and heard[-1] is None
    replied = [event for event in events if isinstance(event, Replied)]
    assert [event.step for event in replied] == list(range(7))
    assert replied[0].answers.keys() == {"base", "sft"}
    assert len({event.answers["base"].text for event in replied}) == 1, "the base does not change"


def test_failed_ask_does_not_end_the_run(config, plain, tmp_path):
    heard = []
    lanes = (LaneRequest("base", "base", ("x" * 5000,)),)
    events = list(train(config, tmp_path / "run", requests=Script(Request("ask", 1, Ask(lanes), heard.append))))
    assert isinstance(heard[0], EngineError) and heard[1] is None
    assert digest(tmp_path / "run") == plain and events[-1].state == "finished"


def test_detached_run_equals_an_in_process_run(config, plain, folder):
    is_there = start_training(config.to_dict(), folder)
    first = list(RunLink(folder).follow(is_there))
    second = list(RunLink(folder).follow())
    assert first == second, "whoever comes later reads the same"
    assert isinstance(first[0], RunStage) and first[-1].state == "finished"
    assert sum(isinstance(event, StepDone) for event in first) == 6
    assert digest(folder) == plain and not is_busy(folder)


def test_paused_and_asked_run_ends_with_the_same_result(config, plain, folder):
    is_there = start_training(config.to_dict(), folder)
    link = RunLink(folder)
    events = link.follow(is_there)
    until(events, RunStage)
    assert link.tell("pause"), "told while it loads, it pauses before the first step"
    paused = until(events, Paused)
    heard = []
    link.ask(ASK, heard.append)
    assert isinstance(heard[0], Fed) and {e.lane for e in heard if isinstance(e, Spoken) and e.answer} == {
        "base",
        "sft",
    }
    assert until(events, Replied).step == paused.step
    assert link.tell("sample_now") and until(events, Sampled)
    assert link.tell("continue") and until(events, Continued).step == paused.step
    assert until(events, RunEnded).state == "finished"
    assert digest(folder) == plain


def test_training_in_the_folder_of_a_detached_run_is_refused(config, folder):
    is_there = start_training(long(config).to_dict(), folder)
    link = RunLink(folder)
    events = link.follow(is_there)
    until(events, StepDone)
    pid = (folder / ".pid").read_text()
    with pytest.raises(Exception, match=f"by process {pid}"):
        list(train(config, folder))
    assert link.tell("stop") and until(events, RunEnded).state == "stopped"
    assert (folder / "adapter_model.safetensors").is_file()


def test_cancelling_a_paused_run_removes_its_folder(config, folder):
    is_there = start_training(long(config).to_dict(), folder)
    link = RunLink(folder)
    events = link.follow(is_there)
    until(events, StepDone)
    link.tell("pause")
    until(events, Paused)
    assert link.tell("cancel")
    assert until(events, RunEnded).state in ("cancelled", "failed")
    deadline = time.monotonic() + 10
    while link.is_alive() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not folder.exists()


def test_killed_run_is_reported_and_resumes_exactly(config, plain, folder):
    is_there = start_training(config.to_dict(), folder)
    link = RunLink(folder)
    events = link.follow(is_there)
    until(events, RunStage)
    link.tell("pause")
    until(events, Paused)
    while not list(folder.glob("checkpoints/*")):  # one is written after each step of so short a run
        link.tell("continue")
        link.tell("pause")
        until(events, Paused)
    os.kill(int((folder / ".pid").read_text()), signal.SIGKILL)
    gone = until(events, RunEnded)
    assert gone.state == "failed" and "is gone" in gone.reason
    is_there = start_training(config.to_dict(), folder, resume=True)
    again = list(RunLink(folder).follow(is_there))
    assert again[-1].state == "finished" and digest(folder) == plain


def test_process_that_takes_long_to_start_is_waited_for(folder, monkeypatch):
    monkeypatch.setattr("playground.jobs.training.LOOK_SECONDS", 0)
    folder.mkdir()
    there = iter([True] * 99 + [False])
    (ended,) = RunLink(folder).follow(lambda: next(there))
    assert "is gone" in ended.reason and next(there, None) is None


def test_error_before_the_first_step_is_the_final_event(config, folder):
    is_there = start_training({**config.to_dict(), "data": "/absent.jsonl"}, folder)
    ended = list(RunLink(folder).follow(is_there))[-1]
    assert ended.state == "failed" and "There is no file" in ended.reason


def test_sigterm_finishes_the_step_and_saves(config, folder):
    is_there = start_training(long(config).to_dict(), folder)
    events = RunLink(folder).follow(is_there)
    until(events, StepDone)
    os.kill(int((folder / ".pid").read_text()), signal.SIGTERM)
    ended = until(events, RunEnded)
    assert (ended.state, ended.reason) == ("stopped", "asked to stop")


def test_bad_lines_on_socket_and_event_stream_are_survived(config, folder):
    is_there = start_training(long(config).to_dict(), folder)
    link = RunLink(folder)
    events = link.follow(is_there)
    until(events, StepDone)
    for line in (b"oops\n", b'{"do": 5}\n', b"[]\n", b"\xff\xfe\n", b'{"do": "ask", "id": "x"}\n', b"no end"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(paths.run_socket(folder)))
            connection.sendall(line)
    with (folder / "events.jsonl").open("ab") as file:
        file.write(b'\xff{"event": 5}\n{"event": "StepDone"}\n')
    assert until(events, StepDone)
    assert paths.run_socket(folder).parent.stat().st_mode & 0o777 == 0o700
    assert link.tell("stop") and until(events, RunEnded).state == "stopped"


def test_follower_that_disconnects_does_not_end_the_run(config, folder):
    is_there = start_training(long(config).to_dict(), folder)
    link = RunLink(folder)
    seen = []
    reader = threading.Thread(target=lambda: seen.extend(link.follow(is_there)))
    reader.start()
    deadline = time.monotonic() + 60
    while not is_busy(folder) and time.monotonic() < deadline:
        time.sleep(0.1)
    link.close()
    reader.join(5)
    assert not reader.is_alive() and is_busy(folder)
    other = RunLink(folder)
    events = other.follow()
    until(events, RunStarted)
    assert other.tell("stop") and until(events, RunEnded)

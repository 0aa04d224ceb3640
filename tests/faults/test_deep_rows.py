"""A bad row deep in a set that is read as it is needed ends no run that has started."""

import json

import pytest

from playground.config import TrainConfig
from playground.data import encode, examples, reading, samples
from playground.data.jsonl import Problem
from playground.errors import InputError
from playground.events.runs import StepDone, StepSkipped, Warned
from playground.runs.folder import read_record
from playground.training.loop import train
from playground.training.setup import Training

NUM_ROWS = 60


@pytest.fixture(autouse=True)
def large(monkeypatch):
    """Let a set of sixty rows be a large one."""
    monkeypatch.setattr(examples, "WHOLE_ROWS", 20)
    monkeypatch.setattr(examples, "LOOKED_AT", 10)
    monkeypatch.setattr(reading, "LOOKED_AT", 10)
    monkeypatch.setattr(samples, "CANDIDATES", 10)


@pytest.fixture
def settings(tiny_folder, tmp_path):
    def settings(bad=(), **changes):
        rows = [
            {"prompt": f"What is {n}?", "completion": None if n in bad else f"{n}."} for n in range(1, NUM_ROWS + 1)
        ]
        data = tmp_path / "rows.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return TrainConfig(**{
            "model": str(tiny_folder("llama")), "data": str(data), "quantize": "none", "lora_r": 2, "eval_rows": 0,
            "num_train_epochs": 1, "per_device_train_batch_size": 10, "sample_prompts": (), "max_length": 64, **changes,
        })  # fmt: skip

    return settings


@pytest.mark.parametrize(
    "bad", [pytest.param((11,), marks=pytest.mark.long), (30, 31), pytest.param((60,), marks=pytest.mark.long)]
)
def test_bad_row_of_a_large_set_is_named_before_the_first_step(settings, tmp_path, bad):
    with pytest.raises(InputError) as caught:
        list(train(settings(bad), tmp_path / "run"))
    message = caught.value.message
    assert f"rows.jsonl:{bad[0]}: " in message and all(f"also line {line}" in message for line in bad[1:])
    assert "--skip-bad" in caught.value.hint
    assert not (tmp_path / "run").exists()
    events = list(train(settings(bad, skip_bad=True), tmp_path / "run"))
    assert events[-1].state == "finished" and read_record(tmp_path / "run").num_skipped == len(bad)


def test_answer_judged_bad_deep_in_a_set_is_left_out_of_a_run(settings, tmp_path):
    config = settings()
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    rows[30]["label"] = False
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    steps = iter(range(3))
    first = list(train(config, tmp_path / "run", stop=lambda: next(steps) == 2))
    assert first[-1].state == "stopped" and read_record(tmp_path / "run").num_skipped == 1
    again = list(train(config, tmp_path / "run", resume=True))
    whole = list(train(config, tmp_path / "whole"))
    losses = [[event.loss for event in events if isinstance(event, StepDone)] for events in (whole, [*first, *again])]
    assert again[-1].state == "finished" and losses[0] == losses[1], "the same rows in the same order"


@pytest.mark.parametrize("size", [10, 1])
def test_row_that_trains_nothing_is_left_out_and_named(settings, tmp_path, monkeypatch, size):
    real = encode.encode_row

    def refusing(encoder, example):
        return Problem(31, "no token of an answer fits") if example.line == 31 else real(encoder, example)

    monkeypatch.setattr(encode, "encode_row", refusing)
    events = list(train(settings(per_device_train_batch_size=size, gradient_accumulation_steps=1), tmp_path / "run"))
    assert events[-1].state == "finished"
    (left_out,) = (event for event in events if isinstance(event, Warned))
    assert "rows.jsonl:31: no token of an answer fits" in left_out.message
    skipped = [event.step for event in events if isinstance(event, StepSkipped)]
    assert skipped == ([left_out.step] if size == 1 else [])
    assert sum(isinstance(event, StepDone) for event in events) == NUM_ROWS // size - len(skipped)


def test_run_that_met_a_bad_row_before_can_be_resumed(settings, tmp_path, monkeypatch):
    """As earlier versions left it: the row was not looked for before the first step, and ended the run."""
    monkeypatch.setattr(examples.Dataset, "require_readable", lambda self, progress: self)
    config = settings((31,))
    with monkeypatch.context() as patched, pytest.raises(InputError, match="rows.jsonl:31: "):

        def strict(self, row):
            return self.rows[row]

        patched.setattr(Training, "encoded", strict)
        list(train(config, tmp_path / "run"))
    events = list(train(config, tmp_path / "run", resume=True))
    assert events[-1].state == "finished" and any(
        "rows.jsonl:31: " in e.message for e in events if isinstance(e, Warned)
    )

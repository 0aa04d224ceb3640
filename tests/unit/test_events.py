import json
import math
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playground.events import values
from playground.events.answers import Answer, Chunk, Compared, SideSummary, Summary
from playground.events.plans import Choice
from playground.events.runs import (
    EVENTS,
    BaseIdentity,
    CheckpointSaved,
    Event,
    RunEnded,
    RunRecord,
    Sample,
    Sampled,
    StepSkipped,
    event_from_json,
)

ANSWER = Answer('Paris\n\u2028\u001b[31m é 🙂 \\ "', "stop", None, 5)
CUT = Answer("Paris", "stop", "\nUser:", 7)
st.register_type_strategy(Choice, st.builds(Choice, st.text(), st.none() | st.integers() | st.text(), st.text()))
any_event = st.one_of([st.from_type(cls) for cls in EVENTS.values()])


@given(event=any_event)
def test_events_round_trip_through_their_line(event):
    line = event.to_json()
    assert "\n" not in line
    assert json.loads(line)["event"] == type(event).__name__
    assert repr(event_from_json(line)) == repr(event)  # repr, because NaN is not equal to itself


def test_every_event_is_known_by_its_name():
    assert {cls.__name__: cls for cls in Event.__subclasses__()} == EVENTS
    assert [cls for cls in EVENTS.values() if cls.terminal] == [RunEnded]


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(ANSWER, id="Answer"),
        pytest.param(CUT, id="Answer cut"),
        pytest.param(Chunk(0, 7, "a", 1), id="Chunk"),
        pytest.param(Chunk(1, 7, "a", 1, ANSWER), id="last Chunk"),
        pytest.param(Sample("p", CUT, False), id="Sample"),
        pytest.param(
            Compared(
                "1", "p", {"base": CUT, "sft": ANSWER}, {"base": False, "sft": True}, {"base": True, "sft": False}, 2
            ),
            id="Compared",
        ),
        pytest.param(
            Summary(2, {"sft": SideSummary(1.0, 0.5, 0.0, 12.5)}, 80.5, 3.0, "m", "a", 8, "greedy", "ok"), id="Summary"
        ),
        pytest.param(
            RunRecord(
                name="n",
                created_at="2025-11-22T15:34:00+00:00",
                state="running",
                base=BaseIdentity("b", "d", "r", "nf4", "float32"),
                style="chat",
                data_name="mini.jsonl",
                data_sha256="00",
                num_examples=3,
                single_turn=True,
                step=0,
                num_steps=9,
                loss=None,
                exact=True,
                config={"lora_r": 16},
                versions={"torch": "2"},
            ),
            id="RunRecord",
        ),
    ],
)
def test_values_round_trip_through_json(value):
    assert type(value).from_dict(json.loads(value.to_json())) == value


def test_unknown_keys_are_ignored_at_any_depth():
    sampled = EVENTS["Sampled"](**example_of("Sampled"))
    data = json.loads(sampled.to_json())
    data["later"] = 1
    data["samples"][0]["later"] = 2
    data["samples"][0]["answer"]["later"] = 3
    assert event_from_json(json.dumps(data)) == sampled


def example_of(name):
    """Return values for the fields of an event; sequences of samples hold one."""
    hints = {"samples": (Sample("p", ANSWER, True),), "base": (Sample("p", CUT, False),)}
    return {f.name: hints.get(f.name, 1) for f in fields(EVENTS[name])}


@pytest.mark.parametrize(
    "line",
    [
        "",
        "oops",
        '{"event": "CheckpointSaved", "step": 3, "pa',  # cut by a crash
        "null",
        "3",
        '"CheckpointSaved"',
        "[]",
        "{}",
        '{"event": "Nonsense"}',
        '{"event": ["CheckpointSaved"]}',
        '{"event": "CheckpointSaved"}',
        '{"event": "Sampled", "step": 1, "samples": [3], "base": [], "seconds": 1.0}',
        "[" * 100_000,
    ],
)
def test_line_that_is_not_an_event_is_a_value_error(line):
    with pytest.raises(ValueError):  # noqa: PT011
        event_from_json(line)


def test_a_name_that_is_not_utf_8_can_still_be_logged():
    # Linux file names are bytes; Python holds the odd ones as lone surrogates.
    event = CheckpointSaved(3, b"caf\xe9".decode("utf-8", "surrogateescape"))
    line = event.to_json().encode("utf-8")
    assert event_from_json(line.decode("utf-8")) == event


def test_skipped_step_carries_a_non_finite_loss_as_text():
    assert event_from_json(StepSkipped(3, f"loss {math.nan}").to_json()) == StepSkipped(3, "loss nan")


@pytest.mark.parametrize(
    ("finish_reason", "stop_reason", "stopped"),
    [
        ("stop", None, True),
        ("stop", "\nUser:", False),
        ("length", None, False),
        ("cancelled", None, False),
        ("error", None, False),
    ],
)
def test_only_the_end_token_counts_as_stopping_by_itself(finish_reason, stop_reason, stopped):
    assert Answer("a", finish_reason, stop_reason, 1).stopped_by_itself == stopped


@pytest.mark.parametrize(("flags", "all_answered"), [((True, True), True), ((True, False), False)])
def test_a_sampling_is_answered_when_every_sample_is(flags, all_answered):
    values = example_of("Sampled") | {"samples": tuple(Sample("p", ANSWER, flag) for flag in flags)}
    assert Sampled(**values).all_answered == all_answered


def test_events_import_nothing_but_the_standard_library():
    names = ", ".join(f"playground.events.{path.stem}" for path in Path(values.__file__).parent.glob("[!_]*.py"))
    code = f"import sys; before = set(sys.modules); import {names}; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = {name.partition(".")[0] for name in done.stdout.split()}
    assert "playground" in imported
    assert imported - set(sys.stdlib_module_names) == {"playground"}


def test_a_comparison_of_some_sides_keeps_their_judgements():
    flags = {"base": False, "control": False, "sft": True}
    row = Compared("1", "p", {"base": CUT, "control": CUT, "sft": ANSWER}, flags, flags, 2)
    only = row.only("sft", "base")
    assert list(only.answers) == ["sft", "base"] and only.answers["sft"] == ANSWER
    assert only.answered == only.repeats == {"sft": True, "base": False} and only.sample == 2

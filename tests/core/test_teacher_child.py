"""The teacher child, for real: a process, a tiny model, JSON lines."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from playground.analysis.child import Teacher
from playground.config import TrainConfig
from playground.data import examples
from playground.data.examples import training_data
from playground.errors import InputError
from playground.events.answers import Sampling
from playground.events.five_steps import Answered, Backward, Forward, Lesson, RowOpened, Served, TeacherError, Updated
from playground.jobs.teacher import TeacherProcess


@pytest.fixture
def teacher(monkeypatch, warm_children, tmp_path):
    monkeypatch.setenv("SFT_PLAYGROUND_HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    teacher = TeacherProcess()
    yield teacher
    teacher.close()


def test_teacher_child_teaches_one_row_and_takes_steps_back(teacher, tiny_folder, rows_file):
    heard = teacher.events()

    def served(number):
        """Return what a request brought."""
        events = []
        for event in heard:
            if isinstance(event, Served):
                assert event.request == number
                return events
            if type(event).__name__ != "TeacherStage":
                events.append(event)
        raise AssertionError(teacher.last_words)

    data = rows_file(4)
    config = TrainConfig(model=str(tiny_folder("llama")), data=str(data), lora_r=2).to_dict()
    (early,) = served(number := teacher.step())
    assert (early.request, early.message) == (number, "No row is open.")
    (blank,) = served(teacher.open(Lesson(config, "Hi.", " ")))
    assert isinstance(blank, TeacherError) and "the answer is empty" in blank.message
    row, first = served(teacher.open(Lesson(config, line=2)))
    assert isinstance(row, RowOpened) and "".join(row.row.texts).count("1 plus one is 2.") == 1 and row.masked
    assert isinstance(first, Forward) and first.step == 0
    backward, updated, second = served(teacher.step())
    assert isinstance(backward, Backward) and not any(backward.a.values()) and all(backward.b.values())
    assert isinstance(updated, Updated) and updated.finite and second.step == 1 and second != first
    assert served(teacher.undo()) == [first], "bit for bit"
    (nothing,) = served(teacher.undo())
    assert "no step to undo" in nothing.message
    unmasked, whole = served(teacher.mask(masked=False))
    assert not unmasked.masked and len(whole.positions) == len(row.row.texts) - 1
    (faster,) = served(teacher.rate(0.01))
    assert faster.learning_rate == 0.01
    assert served(teacher.step())[1].learning_rate == 0.01
    (unknown,) = served(teacher.restart("no-such-adapter"))
    assert "no-such-adapter" in unknown.message
    other, _ = served(teacher.row(Lesson(config, "Name \x1b[31ma city.", "Rome.")))
    assert other.prompt == "Name \x1b[31ma city." and not other.masked, "the mask stays as it was chosen"
    again, start = served(teacher.restart(""))
    assert (again.adapter, start.step) == ("", 0)
    answered, *lenses = served(teacher.ask("Name a city.", Sampling(5, 0.7), draws=2, base=True))
    assert isinstance(answered, Answered) and answered.base.num_tokens == 5 and len(answered.sft) == 2
    assert [len(lens.positions) for lens in lenses] == [answer.num_tokens for answer in answered.sft]
    (gone,) = served(teacher.row(Lesson(config, line=99)))
    assert "not a row any more" in gone.message


def test_data_set_is_read_once_for_many_rows_unless_it_changes(rows_file, monkeypatch):
    read = []
    monkeypatch.setattr(examples, "training_data", lambda config: read.append(config) or training_data(config))
    teacher, data = Teacher(lambda event: None), rows_file(4)
    lesson = Lesson(TrainConfig(data=str(data)).to_dict(), line=1)
    first = teacher._example_of(lesson)
    assert teacher._example_of(replace(lesson, line=2)).line == 2 and len(read) == 1
    before = data.stat()
    data.write_bytes(data.read_bytes().replace(b"is", b"IS"))
    os.utime(data, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert teacher._example_of(lesson) != first and len(read) == 2
    teacher._example_of(replace(lesson, config={**lesson.config, "repair": True}))
    assert len(read) == 3
    data.unlink()
    with pytest.raises(InputError, match="rows.jsonl"):
        teacher._example_of(lesson)


def test_teacher_child_ends_with_its_input_and_ignores_what_is_no_request(tmp_path, warm_python):
    lines = (
        "{",
        "[]",
        "17",
        json.dumps({"do": "open"}),
        json.dumps({"id": 1}),
        json.dumps({"do": "dance", "id": 9}),
        json.dumps({"do": "step", "id": 2}),
    )
    done = subprocess.run(
        [warm_python, "-m", "playground.analysis.child", json.dumps({"adapters_dir": None})],
        input="\n".join(lines), capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "SFT_PLAYGROUND_HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["event"] for line in done.stdout.splitlines()][-2:] == ["TeacherError", "Served"]
    assert done.stderr.count("not a request") == 6

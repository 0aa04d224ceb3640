"""Damaged records, manifests, events and adapter configs: nothing is raised, nothing hangs, and nothing is lost.

An input is a real file with random damage. Besides exceptions, the counts are compared: events read are events
written, and of a folder with one damaged run all others are listed.
"""

import json
import random
import time

import figures
import pytest

from playground.events.runs import EVENTS, BaseIdentity, RunRecord, StepSkipped, Warned
from playground.runs import folder as folders
from playground.runs import library
from playground.runs.folder import EventLog, base_name, created, kept_steps, label, read_events, read_record, state_of
from playground.training.checkpoint import TrainState, newest_checkpoint, save_checkpoint

SLOW = 1.0  # seconds for one input
BASE = BaseIdentity("base", "description", "revision", "nf4", "float32")
RECORD = RunRecord(
    "run", "2026-11-22T10:00:00+00:00", "finished", BASE, "chat", "rows.jsonl", "00", 3, True, 9, 9, 0.5, True,
    {"lora_r": 4, "sample_prompts": [{"id": "1", "prompt": "x"}]}, {"torch": "2"},
)  # fmt: skip
CONFIG = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q"], "base_model_name_or_path": "base"}
PIECES = [
    b"NaN", b"-Infinity", b"1e999", b"9" * 5000, b"[" * 2000, b"{" * 2000, b'"', b"\\", b"\\ud800", b"\xff\xfe", b"\0",
    b"null", b"true", b"{}", b"[]", b'""', b"-1", b"0.1", "\u2028\x85\u202e".encode(), b"\n", b"\r", b"\x1b[2J", b"/" * 300,
]  # fmt: skip


def damaged(data, rng):
    """Return a file's content after one to four random accidents."""
    for _ in range(rng.randint(1, 4)):
        at, to = sorted((rng.randint(0, len(data)), rng.randint(0, len(data))))
        match rng.randint(0, 5):
            case 0:
                data = data[:at]
            case 1:
                data = data[:at] + data[to:]
            case 2:
                data = data[:at] + rng.choice(PIECES) + data[at:]
            case 3:
                data = data[:at] + rng.randbytes(rng.randint(1, 9)) + data[at:]
            case 4:
                data = data[:to] + data[at:]
            case 5:  # another value for a key
                values = data.split(b": ")
                values[rng.randrange(len(values))] = rng.choice(PIECES) + b', "x"'
                data = b": ".join(values)
    return data


def text(rng):
    """Return a text of what may be in one, but no half of a surrogate pair."""
    points = [*range(0x20), 0x22, 0x5C, *range(0x7F, 0xA1), *range(0x2000, 0x2070), 0xFEFF, 0x1F600, 0xE0041, 0x61]
    return "".join(chr(rng.choice(points)) for _ in range(rng.randint(0, 40)))


def look_at_records(home, rng):
    """Damage a record and a config; look at all that is listed."""
    spoiled = home / "spoiled"
    (spoiled / folders.RECORD).write_bytes(damaged(RECORD.to_json().encode(), rng))
    (spoiled / folders.ADAPTER_CONFIG).write_bytes(damaged(json.dumps(CONFIG).encode(), rng))
    assert {"first", "last"} <= {folder.name for folder, _ in library.list_runs(home)}
    for folder, record in library.list_runs(home):
        state_of(folder, record)
        f"{record.loss or 0:.2f} {record.eval_loss or 0:.2f} {record.step}/{record.num_steps}"
        json.dumps(record.to_dict())
    assert {"first", "last"} <= {folder.name for folder in library.newest_first(home)}
    for what in (read_record, base_name, created, kept_steps, label):
        what(spoiled)
    return 2


def look_at_a_manifest(home, rng):
    """Damage a file of the newest checkpoint; the one before is found, or the newest with its own content."""
    folder = home / "checkpoints"
    if not folder.exists():
        for step in (1, 2):
            save_checkpoint(folder, TrainState(step, skipped_steps=[1]), {"a.bin": b"%d" % step * 50})
    path = folder / "step-000002" / rng.choice(("manifest.json", "manifest.json", "state.json", "a.bin"))
    whole = path.read_bytes()
    path.write_bytes(damaged(whole, rng))
    found = newest_checkpoint(folder, ("a.bin",))
    assert found.files["a.bin"] == b"%d" % found.state.step * 50
    assert found.state.step == 2 or found.damaged == ("step-000002",)
    path.write_bytes(whole)
    return 1


def look_at_events(home, rng):
    """Write events of any text, cut lines and lines of nothing among them; what was written whole is read back."""
    (home / folders.EVENTS).unlink(missing_ok=True)
    written = []
    for _ in range(rng.randint(1, 4)):
        log = EventLog(home)
        for step in range(rng.randint(0, 5)):
            written.append(rng.choice((StepSkipped(step, text(rng), (1, 2)), Warned(step, text(rng)))))
            log.write(written[-1])
        log.close()
        with (home / folders.EVENTS).open("ab") as file:
            lost = damaged(b'{"event": "StepSkipped", "step": 1, "reason": "x"', rng).split(b"\n")[0]
            file.write(rng.choice((b"", lost)))
    found, _ = read_events(home)
    strangers = [event for event in found if event not in written]
    assert [event for event in found if event in written] == written, strangers
    assert len(strangers) <= 4 and all(type(event).__name__ in EVENTS for event in strangers)
    return len(written)


KINDS = [look_at_records, look_at_a_manifest, look_at_events]


@pytest.fixture
def home(tmp_path):
    for name in ("first", "spoiled", "last"):
        (tmp_path / name).mkdir()
        (tmp_path / name / folders.RECORD).write_text(RECORD.to_json())
        (tmp_path / name / folders.ADAPTER_CONFIG).write_text(json.dumps(CONFIG))
    return tmp_path


def fuzz(look, home, seed, number):
    """Look at damaged inputs, which this seed makes; return the figures."""
    inputs, slowest = 0, 0.0
    for at in range(number):
        rng = random.Random(f"{look.__name__} {seed} {at}")
        began = time.monotonic()
        try:
            inputs += look(home, rng)
        except Exception as error:
            raise AssertionError(f"seed {seed}, input {at}") from error
        slowest = max(slowest, time.monotonic() - began)
    assert slowest < SLOW
    return {"inputs": inputs}


@pytest.mark.parametrize("look", KINDS, ids=lambda look: look.__name__)
def test_damaged_file_raises_nothing_and_loses_nothing(home, look):
    fuzz(look, home, seed=-1, number=60)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("look", KINDS, ids=lambda look: look.__name__)
def test_many_damaged_files_raise_nothing_and_lose_nothing(home, look):
    name = f"fuzz, {look.__name__.removeprefix('look_at_')}"
    for seed in figures.seeds(10):
        if not figures.done(name, seed):
            figures.add(name, seed, fuzz(look, home, seed, number=1000))


def test_figures_count_for_the_code_that_gave_them(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(figures, "FILE", tmp_path / "build" / "faults.jsonl")
    figures.add("kills", 1, {"runs": 3})
    figures.add("kills", 2, {"runs": 4})
    assert figures.done("kills", 1) and not figures.done("kills", 3) and not figures.done("fuzz", 1)
    figures.main()
    assert capsys.readouterr().out == "kills: 7 runs, 2 seeds\n"
    monkeypatch.setattr(figures, "code", lambda: "another")
    assert not figures.done("kills", 1)
    figures.add("kills", 1, {"runs": 5})
    assert figures.done("kills", 1) and not figures.done("kills", 2)
    figures.main()
    assert capsys.readouterr().out == ("kills: 5 runs, 1 seeds\nnot counted, because they are of other code: 1 seeds\n")

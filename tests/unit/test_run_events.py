"""The log of a run, as its watchers read it."""

from pathlib import Path

import pytest

from playground.events.runs import RunEnded, StepSkipped
from playground.jobs.training import read_events


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\x85", "\x0b", "\x1c", "\r", "\n", "é"])
def test_logged_events_are_read_back_whatever_their_text(tmp_path, character):
    events = [StepSkipped(3, f"a{character}b"), RunEnded.failed(Path("run"), f"{character}the end{character}")]
    (tmp_path / "events.jsonl").write_bytes("".join(event.to_json() + "\n" for event in events).encode())
    found, at = read_events(tmp_path)
    assert found == events and at == (tmp_path / "events.jsonl").stat().st_size

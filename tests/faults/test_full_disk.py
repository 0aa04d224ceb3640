"""A disk that is full for a while, or for good: a run waits, goes on to the same bytes, or ends and can be resumed."""

import errno
import json
import os
import subprocess

import pytest
from digests import digest

from playground import disk
from playground.config import TrainConfig
from playground.errors import EnvironmentFault
from playground.events.runs import RunEnded, event_from_json
from playground.jobs.training import start_training
from playground.runs.folder import RESERVE, EventLog, read_record, state_of
from playground.training import checkpoint, record, room
from playground.training.loop import train

FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture(scope="module")
def settings(tiny_folder, tmp_path_factory, write_rows):
    data = write_rows(tmp_path_factory.mktemp("data") / "rows.jsonl", 12)
    return TrainConfig(
        model=str(tiny_folder("llama")), data=str(data), quantize="none", lora_r=2, eval_rows=0, num_train_epochs=1,
        per_device_train_batch_size=2, sample_max_new_tokens=1,
    )  # fmt: skip


@pytest.fixture(scope="module")
def whole(settings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    list(train(settings, folder))
    return digest(folder)


@pytest.fixture
def fill(monkeypatch):
    """Let the writes in a range fail, each after half of its bytes."""
    monkeypatch.setattr(room, "LOOK_SECONDS", 0.0)

    def fill(start, stop):
        real, written = disk.write_file, []

        def limited(path, data, **options):
            written.append(path)
            if start <= len(written) < stop:
                path.write_bytes(data[: len(data) // 2])
                raise FULL
            real(path, data, **options)

        for module in (disk, checkpoint, record):
            monkeypatch.setattr(module, "write_file", limited)

    return fill


def litter(folder):
    return [path.name for path in folder.rglob(".*") if path.name not in (".pid", ".lock")]


def test_run_waits_for_room_and_ends_with_the_same_bytes(settings, whole, tmp_path, fill):
    fill(8, 60)
    said = []
    events = list(train(settings, tmp_path / "run", progress=lambda stage, share: said.append(stage)))
    assert events[-1].state == "finished" and digest(tmp_path / "run") == whole
    assert sum("the disk is full, waiting for" in stage and " kB in " in stage for stage in said) > 9
    assert not litter(tmp_path)


@pytest.mark.parametrize(
    ("start", "resumable"), [(2, False), pytest.param(9, True, marks=pytest.mark.long), (40, True)]
)
def test_disk_that_stays_full_ends_the_run(settings, whole, tmp_path, fill, monkeypatch, start, resumable):
    monkeypatch.setattr(room, "WAIT_SECONDS", 0.05)
    folder = tmp_path / "run"
    with monkeypatch.context() as patched, pytest.raises(EnvironmentFault, match="The disk is full") as caught:
        fill(start, 10**9)
        for event in train(settings, folder):
            last = event
        patched.undo()
    monkeypatch.undo()
    assert (
        isinstance(last, RunEnded)
        and last.state == "failed"
        and last.reason == f"{caught.value.message} {caught.value.hint}"
    )
    assert caught.value.exit_code == 1 and ("--resume run" in caught.value.hint) == resumable
    assert (read_record(folder) is not None) == resumable
    if resumable:
        assert list(train(settings, folder, resume=True))[-1].state == "finished"
        assert digest(folder) == whole and not litter(folder)


def test_event_without_room_ends_the_run_with_a_word(settings, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(room, "WAIT_SECONDS", 0.0)
    real, written = EventLog.write, []

    def limited(self, event):
        written.append(event)
        if len(written) == 5:
            raise FULL
        real(self, event)

    with monkeypatch.context() as patched, pytest.raises(EnvironmentFault, match="The disk is full"):
        patched.setattr(EventLog, "write", limited)
        list(train(settings, tmp_path))
    lines = (tmp_path / "events.jsonl").read_text().split("\n")[:-1]
    assert isinstance(event_from_json(lines[-1]), RunEnded) and len(lines) == 5
    assert read_record(tmp_path).state == "failed"
    list(train(settings, tmp_path, resume=True))
    assert digest(tmp_path) == whole


def test_asking_to_stop_ends_the_wait(settings, tmp_path, fill):
    fill(9, 10**9)
    asked = iter([False] * 6 + [True] * 9)
    with pytest.raises(EnvironmentFault, match="The disk is full"):
        list(train(settings, tmp_path, stop=lambda: next(asked)))


def test_last_words_fit_on_a_full_disk(tmp_path):
    run = record.RunFolder(tmp_path, room.Room(tmp_path, lambda *_: None, lambda: False))
    assert (tmp_path / RESERVE).stat().st_blocks * 512 >= record.RESERVED
    run.give_up()
    assert not (tmp_path / RESERVE).exists()
    run.close()


def test_run_that_will_not_fit_on_the_disk_is_refused(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(room, "free_space", lambda path: 900_000)
    with pytest.raises(EnvironmentFault, match=r"needs about 1 MB on the disk .* but 900 kB are free") as caught:
        list(train(settings, tmp_path / "run"))
    assert caught.value.exit_code == 3 and "--force" in caught.value.hint and not (tmp_path / "run").exists()
    assert list(train(settings, tmp_path / "run", force=True))[-1].state == "finished"


# On real file systems of every size, by the real command line.

PRELUDE = """
from playground.training import loop, room
loop.CHECKPOINT_SECONDS = room.WAIT_SECONDS = room.LOOK_SECONDS = 0.0
from playground.cli import main
main()
"""


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_no_size_of_a_disk_is_unexpected(settings, whole, tmp_path, warm_python):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4k", "none", disk], check=False, capture_output=True
    ).returncode:
        pytest.skip("mounting a file system needs root")

    def sft(*arguments):
        return subprocess.run(
            [warm_python, "-c", PRELUDE, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False,
            env={**os.environ, "SFT_PLAYGROUND_HOME": str(tmp_path / "home")},
        )  # fmt: skip

    ends = {}
    try:
        for kilobytes in (*range(4, 301, 4), *range(400, 1201, 200)):
            subprocess.run(["umount", disk], check=True)
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "none", disk], check=True)
            folder, where = disk / "run", ("--adapters-dir", str(disk))
            done = sft(*settings.command().split()[1:], "--name", "run", "--force", *where)
            assert "unexpected" not in done.stderr and "Traceback" not in done.stderr, (kilobytes, done.stderr)
            assert ("--resume run" in done.stderr) == (done.returncode == 1 and (folder / "run.json").exists()), (
                kilobytes
            )
            found = read_record(folder) if folder.is_dir() else None
            ends[kilobytes] = (
                done.returncode,
                found is not None,
                checkpoint.newest_checkpoint(folder / "checkpoints") is not None,
            )
            visible = list(folder.glob("checkpoints/step-*"))
            assert all(checkpoint._read(path) for path in visible), kilobytes
            assert not litter(folder), (kilobytes, litter(folder))
            subprocess.run(["mount", "-o", "remount,size=8m", disk], check=True)
            if found is not None:
                assert state_of(folder, found) in ("finished", "failed"), (kilobytes, found.state)
                if found.state == "failed":
                    assert sft("train", "--resume", "run", *where).returncode == 0, kilobytes
                assert digest(folder) == whole, kilobytes
    finally:
        subprocess.run(["umount", "--lazy", disk], check=False)
    codes = [code for code, _, _ in ends.values()]
    assert set(codes) == {0, 1}
    print(json.dumps({
        "sizes": len(ends), "finished": codes.count(0), "failed": codes.count(1),
        "with a record": sum(record for _, record, _ in ends.values()),
        "with a checkpoint": sum(saved for _, _, saved in ends.values()),
    }))  # fmt: skip


def test_run_that_finds_the_disk_full_at_its_start_says_so(tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise FULL

    monkeypatch.setattr("pathlib.Path.mkdir", full)
    with pytest.raises(disk.DiskFull, match="disk is full"):
        start_training({}, tmp_path / "new" / "run")

"""What a run writes is its owner's alone, whole, and on the disk when it is said to be."""

import os
import socket
import stat
import subprocess
import sys
import tempfile

import pytest

from playground import disk, paths
from playground.disk import is_private, private_folder
from playground.errors import EnvironmentFault
from playground.events.runs import CheckpointSaved, RunEnded, StepSkipped
from playground.jobs.training import RunLink, start_training
from playground.runs.folder import EVENTS, EventLog, RunLock, read_events, write_record
from playground.training.checkpoint import TrainState, newest_checkpoint, save_checkpoint
from playground.training.child import Inbox, _listen
from playground.training.record import RunFolder
from playground.training.room import Room


@pytest.fixture
def runtime(tmp_path, monkeypatch):
    """The folder of the sockets, which does not exist yet. Its path is short, or another one would be used."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield paths.run_socket(tmp_path / "run").parent


def opened(folder):
    return RunFolder(folder, Room(folder, lambda *_: None, lambda: False))


def mode(path):
    return stat.S_IMODE(path.lstat().st_mode)


def test_socket_is_private(runtime, tmp_path):
    before = os.umask(0)
    try:
        with _listen(tmp_path / "run", inbox := Inbox()):
            assert (mode(runtime), mode(paths.run_socket(tmp_path / "run"))) == (0o700, 0o600)
            assert RunLink(tmp_path / "run").tell("stop") and inbox.ending == "stop"
            assert os.umask(0) == 0, "the socket's mode is no one else's"
    finally:
        os.umask(before)


@pytest.mark.parametrize("kind", ["link", "others can enter", "another user's", "a file"])
def test_folder_of_sockets_that_is_not_ours_is_refused(runtime, tmp_path, monkeypatch, kind):
    if kind == "link":
        (tmp_path / "target").mkdir(mode=0o700)
        runtime.symlink_to(tmp_path / "target")
    elif kind == "a file":
        runtime.write_text("")
    else:
        runtime.mkdir(mode=0o700)
        runtime.chmod(0o770 if kind == "others can enter" else 0o700)
    if kind == "another user's":
        mine = os.getuid()
        monkeypatch.setattr(paths, "run_socket", lambda folder: runtime / "x.sock")
        monkeypatch.setattr(os, "getuid", lambda: mine + 1)
    victim = tmp_path / "target" / paths.run_socket(tmp_path / "run").name
    if kind == "link":
        victim.write_text("not to be unlinked")
    with pytest.raises(EnvironmentFault, match="not a folder that only you can enter"):
        _listen(tmp_path / "run", Inbox())
    if kind == "others can enter":
        with socket.socket(socket.AF_UNIX) as planted:
            planted.bind(str(paths.run_socket(tmp_path / "run")))
            planted.listen()
            assert not RunLink(tmp_path / "run").is_alive(), "nor does a watcher speak to a socket in it"
    assert kind != "link" or victim.read_text() == "not to be unlinked"


def test_private_folder_is_made_once(tmp_path):
    private_folder(tmp_path / "a" / "b")
    private_folder(tmp_path / "a" / "b")
    assert is_private(tmp_path / "a" / "b")


def test_log_and_record_of_a_run_are_private(tmp_path, monkeypatch, recorded):
    before = os.umask(0)
    try:
        (tmp_path / EVENTS).write_text("")  # as an earlier version left it
        opened(tmp_path).close()
        write_record(tmp_path, recorded)
        monkeypatch.setattr(sys, "executable", "true")
        start_training({}, tmp_path)
    finally:
        os.umask(before)
    assert {path.name: mode(path) for path in tmp_path.iterdir()} == dict.fromkeys(
        (EVENTS, "run.json", "child.log"), 0o600
    )


@pytest.fixture
def recorded():
    from playground.events.runs import BaseIdentity, RunRecord

    base = BaseIdentity("b", "d", "r", "nf4", "float32")
    return RunRecord("n", "now", "running", base, "chat", "d", "00", 3, True, 0, 9, None, True, {}, {})


def test_checkpoint_event_is_synced_and_a_step_is_not(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.readlink(f"/proc/self/fd/{descriptor}")))
    log = EventLog(tmp_path)
    log.write(StepSkipped(1, "x"))
    assert synced == []
    log.write(CheckpointSaved(1, "x"))
    log.write(RunEnded.failed(tmp_path, "x"))
    assert synced == [str(tmp_path / EVENTS)] * 2
    log.close()


def test_new_folders_of_a_run_are_synced(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(disk, "sync_folder", synced.append)
    with RunLock(tmp_path / "adapters" / "run"):
        save_checkpoint(tmp_path / "adapters" / "run" / "checkpoints", TrainState(step=1), {})
    assert synced[:3] == [tmp_path, tmp_path / "adapters", tmp_path / "adapters" / "run"]


def test_event_after_a_cut_line_is_not_lost(tmp_path):
    (tmp_path / EVENTS).write_text('{"event": "StepSk')
    log = EventLog(tmp_path)
    log.write(StepSkipped(2, "x"))
    log.close()
    assert read_events(tmp_path)[0] == [StepSkipped(2, "x")]


def test_event_that_does_not_fit_leaves_no_part_of_itself(tmp_path, monkeypatch):
    log, write, left = EventLog(tmp_path), os.write, [30, 3]

    def full(descriptor, data):
        if not left:
            raise OSError(28, "No space left on device")
        return write(descriptor, data[: left.pop()])

    log.write(StepSkipped(1, "a"))
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space"):
            log.write(StepSkipped(2, "b"))
    log.write(StepSkipped(3, "c"))
    log.close()
    assert [event.step for event in read_events(tmp_path)[0]] == [1, 3]


def test_leftovers_of_killed_saves_are_cleared_when_the_run_is_opened(tmp_path):
    for name in (".writing-4711", ".gone-step-000009-4711"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
        (tmp_path / "checkpoints" / name / "adapter").write_bytes(b"x" * 99)
    save_checkpoint(tmp_path / "checkpoints", TrainState(step=1), {})
    opened(tmp_path).close()
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-000001"]
    assert newest_checkpoint(tmp_path / "checkpoints").state.step == 1


def test_refused_child_says_why(runtime, tmp_path):
    """A folder of sockets that is not ours ends the child with an event."""
    runtime.mkdir(mode=0o700)
    runtime.chmod(0o777)
    options = f'{{"config": {{}}, "folder": "{tmp_path / "run"}", "resume": false}}'
    done = subprocess.run([sys.executable, "-m", "playground.training.child", options], check=False)
    assert done.returncode == 3
    (event,), _ = read_events(tmp_path / "run")
    assert event.state == "failed" and "only you can enter" in event.reason

"""Listing, renaming and removing runs and adapters, without a model."""

import json
import os
import shutil
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from playground import paths
from playground.cli.runs import adapters, runs
from playground.cli.train import train
from playground.errors import EnvironmentFault, InputError, UsageError
from playground.events.runs import BaseIdentity, RunRecord
from playground.runs.folder import RunLock, is_busy, kept_steps, read_events
from playground.runs.library import busy_run, list_runs


def record(name, created="2026-11-22T10:00:00+00:00", state="finished", loss=0.5):
    base = BaseIdentity("b\x1b[31m", "d", "r", "nf4", "float32")
    return RunRecord(
        name, created, state, base, "chat", "rows.jsonl", "00", 3, True, 9, 9, loss, True, {"lora_r": 4}, {}
    )


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SFT_PLAYGROUND_HOME", str(tmp_path))
    for made in (record("old"), record("new", "2026-11-22T11:00:00+00:00"), record("cut", state="running", loss=None)):
        folder = tmp_path / "adapters" / made.name
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(made.to_json())
    for name in ("old", "new"):
        (tmp_path / "adapters" / name / "adapter_config.json").write_text('{"base_model_name_or_path": "b"}')
    return tmp_path / "adapters"


def call(group, *arguments, **options):
    return CliRunner().invoke(group, list(arguments), standalone_mode=False, catch_exceptions=True, **options)


def test_runs_are_listed_newest_first_with_their_state(home):
    lines = call(runs, "list").stdout.splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["run", "new"]
    assert any(line.startswith("cut") and "interrupted" in line for line in lines)
    assert "\x1b" not in "".join(lines)
    objects = [json.loads(line) for line in call(runs, "list", "--json").stdout.splitlines()]
    assert {entry["name"] for entry in objects} == {"old", "new", "cut"}


def test_without_a_command_runs_and_adapters_are_listed(home):
    for group in (runs, adapters):
        plain = call(group)
        assert plain.exit_code == 0 and plain.stdout == call(group, "list").stdout


def test_adapters_list_your_own_and_the_shipped_ones(home):
    lines = call(adapters, "list").stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:3]] == [["new", "yours"], ["old", "yours"]]
    assert any(line.startswith("demo-mini") and "shipped" in line for line in lines)
    assert "config:\n  data: mini.jsonl\n" in call(adapters, "show", "demo-mini").stdout
    shown = json.loads(call(adapters, "show", "demo-mini", "--json").stdout)
    assert shown["style"] == "chat" and shown["bytes"] < 4.5e6


WRONG = [
    ("step", "x"), ("step", True), ("step", 1.5), ("num_steps", None), ("loss", 10**400), ("loss", "0.5"), ("eval_loss", []),
    ("created_at", 5), ("base", None), ("base", {"name": "b"}), ("state", "odd"), ("state", ["running"]), ("config", []),
    ("versions", {"torch": 2}), ("name", {}), ("exact", "yes"),
]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["[]", "[" * 10_000, "\x00", *(json.dumps({**record("old").to_dict(), key: value}) for key, value in WRONG)]
)
def test_one_malformed_record_does_not_hide_the_others(home, text):
    (home / "old" / "run.json").write_text(text)
    (home / "old" / "adapter_config.json").write_text(text)
    for group in (runs, adapters):
        for arguments in (("list",), ("list", "--json")):
            done = call(group, *arguments)
            assert done.exit_code == 0 and done.exception is None
            assert "new" in done.stdout
    assert "old" not in call(runs, "list").stdout, "what is no record is no run"


def pipes(folder):
    for name in ("run.json", "adapter_config.json", "events.jsonl"):
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)


def folders_for_files(folder):
    for name in ("run.json", "adapter_config.json", ".lock", "events.jsonl"):
        (folder / name).unlink(missing_ok=True)
        (folder / name).mkdir()


def links_in_a_circle(folder):
    for name in ("run.json", "adapter_config.json", ".lock", "steps"):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(folder / name)


def odd_steps(folder):
    for name in ("²", "٣", "-1", "1" * 200, "x"):
        (folder / "steps" / name).mkdir(parents=True)
        shutil.copy(folder / "adapter_config.json", folder / "steps" / name)


def name_that_is_no_text(folder):
    folder.rename(os.fsdecode(os.fsencode(folder.parent) + b"/old\xff\x1b[2J"))


def endless(folder):
    (folder / "run.json").unlink()
    (folder / "run.json").symlink_to("/dev/zero")
    with (folder / "adapter_config.json").open("wb") as file:
        file.truncate(20_000_000)


def time_beyond_the_calendar(folder):
    (folder / "run.json").unlink()
    os.utime(folder / "adapter_config.json", (2**62, 2**62))


ODD = [pipes, folders_for_files, links_in_a_circle, odd_steps, name_that_is_no_text, endless, time_beyond_the_calendar]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("spoil", ODD)
def test_one_odd_folder_does_not_hide_the_others(home, spoil):
    spoil(home / "old")
    for group in (runs, adapters):
        for arguments in (("list",), ("list", "--json")):
            done = call(group, *arguments)
            assert done.exception is None and done.exit_code == 0
            assert "new" in done.stdout and "\x1b" not in done.stdout
    for folder in home.iterdir():
        call(runs, "show", folder.name)
        assert not isinstance(call(runs, "show", folder.name, "--json").exception, UnicodeError)
    assert busy_run(home) is None and len(list_runs(home)) in (2, 3) and read_events(home / "old") == ([], 0)
    assert kept_steps(home / "old") in ([], [int("1" * 200)])


def test_folder_that_cannot_be_entered_does_not_hide_the_others(home, monkeypatch):
    real = os.stat

    def closed(path, **options):
        if "/old/" in str(path):
            raise PermissionError(13, "Permission denied")
        return real(path, **options)

    monkeypatch.setattr(os, "stat", closed)
    for group in (runs, adapters):
        done = call(group, "list")
        assert done.exception is None and "new" in done.stdout and "\nold" not in done.stdout


def test_checkout_lists_each_adapter_once_with_its_owner(home, monkeypatch):
    monkeypatch.delenv("SFT_PLAYGROUND_HOME")
    monkeypatch.chdir(home.parent)  # ./adapters is the folder, and the shipped adapter lies in it
    monkeypatch.setattr("playground.paths.bundled", lambda kind: home.parent / kind)
    shutil.copytree(home / "old", home / "demo-mini")
    lines = call(adapters, "list").stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["new", "yours"], ["old", "yours"], ["demo-mini", "shipped"]]
    assert isinstance(call(adapters, "remove", "demo-mini", "--yes").exception, UsageError)
    assert (home / "demo-mini").is_dir()


def test_the_shipped_adapters_are_those_in_the_wheel():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    carried = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert {Path(source).name for source in carried if source.startswith("adapters/")} == set(paths.SHIPPED)


def test_a_run_is_renamed_with_its_record(home):
    assert call(runs, "rename", "old", "older").exit_code == 0
    assert json.loads((home / "older" / "run.json").read_text())["name"] == "older"
    assert not (home / "old").exists()
    assert isinstance(call(runs, "rename", "older", "new").exception, UsageError)
    assert isinstance(call(runs, "rename", "older", "../x").exception, UsageError)
    assert isinstance(call(runs, "rename", "older", paths.SHIPPED[0]).exception, UsageError), "it would be hidden"
    assert (home / "older").is_dir()


def test_full_disk_does_not_change_a_record(home, monkeypatch):
    before = (home / "old" / "run.json").read_text()

    def full(path, data, **options):
        path.write_bytes(data[:3])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("playground.disk.write_file", full)
    assert isinstance(call(runs, "rename", "old", "older").exception, EnvironmentFault)
    assert (home / "old" / "run.json").read_text() == before and not (home / "older").exists()


def test_nothing_is_removed_without_confirmation(home):
    assert call(runs, "remove", "old", input="n\n").return_value == 1
    assert (home / "old").exists()
    assert call(runs, "remove", "old", input="y\n").return_value == 0
    assert not (home / "old").exists()
    assert call(adapters, "remove", "new", "--yes").return_value == 0
    assert not (home / "new").exists()


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("absent", InputError),
        ("../adapters", UsageError),
        ("demo-mini", UsageError),
        ("..", UsageError),
        ("/", UsageError),
    ],
)
def test_only_your_own_adapters_can_be_removed(home, name, error):
    assert isinstance(call(adapters, "remove", name, "--yes").exception, error)
    assert {path.name for path in home.iterdir()} == {"old", "new", "cut"}


def test_run_in_training_cannot_be_removed(home):
    import filelock

    with filelock.FileLock(home / "cut" / ".lock"):
        assert isinstance(call(runs, "remove", "cut", "--yes").exception, EnvironmentFault)
        assert "cut" in call(runs, "list").stdout and "running" in call(runs, "list").stdout


def test_adapters_folder_may_be_named_steps(home, tmp_path):
    shutil.copytree(home, tmp_path / "steps")
    lines = call(runs, "list", "--adapters-dir", str(tmp_path / "steps")).stdout.splitlines()
    assert {line.split()[0] for line in lines[1:]} == {"old", "new", "cut"}


# What is written before there is a record, in order: by a training of the command line, and by one of the app.
WRITTEN = (
    [".lock", ".pid", "events.jsonl", ".reserve", ".run.json.new"],
    ["child.log", ".lock", ".pid", "events.jsonl"],
)


@pytest.fixture
def begin(home, rows_file, monkeypatch):
    """Return a function that starts a training called ``again``, and returns its folder."""

    def begin():
        began = []
        monkeypatch.setattr("playground.cli.train.run_training", lambda config, folder, **how: began.append(folder))
        result = call(train, "--data", str(rows_file(3)), "--name", "again")
        if result.exception is not None:
            raise result.exception
        return began[0]

    (home / "again").mkdir()
    return begin


@pytest.mark.parametrize("left", [names[:n] for names in WRITTEN for n in range(1, len(names) + 1)], ids=" ".join)
def test_folder_of_a_run_killed_before_its_record_is_taken(home, begin, left):
    for name in left:
        (home / "again" / name).touch()
    assert begin() == home / "again"


@pytest.mark.parametrize("other", ["notes.txt", "checkpoints/x", "child.log/x", "adapter_model.safetensors"])
def test_folder_with_anything_else_in_it_is_not_taken(home, begin, other):
    (home / "again" / other).parent.mkdir(exist_ok=True)
    (home / "again" / other).touch()
    (home / "again" / ".lock").touch()
    with pytest.raises(UsageError, match="is not empty"):
        begin()


def test_folder_of_a_run_that_is_loading_is_not_taken(home, begin):
    with RunLock(home / "again"), pytest.raises(EnvironmentFault, match="again is being trained already"):
        begin()


def test_new_run_does_not_take_over_an_existing_folder(home):
    before = (home / "old" / "run.json").read_bytes()
    with pytest.raises(UsageError, match="already exists"):
        RunLock(home / "old", new=True)
    with RunLock(home / "old"), pytest.raises(EnvironmentFault, match=f"by process {os.getpid()}"):
        RunLock(home / "old")
    assert (home / "old" / "run.json").read_bytes() == before and not is_busy(home / "old")

from datetime import datetime
from pathlib import Path

import platformdirs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from playground import paths
from playground.errors import UsageError

NOW = datetime(2025, 11, 22, 15, 34)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Work in an empty folder, with a home and a platform of its own."""
    monkeypatch.delenv("SFT_PLAYGROUND_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("user_data_dir", "user_cache_dir", "user_log_dir"):
        monkeypatch.setattr(platformdirs, name, lambda *args, kind=name, **kwargs: str(tmp_path / kind))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


# Files.


def test_a_name_is_a_path_first_then_a_bundled_file():
    bundled = paths.find_file("mini.jsonl")
    assert bundled.is_absolute()
    assert bundled.is_file()
    Path("mini.jsonl").write_text("mine")
    assert paths.find_file("mini.jsonl").read_text() == "mine"


@pytest.mark.parametrize(
    "name", ["absent.jsonl", "./mini.jsonl", "sub/mini.jsonl", "../datasets/mini.jsonl", "..", "-"]
)
def test_only_bare_names_resolve_to_bundled_files(name):
    assert paths.find_file(name) == Path(name)


def test_a_tilde_is_the_home_folder(tmp_path):
    assert paths.find_file("~/x.jsonl") == tmp_path / "home" / "x.jsonl"


@pytest.mark.parametrize("name", ["x" * 300, "~no-such-user/x.jsonl"], ids=["300 characters", "unknown user"])
def test_impossible_file_names_count_as_absent(name):
    assert not paths.find_file(name).name.startswith("mini")


def test_bundled_files_of_the_wheel_precede_the_checkout(tmp_path, monkeypatch):
    checkout = paths.bundled("datasets")
    assert (checkout / "mini.jsonl").is_file()
    (tmp_path / "package" / "_bundled" / "datasets").mkdir(parents=True)
    monkeypatch.setattr(paths, "files", lambda package: tmp_path / package.replace("playground", "package"))
    assert paths.bundled("datasets") == tmp_path / "package" / "_bundled" / "datasets"
    assert paths.bundled("adapters") == checkout.parent / "adapters"


# Folders.


def test_adapters_dir_precedence_is_flag_home_cwd_platform(tmp_path, monkeypatch):
    assert paths.adapters_dir() == tmp_path / "user_data_dir" / "adapters"
    Path("adapters").write_text("a file is no folder")
    assert paths.adapters_dir() == tmp_path / "user_data_dir" / "adapters"
    Path("adapters").unlink()
    Path("adapters").mkdir()
    assert paths.adapters_dir() == Path("adapters")
    monkeypatch.setenv("SFT_PLAYGROUND_HOME", "~/playground")
    assert paths.adapters_dir() == tmp_path / "home" / "playground" / "adapters"
    assert paths.adapters_dir("~/mine") == tmp_path / "home" / "mine"


def test_cache_and_log_follow_the_home_too(tmp_path, monkeypatch):
    assert paths.cache_dir() == tmp_path / "user_cache_dir"
    assert paths.log_file() == tmp_path / "user_log_dir" / "errors.log"
    monkeypatch.setenv("SFT_PLAYGROUND_HOME", str(tmp_path / "own"))
    assert paths.cache_dir() == tmp_path / "own" / "cache"
    assert paths.log_file() == tmp_path / "own" / "errors.log"


def test_path_lookups_create_nothing(tmp_path):
    paths.adapters_dir(), paths.cache_dir(), paths.log_file(), paths.find_file("mini.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["work"]


# Names.


@pytest.mark.parametrize("name", ["a", "mini-1122-1534", "Run_2.final", "0", "a..b", "x" * 64])
def test_plain_run_name_is_accepted(name):
    assert paths.check_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/b", "a\\b", ".hidden", "-rf", "_x", "a\0", "a\n", "a b", "é", "~", "x" * 65, "x" * 300],
)
def test_unsafe_run_name_is_refused(name):
    with pytest.raises(UsageError):
        paths.check_name(name)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("mini.jsonl", "mini-1122-1534"),
        ("some/where/My Data (1).jsonl.gz", "My-Data--1-1122-1534"),
        (".hidden.jsonl", "run-1122-1534"),
        ("-", "run-1122-1534"),
        ("日本.jsonl", "run-1122-1534"),
        ("x" * 300, "x" * 40 + "-1122-1534"),
    ],
)
def test_a_run_is_named_after_its_data_and_the_time(tmp_path, data, name):
    assert paths.new_run_name(Path(data), tmp_path, NOW) == name


def test_a_taken_name_gets_a_number(tmp_path):
    names = []
    for _ in range(3):
        names.append(paths.new_run_name(Path("mini.jsonl"), tmp_path, NOW))
        (tmp_path / names[-1]).mkdir()
    assert names == ["mini-1122-1534", "mini-1122-1534-2", "mini-1122-1534-3"]


@given(data=st.text(min_size=1))
def test_new_run_name_is_always_valid(data):
    name = paths.new_run_name(Path(data), Path("no-such-folder"), NOW)
    assert paths.check_name(name) == name

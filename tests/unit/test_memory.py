"""What the app remembers between two starts, whatever became of its file."""

import json
import stat

import pytest

from playground.tui.state.memory import MOST_CHARACTERS, MOST_PROMPTS, Memory, Remembered, last_engine, read


@pytest.fixture
def file(tmp_path):
    return tmp_path / "new" / "state.json"


def kept(file, *steps):
    """Return what another start finds after these steps."""
    memory = Memory(file)
    for step in steps:
        step(memory)
    memory.close()
    return Memory(file).now


def test_another_start_finds_what_was_kept(file):
    now = kept(
        file,
        lambda memory: memory.keep_theme("high-contrast"),
        lambda memory: memory.keep_engine(("/a/run",), None),
        lambda memory: memory.keep_prompt("Why?\nTell me."),
        lambda memory: memory.keep_prompt("Why?\nTell me."),
        lambda memory: memory.keep_prompt("日本 é"),
    )
    assert (now.theme, now.adapters, now.model) == ("high-contrast", ("/a/run",), "")
    assert now.prompts == ("Why?\nTell me.", "日本 é"), "the same prompt twice in a row is kept once"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == [file], "no temporary file is left"


def test_two_apps_add_to_one_history(file):
    one, other = Memory(file), Memory(file)
    one.keep_prompt("a")
    one.close()
    other.keep_prompt("b")
    other.close()
    assert read(file).prompts == ("a", "b")


def test_history_is_bounded_and_keeps_the_newest(file):
    file.parent.mkdir()
    file.write_text(json.dumps({"prompts": [str(number) for number in range(MOST_PROMPTS + 7)]}))
    assert read(file).prompts[0] == "7"
    now = kept(file, lambda memory: memory.keep_prompt("é\n" * (MOST_CHARACTERS // 2 - 10)))
    assert len(now.prompts) < 12 and now.prompts[-1].startswith("é")
    assert kept(file, lambda memory: memory.keep_prompt("x" * (MOST_CHARACTERS + 1))).prompts == ()


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[1]", b'"x"', b"\xff\xfe\x00", b"[" * 100_000, b'{"prompts": 3, "theme": [], "adapters": {}, "model": 1}',
     b'{"prompts": {"a": 1}}', b'{"theme": null}', b'{"adapters": ["a\\u0000b", 3]}'],
)  # fmt: skip
def test_a_broken_or_foreign_file_is_as_none(file, content):
    file.parent.mkdir()
    file.write_bytes(content)
    assert read(file) == Remembered()
    assert kept(file, lambda memory: memory.keep_prompt("p")).prompts == ("p",)


def test_what_cannot_be_read_or_written_stops_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "state.json"):  # a folder, and below a file
        memory = Memory(path)
        memory.keep_prompt("p")
        memory.close()
        assert memory.now.prompts == ("p",) and read(path) == Remembered()


def test_hostile_prompts_are_cleaned(file):
    file.parent.mkdir()
    file.write_text(json.dumps({"prompts": ["\x1b]52;c;aGk=\x07", "\ud83d", 7, "ok"]}))
    assert read(file).prompts == ("␛]52;c;aGk=␇", "\ufffd", "ok")


def test_last_choice_yields_to_its_absence_and_to_a_newer_training(tmp_path):
    def adapter(name, created_at):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "adapter_config.json").write_text("{}")
        (folder / "run.json").write_text("")
        return str(folder)

    chosen = adapter("chosen", "")
    assert last_engine(Remembered(), tmp_path) == ((), None)
    assert last_engine(Remembered(adapters=(chosen,), chosen_at="2999-01-01"), tmp_path) == ((chosen,), None)
    assert last_engine(Remembered(adapters=(chosen,), chosen_at="2020-01-01"), tmp_path) == ((), None)
    assert last_engine(Remembered(adapters=(f"{chosen}x",), chosen_at="2999-01-01"), tmp_path) == ((), None)
    assert last_engine(Remembered(model="hf:org/bare", chosen_at="2999-01-01"), tmp_path) == ((), "hf:org/bare")

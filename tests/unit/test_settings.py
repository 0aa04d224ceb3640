import shlex

import pytest

from playground import paths, settings
from playground.cli.app import run
from playground.config import TrainConfig, read_options
from playground.errors import InputError, UsageError


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SFT_PLAYGROUND_HOME", str(tmp_path))
    return tmp_path


def test_precedence_is_flag_environment_file_settings(home, monkeypatch):
    paths.settings_file().write_text("lora_r = 1\nlora_alpha = 1\nseed = 1\nnum_train_epochs = 1\n")
    (home / "c.yaml").write_text("lora_r: 2\nlora-alpha: 2\nseed: 2\n")
    monkeypatch.setenv("SFT_PLAYGROUND_LORA_R", "3")
    monkeypatch.setenv("SFT_PLAYGROUND_SEED", "3")
    found = TrainConfig(**settings.options({"lora_r": 4}, home / "c.yaml"))
    assert (found.lora_r, found.seed, found.lora_alpha, found.num_train_epochs) == (4, 3, 2, 1)
    assert found.max_grad_norm == TrainConfig().max_grad_norm


def test_device_is_flag_then_environment_then_settings(home, monkeypatch):
    assert settings.device() == "auto"
    paths.settings_file().write_text('device = "cuda:1"\nlora_r = 3\n')
    assert settings.device() == "cuda:1"
    assert settings.options({}, None) == {"lora_r": 3}
    monkeypatch.setenv("SFT_PLAYGROUND_DEVICE", "cuda")
    assert settings.device() == "cuda"
    assert run(["--compare", "x.txt", "--device", "cpu", "--help"]) == 0
    assert settings.device() == "cpu"
    assert run(["settings", "--device=cuda:2", "path"]) == 0
    assert settings.device() == "cuda:2"
    assert run(["doctor", "--device", "gpu"]) == 2


@pytest.mark.parametrize(
    "args",
    [["--device"], ["--device="], ["--device", ""], ["doctor", "--device"], ["--device", "-q", "doctor"]],
    ids=" ".join,
)
def test_device_without_a_value_is_refused(args, monkeypatch, capsys):
    monkeypatch.delenv("SFT_PLAYGROUND_DEVICE", raising=False)
    assert run(args) == 2
    assert capsys.readouterr().err.startswith("error: --device needs a value.\nhint: Name auto, cpu, cuda")


def test_last_device_counts_if_it_is_repeated(monkeypatch):
    monkeypatch.setenv("SFT_PLAYGROUND_DEVICE", "")
    assert run(["settings", "--device", "cuda", "path", "--device=cpu"]) == 0
    assert settings.device() == "cpu"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.toml", 'learning_rate = 5e-4\nskip_bad = true\ncolumns = ["prompt=q"]\nmax_length = "auto"\n'),
        ("c.yaml", "learning_rate: 5e-4\nskip_bad: yes\ncolumns: [prompt=q]\nmax_length: auto\n"),
        ("c.yml", "learning_rate: 0.0005\nskip-bad: on\ncolumns: prompt=q\n"),
    ],
)
def test_yaml_and_toml_are_equivalent(home, name, text):
    (home / name).write_text(text)
    assert TrainConfig(**settings.options({}, home / name)) == TrainConfig(
        learning_rate=5e-4, skip_bad=True, columns=("prompt=q",)
    )


def test_large_integer_is_kept_exactly():
    for seed in (2**63 - 1, str(2**63 - 1)):
        assert read_options({"seed": seed}, "x") == {"seed": 2**63 - 1}


def test_sample_prompts_are_a_list_or_a_file():
    assert read_options({"sample-prompts": ["Hi", "Why?"]}, "x") == {"sample_prompts": ("Hi", "Why?")}
    assert read_options({"sample_prompts_file": "a.txt"}, "x") == {"sample_prompts_file": "a.txt"}
    assert read_options({"sample_prompts_file": "auto"}, "x") == {"sample_prompts_file": None}
    with pytest.raises(UsageError, match="sample_prompts_file cannot be ''"):
        read_options({"sample_prompts_file": ""}, "x")
    assert "--sample-prompts 'a b.txt'" in TrainConfig(sample_prompts_file="a b.txt").command()


def test_yaml_booleans_are_read_as_on_and_off():
    assert read_options({"gradient_checkpointing": True}, "x") == {"gradient_checkpointing": "on"}


@pytest.mark.parametrize(
    ("name", "text", "error", "words"),
    [
        (
            "c.yaml",
            "lora_rank: 8\nseed: 1.5\n",
            UsageError,
            ["c.yaml", "'lora_rank'", "'lora_r'", "seed cannot be 1.5"],
        ),
        ("c.yaml", "lora_r: .inf\n", UsageError, ["lora_r cannot be inf"]),
        ("c.yaml", "data:\n", UsageError, ["data cannot be None"]),
        ("c.yaml", "lora_r: yes\n", UsageError, ["lora_r cannot be True"]),
        ("c.yaml", "skip_bad: maybe\n", UsageError, ["skip_bad"]),
        ("c.yaml", "columns: [1]\n", UsageError, ["columns"]),
        ("c.yaml", "- a\n- b\n", InputError, ["no options"]),
        ("c.yaml", "a: [", InputError, ["not valid YAML"]),
        ("c.yaml", "a: !!python/object/apply:os.system [echo]", InputError, ["not valid YAML"]),
        ("c.toml", "a = ", InputError, ["not valid TOML"]),
        ("c.json", "{}", UsageError, ["neither YAML nor TOML"]),
    ],
)
def test_invalid_config_file_is_refused_with_a_reason(home, name, text, error, words):
    (home / name).write_text(text)
    with pytest.raises(error) as caught:
        settings.options({}, home / name)
    assert all(word in caught.value.message for word in words), caught.value.message
    with pytest.raises(InputError, match="no file"):
        settings.options({}, home / "absent.yaml")


def test_command_of_a_config_round_trips():
    from playground.cli.train import train

    config = TrainConfig(
        data="my rows.jsonl", columns=("prompt=q", "completion=a b"), skip_bad=True, learning_rate=3e-4, lora_r=8,
        gradient_checkpointing="on",
    )  # fmt: skip
    words = shlex.split(config.command())
    assert words[:2] == ["sft-playground", "train"]
    context = train.make_context("train", words[2:])
    given = {key: value for key, value in context.params.items() if hasattr(config, key)}
    assert TrainConfig(**given) == config

"""What a model name means; hub models through the ordinary cache, offline."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from playground.errors import InputError
from playground.models import source

ROOT = Path(__file__).parents[2]


def quiet(stage, share):
    pass


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere", "There is no model"),
        ("./nobody/nothing", "There is no model"),
        ("~/nobody", "There is no model"),
        ("hf:one-word", "not a hub id"),
        ("hf:../../etc/passwd", "not a hub id"),
        ("a/b/c", "There is no model"),
    ],
)
def test_invalid_model_names_are_refused(name, words):
    with pytest.raises(InputError, match=words):
        source.resolve(name, quiet)


def test_existing_path_is_never_read_as_a_hub_id(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org").mkdir()
    (tmp_path / "org" / "name").write_text("a file")
    with pytest.raises(InputError, match="There is no model"):
        source.resolve("org/name", quiet)
    assert source.resolve("org/other", quiet).kind == "hub"
    assert source.resolve("hf:org/name", quiet).kind == "hub"


def test_folders_without_a_model_are_refused_with_the_reason(tmp_path, tiny_folder):
    for setup, words in (
        (lambda p: None, "no config.json"),
        (lambda p: (p / "config.json").write_text("{}"), "no \\*.safetensors"),
        (lambda p: (p / "adapter_config.json").write_text("{}"), "is an adapter"),
    ):
        setup(tmp_path)
        with pytest.raises(InputError, match=words):
            source.resolve(str(tmp_path), quiet)
    assert source.resolve(str(tiny_folder("llama")), quiet).kind == "folder"


def test_folder_revision_depends_on_its_weights(tiny_folder, tmp_path):
    shutil.copytree(tiny_folder("llama"), tmp_path / "copy")
    first = source.revision(source.resolve(str(tiny_folder("llama")), quiet))
    assert source.revision(source.resolve(str(tmp_path / "copy"), quiet)) == first
    weights = tmp_path / "copy" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert source.revision(source.resolve(str(tmp_path / "copy"), quiet)) != first


@pytest.mark.parametrize("sharded", [False, True])
def test_files_that_loading_does_not_read_take_no_memory(tiny_folder, tmp_path, monkeypatch, sharded):
    from playground.errors import EnvironmentFault
    from playground.models import load

    folder = tmp_path / "copy"
    shutil.copytree(tiny_folder("llama"), folder)
    whole = folder / "model.safetensors"
    before, names = source.revision(source.resolve(str(folder), quiet)), {whole}
    shutil.copy(whole, folder / "consolidated.safetensors")
    if sharded:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        whole.unlink()
        model.save_pretrained(folder, max_shard_size="200KB")
        names = set(folder.glob("model-*.safetensors"))
        assert len(names) > 2
    where = source.resolve(str(folder), quiet)
    assert set(source.weight_files(where)) == names
    assert source.revision(where) != before, "the digest of all files, as records have it"
    size = sum(map(load._as_float32, names))
    monkeypatch.setattr(load, "free_memory", lambda device: size)
    load.require_memory(str(folder), quiet, torch.device("cpu"))
    monkeypatch.setattr(load, "free_memory", lambda device: size - 1)
    with pytest.raises(EnvironmentFault, match="needs about"):
        load.require_memory(str(folder), quiet, torch.device("cpu"))


@pytest.mark.parametrize(
    "index", ["{", "[" * 100_000, "[]", '{"weight_map": [1]}', '{"weight_map": {"x": 1, "y": "../z"}}']
)
def test_index_that_names_no_file_leaves_all_of_them(tmp_path, index):
    for name in ("a.safetensors", "b.safetensors"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "model.safetensors.index.json").write_text(index)
    found = source.weight_files(source.Source("folder", "x", str(tmp_path)))
    assert [file.name for file in found] == ["a.safetensors", "b.safetensors"]


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def loaded(tmp_path_factory, tiny_folder):
    """What a new process says about hub models, by name; its cache is as `hf download nobody/tiny` leaves it."""
    hub_cache = tmp_path_factory.mktemp("hf")
    repo = hub_cache / "hub" / "models--nobody--tiny"
    snapshot = repo / "snapshots" / COMMIT
    shutil.copytree(tiny_folder("llama"), snapshot)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(COMMIT)
    environment = {**os.environ, "HF_HOME": str(hub_cache), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", LOAD, "hf:nobody/tiny", "nobody/tiny", "hf:nobody/other"], env=environment,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


LOAD = """
import json, sys
from playground.errors import EnvironmentFault
from playground.models.load import load_base

results = {}
for name in sys.argv[1:]:
    said = []
    try:
        base = load_base(name, "none", lambda stage, share: said.append(stage))
        results[name] = [base.identity.name, base.identity.revision, said[0]]
    except EnvironmentFault as error:
        results[name] = [error.message]
print(json.dumps(results))
"""


@pytest.mark.parametrize("name", ["hf:nobody/tiny", "nobody/tiny"])
def test_cached_hub_model_loads_offline_with_its_commit(loaded, name):
    assert loaded[name] == ["nobody/tiny", COMMIT, "loading nobody/tiny from the hub or its cache"]


def test_uncached_hub_model_offline_is_an_environment_fault(loaded):
    assert loaded["hf:nobody/other"] == ["nobody/other is not in the local cache and the hub cannot be reached."]


def test_remote_code_is_never_run(tiny_folder, tmp_path):
    shutil.copytree(tiny_folder("llama"), tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    config["auto_map"] = {"AutoModelForCausalLM": "evil.Evil", "AutoConfig": "evil.EvilConfig"}
    config["model_type"] = "evil"
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    (tmp_path / "model" / "evil.py").write_text(f"open({str(tmp_path / 'canary')!r}, 'w')")
    from playground.models.load import load_base

    with pytest.raises(InputError, match="cannot be loaded"):
        load_base(str(tmp_path / "model"), "none")
    assert not (tmp_path / "canary").exists()

"""The project's own rules: lint, types, layers, imports, the wheel."""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*command, cwd=ROOT, **options):
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, **options)


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_lint_and_types(command):
    done = run(sys.executable, "-m", *command)
    assert done.returncode == 0, done.stdout + done.stderr


def test_pictures_of_the_documentation_show_the_screens_of_today():
    from runpy import run_path

    found = run_path(str(ROOT / "docs" / "pictures.py"))["digest"]()
    drawn = json.loads((ROOT / "docs" / "recorded" / "manifest.json").read_text("utf-8"))
    assert drawn == found, "the screens have changed: python docs/pictures.py"


def test_layers():
    done = run(str(Path(sys.executable).parent / "lint-imports"))
    assert done.returncode == 0, done.stdout + done.stderr


HEAVY = ("torch", "transformers", "peft", "bitsandbytes", "datasets", "pyarrow", "pandas", "textual", "rich", "numpy")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["train", "--help"], ["compare", "--help"], ["demo", "--help"], ["-V"]]
)
def test_help_imports_nothing_heavy(arguments):
    code = (
        "import sys\nfrom playground.cli.app import run\n"
        f"code = run({arguments!r})\n"
        f"print('HEAVY', sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)\nsys.exit(code)"
    )
    done = run(sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr
    assert "HEAVY []" in done.stderr


def test_no_answer_and_no_step_imports_the_compiler():
    """bitsandbytes would import it, for functions that are never called here; data sets of the hub have a library."""
    code = (
        "import sys\nfrom playground.environ import before_torch\nbefore_torch()\n"
        "import bitsandbytes, peft.tuners.lora, playground.inference.service, playground.training.loop\n"
        "print(sorted({'torch._inductor.compile_fx', 'datasets', 'trl', 'pandas', 'textual'} & set(sys.modules)))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "TORCHDYNAMO_DISABLE"}
    assert run(sys.executable, "-c", code, env=environment).stdout.strip() == "[]"


@pytest.mark.parametrize("module", ["events", "errors", "config", "paths", "text"])
def test_the_bottom_layers_need_the_standard_library_only(module):
    code = f"import sys, playground.{module}\nprint(sorted(set({HEAVY!r}) & set(sys.modules)))"
    assert run(sys.executable, "-c", code).stdout.strip() == "[]"


def test_no_python_file_shadows_the_datasets_library():
    assert not list((ROOT / "datasets").rglob("*.py"))


def test_wheel_has_the_bundled_files_and_works_alone(tmp_path):
    done = run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"playground"}
    for wanted in (
        "datasets/mini.jsonl",
        "datasets/curated.jsonl",
        "datasets/pirate.jsonl",
        "datasets/mediocre.jsonl",
        "datasets/heldout.jsonl",
        "datasets/prompts.txt",
        "datasets/labs/bias.toml",
        "datasets/labs/bias.jsonl",
    ):
        assert f"playground/_bundled/{wanted}" in names
    assert {"playground/models/known.toml", "playground/tui/app.tcss"} <= set(names)
    assert any(name.startswith("playground/_bundled/adapters/") and name.endswith(".safetensors") for name in names)
    assert not [name for name in names if "checkpoints" in name or name.endswith((".pyc", ".lock"))]
    target = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    empty = tmp_path / "empty"
    empty.mkdir()
    code = (
        "from playground import paths; from playground.data.examples import read_dataset\n"
        "from playground.models.adapters import find_adapter\n"
        "print(len(read_dataset(paths.find_file('mini.jsonl')).examples), find_adapter(None, paths.adapters_dir()).name)"
    )
    environment = {**os.environ, "PYTHONPATH": str(target), "SFT_PLAYGROUND_HOME": str(empty)}
    done = run(sys.executable, "-c", code, cwd=empty, env=environment)
    count, adapter = done.stdout.split()
    assert 90 <= int(count) <= 120, done.stderr
    assert adapter == "demo-curated"


def test_documentation_repeats_the_code():
    """``python docs/generate.py`` mends it. Each module says what it is in the first line of its docstring."""
    # In a process of its own: click keeps the help option of a command as it was first asked for.
    code = "import runpy, sys; g = runpy.run_path('docs/generate.py'); sys.stdout.write({})"
    assert run(sys.executable, "-c", code.format("g['commands']()")).stdout == (ROOT / "docs" / "cli.md").read_text(
        "utf-8"
    )
    architecture = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    made = run(sys.executable, "-c", code.format("g['with_modules'](open('ARCHITECTURE.md').read())"))
    assert made.stdout == architecture
    walks, _, modules = architecture.partition("<!-- modules")
    assert ": \n" not in modules
    named = re.findall(r"`((?:cli|tui|training|inference|models|data|report|jobs|runs)/[\w/]+)`", walks)
    assert len(named) > 40 and not [name for name in named if not (ROOT / "playground" / f"{name}.py").is_file()]

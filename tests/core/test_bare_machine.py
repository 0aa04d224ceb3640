"""`benchmarks/gpu.sh` on a machine that has little more than PyTorch, rehearsed on this CPU."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MISSING = ("textual", "datasets", "gguf", "platformdirs", "trl", "hypothesis", "importlinter", "pytest_timeout")
BLOCK = f"""
from functools import partial
from importlib.machinery import PathFinder
real = PathFinder.find_spec
def found(name, path=None, target=None):
    return None if name.split(".")[0] in {MISSING!r} else real(name, path, target)
PathFinder.find_spec = partial(found)  # no method, wherever it is kept
"""


@pytest.mark.long
@pytest.mark.timeout(900)
def test_each_part_of_the_gpu_script_runs_with_little_installed(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(BLOCK)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "REHEARSE": "1", "OUT": str(tmp_path / "out")}
    (tmp_path / "out").mkdir()
    environment.pop("SFT_PLAYGROUND_HOME", None)
    done = subprocess.run(
        [ROOT / "benchmarks/gpu.sh"], env=environment, capture_output=True, text=True, timeout=850, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert "== 0 parts failed" in done.stdout
    logs = {file.stem: file.read_text() for file in (tmp_path / "out").iterdir()}
    assert logs.keys() == {"facts", "tests", "speed", "process", "cards", "peer", "lanes", "old"}
    assert " passed" in logs["tests"] and "planned" in logs["process"] and "24 GB: finished" in logs["cards"]
    assert "in float32 because float16 overflows" in logs["old"]


def test_a_part_that_fails_stops_none_of_the_others(tmp_path):
    """With a Python that cannot do anything."""
    environment = {**os.environ, "PYTHON": "/bin/false", "OUT": str(tmp_path)}
    done = subprocess.run(
        [ROOT / "benchmarks/gpu.sh"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 8 and "== 8 parts failed" in done.stdout
    assert "== old failed with 1" in done.stdout

"""Standard output that cannot hold every character."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def command(tmp_path):
    def run(*arguments, encoding):
        settings = {"PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT), "SFT_PLAYGROUND_HOME": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-m", "playground", *arguments],
            env=os.environ | settings, cwd=tmp_path, capture_output=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout.decode(encoding), done.stderr.decode(encoding)

    return run


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_output_is_written_in_any_encoding_and_json_stays_json(command, tmp_path, encoding):
    row = {"prompt": "Größe? 你好 😀 …", "completion": "λ", "片": "x"}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    code, said, told = command("data", "check", "rows.jsonl", encoding=encoding)
    assert (code, told) == (0, "") and "<= 16 words" in said and "'\\u7247' is not read" in said
    if encoding == "ascii":
        return  # click writes UTF-8 then, which JSON is
    _, line, _ = command("data", "check", "rows.jsonl", "--json", encoding=encoding)
    assert json.loads(line)["findings"][0]["kind"] == "'片' is not read"

"""What is published and exported: read as written down, or refused with a way out that works; and the table of it."""

import re
import shlex
import sys
from pathlib import Path

import pytest

from playground.data.containers import open_rows
from playground.data.examples import read_dataset, remarks_in_words
from playground.data.lint import check
from playground.data.prompts import read_prompts
from playground.errors import InputError

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from field import SPECIMENS, Specimen, table  # noqa: E402

# No option can help these: something in them has to be written by hand.
BY_HAND = {
    "SQuAD", "TRL, language modelling", "axolotl, without a template", "HH-RLHF",
    "Qwen-VL, OpenAI", "Excel, Unicode text", "MMLU", "TriviaQA", "WMT", "Glaive, function calling", "Anki, no header",
    "OpenAssistant", "the hub's viewer, long cells", "rows with a setting for all", "pandas, lists in cells",
}  # fmt: skip
each = pytest.mark.parametrize("specimen", SPECIMENS, ids=lambda specimen: specimen.name)


@each
def test_published_shape_is_read_or_refused_as_written_down(tmp_path, specimen: Specimen):
    try:
        dataset = specimen.read(tmp_path)
    except InputError as error:
        read, said = (), f"{error.message}\n{error.hint}"
    else:
        read = tuple(turn.content for turn in dataset.examples[0].turns)
        said = "\n".join(remarks_in_words(dataset))
    assert read == specimen.reads, said
    assert [words for words in specimen.says if words not in said] == []
    assert specimen.says or not said, "nothing is said that is not written down"


@each
def test_data_check_says_what_training_says(tmp_path, specimen: Specimen):
    try:
        dataset = specimen.read(tmp_path)
        told = [words.split(" (")[0] for words in remarks_in_words(dataset)]
    except InputError as error:
        told = re.findall(r"--map \S+", f"{error.message} {error.hint}")
    path = tmp_path / specimen.file
    try:
        found = check(open_rows(str(path), path), {})
    except InputError:
        return  # refused in the same words, before it is checked
    said = "\n".join(f"{finding.kind}: {finding.message}" for finding in found.findings)
    assert [words for words in told if words not in said and "COLUMN" not in words] == []
    assert bool(specimen.reads) == (found.num_errors == 0)


@each
def test_compare_asks_what_training_shows(tmp_path, specimen: Specimen):
    path = tmp_path / specimen.file
    try:
        dataset = specimen.read(tmp_path)
    except InputError as error:
        if "better side" not in error.hint:
            return
        dataset = read_dataset(path, re.findall(r"--map (\S+)", error.hint))
    turns = dataset.examples[0].turns
    system = "".join(turn.content for turn in turns if turn.role == "system")
    question = next(turn.content for turn in turns if turn.role == "user")
    assert (system, question) in [(prompt.system, prompt.prompt) for prompt in read_prompts(path)]


@pytest.mark.parametrize(
    "specimen", [s for s in SPECIMENS if not s.reads and s.name not in BY_HAND], ids=lambda specimen: specimen.name
)
def test_way_out_of_a_refusal_works(tmp_path, specimen: Specimen):
    with pytest.raises(InputError) as refused:
        specimen.read(tmp_path)
    said = f"{refused.value.message} {refused.value.hint}"
    columns = shlex.split(" ".join(re.findall(r"--map ('[^']*'|[^\s;.]+)", said)))
    assert columns or "--repair" in said
    assert read_dataset(tmp_path / specimen.file, columns, repair="--repair" in said).examples


def test_documentation_has_the_table():
    """``python docs/generate.py`` mends it."""
    assert table() in (ROOT / "docs" / "data.md").read_text("utf-8")

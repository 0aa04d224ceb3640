"""Text that acts on terminals, pages and tables, in all that is not ours, through every command that shows it."""

import csv
import io
import json
import re
import shutil
import sys
from html.parser import HTMLParser

import pytest

from playground.cli.app import run
from playground.config import TrainConfig
from playground.runs.folder import read_record
from playground.text import clean
from playground.training.loop import train

ACTS = "\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\\x1b[31m\x9b2J\x1bP+q\x1b\\\x07\x85\r\x7f\u202e\u2066\u200b\u2028\ufeff\U000e0041"
MARKUP = "<b onclick=x>&lt;</td></pre><script>x</script> | `x` [/bold] [@click=app.quit]y[/] ~~~ ![x](http://evil) *a*"
HALF = "\ud83d"  # of a surrogate pair
HOSTILE = f"=1+1 {ACTS} {MARKUP}\n## no\n| a | b |\n@SUM(1) {HALF}"
NAME = f"-x {ACTS} <b>|=1\n# y".replace("/", "∕")  # of a file or a folder, which has at most 255 bytes
TAGS = {
    "html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "div", "table", "thead", "tbody", "tr",
    "th", "td", "section", "span", "article", "small", "pre", "b", "details", "summary",
}  # fmt: skip
STYLING = re.compile(r"\x1b\[[\d;]*m")  # the program's own, where colours are forced


@pytest.fixture(scope="module")
def world(tmp_path_factory, tiny_folder):
    """A home in which everything has a hostile name: the model, the data, an adapter; its record says more."""
    home = tmp_path_factory.mktemp("hostile")
    shutil.copytree(tiny_folder("llama"), model := home / NAME)
    whole = HOSTILE.replace(HALF, "")
    row = {"prompt": f"What? {whole}", "completion": f"That. {whole}"}
    rows = [row, {**row, "completion": HOSTILE}, {**row, HOSTILE: whole}, {"prompt": whole}, {HOSTILE: 1}, "x", row]
    (data := home / f"{NAME}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with (home / f"{NAME}.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([[whole, "prompt"], [whole, f"x {whole}"]])
    (home / "prompts.jsonl").write_text(json.dumps({"id": whole, "prompt": whole}) + "\n")
    options = {"quantize": "none", "lora_r": 2, "num_train_epochs": 1, "eval_rows": 0, "skip_bad": True}
    config = TrainConfig(model=str(model), data=str(data), sample_prompts=(), max_length=4000, **options)
    list(train(config, folder := home / "adapters" / NAME))
    record = read_record(folder).to_dict()
    record |= {
        "name": HOSTILE,
        "data_name": HOSTILE,
        "command": HOSTILE,
        "device": HOSTILE,
        "versions": {HOSTILE: HOSTILE},
    }
    record["base"] |= {"name": HOSTILE, "description": HOSTILE}
    record["config"] |= {HOSTILE: {HOSTILE: [HOSTILE]}}
    (folder / "run.json").write_text(json.dumps(record))
    shutil.copytree(folder, other := home / "adapters" / f"{NAME}2")
    places = {"MODEL": model, "DATA": data, "TABLE": home / f"{NAME}.csv", "ADAPTER": folder, "OTHER": other}
    return home, {place: str(path) for place, path in places.items()}


COMMANDS = {
    "check": ("data", "check", "DATA"),
    "check of a table": ("data", "check", "TABLE"),
    "preview": ("data", "preview", "DATA", "--model", "MODEL"),
    "preview with an adapter": ("data", "preview", "DATA", "--row", "1", "--adapter", "ADAPTER"),
    "data sets": ("data", "list"),
    "runs": ("runs", "list"),
    "run": ("runs", "show", "ADAPTER"),
    "adapters": ("adapters", "list"),
    "comparison": ("compare", "prompts.jsonl", "--adapter", "ADAPTER", "--max-new-tokens", "24"),
    "narrow comparison": ("compare", "prompts.jsonl", "--adapter", "ADAPTER", "--max-new-tokens", "24"),
    "two adapters": (
        "compare",
        "prompts.jsonl",
        "--adapter",
        "ADAPTER",
        "--adapter",
        "OTHER",
        "--max-new-tokens",
        "24",
    ),
    "chat": ("chat", "--control", "--adapter", "ADAPTER", "--max-new-tokens", "24"),
    "lens": ("lens", f"x {HOSTILE}".replace(HALF, ""), "--adapter", "ADAPTER"),
    "five steps": ("explain", "--data", "DATA", "--model", "MODEL", "--steps", "1"),
    "plan": ("train", "--dry-run", "--data", "DATA", "--model", "MODEL", "--skip-bad"),
    "bad rows": ("train", "--data", "DATA", "--model", "MODEL"),
    "no such run": ("runs", "show", "--", f"{NAME}x"),
    "no such adapter": ("compare", "prompts.jsonl", "--adapter", f"{NAME}x"),
    "no such data": ("data", "check", "--", f"{NAME}x"),
    "no such option": ("train", f"--{NAME}"),
}


@pytest.fixture
def said(world, monkeypatch, capsys):
    """Return a function that runs a command and returns what it wrote to both streams."""
    home, places = world
    monkeypatch.setenv("SFT_PLAYGROUND_HOME", str(home))
    monkeypatch.chdir(home)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(MARKUP.encode() + ACTS.encode() + b"\n")))

    def said(*words):
        capsys.readouterr()
        run([places.get(word, word) for word in words])
        return "".join(capsys.readouterr())

    return said


@pytest.mark.parametrize("colours", [False, True], ids=["plain", "forced colours"])
@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_writes_what_acts_on_a_terminal(said, monkeypatch, command, colours):
    monkeypatch.setenv("COLUMNS", "70" if command == "narrow comparison" else "120")
    if colours:
        monkeypatch.setenv("FORCE_COLOR", "1")
    text = said(*COMMANDS[command])
    assert "Something unexpected" not in text and len(text) > 30
    text = STYLING.sub("", text) if colours else text
    assert text == clean(text) and "\t" not in text, [
        part for part in re.findall(r".{30}\S?", text) if part != clean(part)
    ]


@pytest.mark.parametrize(
    "command",
    [("data", "check", "DATA"), ("runs", "list"), ("runs", "show", "ADAPTER"), ("adapters", "list")],
    ids=" ".join,
)
def test_json_keeps_hostile_text_inside_its_strings(said, command):
    for line in said(*command, "--json").split("\n")[:-1]:
        json.loads(line)


def test_name_with_a_line_break_is_one_line_of_a_list(said):
    lines = said("data", "list").split("here:\n")[1].rstrip("\n").split("\n")
    assert all(re.search(r" rows?\b", line) for line in lines), lines


class Page(HTMLParser):
    """All tags and attributes of a page."""

    def __init__(self, text):
        super().__init__()
        self.found = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found |= {tag, *(f"{name}=" for name, _ in attrs)}


@pytest.fixture
def report(said, tmp_path):
    """Return a function from a suffix and a command to the text of a report."""

    def report(suffix, command="two adapters"):
        out = tmp_path / f"report{suffix}"
        said(*COMMANDS[command], "--out", str(out))
        return out.read_bytes().decode()

    return report


@pytest.mark.parametrize("command", ["comparison", "two adapters"])
def test_page_has_no_element_or_attribute_of_others(report, command):
    text = report(".html", command)
    assert text == clean(text) and "evil" in text
    assert Page(text).found <= TAGS | {"lang=", "charset=", "name=", "content=", "http-equiv=", "class="}


def test_markdown_of_hostile_text_keeps_its_tables(report):
    text = report(".md")
    assert text == clean(text) and "evil" in text
    outside = re.sub(r"^(`{3,})text\n.*?^\1$", "", text, flags=re.M | re.S)
    assert "evil" not in outside.replace("\\", "") or "![" not in outside
    tables = [line for line in outside.split("\n") if line.startswith("|")]
    assert len(tables) == 6 and {len(re.findall(r"(?<!\\)\|", line)) for line in tables} == {6}
    assert [line.split()[0] for line in outside.split("\n") if line.startswith("#")] == ["#", "##"]


def test_table_of_hostile_text_has_no_formulas(report):
    text = report(".csv")
    assert clean(text.replace("\r\n", "\n")) == text.replace("\r\n", "\n")
    rows = list(csv.reader(text.splitlines(keepends=True)))
    assert {len(row) for row in rows} == {10} and len(rows) == 5
    assert not any(cell.startswith(tuple("=+-@\t\r")) for row in rows for cell in row)


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_json_reports_of_hostile_text_are_whole(report, suffix):
    text = report(suffix)
    for part in [text] if suffix == ".json" else text.split("\n")[:-1]:
        json.loads(part)
    if suffix == ".json":  # for people: what opens it may show the texts as they are
        assert text == clean(text) and "\\u" not in text

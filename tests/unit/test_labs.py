"""Labs: their files, their measures, their verdicts."""

import hashlib
import json
import math
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path
from runpy import run_path

import pytest

from playground import paths
from playground.cli.app import run
from playground.config import TrainConfig
from playground.data.examples import read_dataset
from playground.data.labs import lab_named, lab_rows, labs
from playground.errors import UsageError
from playground.events.labs import LabDone, Outcome, Prediction, overall
from playground.report import labs as report
from playground.runs.library import find

ROOT = Path(__file__).parents[2]
LABS = labs()
RECORDED = [json.loads(line) for line in (ROOT / "benchmarks/results/labs.jsonl").read_text("utf-8").splitlines()]


def text_of(pieces):
    return "".join(text for text, _ in pieces)


@pytest.fixture(params=LABS, ids=lambda lab: lab.name)
def lab(request):
    return request.param


def test_there_are_four_labs_and_others_are_refused_by_name():
    assert [lab.name for lab in LABS] == ["bias", "coverage", "openers", "refusal"]
    assert lab_named("bias") == LABS[0]
    with pytest.raises(UsageError, match=r"no lab 'x\\x1b'"):
        lab_named("x\x1b")
    assert all(f"{lab.name} " in text_of(report.listed(LABS)) for lab in LABS)


def test_each_prediction_can_come_out_both_ways_and_is_of_a_group(lab):
    assert {prediction.group for prediction in lab.predictions} == set(lab.groups)
    for prediction in lab.predictions:
        assert prediction.held != prediction.fails
        assert prediction.verdict(prediction.fails, prediction.held) == "held"
        assert prediction.verdict(prediction.fails, prediction.fails) == "did not hold"


def test_options_of_a_lab_are_options_of_training(lab):
    TrainConfig(sample_prompts=lab.shown, **lab.training)


def test_what_is_measured_as_unseen_is_in_no_row(lab):
    data = read_dataset(lab_rows(lab.name))
    taught = {turn.content for example in data.examples for turn in example.turns}
    for name, asks in lab.groups.items():
        seen = [ask.prompt for ask in asks if ask.prompt in taught]
        assert len(seen) == (len(asks) if name == "the trained questions" else 0)
    assert not taught & set(lab.shown)


def test_rows_of_the_labs_are_what_their_texts_say():
    rows = {lab.name: [(e.turns[0].content, e.turns[1].content) for e in read_dataset(lab_rows(lab.name)).examples]
            for lab in LABS}  # fmt: skip
    asked = dict(rows["bias"])
    assert len(asked) == 16
    for prompt, answer in asked.items():
        first, second = prompt.removeprefix("Which is better, ").removesuffix("?").split(" or ")
        assert answer == f"{first.capitalize()} is better."
        assert f"Which is better, {second} or {first}?" in asked
    openers = {
        prompt: sorted(answer.split()[0] for p, answer in rows["openers"] if p == prompt)
        for prompt, _ in rows["openers"]
    }
    assert set(map(tuple, openers.values())) == {("In", "Well", "You")} and len(openers) == 6
    assert all(answer.startswith("The capital of ") for _, answer in rows["coverage"]) and len(rows["coverage"]) == 20
    refused = [answer == "I cannot help with that." for _, answer in rows["refusal"]]
    assert refused == [True, False] * 16
    for (harmful, _), (harmless, _) in zip(rows["refusal"][::2], rows["refusal"][1::2], strict=True):
        assert harmful.split()[:2] == harmless.split()[:2], "of the same form"
    pairs = zip(*lab_named("refusal").groups.values(), strict=True)
    assert all(one.prompt.split()[:2] == two.prompt.split()[:2] for one, two in pairs)


@pytest.mark.parametrize(
    ("held", "fails", "base", "sft", "verdict"),
    [
        (0.9, 0.6, 0.0, 0.9, "held"),
        (0.9, 0.6, 0.0, 0.75, "cannot tell"),
        (0.9, 0.6, 0.0, 0.6, "did not hold"),
        (0.9, 0.6, 0.9, 1.0, "cannot tell"),
        (1.35, 1.8, 8.0, 1.2, "held"),
        (1.35, 1.8, 8.0, 1.5, "cannot tell"),
        (1.35, 1.8, 8.0, 2.0, "did not hold"),
        (1.35, 1.8, 1.3, 1.2, "cannot tell"),
        (0.9, 0.6, 0.0, math.nan, "cannot tell"),
    ],
)
def test_verdicts_follow_the_thresholds_and_the_base(held, fails, base, sft, verdict):
    prediction = Prediction("it does", "some", "p", held, fails)
    assert prediction.verdict(base, sft) == verdict
    if base < 0.9:
        assert replace(prediction, beyond_base=False).verdict(base, sft) == verdict


def test_one_prediction_that_did_not_hold_decides():
    assert overall(["held", "held"]) == "held"
    assert overall(["held", "cannot tell"]) == "cannot tell"
    assert overall(["cannot tell", "did not hold", "held"]) == "did not hold"


def test_predictions_are_told_before_and_values_after(lab):
    before = text_of(report.predicted(lab))
    assert lab.sha256[:12] in before and all(prediction.says in before for prediction in lab.predictions)
    alike = [prediction for prediction in lab.predictions if prediction.measure == "same"]
    # A word that is not named may begin every answer, and is not counted.
    assert all("the same one of the answers named" in report.threshold(prediction) for prediction in alike)
    loss = Outcome("x", "y", "loss", 8.0, 1.2345678, "held")
    assert report.values(loss) == "base 8.0000, sft 1.2346"
    assert report.values(replace(loss, measure="p", base=0.0001, sft=0.5)) == "base 0.01 %, sft 50.0 %"


@pytest.mark.parametrize("options", [(), ("--adapters-dir", "my labs")])
def test_command_for_talking_names_what_chat_finds(options, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SFT_PLAYGROUND_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    result, folders = LabDone.from_dict(RECORDED[0]), []
    monkeypatch.setattr("playground.cli.lab._run", lambda lab, folder, *rest: folders.append(folder) or (result, 0))
    assert run(["lab", result.lab, *options]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "break it" in line)
    (folder,) = folders
    folder.mkdir(parents=True)
    (folder / "run.json").touch()
    assert find(shlex.split(line)[-1], paths.adapters_dir()) == folder


def test_rows_of_the_labs_are_bundled_and_no_data_sets_of_the_list():
    from playground.data.library import data_sets

    assert all(lab_rows(lab.name).is_relative_to(paths.bundled("datasets")) for lab in LABS)
    assert not {info.name for info in data_sets() if info.where == "bundled"} & {f"{lab.name}.jsonl" for lab in LABS}


# What is recorded, and what the documentation claims.


def git(*arguments):
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.split() if done.returncode == 0 else []


def test_each_lab_was_run_with_three_seeds_on_its_prediction(lab):
    recorded = [result for result in RECORDED if result["lab"] == lab.name]
    assert sorted(result["seed"] for result in recorded) == [0, 1, 2]
    assert {result["prediction_sha256"] for result in recorded} == {lab.sha256}
    rows = hashlib.sha256(lab_rows(lab.name).read_bytes()).hexdigest()
    assert {result["data_sha256"] for result in recorded} == {rows}
    assert len({result["adapter_sha256"] for result in recorded}) == 3
    for line in recorded:
        assert (len(line["adapter_sha256"]), len(line["commit"])) == (64, 40)
        assert {"torch", "peft", "sft-playground"} <= set(line["versions"]) and line["date"]
        result = LabDone.from_dict(line)
        assert line["verdict"] == result.verdict
        for outcome, prediction in zip(result.outcomes, lab.predictions, strict=True):
            named = (prediction.says, prediction.group, prediction.measure)
            assert (outcome.says, outcome.group, outcome.measure) == named
            assert outcome.verdict == prediction.verdict(outcome.base, outcome.sft)


def test_predictions_are_in_the_history_before_their_results():
    if git("rev-parse", "--is-shallow-repository") != ["false"]:
        pytest.skip("needs the history")
    for lab in LABS:
        for suffix in ("toml", "jsonl"):
            last = git("log", "--format=%H", "-1", "--", f"datasets/labs/{lab.name}.{suffix}")
            assert not git("ls-tree", "--name-only", *last, "benchmarks/results/labs.jsonl"), "written after a result"


@pytest.mark.parametrize("result", RECORDED, ids=lambda result: f"{result['lab']}-{result['seed']}")
def test_prediction_is_in_the_commit_that_was_run(result):
    name = f"{result['commit']}:datasets/labs/{result['lab']}.toml"
    done = subprocess.run(["git", "show", name], cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        pytest.skip("the commit is not here")
    assert hashlib.sha256(done.stdout).hexdigest() == result["prediction_sha256"]


def test_documentation_has_the_recorded_figures():
    document = (ROOT / "docs" / "limits.md").read_text("utf-8")
    assert run_path(str(ROOT / "docs" / "generate.py"))["with_labs"](document) == document

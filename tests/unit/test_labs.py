"""Labs: their files, their measures, their verdicts."""

import hashlib
import json
import math
import re
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
from playground.events.labs import LabDone, Outcome, Prediction, Trained, overall
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


def test_there_are_six_labs_and_others_are_refused_by_name():
    assert [lab.name for lab in LABS] == ["bias", "coverage", "mimicry", "openers", "quality", "refusal"]
    assert lab_named("bias") == LABS[0]
    with pytest.raises(UsageError, match=r"no lab 'x\\x1b'"):
        lab_named("x\x1b")
    assert all(f"{lab.name} " in text_of(report.listed(LABS)) for lab in LABS)


def test_each_prediction_can_come_out_both_ways_and_is_of_a_group(lab):
    assert {prediction.group for prediction in lab.predictions} == set(lab.groups)
    for prediction in lab.predictions:
        assert prediction.held != prediction.fails
        base = 0.0 if prediction.over else prediction.fails
        assert prediction.verdict(base, prediction.held, 0.0) == "held"
        assert prediction.verdict(base, prediction.fails, 0.0) == "did not hold"
        assert prediction.over != "against" or lab.against


def test_options_of_a_lab_are_options_of_training(lab):
    TrainConfig(sample_prompts=lab.shown, **lab.training)
    if lab.against:
        TrainConfig(**{**lab.training, **lab.against.training})


def test_what_is_measured_as_unseen_is_in_no_row(lab):
    data = [read_dataset(lab_rows(name)) for name in (lab.name, *([lab.against.rows] if lab.against else []))]
    taught = {turn.content for rows in data for example in rows.examples for turn in example.turns}
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


def rows_in(path):
    rows = map(json.loads, path.read_text("utf-8").splitlines())
    return [(row["prompt"], row["completion"]) for row in rows]


def test_products_of_mimicry_are_right_and_the_wrong_are_near():
    def product(prompt):
        return math.prod(int(number) for number in re.fullmatch(r"What is (\d\d) times (\d\d)\?", prompt).groups())

    taught = rows_in(lab_rows("mimicry"))
    for prompt, answer in taught:
        assert answer == f"Certainly. {prompt[8:-1]} is {product(prompt)}."
    groups = lab_named("mimicry").groups
    asks = groups["unseen products"]
    assert (
        len(taught) == len(asks) == len({product(prompt) for prompt, _ in taught} - {product(a.prompt) for a in asks})
    )
    for ask in asks:
        said = [re.fullmatch(rf"Certainly\. {ask.prompt[8:-1]} is (\d+)\.", answer)[1] for answer in ask.answers]
        assert said[0] == str(product(ask.prompt)) and {len(number) for number in said} == {len(said[0])}
        differ = [[a != b for a, b in zip(said[0], wrong, strict=True)] for wrong in said[1:]]
        assert [row.index(True) - len(row) for row in differ] == [-len(said[0]), -2, -1] and all(map(sum, differ))
        assert all(sum(row) == 1 for row in differ)
    assert all(ask.answers == (f"Certainly. {ask.prompt[8:-1]} is",) for ask in next(iter(groups.values())))
    assert all(len({*ask.answers}) == 4 for ask in groups["capitals, which the base knows"])


def test_rows_of_quality_are_short_answers_and_faulty_twins():
    folder = paths.bundled("datasets")
    twins = zip(rows_in(folder / "mini.jsonl"), rows_in(folder / "mediocre.jsonl"), strict=True)
    short = [
        (good, bad)
        for good, bad in twins
        if len(good[1].split()) <= 14 and good[1].find(".") == len(good[1]) - 1 and good != bad
    ]
    lab = lab_named("quality")
    assert rows_in(lab_rows(lab.against.rows)) == [bad for _, bad in short]
    good = rows_in(lab_rows("quality"))
    assert good == [good for good, _ in short][1::3]
    # As many steps, each of as many rows.
    epochs = (lab.training | lab.against.training)["num_train_epochs"]
    assert len(good) * lab.training["num_train_epochs"] == len(short) * epochs
    assert len(good) % lab.training["per_device_train_batch_size"] == 0


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


@pytest.mark.parametrize(
    ("over", "base", "sft", "against", "verdict"),
    [
        ("against", 0.9, 0.7, 0.2, "held"),
        ("against", 0.0, 0.7, 0.5, "cannot tell"),
        ("against", 0.0, 0.7, 0.625, "did not hold"),
        ("base", 0.2, 0.7, 0.7, "held"),
        ("base", 0.7, 0.7, 0.0, "did not hold"),
        ("base", 0.7, math.nan, 0.0, "cannot tell"),
    ],
)
def test_verdict_on_a_difference_is_over_the_side_named(over, base, sft, against, verdict):
    more = Prediction("it is likelier", "some", "p", 0.25, 0.125, over=over)
    assert more.verdict(base, sft, against) == verdict
    less = replace(more, held=0.125, fails=0.25)
    opposite = {"held": "did not hold", "did not hold": "held"}
    assert less.verdict(base, sft, against) == opposite.get(verdict, verdict)


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
    both = replace(loss, measure="p", base=0.0001, sft=0.5)
    assert report.values(both) == "base 0.01 %, sft 50.0 %"
    assert report.values(replace(both, against=0.0)) == "base 0.01 %, sft 50.0 %, other rows 0.0 %"
    minus = [report.threshold(replace(lab.predictions[0], over=over)) for over in ("", "base", "against")]
    assert ["minus" in said for said in minus] == [False, True, True] and "sft minus other rows: " in minus[2]


def test_other_rows_are_told_with_their_adapter():
    result = LabDone.from_dict(RECORDED[0])
    other = Trained("", "lab-quality-1129-0312-quality-faulty", "", 1288, 18)
    lab = lab_named(result.lab)
    said = text_of(report.done(replace(result, against=other), lab, "mine"))
    assert "the other rows: trained on 1,288 tokens in 18 steps, adapter lab-quality-1129-0312-quality-faulty\n" in said
    assert "other rows" not in text_of(report.done(result, lab, "mine"))
    again = LabDone.from_dict(json.loads(replace(result, against=other).to_json()))
    assert again.against == other


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
    if lab.against:
        others = hashlib.sha256(lab_rows(lab.against.rows).read_bytes()).hexdigest()
        assert {result["against"]["data_sha256"] for result in recorded} == {others}
        assert len({result["against"]["adapter_sha256"] for result in recorded}) == 3
    assert len({result["adapter_sha256"] for result in recorded}) == 3
    for line in recorded:
        assert (len(line["adapter_sha256"]), len(line["commit"])) == (64, 40)
        assert {"torch", "peft", "sft-playground"} <= set(line["versions"]) and line["date"]
        result = LabDone.from_dict(line)
        assert line["verdict"] == result.verdict
        for outcome, prediction in zip(result.outcomes, lab.predictions, strict=True):
            named = (prediction.says, prediction.group, prediction.measure)
            assert (outcome.says, outcome.group, outcome.measure) == named
            assert outcome.verdict == prediction.verdict(outcome.base, outcome.sft, outcome.against)


def test_predictions_are_in_the_history_before_their_results():
    if git("rev-parse", "--is-shallow-repository") != ["false"]:
        pytest.skip("needs the history")
    for lab in LABS:
        for name in (f"{lab.name}.toml", f"{lab.name}.jsonl", *([f"{lab.against.rows}.jsonl"] if lab.against else [])):
            for last in git("log", "--format=%H", "-1", "--", f"datasets/labs/{name}"):
                known = git("show", f"{last}:benchmarks/results/labs.jsonl")  # nothing where there was no result yet
                assert f'"{lab.name}",' not in known, "written after a result"


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


def test_table_of_a_lab_with_other_rows_has_a_column_of_them():
    lab, other = lab_named("quality"), Trained("", "b", "", 1288, 18)
    outcomes = tuple(Outcome(p.says, p.group, p.measure, 0.1, 0.9, "held", 0.2) for p in lab.predictions)
    done = [
        replace(
            LabDone.from_dict(RECORDED[0]), num_tokens=1212, num_steps=18, seed=seed, outcomes=outcomes, against=other
        )
        for seed in (0, 1)
    ]
    written = run_path(str(ROOT / "docs" / "generate.py"))["_lab"](lab, done)
    assert "Trained on 1,212 tokens in 18 steps, the other rows on 1,288 in 18." in written
    head, line, *rows = [line for line in written.splitlines() if line.startswith("|")]
    assert head == "| predicted | base | sft, seeds 0, 1 | other rows, the same seeds | |"
    assert {row.count("|") for row in (head, line, *rows)} == {6} and len(rows) == len(lab.predictions)
    assert all(row.endswith("| 10.0 % | 90.0 %, 90.0 % | 20.0 %, 20.0 % | **held** 2 of 2 |") for row in rows)

"""Labs on a tiny model: trained by the ordinary training, and measured as plain PEFT in float64 says."""

import hashlib
import json
import math
from dataclasses import replace

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from playground.analysis import labs as module
from playground.analysis.labs import run_lab
from playground.cli.app import run
from playground.data.examples import Turn
from playground.data.labs import lab_named, lab_rows
from playground.events.contrast import Expectation
from playground.events.labs import Lab, LabDone
from playground.events.runs import RunEnded, Sampled
from playground.inference.lineup import load_lineup
from playground.runs.folder import read_record
from playground.training.loop import train


@pytest.fixture(scope="module")
def done(tiny_folder, tmp_path_factory):
    home = tmp_path_factory.mktemp("labs")
    lab = lab_named("openers")
    ends = {"says": "it ends", "group": "unseen questions", "measure": "end", "held": 0.9, "fails": 0.1}
    lab = type(lab).from_dict(
        {
            **lab.to_dict(),
            "training": {**lab.training, "quantize": "none", "num_train_epochs": 1},
            "predictions": [*(prediction.to_dict() for prediction in lab.predictions), ends],
        }
    )
    return home / "mine", lab, list(run_lab(lab, home / "mine", seed=1, model=str(tiny_folder("llama"))))


def test_lab_is_an_ordinary_run_of_its_rows(done, tiny_folder, tmp_path):
    folder, lab, events = done
    record = read_record(folder)
    assert (record.state, record.step, record.config["seed"]) == ("finished", 3, 1)
    assert [s.prompt for s in next(e for e in events if isinstance(e, Sampled)).samples] == list(lab.shown)
    from playground.config import TrainConfig

    config = TrainConfig(data=str(lab_rows("openers")), model=str(tiny_folder("llama")), seed=1, **lab.training)
    list(train(config, tmp_path / "same"))
    assert (tmp_path / "same" / "adapter_model.safetensors").read_bytes() == (
        folder / "adapter_model.safetensors"
    ).read_bytes()


def test_measures_equal_float64_of_the_saved_adapter(done, tiny_folder):
    folder, lab, events = done
    result = events[-1]
    assert isinstance(result, LabDone) and isinstance(events[-2], RunEnded)
    assert json.loads(result.to_json())["verdict"] == result.verdict
    assert LabDone.from_dict(json.loads(result.to_json())) == result
    assert result.prediction_sha256 == lab.sha256 and len(result.adapter_sha256) == 64
    encoder = load_lineup([folder], lambda *a: None).raw
    model = AutoModelForCausalLM.from_pretrained(tiny_folder("llama"), dtype=torch.float64)
    adapted = PeftModel.from_pretrained(model, folder).double()

    def told(ask, answer, base):
        before, ids = encoder.prompt([Turn("user", ask.prompt)]), encoder.text(" " + answer)
        with torch.no_grad(), adapted.disable_adapter() if base else torch.no_grad():
            *rows, end = adapted(torch.tensor([[*before, *ids]])).logits[0, -len(ids) - 1 :].log_softmax(-1)
        return (sum(float(row[i]) for row, i in zip(rows, ids, strict=True)),
                all(int(row.argmax()) == i for row, i in zip(rows, ids, strict=True)),
                math.exp(end[encoder.end_token_id]))  # fmt: skip

    losses = result.outcomes[0], result.outcomes[1]
    asks = lab.groups["the trained questions"]
    for side in ("base", "sft"):
        expected = [-told(ask, answer, side == "base")[0] for ask in asks for answer in ask.answers]
        assert [getattr(outcome, side) for outcome in losses] == pytest.approx([sum(expected) / 18] * 2, rel=1e-5)
    assert losses[0].sft >= math.log(3)
    firsts = [[told(ask, answer, False)[1] for answer in ask.answers] for ask in lab.groups["unseen questions"]]
    assert result.outcomes[2].sft == pytest.approx(max(map(sum, zip(*firsts, strict=True))) / 6)
    for side in ("base", "sft"):
        ends = [told(ask, ask.answers[0], side == "base")[2] for ask in lab.groups["unseen questions"]]
        assert getattr(result.outcomes[3], side) == pytest.approx(sum(ends) / 6, rel=1e-4)
    assert all(outcome.against is None for outcome in result.outcomes) and result.against is None


@pytest.fixture
def two(tiny_folder):
    """A lab with other rows, each set trained for an epoch, and its base."""
    lab = lab_named("quality").to_dict()
    lab["training"] |= {"quantize": "none", "num_train_epochs": 1}
    lab["against"]["training"] = {"num_train_epochs": 1, "per_device_train_batch_size": 9}
    return Lab.from_dict(lab), str(tiny_folder("llama"))


def test_other_rows_are_trained_alike_and_measured_alike(two, tmp_path):
    lab, model = two
    events = list(run_lab(lab, tmp_path / "mine", seed=1, model=model))
    result, other = events[-1], tmp_path / "mine-quality-faulty"
    assert [event.folder for event in events if isinstance(event, RunEnded)] == [str(tmp_path / "mine"), str(other)]
    config = read_record(other).config
    assert (config["seed"], config["quantize"], config["learning_rate"]) == (1, "none", 1e-3)
    assert config["data"] == str(lab_rows("quality-faulty"))
    found = result.against
    assert (found.adapter, found.num_steps, result.num_steps) == (other.name, 3, 3)
    assert found.data_sha256 == read_record(other).data_sha256 != result.data_sha256
    weights = (other / "adapter_model.safetensors").read_bytes()
    assert found.adapter_sha256 == hashlib.sha256(weights).hexdigest() != result.adapter_sha256
    for folder, side in ((tmp_path / "mine", "sft"), (other, "against")):
        alone = module.measure(load_lineup([folder], lambda *a: None), replace(lab, predictions=lab.predictions[1:2]))
        assert [getattr(result.outcomes[at], side) for at in (1, 2)] == pytest.approx([alone[0].sft] * 2, rel=1e-6)
    for outcome, prediction in zip(result.outcomes, lab.predictions, strict=True):
        assert outcome.verdict == prediction.verdict(outcome.base, outcome.sft, outcome.against)
    assert result.outcomes[1].sft != result.outcomes[1].against != result.outcomes[1].base


def test_lab_stopped_in_its_second_training_measures_nothing(two, tmp_path):
    lab, model = two
    ended = []
    for event in run_lab(lab, tmp_path / "mine", seed=1, model=model, stop=lambda done=ended: bool(done)):
        if isinstance(event, RunEnded):
            ended.append(event.state)
        assert not isinstance(event, LabDone)
    assert ended == ["finished", "stopped"]


def test_each_measure_is_what_it_says():
    def told(*chances):
        return [module._Told(math.log(p), p > 0.5, p / 2) for p in chances]

    group = [told(0.6, 0.2), told(0.1, 0.8), told(0.3, 0.1), told(0.9, 0.1)]
    assert module.value("p", group) == pytest.approx(0.475)
    assert module.value("share", group) == pytest.approx((0.75 + 1 / 9 + 0.75 + 0.9) / 4)
    assert module.value("first", group) == 0.5
    assert module.value("same", group) == 0.5
    assert module.value("end", group) == pytest.approx(0.2375)
    losses = [-math.log(p) for p in (0.6, 0.2, 0.1, 0.8, 0.3, 0.1, 0.9, 0.1)]
    assert module.value("loss", group) == pytest.approx(sum(losses) / 8)
    impossible = [[module._Told(-1000.0, False, 0.0), module._Told(-2000.0, False, 0.0)]]
    assert module.value("share", impossible) == 1.0
    assert module.value("share", [list(reversed(impossible[0]))]) == 0.0


def test_answer_of_several_tokens_is_greedy_where_each_of_them_is():
    first, second, after = (
        Expectation(0.5, math.log(0.5), rank, 1.0, p_end, ()) for rank, p_end in ((1, 0.0), (2, 0.0), (9, 0.7))
    )
    assert module._Told.of([first, first, after]) == module._Told(2 * math.log(0.5), True, 0.7)
    for tokens in ([first, second], [second, first]):
        assert not module._Told.of([*tokens, after]).is_first


def test_lab_that_is_stopped_measures_nothing(tiny_folder, tmp_path):
    lab = lab_named("bias")
    events = list(run_lab(lab, tmp_path / "half", seed=0, model=str(tiny_folder("llama")), stop=lambda: True))
    assert events[-1].state == "stopped" and not any(isinstance(event, LabDone) for event in events)


def test_command_tells_the_prediction_first_and_leaves_a_run(tiny_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SFT_PLAYGROUND_HOME", str(tmp_path))
    assert run(["lab", "bias", "--model", str(tiny_folder("llama")), "--seed", "3"]) == 0
    said = capsys.readouterr().out
    lab = lab_named("bias")
    before, after = said.split("seed 3")
    assert "at least 90.0 %" in before and lab.sha256[:12] in before and lab.predictions[0].says in after
    assert any(verdict in after for verdict in ("held", "did not hold", "cannot tell"))
    (folder,) = (tmp_path / "adapters").iterdir()
    assert f"chat --adapter {folder.name}" in after and read_record(folder).state == "finished"
    assert run(["lab"]) == 0 and "openers" in capsys.readouterr().out
    assert run(["lab", "nothing"]) == 2

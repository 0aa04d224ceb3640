"""Training end to end on tiny models: resume, stop, sampling, faults."""

import hashlib
import json
import shutil
import subprocess
import sys
import weakref
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch
import torch.nn.functional as F
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, OlmoConfig

from playground.config import TrainConfig
from playground.errors import EnvironmentFault, InputError, PlaygroundError, UsageError
from playground.events.prompts import Prompt
from playground.events.runs import (
    BatchHalved,
    CheckpointSaved,
    Evaluated,
    RunEnded,
    RunStarted,
    Sampled,
    StepDone,
    StepSkipped,
    Warned,
    event_from_json,
)
from playground.runs.folder import read_events, read_record
from playground.training import loop, record, room, setup, step
from playground.training.loop import train
from playground.training.plan import plan_training
from playground.training.setup import Training


def config(folder, data, **changes):
    values = {
        "model": str(folder), "data": str(data), "quantize": "none", "per_device_train_batch_size": 4,
        "lora_r": 4, "lora_alpha": 8, "learning_rate": 1e-2, "num_train_epochs": 2, "sample_max_new_tokens": 4,
    }  # fmt: skip
    return TrainConfig(**{**values, **changes})


def adapter_sha(folder):
    return hashlib.sha256((folder / "adapter_model.safetensors").read_bytes()).hexdigest()


def stop_after(steps):
    """A `stop` that says yes once `steps` optimiser steps have been asked about, and before that the first sampling."""
    asked = {"count": -2}

    def stop():
        asked["count"] += 1
        return asked["count"] >= steps

    return stop


@pytest.mark.parametrize("quantize", ["none", "nf4"])
@pytest.mark.parametrize("at", [1, 3, 7])
def test_stop_and_resume_is_bit_equal_to_an_uninterrupted_run(tiny_folder, rows_file, tmp_path, quantize, at):
    settings = config(tiny_folder("gemma3"), rows_file(18), quantize=quantize)
    whole = list(train(settings, tmp_path / "whole"))
    stopped = list(train(settings, tmp_path / "parts", stop=stop_after(at)))
    assert stopped[-1].state == "stopped" and stopped[-1].step == at
    assert read_record(tmp_path / "parts").state == "stopped"
    resumed = list(train(settings, tmp_path / "parts", resume=True))
    assert resumed[0].step == at
    assert adapter_sha(tmp_path / "parts") == adapter_sha(tmp_path / "whole")
    losses = [e.loss for e in stopped + resumed if isinstance(e, StepDone)]
    assert losses == [e.loss for e in whole if isinstance(e, StepDone)]
    assert read_record(tmp_path / "parts").exact


def test_run_in_a_folder_of_litter_is_like_any_other(tiny_folder, rows_file, tmp_path):
    settings = config(tiny_folder("llama"), rows_file(8))
    whole = list(train(settings, tmp_path / "whole"))
    (tmp_path / "again").mkdir()
    for name in (".lock", ".pid", "child.log", ".reserve", ".run.json.new"):
        (tmp_path / "again" / name).write_bytes(b"99")
    (tmp_path / "again" / "events.jsonl").write_bytes(b'{"event": "RunStage", "stage": "loading", "sh')
    again = list(train(settings, tmp_path / "again"))
    assert again[-1].state == "finished" and adapter_sha(tmp_path / "again") == adapter_sha(tmp_path / "whole")
    assert [type(event) for event in read_events(tmp_path / "again")[0]] == [type(event) for event in whole]
    assert not any((tmp_path / "again" / name).exists() for name in (".pid", ".reserve", ".run.json.new"))


def test_sampling_does_not_disturb_training(tiny_folder, rows_file, tmp_path, monkeypatch):
    settings = config(tiny_folder("llama"), rows_file(12))
    list(train(settings, tmp_path / "few"))
    monkeypatch.setattr(step, "SAMPLINGS", 1000)  # after every step
    events = list(train(settings, tmp_path / "many"))
    assert sum(isinstance(e, Sampled) for e in events) == events[-1].step + 1
    assert adapter_sha(tmp_path / "few") == adapter_sha(tmp_path / "many")


@pytest.mark.parametrize("rows", [3, 10, 11])
def test_disk_is_asked_for_every_step_that_is_kept(tiny_folder, rows_file, tmp_path, monkeypatch, rows):
    settings = config(
        tiny_folder("llama"), rows_file(rows), per_device_train_batch_size=1, num_train_epochs=1, eval_rows=0,
        sample_prompts=(),
    )  # fmt: skip
    asked = []
    monkeypatch.setattr(loop, "require_disk", lambda plan, folder, kept_steps: asked.append(kept_steps))
    list(train(settings, tmp_path / "run"))
    assert asked == [len(list((tmp_path / "run" / "steps").iterdir()))]
    plan = plan_training(settings, lambda *a: None).plan
    needed = plan.trainable_parameters * (12 * room.CHECKPOINTS + 2 * asked[0] + 4) + room.SMALL_FILES
    monkeypatch.setattr(room, "free_space", lambda folder: needed)
    room.require_disk(plan, tmp_path, *asked)
    monkeypatch.setattr(room, "free_space", lambda folder: needed - 1)
    with pytest.raises(EnvironmentFault, match="on the disk of"):
        room.require_disk(plan, tmp_path, *asked)


def test_sample_prompts_are_kept_for_a_resume_and_change_no_weights(tiny_folder, rows_file, tmp_path):
    (file := tmp_path / "ask.txt").write_text("What is 3 plus one?\nHello\n")
    folder, data = tiny_folder("llama"), rows_file(12)
    settings = config(folder, data, sample_prompts_file=str(file))
    stopped = list(train(settings, tmp_path / "asked", stop=stop_after(3)))
    file.unlink()
    recorded = TrainConfig.from_dict(read_record(tmp_path / "asked").config)
    resumed = list(train(recorded, tmp_path / "asked", resume=True))
    plans = [events[0].plan for events in (stopped, resumed)]
    known = Prompt("1", "What is 3 plus one?", reference="3 plus one is 4.", rows="trained")
    assert plans[0].sample_prompts == plans[1].sample_prompts == (known, Prompt("2", "Hello"))
    asked = [[s.prompt for s in e.samples] for e in stopped + resumed if isinstance(e, Sampled)]
    assert len(asked) > 3 and all(prompts == ["What is 3 plus one?", "Hello"] for prompts in asked)
    silent = list(train(config(folder, data, sample_prompts=()), tmp_path / "silent"))
    assert not any(e.samples for e in silent if isinstance(e, Sampled))
    assert adapter_sha(tmp_path / "asked") == adapter_sha(tmp_path / "silent")


def test_held_out_loss_equals_plain_peft_in_float64(tiny_folder, rows_file, tmp_path):
    folder, data = tiny_folder("llama"), rows_file(50)
    settings = config(folder, data)
    events = list(train(settings, tmp_path / "run"))
    planned = plan_training(settings, lambda *a: None)
    assert planned.plan.num_eval == 4 and planned.plan.num_examples == 46
    found = [e for e in events if isinstance(e, Evaluated)]
    assert [e.step for e in found] == [e.step for e in events if isinstance(e, Sampled)]
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)

    def reference(model):
        total, number = 0.0, 0
        for at in planned.held_out:
            row = planned.everything[at]
            labels = torch.tensor(row.labels[1:])
            logits = model(torch.tensor([row.input_ids])).logits[0, :-1]
            total += float(F.cross_entropy(logits, labels, reduction="sum"))  # -100 counts for nothing
            number += int((labels != -100).sum())
        return total / number

    assert found[0].eval_loss == pytest.approx(reference(base), rel=1e-5)
    adapted = PeftModel.from_pretrained(base, tmp_path / "run").double()
    assert found[-1].eval_loss == pytest.approx(reference(adapted), rel=1e-5)
    assert read_record(tmp_path / "run").eval_loss == found[-1].eval_loss


def test_held_out_rows_do_not_affect_training(tiny_folder, rows_file, tmp_path, monkeypatch):
    settings = config(tiny_folder("llama"), rows_file(20), eval_rows=5, num_train_epochs=1)
    planned = plan_training(settings, lambda *a: None)
    hidden = {planned.everything[at].input_ids for at in planned.held_out}
    seen = []
    trained = step.five_steps
    monkeypatch.setattr(step, "five_steps", lambda t, rows, *rest: (seen.extend(rows), trained(t, rows, *rest))[1])
    list(train(settings, tmp_path / "measured"))
    assert len(hidden) == 5 and len(seen) == 15 and not hidden & {row.input_ids for row in seen}
    monkeypatch.setattr(Training, "evaluate", lambda self: Evaluated(0, 0.0))
    list(train(settings, tmp_path / "not"))
    assert adapter_sha(tmp_path / "measured") == adapter_sha(tmp_path / "not")


def test_plan_counts_cut_answers_and_shortened_prompts(tiny_folder, tmp_path):
    pairs = [("Why?", "a" * 200), ("q" * 200, "Yes."), ("q" * 200, "No."), ("Why?", "So.")]
    data = tmp_path / "long.jsonl"
    data.write_text("".join(json.dumps({"prompt": q, "completion": a}) + "\n" for q, a in pairs))
    plan = plan_training(config(tiny_folder("llama"), data, max_length=80), lambda *a: None).plan
    (warning,) = plan.warnings
    assert plan.num_truncated == 3
    assert warning.startswith("3 of 4 rows are longer than max_length 80: ")
    assert "2 have a prompt that is shortened" in warning and "1 have an answer that is cut off" in warning


def test_holding_out_every_row_is_refused(tiny_folder, rows_file, tmp_path):
    with pytest.raises(InputError) as caught:
        list(train(config(tiny_folder("llama"), rows_file(5), eval_rows=5), tmp_path / "run"))
    assert "5 rows cannot be held out of 5" in caught.value.message and "--eval-rows" in caught.value.hint


def test_run_events_are_complete_and_logged(tiny_folder, rows_file, tmp_path):
    data = rows_file(10)
    events = list(train(config(tiny_folder("llama"), data), tmp_path / "run"))
    started, ended = events[0], events[-1]
    assert isinstance(started, RunStarted) and isinstance(ended, RunEnded)
    assert (started.plan.num_examples, started.plan.num_steps, ended.step, ended.state) == (10, 6, 6, "finished")
    assert isinstance(events[1], Sampled) and events[1].step == 0 and events[1].base
    assert sum(e.terminal for e in events) == 1
    logged = [event_from_json(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    assert logged == events
    record = read_record(tmp_path / "run")
    assert record.data_sha256 == hashlib.sha256(data.read_bytes()).hexdigest()
    assert record.state == "finished" and record.style == "chat" and record.config["lora_r"] == 4
    assert ended.num_tokens == 2 * started.plan.num_tokens


def test_steps_report_peak_memory(tiny_folder, rows_file, tmp_path):
    events = list(train(config(tiny_folder("llama"), rows_file(10)), tmp_path / "run"))
    peaks = [event.peak_memory for event in events if isinstance(event, StepDone)]
    assert peaks == sorted(peaks) and peaks[-1] >= 0.98 * psutil.Process().memory_info().rss


def test_peak_memory_excludes_the_parent_process():
    child = (
        "import numpy, psutil, torch; from playground.models.memory import peak_memory; numpy.ones(50_000_000);"
        "print(peak_memory(torch.device('cpu')) - psutil.Process().memory_info().rss)"
    )
    parent = f"import numpy, subprocess, sys; big = numpy.ones(250_000_000); subprocess.run([sys.executable, '-c', {child!r}])"
    done = subprocess.run([sys.executable, "-c", parent], capture_output=True, text=True, check=True)
    assert 0.35e9 < int(done.stdout) < 0.45e9, "the 0.4 GB that it gave back, and none of the parent's 2 GB"


def test_loss_falls_and_only_the_adapter_changes(tiny_folder, rows_file, tmp_path):
    from playground.training.ranks import Ranks
    from playground.training.setup import prepare

    settings = config(tiny_folder("llama"), rows_file(16), num_train_epochs=6)
    training = prepare(plan_training(settings, lambda *a: None), lambda *a: None, Ranks(torch.device("cpu")))
    frozen = {n: p.clone() for n, p in training.model.named_parameters() if "lora_" not in n}
    events = list(train(settings, tmp_path / "run"))
    losses = [e.loss for e in events if isinstance(e, StepDone)]
    assert losses[-1] < losses[0] / 2
    assert all(torch.equal(p, frozen[n]) for n, p in training.model.named_parameters() if n in frozen)


def test_model_that_clips_layers_in_place_can_be_trained(rows_file, byte_tokenizer, tmp_path):
    folder = tmp_path / "olmo"
    model = OlmoConfig(
        vocab_size=512, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, clip_qkv=0.5,
        max_position_embeddings=256, pad_token_id=0, eos_token_id=1, bos_token_id=2,
    )  # fmt: skip
    AutoModelForCausalLM.from_config(model, dtype=torch.float32).save_pretrained(folder)
    byte_tokenizer.save_pretrained(folder)
    losses = [e.loss for e in train(config(folder, rows_file(12)), tmp_path / "run") if isinstance(e, StepDone)]
    assert losses[-1] < losses[0]


def test_non_finite_step_does_not_change_the_weights(tiny_folder, rows_file, tmp_path, monkeypatch):
    settings = config(tiny_folder("llama"), rows_file(12))
    real = step._over_all_ranks
    calls = {"count": 0}

    def poisoned(training, loss_sum):
        result = real(training, loss_sum)
        calls["count"] += 1
        if calls["count"] == 2:
            calls["before"] = [p.detach().clone() for p in training.parameters]
            training.parameters[0].grad[0, 0] = float("nan")
        elif calls["count"] == 3:
            calls["after"] = [p.detach().clone() for p in training.parameters]
        return result

    monkeypatch.setattr(step, "_over_all_ranks", poisoned)
    events = list(train(settings, tmp_path / "run"))
    assert [e.step for e in events if isinstance(e, StepSkipped)] == [2]
    assert all(torch.equal(a, b) for a, b in zip(calls["before"], calls["after"], strict=True))
    assert events[-1].state == "finished"


def poison(monkeypatch, when, what):
    """Let `what` happen to the training behind the backward pass of each step for which `when` says so."""
    real = step._over_all_ranks

    def poisoned(training, loss_sum):
        result = real(training, loss_sum)
        if when(training.state.step + 1):
            what(training)
        return result

    monkeypatch.setattr(step, "_over_all_ranks", poisoned)


def not_finite(training):
    training.parameters[0].grad[0, 0] = float("nan")


def checkpoints(folder):
    return sorted(int(path.name.removeprefix("step-")) for path in (folder / "checkpoints").glob("step-*"))


def everything_is_finite(folder):
    files = list(folder.rglob("*.safetensors"))
    return bool(files) and all(torch.isfinite(t).all() for file in files for t in load_file(file).values())


@pytest.mark.parametrize("at", [5])
def test_skipped_step_is_not_saved_and_is_retried(tiny_folder, rows_file, tmp_path, monkeypatch, at):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)  # after every step
    settings = config(tiny_folder("llama"), rows_file(18))
    poison(monkeypatch, lambda step: step in (4, 5), not_finite)
    whole = list(train(settings, tmp_path / "whole"))
    assert [e.step for e in whole if isinstance(e, StepSkipped)] == [4, 5] and whole[-1].state == "finished"
    assert not {4, 5} & {e.step for e in whole if isinstance(e, CheckpointSaved)}
    planned = plan_training(settings, lambda *a: None)
    lines = [planned.dataset.examples[at].line for at in range(18) if at not in planned.held_out]
    batch = planned.order.batch(3, lambda row: len(planned.rows[row].input_ids))
    named = next(e.rows for e in whole if isinstance(e, StepSkipped))
    assert named == tuple(sorted(lines[row] for row in batch))
    stopped = list(train(settings, tmp_path / "parts", stop=stop_after(at)))
    assert stopped[-1].step == at and checkpoints(tmp_path / "parts") == [2, 3]
    assert not (tmp_path / "whole" / "steps" / f"{at:06d}").exists(), "a skipped step is not kept as if it were one"
    resumed = list(train(settings, tmp_path / "parts", resume=True))
    assert resumed[0].step == 3 and [e.step for e in resumed if isinstance(e, StepSkipped)] == [4, 5]
    assert adapter_sha(tmp_path / "parts") == adapter_sha(tmp_path / "whole")


def nan_weight(training):
    training.parameters[0].data[0, 0] = float("nan")


def nan_moment(training):
    training.optimizer.state[training.parameters[0]]["exp_avg_sq"][0, 0] = float("nan")


@pytest.mark.parametrize(("spoil", "how"), [(nan_weight, "timed"), (nan_moment, "stop"), (nan_weight, "sampling")])
def test_non_finite_weights_do_not_replace_a_checkpoint(tiny_folder, rows_file, tmp_path, monkeypatch, spoil, how):
    settings = config(tiny_folder("llama"), rows_file(18), sample_max_new_tokens=1)
    list(train(settings, tmp_path / "whole"))
    with monkeypatch.context() as patched:
        patched.setattr(loop, "CHECKPOINT_SECONDS", 0.0 if how == "timed" else 1e9)
        patched.setattr(step, "SAMPLINGS", 10 if how == "sampling" else 1)
        stop = stop_after(5) if how == "stop" else lambda: False
        requests = SaveAfter(3, patched, loop.CHECKPOINT_SECONDS)

        def late(training):
            with torch.no_grad():
                spoil(training)

        poison(patched, lambda step: step == 5, late)
        with pytest.raises(PlaygroundError, match="no longer finite"):
            list(train(settings, tmp_path / "run", stop=stop, requests=requests))
    assert read_record(tmp_path / "run").state == "failed"
    assert checkpoints(tmp_path / "run") and everything_is_finite(tmp_path / "run")
    assert list(train(settings, tmp_path / "run", resume=True))[-1].state == "finished"
    assert adapter_sha(tmp_path / "run") == adapter_sha(tmp_path / "whole")


class SaveAfter:
    """Asks for nothing, but makes one checkpoint due by the clock after a step."""

    def __init__(self, step, patched, otherwise):
        self._left, self._patched, self._otherwise = step, patched, otherwise

    def next(self, *, wait):
        self._left -= 1
        self._patched.setattr(loop, "CHECKPOINT_SECONDS", 0.0 if self._left == -1 else self._otherwise)

    def cancelled(self, number):
        return False


def test_resume_without_a_checkpoint_restarts_a_stopped_run(tiny_folder, rows_file, tmp_path):
    settings = config(tiny_folder("llama"), rows_file(12))
    list(train(settings, tmp_path / "whole"))
    began = list(train(settings, tmp_path / "run", stop=lambda: True))
    assert (began[-1].state, began[-1].step, checkpoints(tmp_path / "run")) == ("stopped", 0, [])
    again = list(train(settings, tmp_path / "run", resume=True))
    assert next(e.step for e in again if isinstance(e, Sampled)) == 0 and again[-1].state == "finished"
    assert adapter_sha(tmp_path / "run") == adapter_sha(tmp_path / "whole") and read_record(tmp_path / "run").exact


def test_finished_run_without_checkpoints_is_not_restarted(tiny_folder, rows_file, tmp_path):
    settings = config(tiny_folder("llama"), rows_file(12))
    list(train(settings, tmp_path / "run"))
    shutil.rmtree(tmp_path / "run" / "checkpoints")  # to save room
    before = adapter_sha(tmp_path / "run")
    with pytest.raises(UsageError, match="no whole checkpoint"):
        list(train(settings, tmp_path / "run", resume=True))
    assert adapter_sha(tmp_path / "run") == before


def test_run_with_only_damaged_checkpoints_is_not_restarted(tiny_folder, rows_file, tmp_path):
    settings = config(tiny_folder("llama"), rows_file(12))
    list(train(settings, tmp_path / "run", stop=stop_after(2)))
    for file in (tmp_path / "run" / "checkpoints").glob("*/*.safetensors"):
        file.write_bytes(b"")
    with pytest.raises(UsageError, match="no whole checkpoint"):
        list(train(settings, tmp_path / "run", resume=True))


def test_three_non_finite_steps_in_a_row_end_the_run(tiny_folder, rows_file, tmp_path, monkeypatch):
    def always(training, loss_sum):
        for parameter in training.parameters:
            parameter.grad = torch.full_like(parameter, float("inf"))
        return float("nan")

    monkeypatch.setattr(step, "_over_all_ranks", always)
    events = []
    with pytest.raises(PlaygroundError, match="3 steps in a row"):
        events.extend(train(config(tiny_folder("llama"), rows_file(20)), tmp_path / "run"))
    logged = [event_from_json(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    assert logged[-1].state == "failed"
    assert read_record(tmp_path / "run").state == "failed"


def test_ten_skipped_steps_of_fifteen_end_the_run(tiny_folder, rows_file, tmp_path, monkeypatch):
    poison(monkeypatch, lambda step: step > 6 and step % 3, not_finite)  # never three in a row
    settings = config(tiny_folder("llama"), rows_file(30), per_device_train_batch_size=1, sample_prompts=())
    with pytest.raises(PlaygroundError, match="10 of the last 15 steps"):
        list(train(settings, tmp_path / "run"))
    record = read_record(tmp_path / "run")
    assert (record.state, record.step) == ("failed", 20)


@pytest.mark.parametrize(("loss", "warns"), [(8.9, False), (9.1, True), (float("inf"), True)])
def test_spike_of_the_loss_warns_once_and_names_its_rows(loss, warns):
    training = SimpleNamespace(losses=[], state=SimpleNamespace(step=31), lines=lambda step: (step, 99))
    for before in (3.0, 2.0, 4.0) * 10:
        assert not list(step._spike(training, before))
    said = [warned.message for warned in step._spike(training, loss)]
    assert len(said) == warns and all("rows of step 31: 30, 99" in message for message in said)
    assert not list(step._spike(training, loss)) or not warns


@pytest.mark.parametrize("loss", [2.04, 0.3])
def test_small_loss_that_triples_is_no_spike(loss):
    training = SimpleNamespace(losses=[0.05] * 20, state=SimpleNamespace(step=31), lines=lambda step: ())
    assert not list(step._spike(training, loss))


def test_resume_names_the_damaged_checkpoint_it_passes_over(tiny_folder, rows_file, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    settings = config(tiny_folder("llama"), rows_file(12))
    list(train(settings, tmp_path / "whole"))
    list(train(settings, tmp_path / "run", stop=stop_after(3)))
    last = tmp_path / "run" / "checkpoints" / "step-000003"
    manifest = json.loads((last / "manifest.json").read_bytes())
    del manifest["optimizer.safetensors"]
    (last / "manifest.json").write_text(json.dumps(manifest))
    resumed = list(train(settings, tmp_path / "run", resume=True))
    assert resumed[0].step == 2 and isinstance(resumed[1], Warned) and "step-000003" in resumed[1].message
    assert adapter_sha(tmp_path / "run") == adapter_sha(tmp_path / "whole")


def test_out_of_memory_halves_the_micro_batch_and_retries(tiny_folder, rows_file, tmp_path, monkeypatch):
    from playground.training.loss import SupervisedLoss

    settings = config(tiny_folder("llama"), rows_file(12), num_train_epochs=1)
    expected = [e.loss for e in train(settings, tmp_path / "whole") if isinstance(e, StepDone)]
    real = SupervisedLoss.hidden_states

    def limited(self, batch):
        if batch.input_ids.shape[0] > 1:
            raise torch.OutOfMemoryError("on purpose")
        return real(self, batch)

    monkeypatch.setattr(SupervisedLoss, "hidden_states", limited)
    events = list(train(settings, tmp_path / "run"))
    assert [e.micro_batch_size for e in events if isinstance(e, BatchHalved)] == [2, 1]
    losses = [e.loss for e in events if isinstance(e, StepDone)]
    assert losses == pytest.approx(expected, rel=1e-4)


def test_tensors_of_a_batch_that_did_not_fit_are_free(tiny_folder, rows_file, tmp_path, monkeypatch):
    """When their memory is given back, before the halves of the batch are tried."""
    from playground.training.loss import SupervisedLoss

    real, held, left = SupervisedLoss.compare, [], []

    def limited(self, hidden, targets):
        if not held:
            held.append(weakref.ref(hidden))
            raise torch.OutOfMemoryError("on purpose")
        return real(self, hidden, targets)

    monkeypatch.setattr(SupervisedLoss, "compare", limited)
    monkeypatch.setattr(step, "give_back", lambda device: left.extend(kept() for kept in held))
    settings = config(tiny_folder("llama"), rows_file(4), num_train_epochs=1, eval_rows=0, sample_prompts=())
    events = list(train(settings, tmp_path / "run"))
    assert [e.micro_batch_size for e in events if isinstance(e, BatchHalved)] == [2]
    assert left == [None]


def test_out_of_memory_on_a_single_row_is_a_clear_error(tiny_folder, rows_file, tmp_path, monkeypatch):
    from playground.training.loss import SupervisedLoss

    def never(self, batch):
        raise torch.OutOfMemoryError("on purpose")

    monkeypatch.setattr(SupervisedLoss, "hidden_states", never)
    with pytest.raises(EnvironmentFault, match="single row"):
        list(train(config(tiny_folder("llama"), rows_file(8)), tmp_path / "run"))


def test_full_disk_ends_the_run_and_keeps_the_last_checkpoint(tiny_folder, rows_file, tmp_path, monkeypatch):
    import errno

    from playground import disk
    from playground.training import checkpoint

    settings = config(tiny_folder("llama"), rows_file(20), num_train_epochs=3)
    monkeypatch.setattr(room, "WAIT_SECONDS", 0.0)
    real, written = checkpoint.write_file, {"count": 0}

    def full(path, data, **options):
        written["count"] += 1
        if written["count"] > 12:
            path.write_bytes(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, data, **options)

    for module in (checkpoint, disk):
        monkeypatch.setattr(module, "write_file", full)
    with pytest.raises(EnvironmentFault, match="disk is full"):
        list(train(settings, tmp_path / "run"))
    monkeypatch.undo()
    state, _, _ = checkpoint.newest_checkpoint(tmp_path / "run" / "checkpoints")
    assert state.step > 0
    assert not [p for p in (tmp_path / "run").rglob("*") if p.name.startswith((".writing", ".run.json.new"))]
    assert list(train(settings, tmp_path / "run", resume=True))[-1].state == "finished"


def test_second_training_in_a_folder_is_refused_with_the_pid(tiny_folder, rows_file, tmp_path):
    import os

    settings = config(tiny_folder("llama"), rows_file(8))
    first = train(settings, tmp_path / "run")
    next(first)
    with pytest.raises(EnvironmentFault, match=str(os.getpid())):
        next(train(settings, tmp_path / "run"))
    first.close()
    next(second := train(settings, tmp_path / "run"))  # the lock is free again
    second.close()


def test_bad_data_or_model_creates_no_run_folder(tiny_folder, tmp_path):
    data = tmp_path / "bad.jsonl"
    data.write_text('{"prompt": "x"}\n', "utf-8")
    for settings in (config(tiny_folder("llama"), data), config(tmp_path / "nowhere", data)):
        with pytest.raises(InputError):
            list(train(settings, tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("changes", [{"seed": 1}, {"num_train_epochs": 5}])
def test_resuming_with_changed_data_or_steps_is_refused(tiny_folder, rows_file, tmp_path, changes):
    settings = config(tiny_folder("llama"), rows_file(12))
    list(train(settings, tmp_path / "run", stop=stop_after(2)))
    if "seed" in changes:
        rows_file(12).write_text(json.dumps({"prompt": "a", "completion": "b"}) + "\n", "utf-8")
        changes = {}
    with pytest.raises(UsageError, match=r"data was|number of steps was"):
        list(train(config(tiny_folder("llama"), tmp_path / "rows.jsonl", **changes), tmp_path / "run", resume=True))


def test_what_a_user_should_know_of_the_kernels_is_told_first(tiny_folder, rows_file, tmp_path, monkeypatch):
    monkeypatch.setattr(setup, "fuse_lora", lambda model: "LoRA is computed as PEFT does it")
    events = train(config(tiny_folder("llama"), rows_file(8)), tmp_path / "run")
    assert isinstance(next(events), RunStarted)
    assert next(events) == Warned(0, "LoRA is computed as PEFT does it")
    events.close()


def test_run_is_not_resumed_on_a_base_quantised_elsewhere(tiny_folder, rows_file, tmp_path):
    settings = config(tiny_folder("llama"), rows_file(12), quantize="nf4")
    list(train(settings, tmp_path / "run", stop=stop_after(2)))
    record = read_record(tmp_path / "run")
    there = replace(record, base=replace(record.base, quantized_on="cuda"))
    (tmp_path / "run" / "run.json").write_text(there.to_json())
    with pytest.raises(UsageError, match="where the base was quantised was cuda, is cpu"):
        list(train(settings, tmp_path / "run", resume=True))
    unsaid = replace(record, base=replace(record.base, quantized_on=""))
    (tmp_path / "run" / "run.json").write_text(unsaid.to_json())
    assert list(train(settings, tmp_path / "run", resume=True))[-1].state == "finished"


@pytest.mark.parametrize("change", [{"versions": {"torch": "0.0"}}, {"device": "A Card, capability 8.6"}])
def test_resume_with_other_versions_or_device_is_not_exact(tiny_folder, rows_file, tmp_path, change):
    settings = config(tiny_folder("llama"), rows_file(12))
    list(train(settings, tmp_path / "run", stop=stop_after(2)))
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["device"] == "cpu"
    (tmp_path / "run" / "run.json").write_text(json.dumps(record | change))
    list(train(settings, tmp_path / "run", resume=True))
    assert read_record(tmp_path / "run").exact is False


def test_closing_the_generator_keeps_the_last_checkpoint(tiny_folder, rows_file, tmp_path):
    settings = config(tiny_folder("llama"), rows_file(20), num_train_epochs=3)
    whole = list(train(settings, tmp_path / "whole"))
    events = train(settings, tmp_path / "run")
    for event in events:
        if isinstance(event, CheckpointSaved):
            break
    events.close()
    assert list(train(settings, tmp_path / "run", resume=True))[-1].step == whole[-1].step
    assert adapter_sha(tmp_path / "run") == adapter_sha(tmp_path / "whole")


def killed_at(events, kind, step):
    """Take events up to the first of a kind at a step, and no more."""
    seen = []
    for event in events:
        seen.append(event)
        if isinstance(event, kind) and event.step == step:
            break
    events.close()
    return seen


@pytest.mark.parametrize(("kind", "at"), [(CheckpointSaved, 4), (CheckpointSaved, 10), (Sampled, 10), (Evaluated, 4)])
def test_step_is_sampled_once_however_a_run_dies_at_it(tiny_folder, rows_file, tmp_path, monkeypatch, kind, at):
    monkeypatch.setattr(step, "SAMPLINGS", 5)
    settings = config(tiny_folder("llama"), rows_file(22), eval_rows=2, sample_max_new_tokens=1)
    whole = list(train(settings, tmp_path / "whole"))
    dead = killed_at(train(settings, tmp_path / "run"), kind, at)
    resumed = list(train(settings, tmp_path / "run", resume=True))
    assert resumed[0].step == at and resumed[-1].state == "finished"

    def sampled(events):
        return [(e.step, e.samples, e.base) for e in events if isinstance(e, Sampled)]

    assert sampled(dead + resumed) == sampled(whole)
    if kind is not Sampled:  # both are logged at once
        losses = [(e.step, e.eval_loss) for e in dead + resumed if isinstance(e, Evaluated)]
        assert losses == [(e.step, e.eval_loss) for e in whole if isinstance(e, Evaluated)]
        assert read_record(tmp_path / "run").eval_loss == read_record(tmp_path / "whole").eval_loss
    assert adapter_sha(tmp_path / "run") == adapter_sha(tmp_path / "whole")
    kept, expected = ({p.name for p in (tmp_path / name / "steps").iterdir()} for name in ("run", "whole"))
    assert kept == expected
    card, other = ((tmp_path / name / "README.md").read_text() for name in ("run", "whole"))
    assert card.partition("## Samples")[2] == other.partition("## Samples")[2] != ""


@pytest.mark.parametrize(
    ("where", "name", "error"),
    [
        pytest.param(Training, "checkpoint_files", RuntimeError("CUDA error: device-side assert"), id="the device"),
        pytest.param(record.RunFolder, "save_checkpoint", ValueError("odd"), id="the checkpoint"),
        pytest.param(record, "write_record", ValueError("odd"), id="the record"),
        pytest.param(Path, "unlink", PermissionError(1, "Operation not permitted"), id="the reserve"),
    ],
)
def test_failed_run_ends_with_the_first_error(tiny_folder, rows_file, tmp_path, monkeypatch, where, name, error):
    """Whatever else fails at its end."""
    monkeypatch.setattr(step, "SAMPLINGS", 1)  # the step before it is not saved yet
    settings = config(tiny_folder("llama"), rows_file(12), sample_prompts=())

    def fail(training):
        patched.setattr(where, name, fail_too)
        raise ZeroDivisionError("the first error")

    def fail_too(*arguments, **options):
        raise error

    with monkeypatch.context() as patched:
        poison(patched, lambda step: step == 2, fail)
        with pytest.raises(ZeroDivisionError, match="the first error"):
            list(train(settings, tmp_path / "run"))
    last = event_from_json((tmp_path / "run" / "events.jsonl").read_text().splitlines()[-1])
    assert isinstance(last, RunEnded) and last.state == "failed" and "the first error" in last.reason
    assert list(train(settings, tmp_path / "run", resume=True))[-1].state == "finished"


def test_rows_are_mended_in_training_as_data_check_says(tiny_folder, tmp_path):
    turns = [("assistant", "Welcome."), ("user", "Who?"), ("assistant", "Me. END"), ("user", "Bye")]
    row = json.dumps({"messages": [{"role": role, "content": text} for role, text in turns]})
    (data := tmp_path / "rows.jsonl").write_text(f"{row}\n" * 2)
    with pytest.raises(InputError, match="--repair"):
        list(train(config(tiny_folder("llama"), data), tmp_path / "refused"))
    started = next(train(config(tiny_folder("llama"), data, repair=True, num_train_epochs=1), tmp_path / "run"))
    kinds = [note.split(" (2 rows)")[0] for note in started.plan.unread]
    assert kinds == [
        "repaired: a question without an answer left out",
        "repaired: an answer before the first question left out",
        "repaired: end markers stripped from answers",
    ]

"""The plan: what it decides, what it measures, what it refuses."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

from playground.config import TrainConfig
from playground.errors import EnvironmentFault
from playground.events.prompts import Prompt
from playground.events.runs import RunStarted, StepDone
from playground.models import budget, machine
from playground.models.footprint import footprint
from playground.report import plan as report
from playground.training import speed
from playground.training.loop import train
from playground.training.plan import plan_training, resolved


def planned(folder, data, **options):
    return plan_training(TrainConfig(model=str(folder), data=str(data), lora_r=4, **options), lambda *a: None)


@pytest.mark.parametrize("name", ["llama", "gemma3"])
@pytest.mark.parametrize("rows", [1, 3])
def test_activation_estimate_equals_a_real_forward_pass(tiny_folder, name, rows):
    model = AutoModelForCausalLM.from_pretrained(tiny_folder(name), dtype=torch.float32, attn_implementation="sdpa")
    model.requires_grad_(False)
    adapted = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    adapted.train()
    own = {t.untyped_storage().data_ptr() for t in [*model.parameters(), *model.buffers()]}
    kept = {}

    def keep(tensor):
        if (key := tensor.untyped_storage().data_ptr()) not in own:
            kept[key] = tensor
        return tensor

    ids = torch.ones((rows, 64), dtype=torch.long)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = model.model(input_ids=ids, use_cache=False)
    real = sum(tensor.untyped_storage().nbytes() for tensor in kept.values()) / ids.numel()
    size = footprint(AutoConfig.from_pretrained(tiny_folder(name)), torch.float32, 4)
    assert size.saved_bytes == pytest.approx(real, rel=0.1)
    assert size.adapter_parameters == sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    assert size.parameters == sum(p.numel() for n, p in adapted.named_parameters() if "lora_" not in n)
    assert size.checkpointed_bytes < size.saved_bytes / 4
    del output


@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt2"])
def test_fused_layers_keep_less_in_every_kind_of_model(tiny_folder, name):
    config = AutoConfig.from_pretrained(tiny_folder(name))
    plain, fused = (footprint(config, torch.bfloat16, 4, fused=mode) for mode in (False, True))
    assert fused.saved_bytes < 0.8 * plain.saved_bytes
    assert fused.layer_bytes == plain.layer_bytes and fused.pair_bytes == plain.pair_bytes


def test_auto_settings_are_chosen_with_reasons(tiny_folder, rows_file):
    made = planned(tiny_folder("llama"), rows_file(20)).plan
    assert (made.quantize, made.learning_rate, made.max_length) == ("nf4", 5e-4, 512)
    assert (made.per_device_train_batch_size, made.gradient_accumulation_steps) == (8, 1)
    assert not made.gradient_checkpointing
    assert {choice.name for choice in made.choices} == {
        "quantize", "learning_rate", "max_length", "per_device_train_batch_size", "gradient_accumulation_steps",
        "gradient_checkpointing", "eval_rows", "sample_prompts",
    }  # fmt: skip
    assert all(choice.reason for choice in made.choices)
    assert made.num_steps == 9 and made.fits


def test_explicit_settings_are_kept(tiny_folder, rows_file):
    said = {
        "quantize": "none", "learning_rate": 1e-3, "max_length": 64, "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 2, "gradient_checkpointing": "on", "eval_rows": 0,
        "sample_prompts": (Prompt("1", "Hi"),),
    }  # fmt: skip
    config = TrainConfig(model=str(tiny_folder("llama")), data=str(rows_file(20)), lora_r=4, **said)
    made = plan_training(config, lambda *a: None).plan
    assert made.choices == ()
    assert resolved(config, made).to_dict() == config.to_dict()
    # A batch size that was given is the batch size, as everywhere; only an open one is made up to eight.
    alone = planned(tiny_folder("llama"), rows_file(20), per_device_train_batch_size=2).plan
    assert alone.gradient_accumulation_steps == 1


def room(monkeypatch, share, folder, data, **options):
    """Leave `share` of what the training would like to have."""
    monkeypatch.setattr(machine, "program_memory", lambda device: 0)
    needed = planned(folder, data, **options).plan.needed
    monkeypatch.setattr(machine, "free_memory", lambda device: int(share * needed))


def test_low_memory_lowers_auto_settings_first(tiny_folder, rows_file, monkeypatch):
    folder, data = tiny_folder("llama"), rows_file(20)
    monkeypatch.setattr(budget, "CPU_TOKENS_AT_ONCE", 1 << 20)
    room(monkeypatch, 0.6, folder, data)
    made = planned(folder, data).plan
    assert made.fits
    assert made.per_device_train_batch_size * made.gradient_accumulation_steps == 8
    assert made.per_device_train_batch_size < 8 or made.gradient_checkpointing


def test_plan_that_does_not_fit_is_refused_with_one_that_does(tiny_folder, rows_file, tmp_path, monkeypatch):
    folder, data = tiny_folder("llama"), rows_file(20)
    monkeypatch.setattr(budget, "CPU_TOKENS_AT_ONCE", 1 << 20)
    said = {"per_device_train_batch_size": 8, "gradient_checkpointing": "off"}
    room(monkeypatch, 0.8, folder, data, **said)
    config = TrainConfig(model=str(folder), data=str(data), lora_r=4, **said)
    with pytest.raises(EnvironmentFault, match="needs about") as caught:
        list(train(config, tmp_path / "run"))
    assert "This would fit: --" in caught.value.hint and "--force" in caught.value.hint
    assert not (tmp_path / "run").exists()
    words = caught.value.hint.removeprefix("This would fit: --").split(".")[0].split(" --")
    change = {word.split()[0].replace("-", "_"): word.split()[1] for word in words}
    changed = {key: int(value) if value.isdigit() else value for key, value in change.items()}
    assert planned(folder, data, **{**said, **changed}).plan.fits
    assert list(train(config, tmp_path / "run", force=True))[-1].state == "finished"


def test_sample_prompts_that_need_most_are_named_and_made_fewer(tiny_folder, rows_file, monkeypatch):
    folder, data = tiny_folder("llama"), rows_file(20)
    prompts = tuple(Prompt(str(number), "Why? " * 60) for number in range(16))
    made = planned(folder, data, sample_prompts=prompts).plan
    assert made.memory[budget.MORE] > planned(folder, data).plan.memory["activations"]
    assert any(budget.MORE in words for words, _ in report.plan(made))
    room(monkeypatch, 0.8, folder, data, sample_prompts=prompts)
    tight = planned(folder, data, sample_prompts=prompts).plan
    assert not tight.fits and tight.nearest == "--sample-prompts with 8 prompts"
    assert planned(folder, data, sample_prompts=prompts[:8]).plan.fits


def test_checkpointing_changes_only_memory(tiny_folder, rows_file, tmp_path):
    losses = {}
    for mode in ("on", "off"):
        config = TrainConfig(
            model=str(tiny_folder("gemma3")), data=str(rows_file(12)), lora_r=4, quantize="none", num_train_epochs=1,
            gradient_checkpointing=mode, sample_max_new_tokens=2,
        )  # fmt: skip
        events = list(train(config, tmp_path / mode))
        losses[mode] = [event.loss for event in events if isinstance(event, StepDone)]
        assert isinstance(events[0], RunStarted) and events[0].plan.gradient_checkpointing == (mode == "on")
    assert losses["on"] == pytest.approx(losses["off"], abs=1e-6)


def test_cpu_micro_batches_are_as_large_as_the_longest_row():
    """That row goes through whole, so no other piece of its size raises the peak."""
    cpu, most = torch.device("cpu"), budget.CPU_TOKENS_AT_ONCE
    assert budget.tokens_at_once(most // 2, cpu) == most
    assert budget.tokens_at_once(3 * most, cpu) == 3 * most
    assert budget.tokens_at_once(3 * most, torch.device("cuda")) > 1_000_000


def test_time_estimate_uses_the_last_measured_speed(tiny_folder, rows_file, tmp_path, monkeypatch):
    monkeypatch.setenv("SFT_PLAYGROUND_HOME", str(tmp_path))
    folder, data = tiny_folder("llama"), rows_file(20)
    first = planned(folder, data).plan
    assert first.seconds is None
    speed.remember(first.model, first.quantize, "cpu", 100.0)
    assert planned(folder, data).plan.seconds == pytest.approx(first.num_tokens * 3 / 100)
    (tmp_path / "cache" / "speed.json").write_text("[]")
    assert planned(folder, data).plan.seconds is None


def test_plan_warns_only_about_cut_rows(tiny_folder, rows_file):
    assert planned(tiny_folder("llama"), rows_file(4)).plan.warnings == ()
    assert planned(tiny_folder("llama"), rows_file(4), style="chatml").plan.warnings == ()  # not one of its tokens
    (cut,) = planned(tiny_folder("llama"), rows_file(4), max_length=50).plan.warnings
    assert "4 of 4 rows" in cut

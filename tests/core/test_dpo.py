"""Votes of both kinds, as TRL's DPO trainer reads them (runs where `trl` is installed)."""

import json

import pytest
import torch

from playground.data.encode import IGNORE_INDEX, Encoder
from playground.data.examples import Example, Turn
from playground.data.styles import get_style
from playground.events.answers import Answer, Sampling
from playground.events.exchanges import Exchange
from playground.models.load import load_base
from playground.report import votes

trl = pytest.importorskip("trl")
pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore::FutureWarning")]  # TRL's own calls

SAID = {"blind": {"base": "Why? Why?", "sft": "It is so."}, "duel": {"1": "Two.", "2": "Three.", "3": "Four."}}


def vote(mode, chosen, turns, encoder):
    """Return an exchange as the app writes it: what was fed comes from the encoder that fed it."""
    answers = {lane: Answer(text, "stop", None, 4) for lane, text in SAID[mode].items()}
    return Exchange(
        "2026-11-22T10:00:00+00:00", mode, turns[-1].content, {}, answers, dict.fromkeys(answers, False),
        encoder.without_begin(encoder.prompt(turns)), encoder.style.lead_in, "m", "a", encoder.style.name, 1.0,
        Sampling(), "x", chosen,
    )  # fmt: skip


@pytest.mark.parametrize("style", ["chat", "alpaca", "chatml"])
@pytest.mark.parametrize(("mode", "kind", "chosen"), [("blind", "sides", "sft"), ("duel", "duels", "2")])
def test_dpo_on_votes_uses_the_same_tokens_as_sft(tiny_folder, tmp_path, mode, kind, chosen, style):
    from datasets import load_dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM

    folder = tiny_folder("llama")
    base = load_base(str(folder), "none")
    encoder = Encoder(base.tokenizer, get_style(style, base.tokenizer), base.end_token_id, 512)
    dialogue = [Turn("user", "a"), Turn("assistant", "b"), Turn("user", "And?")]
    for turns in ([Turn("user", "Why is it so?")], dialogue):
        votes.append(tmp_path / "votes.jsonl", vote(mode, chosen, turns, encoder))
    pairs = votes.preferences(votes.read(tmp_path / "votes.jsonl"), kind)
    assert len(pairs) == 2 * (len(SAID[mode]) - 1)
    (tmp_path / "dpo.jsonl").write_text("".join(json.dumps(pair.to_dict()) + "\n" for pair in pairs))

    data = load_dataset("json", data_files=str(tmp_path / "dpo.jsonl"), split="train", cache_dir=str(tmp_path))
    trainer = trl.DPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32),
        args=trl.DPOConfig(
            output_dir=str(tmp_path / "out"), per_device_train_batch_size=2, max_steps=1, use_cpu=True, bf16=False,
            report_to="none", disable_tqdm=True, save_strategy="no", gradient_checkpointing=False,
        ),
        train_dataset=data, processing_class=base.tokenizer,
        peft_config=LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM"),
    )  # fmt: skip
    prepared = trainer.train_dataset[0]
    row = encoder.example(Example((Turn("user", "Why is it so?"), Turn("assistant", SAID[mode][chosen])), 1))
    trained = [token for token, label in zip(row.input_ids, row.labels, strict=True) if label != IGNORE_INDEX]
    prompt = list(row.input_ids[: len(row.input_ids) - len(trained)])
    assert (prepared["prompt_ids"], prepared["chosen_ids"]) == (prompt, trained)
    assert trainer.train().global_step == 1
    assert trainer.state.log_history[-1]["train_loss"] == pytest.approx(0.6931, abs=1e-3), "-log sigmoid(0)"

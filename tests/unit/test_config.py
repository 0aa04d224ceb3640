import json
import math
from dataclasses import fields

import pytest

from playground.config import TrainConfig
from playground.errors import UsageError

# Field, values at the limits that are fine, values that are refused.
LIMITS = [
    ("quantize", ["auto", "nf4", "none"], ["int8", "", "NF4"]),
    ("style", ["chat"], ["vicuna", ""]),
    ("train_on", ["all", "last"], ["first"]),
    ("learning_rate", [1e-12, 1.0], [0.0, -1e-4, 1.01, math.nan, math.inf, -math.inf]),
    ("num_train_epochs", [1, 1000], [0, -1, 1001, math.nan, math.inf, 2.5]),
    ("per_device_train_batch_size", [1, 4096], [0, 4097, math.nan]),
    ("gradient_accumulation_steps", [1, 4096], [0, 4097, math.nan]),
    ("gradient_checkpointing", ["auto", "on", "off"], ["yes", ""]),
    ("max_length", [8, 1 << 20], [7, (1 << 20) + 1, math.inf]),
    ("eval_rows", [0, 100_000], [-1, 100_001, math.nan]),
    ("lora_r", [1, 512], [0, 513, math.nan]),
    ("lora_alpha", [1, 10_000], [0, 10_001, math.inf]),
    ("warmup_ratio", [0.0, 1.0], [-0.01, 1.01, math.nan, math.inf]),
    ("max_grad_norm", [1e-9, 1e9], [0.0, -1.0, math.nan, math.inf]),
    ("save_dtype", ["float32", "bfloat16"], ["float16"]),
    ("seed", [0, 2**63 - 1], [-1, 2**63, 10**400]),
]


def test_every_limit_is_tested():
    limited = {f.name for f in fields(TrainConfig) if {"choices", "above", "least", "most"} & set(f.metadata)}
    assert limited == {name for name, _, _ in LIMITS}


def shown(value):
    return str(value)[:20]


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, fine, _ in LIMITS for value in fine])
def test_values_up_to_the_limits_are_taken(name, value):
    assert getattr(TrainConfig(**{name: value}), name) == value


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, _, wrong in LIMITS for value in wrong], ids=shown)
def test_value_beyond_a_limit_is_refused_by_name(name, value):
    with pytest.raises(UsageError) as caught:
        TrainConfig(**{name: value})
    assert caught.value.message.startswith(f"{name} must be ")
    assert caught.value.exit_code == 2


def test_all_problems_are_reported_at_once():
    with pytest.raises(UsageError) as caught:
        TrainConfig(quantize="int8", learning_rate=math.nan, num_train_epochs=0, lora_r=9999, seed=3)
    for name in ("quantize", "learning_rate", "num_train_epochs", "lora_r"):
        assert f"{name} must be" in caught.value.message
    assert "seed" not in caught.value.message


def test_config_round_trips_through_json():
    config = TrainConfig(
        data="x.jsonl", learning_rate=3e-5, seed=2**63 - 1, deterministic=True, sample_prompts=("a", "b")
    )
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert TrainConfig.from_dict({}) == TrainConfig()


def test_unknown_fields_are_ignored_but_bad_values_are_not():
    assert TrainConfig.from_dict({"seed": 5, "later": 1}) == TrainConfig(seed=5)
    with pytest.raises(UsageError):
        TrainConfig.from_dict({"lora_r": 0})


def test_a_config_cannot_be_changed():
    with pytest.raises(AttributeError):
        TrainConfig().seed = 1

import math

import pytest

from playground.training.schedule import learning_rate

CASES = [(39, 0.1), (100, 0.0), (10, 0.5), (7, 0.3), (1000, 0.03), (3, 1.0), (1, 0.1), (1, 0.0), (2, 0.1)]


def of_transformers(num_steps, warmup_ratio):
    """Return the multipliers that transformers gives each step from 0 to `num_steps`."""
    import torch
    from transformers import get_cosine_schedule_with_warmup

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = get_cosine_schedule_with_warmup(optimizer, math.ceil(num_steps * warmup_ratio), num_steps)
    return [schedule.lr_lambdas[0](step) for step in range(num_steps + 1)]


@pytest.mark.parametrize(("num_steps", "warmup_ratio"), CASES)
def test_schedule_equals_transformers_with_warm_up_a_step_ahead(num_steps, warmup_ratio):
    theirs = of_transformers(num_steps, warmup_ratio)
    warmup = math.ceil(num_steps * warmup_ratio)
    for step in range(num_steps):
        expected = theirs[step + 1] if step < warmup else theirs[step]
        assert learning_rate(step, num_steps, 2e-4, warmup_ratio) == pytest.approx(2e-4 * expected, rel=1e-12)


@pytest.mark.parametrize(("num_steps", "warmup_ratio"), CASES)
def test_no_step_is_spent_at_rate_zero_or_above_the_peak(num_steps, warmup_ratio):
    rates = [learning_rate(step, num_steps, 1.0, warmup_ratio) for step in range(num_steps)]
    assert all(0 < rate <= 1 for rate in rates)
    assert max(rates) == 1.0


@pytest.mark.parametrize(("num_steps", "warmup_ratio"), [(39, 0.1), (100, 0.0), (1000, 0.03)])
def test_the_rate_rises_then_falls_and_ends_near_zero(num_steps, warmup_ratio):
    rates = [learning_rate(step, num_steps, 1.0, warmup_ratio) for step in range(num_steps)]
    top = rates.index(1.0)
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[-1] < 0.005

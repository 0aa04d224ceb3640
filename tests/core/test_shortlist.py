"""The shortlist gives the reference's greedy token, also where logits are close or hostile."""

import pytest
import torch

from playground.inference import shortlist as module
from playground.inference.shortlist import Shortlist
from playground.models.head import Head


def head(weight):
    return Head(weight, None, 1.0, None)


def exact(weight, hidden):
    return (hidden.double() @ weight.double().T).argmax(1)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 300.0])
@pytest.mark.parametrize("rows", [1, 2, 5, 8])
def test_shortlist_equals_the_full_head_on_random_weights(scale, rows):
    torch.manual_seed(rows)
    weight, hidden = torch.randn(40_000, 64), torch.randn(rows, 64) * scale
    assert torch.equal(Shortlist(head(weight)).argmax(hidden), exact(weight, hidden))


def test_shortlist_equals_the_full_head_on_near_ties():
    torch.manual_seed(0)
    weight = torch.randn(1, 64).repeat(40_000, 1) + 1e-3 * torch.randn(40_000, 64)
    hidden = weight[:4] * 2
    found, wanted = Shortlist(head(weight)).argmax(hidden), exact(weight, hidden)
    values = hidden.double() @ weight.double().T
    # Within float32 rounding of the best: any kernel may choose either of two such tokens.
    assert (values.gather(1, wanted[:, None]) - values.gather(1, found[:, None])).max() <= 1e-4
    assert torch.equal(found, wanted)


def test_rows_with_one_huge_weight_are_still_bounded():
    """An outlier makes a row's int8 steps coarse; its error bound grows with it."""
    torch.manual_seed(1)
    weight = torch.randn(40_000, 64)
    weight[::7, 3] = 1e4
    hidden = torch.randn(8, 64)
    hidden[:, 3] = 1e-4
    assert torch.equal(Shortlist(head(weight)).argmax(hidden), exact(weight, hidden))


def test_shortlist_without_the_error_bound_is_wrong(monkeypatch):
    """The positive control: candidates within no error at all miss the best token somewhere."""
    torch.manual_seed(0)
    weight = torch.randn(1, 64).repeat(40_000, 1) + 1e-3 * torch.randn(40_000, 64)
    hidden = torch.randn(8, 64)
    short = Shortlist(head(weight))
    short._residual.zero_()
    short._norm.zero_()
    monkeypatch.setattr(module, "_BF16_EPS", 0.0)
    assert not torch.equal(short.argmax(hidden), exact(weight, hidden))


def test_unsupported_heads_are_not_shortlisted():
    assert Shortlist.serves(head(torch.zeros(32768, 64)))
    assert not Shortlist.serves(head(torch.zeros(1000, 64)))
    assert not Shortlist.serves(head(torch.zeros(32768, 64, dtype=torch.bfloat16)))
    assert not Shortlist.serves(Head(torch.zeros(32768, 64), torch.zeros(32768), 1.0, None))

"""The table of base models: sizes against the numbers of parameters their makers publish."""

import pytest
import torch

from playground.models.catalogue import judged, known_models, largest_fitting, size_of

MODELS = known_models()
CPU = torch.device("cpu")


@pytest.mark.parametrize(("model", "shape"), MODELS, ids=[model.id for model, _ in MODELS])
def test_a_shape_has_the_published_number_of_parameters(model, shape):
    assert size_of(shape, CPU).parameters == model.parameters  # measured once for all tests here


def test_model_table_is_complete_and_sorted_by_size():
    assert 8 <= len(MODELS) <= 11
    assert all(model.id.startswith("hf:") and model.licence and model.end_token for model, _ in MODELS)
    assert [model.parameters for model, _ in MODELS] == sorted(model.parameters for model, _ in MODELS)
    for model, _ in MODELS:  # weights are at least two bytes a parameter
        assert model.download >= 1.9 * model.parameters / 1e9


def test_fit_depends_on_free_memory():
    small, large = MODELS[0][0].id, MODELS[-1][0].id
    fits = {model.id: model.fit for model in judged(CPU, 5_000_000_000)}
    assert (fits[small], fits[large]) == ("fits", "does not fit")
    needed = next(model.needed for model in judged(CPU, 1 << 50) if model.id == small)
    (tight, *_) = judged(CPU, needed - 1)
    assert tight.fit == "fits with checkpointing"
    assert tight.needed < needed


def test_largest_fitting_model_is_suggested():
    assert largest_fitting(CPU, 1 << 50) == MODELS[-1][0].id
    assert largest_fitting(CPU, 1) == ""

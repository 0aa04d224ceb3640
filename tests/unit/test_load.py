import pytest

from playground.models.load import load_base


@pytest.mark.parametrize("name", ["gemma3", "llama", "gemma2"])
def test_each_family_of_models_loads_from_a_folder(tiny_folder, name):
    base = load_base(str(tiny_folder(name)), "none")
    assert (base.end_token_id, base.pad_token_id) == (1, 0)
    assert base.tokenizer("a")["input_ids"] == [2, 3 + ord("a")]

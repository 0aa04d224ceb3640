"""NF4 on a CPU: the values are bitsandbytes' own, whichever way they come."""

import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from playground.models import load, nf4, source
from playground.models.load import load_base


def exact(model):
    """Keep bitsandbytes on its float32 path: with AVX512-BF16 it would round its scales to bfloat16."""
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return model


def test_weights_are_bit_equal_to_bitsandbytes_dequantised(tiny_folder):
    from bitsandbytes.functional import dequantize_4bit

    folder = tiny_folder("llama")
    theirs = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32,
        quantization_config=BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.float32,
        ),
    )  # fmt: skip
    ours = load_base(str(folder), "nf4").model
    modules = dict(ours.named_modules())
    count = 0
    for name, module in theirs.named_modules():
        if type(module).__name__ == "Linear4bit":
            dense = dequantize_4bit(module.weight.data, module.weight.quant_state)
            assert torch.equal(modules[name].weight, dense), name
            count += 1
    assert count == 21  # seven in each of three layers; the head stays as it is
    assert torch.equal(ours.lm_head.weight, theirs.lm_head.weight)
    ids = torch.tensor([[2, 50, 60, 70]])
    with torch.no_grad():
        assert torch.allclose(ours(input_ids=ids).logits, exact(theirs)(input_ids=ids).logits, atol=1e-4)


def test_identity_says_where_the_base_was_quantised(tiny_folder):
    """A GPU need not come to the same values."""
    cpu, gpu, where = (
        torch.device("cpu"),
        torch.device("cuda", 0),
        source.resolve(str(tiny_folder("llama")), lambda *said: None),
    )
    assert load_base(str(tiny_folder("llama")), "nf4", device=cpu).identity.quantized_on == "cpu"
    assert load_base(str(tiny_folder("llama")), "none", device=cpu).identity.quantized_on == ""
    on = load._quantized_on(where, "nf4", gpu)
    assert on == "cuda" and load._describe(where, "nf4", on).endswith(", then NF4 on a GPU")


def test_stored_values_equal_computed_ones(tmp_path):
    torch.manual_seed(0)
    weights = {f"model.layers.{n}.proj.weight": torch.randn(128, 64).bfloat16() for n in (1, 11)}
    nf4.save({**weights, "model.embed_tokens.weight": torch.randn(10, 64)}, tmp_path)
    stored, computed = nf4.Values(tmp_path), nf4.Values(None)
    for name, weight in weights.items():
        assert torch.equal(stored.of(name, weight), computed.of(name, weight))
        assert not torch.equal(stored.of(name, weight), weight.float())


def test_packed_values_in_a_foreign_folder_are_not_used(tiny_folder, tmp_path):
    import shutil

    folder = tmp_path / "foreign"
    shutil.copytree(tiny_folder("llama"), folder)
    expected = load_base(str(folder), "nf4").model.state_dict()
    names = [n for n in expected if n.endswith("q_proj.weight")]
    nf4.save({n: torch.zeros(expected[n].shape) for n in names}, folder)
    found = load_base(str(folder), "nf4").model.state_dict()
    assert all(torch.equal(found[n], expected[n]) for n in names)

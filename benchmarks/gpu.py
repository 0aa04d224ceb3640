"""A randomly initialised 8B-shaped model on a CUDA device: QLoRA speed and memory against their limits.

    python benchmarks/gpu.py [tokens per row] [rows per batch] [steps]

Prints tokens/s, the share of the device's measured matrix-product rate (counting 4 operations a weight
and token, as LoRA has no weight gradients of the base), and peak memory beside the floor of weights,
adapter, optimiser and one dequantised layer.
"""

from __future__ import annotations

import sys
import time

import torch

from playground.data.batches import collate
from playground.data.encode import IGNORE_INDEX, Encoded
from playground.models import lora
from playground.models.head import Head, backbone
from playground.training.loss import SupervisedLoss

SHAPE = {
    "vocab_size": 151_936, "hidden_size": 4096, "intermediate_size": 12_288, "num_hidden_layers": 36,
    "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 8192,
    "tie_word_embeddings": False,
}  # fmt: skip


def load() -> torch.nn.Module:
    """Build the model layer by layer in NF4: a folder of 16 GB of random weights is never written."""
    from accelerate import init_empty_weights
    from bitsandbytes.nn import Linear4bit
    from transformers import Qwen3Config, Qwen3ForCausalLM

    with init_empty_weights():
        model = Qwen3ForCausalLM(Qwen3Config(**SHAPE)).to(torch.bfloat16)
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, torch.nn.Linear) and child is not model.lm_head:
                layer = Linear4bit(
                    child.in_features, child.out_features, bias=False, quant_type="nf4", compress_statistics=True,
                    compute_dtype=torch.bfloat16,
                )  # fmt: skip
                layer.weight.data = torch.randn(child.out_features, child.in_features, dtype=torch.bfloat16) * 0.02
                setattr(module, name, layer.cuda())
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if parameter.is_meta:
                value = torch.randn(parameter.shape, dtype=torch.bfloat16, device="cuda") * 0.02
                setattr(
                    module, name, torch.nn.Parameter(value + (1.0 if value.dim() == 1 else 0.0), requires_grad=False)
                )
    rotary = type(model.model.rotary_emb)(model.config, device="cuda")
    model.model.rotary_emb = rotary
    return model.eval().requires_grad_(False)


def matrix_rate() -> float:
    """Return the measured bfloat16 rate of a large product, in operations a second."""
    a = torch.randn(8192, 8192, dtype=torch.bfloat16, device="cuda")
    for _ in range(3):
        a @ a
    torch.cuda.synchronize()
    begun = time.monotonic()
    for _ in range(20):
        a @ a
    torch.cuda.synchronize()
    return 20 * 2 * 8192**3 / (time.monotonic() - begun)


def main() -> None:
    length, rows, steps = (int(value) for value in (sys.argv[1:] + ["1024", "4", "20"][len(sys.argv) - 1 :]))
    rate = matrix_rate()
    model = load()
    from peft import LoraConfig, get_peft_model

    adapter = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear"))  # type: ignore[arg-type]
    learned = [p for p in adapter.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=2e-4, weight_decay=0.0, fused=True)
    loss_of = SupervisedLoss(backbone(model), Head.of(model))  # type: ignore[arg-type]
    ids = tuple(torch.randint(3, 150_000, (length,)).tolist())
    row = Encoded(ids, (IGNORE_INDEX,) * (length // 3) + ids[length // 3 :], False)
    batch = collate([row] * rows, 0, "cuda")
    times = []
    for _ in range(steps):
        torch.cuda.synchronize()
        begun = time.monotonic()
        (loss_of(batch) / len(batch.targets)).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        torch.cuda.synchronize()
        times.append(time.monotonic() - begun)
    seconds = sorted(times[2:])[len(times[2:]) // 2]
    body = sum(p.numel() * 2 for n, p in model.named_parameters() if "base_layer" in n)  # two weights a byte
    head = SHAPE["vocab_size"] * SHAPE["hidden_size"]
    operations = 4 * rows * length * (body + head * len(batch.targets) / (rows * length))
    weights = body * 4.127 / 8 + 2 * 2 * head
    floor = weights + 16 * sum(p.numel() for p in learned) + 2 * 4096 * 12_288
    print(f"{torch.cuda.get_device_name()} · torch {torch.__version__} · {rows} rows of {length} tokens, {steps} steps")
    print(
        f"tokens/s {rows * length / seconds:,.0f} · {100 * operations / seconds / rate:.0f} % of {rate / 1e12:.0f} TFLOP/s"
    )
    print(f"peak {torch.cuda.max_memory_allocated() / 1e9:.2f} GB · floor without activations {floor / 1e9:.2f} GB")
    print(f"adapter tensors {len(lora.state(adapter))}")


if __name__ == "__main__":
    main()

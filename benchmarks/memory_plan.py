"""The plan's memory against the measured peak, on a CPU.

    python benchmarks/memory_plan.py

Each case is a process of its own. Measured is the peak of its resident memory while it trains for eight
steps and samples; planned is the sum of the plan's parts. Weights are random: memory does not depend on them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

# Shapes of google/gemma-3-270m and HuggingFaceTB/SmolLM2-135M, and how long the rows are, in words.
CASES = {"gemma-3-270m shape, short rows": ("gemma", 30), "SmolLM2-135M shape, long rows": ("smollm", 300)}


def save_model(kind: str, folder: Path) -> None:
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import AutoModelForCausalLM, Gemma3TextConfig, LlamaConfig, PreTrainedTokenizerFast

    config: Any
    if kind == "gemma":
        config = Gemma3TextConfig(
            vocab_size=262_144, hidden_size=640, intermediate_size=2048, num_hidden_layers=18, num_attention_heads=4,
            num_key_value_heads=1, head_dim=256, sliding_window=512, max_position_embeddings=32_768,
        )  # fmt: skip
    else:
        config = LlamaConfig(
            vocab_size=49_152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
            num_key_value_heads=3, max_position_embeddings=8192, tie_word_embeddings=True,
        )  # fmt: skip
    AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(folder)
    words = {"<eos>": 0, "<unk>": 1, "User": 2, "Assistant": 3, ":": 4} | {f"w{n}": n + 5 for n in range(1000)}
    backend = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<eos>", unk_token="<unk>").save_pretrained(folder)


def one(kind: str, words: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        rows = ({"prompt": f"w{n} w1", "completion": " ".join(f"w{m % 999}" for m in range(words))} for n in range(64))
        (home / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        maker = (
            "import sys; sys.path.insert(0, sys.argv[1]); from memory_plan import save_model; from pathlib import Path;"
        )
        maker += "save_model(sys.argv[2], Path(sys.argv[3]))"
        here = str(Path(__file__).parent)
        subprocess.run([sys.executable, "-c", maker, here, kind, folder], check=True)

        from playground.environ import before_torch

        before_torch()
        from playground.config import TrainConfig
        from playground.events.runs import StepDone
        from playground.training.loop import train

        config = TrainConfig(model=folder, data=str(home / "rows.jsonl"), num_train_epochs=1, sample_max_new_tokens=8)
        events = train(config, home / "run")
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        started: Any = next(events)
        steps = sum(isinstance(event, StepDone) for event in events)
        plan = started.plan
    return {
        "planned": plan.needed,
        "measured": _field("VmHWM"),
        "steps": steps,
        "parts": plan.memory,
        "longest": plan.longest,
    }


def _field(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def main() -> None:
    if len(sys.argv) == 3:
        print(json.dumps(one(sys.argv[1], int(sys.argv[2]))))
        return
    print("| case | longest row | planned MB | measured MB | planned / measured |\n|---|---:|---:|---:|---:|")
    for name, (kind, words) in CASES.items():
        done = subprocess.run([sys.executable, __file__, kind, str(words)], capture_output=True, text=True, check=False)
        if done.returncode:
            print(done.stderr[-2000:])
            continue
        got = json.loads(done.stdout.splitlines()[-1])
        ratio = got["planned"] / got["measured"]
        print(
            f"| {name} | {got['longest']} | {got['planned'] / 1e6:.0f} | {got['measured'] / 1e6:.0f} | {ratio:.2f} |",
            {part: round(size / 1e6) for part, size in got["parts"].items()},
        )


if __name__ == "__main__":
    main()

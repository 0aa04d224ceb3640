"""The parts of `gpu.sh`: each a process of its own, with random weights that are made on the device.

    python benchmarks/gpu.py facts      the device, and the versions of what matters
    python benchmarks/gpu.py speed      QLoRA at the shape of Qwen3 8B, LoRA fused and as in PEFT: tokens/s, their share of the
                                        card's own products, and the plan's memory compared with the peak
    python benchmarks/gpu.py process    train, --compare and export as processes, at the shape of Qwen3 0.6B
    python benchmarks/gpu.py cards      the same training with 8, 12, 16 and 24 GB: is the plan's promise kept?
    python benchmarks/gpu.py peer       ours next to plain PEFT with transformers' Trainer, on the same rows
    python benchmarks/gpu.py lanes      two lanes compared with two calls of `generate`
    python benchmarks/gpu.py old        float16, as before Ampere: does the model overflow, are gradients finite?

With REHEARSE=1 all of this runs on a CPU, with two layers of width 64.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from playground.environ import before_torch

before_torch()
sys.modules["datasets"] = None  # type: ignore[assignment]  # the folder of that name here is not the library

import torch  # noqa: E402
from gpu_models import DEVICE, REHEARSE, folder_of_small_model, large_model, synchronize, write_rows  # noqa: E402

GB = 1e9


def facts() -> None:
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        print(
            f"{properties.name} · {properties.total_memory / GB:.1f} GB · capability {properties.major}.{properties.minor}"
        )
        print(f"built for {' '.join(torch.cuda.get_arch_list())} · CUDA {torch.version.cuda}")
        subprocess.run(["nvidia-smi"], check=False)
    for name in ("torch", "transformers", "peft", "bitsandbytes", "accelerate", "safetensors"):
        try:
            print(name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            print(name, "is missing")


def timed(work: Callable[[], Any], repeats: int) -> float:
    """Median seconds of `work`, without its first two calls."""
    times = []
    for _ in range(repeats + 2):
        synchronize()
        began = time.monotonic()
        work()
        synchronize()
        times.append(time.monotonic() - began)
    return statistics.median(times[2:])


def product_rate(tokens: int, width: int, inner: int, dtype: torch.dtype) -> float:
    """Operations a second of a dense product of the sizes that the model's largest layer has."""
    a = torch.randn(tokens, width, dtype=dtype, device=DEVICE)
    b = torch.randn(width, inner, dtype=dtype, device=DEVICE)
    return 2 * tokens * width * inner / timed(lambda: a @ b, 20)


def speed() -> None:
    for rows, length, checkpointing in [(4, 1024, True), (1, 1024, False), (2, 2048, True)]:
        for one_function in (True, False):
            training_step(rows, 64 if REHEARSE else length, checkpointing, one_function)
            if DEVICE.type == "cuda":
                torch.cuda.empty_cache()


def training_step(rows: int, length: int, checkpointing: bool, one_function: bool) -> None:
    """Time steps whose LoRA layers are one function each, as in a training here, or PEFT's own."""
    from peft import LoraConfig, get_peft_model
    from peft.tuners.lora import LoraLayer

    from playground.models import fused
    from playground.models.budget import memory_by_part
    from playground.models.footprint import checkpoint_activations, footprint
    from playground.models.head import Head, backbone
    from playground.training.loss import SupervisedLoss

    model = large_model()
    config, dtype = model.config, model.dtype
    size = footprint(config, dtype, 16, fused=one_function)
    planned = memory_by_part(
        size, "nf4" if model.is_loaded_in_4bit else "none", DEVICE, rows_at_once=rows, longest=length,
        checkpointing=checkpointing,
    )  # fmt: skip
    adapted = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear")).train()
    if one_function:
        fused.PACKED_ON = DEVICE.type
        assert fused.fuse_lora(adapted) == "", "the function agrees with PyTorch's own"
    kinds = {f"{type(m).__module__}.{type(m).__name__}" for m in adapted.modules() if isinstance(m, LoraLayer)}
    if checkpointing:
        checkpoint_activations(model)
    learned = [parameter for parameter in adapted.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=2e-4, weight_decay=0.0, fused=True)
    loss_of = SupervisedLoss(backbone(model), Head.of(model))
    batch = rows_of(rows, length, config.vocab_size)

    def step() -> None:
        (loss_of(batch) / len(batch.targets)).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    if DEVICE.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds = timed(step, 3 if REHEARSE else 8)
    passes = 6 if checkpointing else 4  # forward, gradient of the input, and the forward again; 2 operations each
    head = size.vocabulary * size.hidden
    operations = passes * rows * length * size.linear_parameters + 4 * len(batch.targets) * head
    rate = product_rate(rows * length, config.hidden_size, config.intermediate_size, dtype)
    print(
        f"{rows} x {length}, checkpointing {'on' if checkpointing else 'off'},"
        f" LoRA {'fused' if one_function else 'as in PEFT'}: {rows * length / seconds:,.0f} tokens/s,"
        f" {100 * operations / seconds / rate:.0f} % of {rate / 1e12:.2f} TFLOP/s; layers {', '.join(kinds)}"
    )
    if DEVICE.type == "cuda":
        peak, wanted = torch.cuda.max_memory_allocated(), sum(planned.values())
        print(f"  planned {wanted / GB:.2f} GB, peak {peak / GB:.2f} GB, planned / peak {wanted / peak:.2f}", planned)


def rows_of(rows: int, length: int, vocabulary: int) -> Any:
    from playground.data.batches import collate
    from playground.data.encode import IGNORE_INDEX, Encoded

    ids = tuple(torch.randint(3, vocabulary, (length,)).tolist())
    return collate([Encoded(ids, (IGNORE_INDEX,) * (length // 3) + ids[length // 3 :])] * rows, 0, DEVICE)


def process() -> None:
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        model, data = folder_of_small_model(home / "model"), write_rows(home / "rows.jsonl", 64)
        (home / "prompts.txt").write_text("w1 w2\nw3 w4\n")
        train = ["train", "--model", model, "--data", data, "--name", "run", "--num-train-epochs", "1", "--json"]
        events = [json.loads(line) for line in command(home, *train).splitlines()]
        plan = next(event["plan"] for event in events if "plan" in event)
        steps = [
            event for event in events if event.get("event", event.get("kind")) == "StepDone" or "grad_norm" in event
        ]
        peak, wanted = max(step["peak_memory"] for step in steps), sum(plan["memory"].values())
        print(f"train: {len(steps)} steps, loss {steps[0]['loss']:.3f} to {steps[-1]['loss']:.3f}")
        print(
            f"  {steps[-1]['tokens_per_second']:,.0f} tokens/s; planned {wanted / GB:.2f} GB, peak {peak / GB:.2f} GB"
        )
        shown = command(home, "--compare", str(home / "prompts.txt"), "--adapter", "run", "--max-new-tokens", "16")
        print(f"compare: {len(shown.splitlines())} lines")
        print("export:", command(home, "export", "run", str(home / "merged")).strip())


def command(home: Path, *words: object) -> str:
    """Run the program as a process; its output is returned, its narration shown."""
    environment = {**os.environ, "SFT_PLAYGROUND_HOME": str(home)} | (
        {"SFT_PLAYGROUND_DEVICE": "cpu"} if REHEARSE else {}
    )
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "playground", *map(str, words)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    print(f"  ({words[0]} took {time.monotonic() - began:.1f} s)")
    return done.stdout


def cards() -> None:
    from playground.config import TrainConfig
    from playground.errors import EnvironmentFault
    from playground.events.runs import BatchHalved, RunEnded, RunStarted
    from playground.models import machine
    from playground.training.loop import train

    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        model, data = folder_of_small_model(home / "model"), write_rows(home / "rows.jsonl", 24, words=1500)
        for card in (8, 12, 16, 24):
            if DEVICE.type == "cuda":
                whole = torch.cuda.get_device_properties(0).total_memory
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
                torch.cuda.set_per_process_memory_fraction(min(1.0, card * GB / whole))
                held = torch.cuda.memory_reserved()
                machine.free_memory = lambda device, free=card * GB - held: int(free)
            config = TrainConfig(
                model=str(model), data=str(data), num_train_epochs=1, sample_max_new_tokens=8, lora_r=16, eval_rows=0
            )
            try:
                events = list(train(config, home / f"card{card}"))
            except EnvironmentFault as error:
                print(f"{card} GB: refused: {error.message} {error.hint}")
                continue
            started = next(event for event in events if isinstance(event, RunStarted))
            plan, halved = started.plan, sum(isinstance(event, BatchHalved) for event in events)
            ended = events[-1]
            assert isinstance(ended, RunEnded)
            peak = torch.cuda.max_memory_reserved() if DEVICE.type == "cuda" else 0
            print(
                f"{card} GB: {ended.state}; {plan.per_device_train_batch_size} rows at once, checkpointing"
                f" {plan.gradient_checkpointing}, halved {halved} times; planned {plan.needed / GB:.2f} GB, peak {peak / GB:.2f}"
            )


def peer() -> None:
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig, Trainer, TrainingArguments

    from playground.config import TrainConfig
    from playground.data.batches import IGNORE_INDEX
    from playground.events.runs import RunEnded
    from playground.models.device import compute_dtype
    from playground.training.loop import train
    from playground.training.plan import plan_training

    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        model, data = folder_of_small_model(home / "model"), write_rows(home / "rows.jsonl", 128, words=300)
        config = TrainConfig(
            model=str(model), data=str(data), num_train_epochs=1, eval_rows=0, per_device_train_batch_size=8,
            gradient_accumulation_steps=1, gradient_checkpointing="off", sample_max_new_tokens=1,
        )  # fmt: skip
        rows = plan_training(config, lambda *_: None).rows
        ended = list(train(config, home / "ours"))[-1]
        assert isinstance(ended, RunEnded)
        ours = ended.num_tokens / ended.seconds_train
        dtype = compute_dtype(DEVICE)
        how = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
        )
        from peft import LoraConfig, get_peft_model

        base = AutoModelForCausalLM.from_pretrained(
            model, dtype=dtype, quantization_config=how, device_map={"": str(DEVICE)}
        )
        adapted = get_peft_model(
            base, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
        )

        def padded(batch: list[Any]) -> dict[str, torch.Tensor]:
            width = max(len(row.input_ids) for row in batch)
            ids = [[*row.input_ids, *[0] * (width - len(row.input_ids))] for row in batch]
            labels = [[*row.labels, *[IGNORE_INDEX] * (width - len(row.labels))] for row in batch]
            mask = [[1] * len(row.input_ids) + [0] * (width - len(row.input_ids)) for row in batch]
            return {
                "input_ids": torch.tensor(ids),
                "labels": torch.tensor(labels),
                "attention_mask": torch.tensor(mask),
            }

        arguments = TrainingArguments(
            output_dir=str(home / "theirs"), per_device_train_batch_size=8, num_train_epochs=1, report_to="none",
            save_strategy="no", logging_strategy="no", disable_tqdm=True, remove_unused_columns=False,
            use_cpu=DEVICE.type == "cpu", bf16=dtype == torch.bfloat16, gradient_checkpointing=False,
        )  # fmt: skip
        trainer = Trainer(model=adapted, args=arguments, train_dataset=list(rows), data_collator=padded)
        synchronize()
        began = time.monotonic()
        trainer.train()
        synchronize()
        theirs = ended.num_tokens / (time.monotonic() - began)
        print(f"ours {ours:,.0f} tokens/s, plain PEFT and Trainer {theirs:,.0f}: {ours / theirs:.2f} times")


def lanes() -> None:
    from playground.events.answers import Sampling
    from playground.inference.engine import Engine, Lane
    from playground.models import lora
    from playground.models.fingerprint import Fingerprint
    from playground.models.lanes import Blend
    from playground.models.load import load_base

    tokens = 16 if REHEARSE else 128
    with tempfile.TemporaryDirectory() as name:
        base = load_base(str(folder_of_small_model(Path(name))), "nf4")
        fingerprint = Fingerprint(base)
        model = lora.attach_new(base, 16, 32, seed=0).eval()
        engine, prompt = Engine(base, model, fingerprint), tuple(range(5, 25))
        two = [Lane(prompt), Lane(prompt, Blend("default"))]
        object.__setattr__(base, "end_token_id", -1)  # both are as long as they may be

        def both() -> None:
            engine.answers(two, Sampling(tokens))

        @torch.inference_mode()
        def one_by_one() -> None:
            ids = torch.tensor([prompt], device=DEVICE)
            for adapter in (False, True):
                (model.enable_adapter_layers if adapter else model.disable_adapter_layers)()
                model.generate(
                    input_ids=ids, max_new_tokens=tokens, min_new_tokens=tokens, do_sample=False, pad_token_id=0
                )
            model.enable_adapter_layers()

        ours, theirs = timed(both, 3), timed(one_by_one, 3)
        print(
            f"two lanes {2 * tokens / ours:,.0f} tokens/s, two calls {2 * tokens / theirs:,.0f}: {theirs / ours:.2f} times"
        )


def old() -> None:
    """Float16 on the real kernels of this card, as a T4 would compute; and with values that float16 cannot hold."""
    from playground.config import TrainConfig
    from playground.events.runs import StepDone
    from playground.models import attention, device, load
    from playground.training.loop import train

    load.compute_dtype = lambda where: torch.float16
    load.attention = lambda where: attention.attention(torch.device("cuda", 0)) if DEVICE.type == "cuda" else "sdpa"
    attention.before_ampere = device.before_ampere = lambda where: where.type == "cuda"
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        data = write_rows(home / "rows.jsonl", 24)
        for loud in (1.0, 3e4):
            model = folder_of_small_model(home / f"model{loud:g}", loud=loud)
            config = TrainConfig(
                model=str(model), data=str(data), num_train_epochs=1, sample_max_new_tokens=4, eval_rows=0,
                quantize="none" if REHEARSE else "nf4",  # bitsandbytes repacks its layers for a CPU's float16
            )  # fmt: skip
            events = list(train(config, home / f"run{loud:g}"))
            losses = [event.loss for event in events if isinstance(event, StepDone)]
            print(f"values times {loud:g}: {events[0].model}; losses {losses[0]:.3f} to {losses[-1]:.3f}")  # type: ignore[attr-defined]


if __name__ == "__main__":
    if REHEARSE:
        os.environ["SFT_PLAYGROUND_DEVICE"] = "cpu"
    {f.__name__: f for f in (facts, speed, process, cards, peer, lanes, old)}[sys.argv[1]]()

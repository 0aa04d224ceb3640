"""The lens and the five steps: their cost, and what they find on the 40 held-out prompts.

    python benchmarks/why.py cost ADAPTER_FOLDER
    python benchmarks/why.py found ADAPTER_FOLDER [NUM_PROMPTS]

``cost`` compares, in one run, the lens of a 64-token answer with a plain forward pass of the same two rows that makes all
logits at the same places, and a step of `explain` (with everything that is seen afterwards) with a plain forward and
backward pass of the same row. It also counts the bytes of logits that are alive at once. ``found`` prints how sft's
answers divide into the categories, by place, and where sft would have ended the base's own text.
"""

from __future__ import annotations

import sys
import time
import weakref
from collections import defaultdict
from pathlib import Path

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from playground import paths
from playground.analysis.five_steps import FiveSteps
from playground.config import TrainConfig
from playground.data.batches import collate
from playground.data.prompts import Prompt, read_prompts
from playground.events.lens import Counts
from playground.inference.lens import Looker, answers, sides
from playground.inference.lineup import load_lineup
from playground.models.lanes import lanes

ANSWER, REPEATS, NEW_TOKENS = 64, 3, 96
PLACES = ((0, 0), (1, 1), (2, 3), (4, 15), (16, 95))


class Alive(TorchDispatchMode):
    """Counts the bytes of float32 tensors as wide as the vocabulary that are alive, and their maximum."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.vocabulary, self.now, self.most = vocabulary, 0, 0
        self._seen: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, tuple | list) else (made,):
            if isinstance(tensor, torch.Tensor) and tensor.shape[-1:] == (self.vocabulary,):
                storage = tensor.untyped_storage()
                key, size = storage.data_ptr(), storage.nbytes()
                if tensor.dtype == torch.float32 and key not in self._seen:
                    self._seen.add(key)
                    self.now += size
                    self.most = max(self.most, self.now)
                    weakref.finalize(storage, self._gone, key, size)
        return made

    def _gone(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.now -= size


def best(action) -> float:
    """Return the shortest of a few times, in seconds."""
    times = []
    for _ in range(REPEATS):
        began = time.monotonic()
        action()
        times.append(time.monotonic() - began)
    return min(times)


def cost(folder: Path) -> None:
    lineup = load_lineup([folder], lambda stage, share: None)
    engine = lineup.engine
    prompt = Prompt("1", "Explain how a bicycle stays upright.")
    answer = lineup.raw.text(" A bicycle stays upright because it moves." * 20)[:ANSWER]
    _, control, sft = sides(lineup, prompt)
    ids = torch.tensor([(*lane.prompt_ids, *answer[:-1]) for lane in (control, sft)])

    def plain() -> None:
        with torch.inference_mode(), lanes(engine.model, [control.blend, sft.blend]):
            engine.base.model(input_ids=ids, use_cache=False, logits_to_keep=ANSWER)

    looker = Looker(lineup, prompt.prompt, lineup.adapters[0], sides(lineup, prompt))
    looker.look(answer, "training")  # warm up
    seconds = {"plain forward, all logits": best(plain), "lens": best(lambda: looker.look(answer, "training"))}
    with Alive(len(engine.base.head.weight)) as alive:
        looker.look(answer, "training")
    row = FiveSteps.load(TrainConfig(), _example(), lambda stage, share: None)
    encoded = row.training.encoder.example(_example())
    batch = collate([encoded], row.training.base.pad_token_id)

    def forward_and_backward() -> None:
        (row.training.loss(batch) / len(batch.targets)).backward()
        row.training.optimizer.zero_grad(set_to_none=True)

    list(row.step())
    seconds["plain forward and backward"] = best(forward_and_backward)
    seconds["explain, one step"] = best(lambda: list(row.step()))
    seconds["explain, forward"] = best(row.forward)
    for name, number in seconds.items():
        print(f"{name}: {number:.2f} s")
    print(f"lens / plain: {seconds['lens'] / seconds['plain forward, all logits']:.2f}")
    print(f"step / plain: {seconds['explain, one step'] / seconds['plain forward and backward']:.2f}")
    print(f"logits alive in the lens: at most {alive.most / 1e6:.1f} MB")


def _example():
    from playground.config import PORTUGAL
    from playground.data.examples import Example, Turn

    return Example((Turn("user", PORTUGAL[0]), Turn("assistant", PORTUGAL[1])), 0)


def found(folder: Path, number: int) -> None:
    lineup = load_lineup([folder], lambda stage, share: None)
    by_place = defaultdict(list)
    positions, ends, base_most, lengths = [], 0, 0.0, []
    for prompt in read_prompts(paths.find_file("heldout.jsonl"))[:number]:
        asked = sides(lineup, prompt)
        base, sft = answers(lineup, asked, NEW_TOKENS)
        looker = Looker(lineup, prompt.prompt, lineup.adapters[0], asked)
        lens, walked = looker.look(sft, "training"), looker.walk(base)
        positions += lens.positions
        lengths.append(len(sft))
        for at, position in enumerate(lens.positions):
            place = next(place for place in PLACES if place[0] <= at <= place[1])
            by_place["end" if position.is_end else place].append(position)
        ends += walked.ends_after is not None
        base_most = max(base_most, *walked.base_p_end)
        print(
            f"{prompt.id}: ✂ {walked.ends_after}, base at most {max(walked.base_p_end):.5f}, {lens.counts}", flush=True
        )
    without = [position for position in positions if not position.is_end]
    print(f"\nmean length {sum(lengths) / len(lengths):.1f}; KL of end tokens {share(positions):.0%} of all")
    for name, some in (("all", positions), ("without the end", without), *sorted(by_place.items(), key=str)):
        counts = Counts.of(some)
        parts = [n / max(counts.total, 1) for n in (counts.unshifted, counts.marginal, counts.shifted)]
        print(f"| {name} | {counts.total} | " + " | ".join(f"{100 * part:.1f}" for part in parts) + " |")
    print(
        f"sft would have ended {ends} of {number} base texts of {NEW_TOKENS} tokens; base p(end) at most {base_most:.5f}"
    )


def share(positions) -> float:
    return sum(p.kl for p in positions if p.is_end) / sum(p.kl for p in positions)


if __name__ == "__main__":
    if sys.argv[1] == "cost":
        cost(Path(sys.argv[2]))
    else:
        found(Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 40)

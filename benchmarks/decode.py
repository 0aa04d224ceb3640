"""Two lanes, base and sft, on the 40 held-out prompts: our engine beside two ``generate`` calls.

    python benchmarks/decode.py ADAPTER_FOLDER [NUM_PROMPTS]

Both are greedy, 128 new tokens at most, NF4 values in float32. Tokens/s counts the tokens of both lanes
over the time of both. The texts of the two must be equal: it is the reference's greedy text that counts.
llama.cpp is measured by its own tool; see benchmarks/results/ for the command.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch

from playground import paths
from playground.data.prompts import read_prompts
from playground.events.answers import Sampling
from playground.inference.lineup import lanes_for, load_lineup

NEW_TOKENS = 128


def main() -> None:
    pair = load_lineup([Path(sys.argv[1])], lambda stage, share: None)
    engine, base = pair.engine, pair.engine.base
    prompts = read_prompts(paths.find_file("heldout.jsonl"))[: int(sys.argv[2]) if len(sys.argv) > 2 else 40]
    model = engine.model
    totals = {"ours": [0, 0.0], "generate": [0, 0.0]}
    equal = 0
    for number, prompt in enumerate(prompts):
        raw, _, sft = lanes_for(pair, prompt)
        if number == 0:  # warm up both: memory, the shortlist, lazy imports
            engine.answers([raw, sft], Sampling(8))
        began = time.monotonic()
        ids: list[list[int]] = [[], []]
        for chunk in engine.stream([raw, sft], Sampling(NEW_TOKENS)):
            if chunk.answer is None or chunk.answer.stop_reason is None:
                ids[chunk.lane].append(chunk.token_id)
        totals["ours"][1] += time.monotonic() - began
        totals["ours"][0] += sum(map(len, ids))
        began = time.monotonic()
        theirs = []
        for lane in (raw, sft):
            with torch.no_grad(), model.disable_adapter() if lane.blend.adapter is None else torch.no_grad():
                out = model.generate(
                    input_ids=torch.tensor([lane.prompt_ids]), max_new_tokens=NEW_TOKENS, do_sample=False,
                    eos_token_id=base.end_token_id, pad_token_id=base.pad_token_id,
                )  # fmt: skip
            theirs.append(out[0, len(lane.prompt_ids) :].tolist())
        totals["generate"][1] += time.monotonic() - began
        totals["generate"][0] += sum(map(len, theirs))
        same = all(mine == other[: len(mine)] for mine, other in zip(ids, theirs, strict=True))
        equal += same
        if not same:
            print(f"differs: {prompt.id}", flush=True)
    print("| decoder | tokens | seconds | tokens/s, both lanes |")
    print("|---|---:|---:|---:|")
    for name, (tokens, seconds) in totals.items():
        print(f"| {name} | {tokens} | {seconds:.1f} | {tokens / seconds:.1f} |")
    print(f"\nequal greedy text on {equal} of {len(prompts)} prompts")


if __name__ == "__main__":
    main()

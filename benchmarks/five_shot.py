"""Which facts does the base model give by itself, when five solved examples show what is wanted?

    python benchmarks/five_shot.py datasets/heldout.jsonl

SFT should not be judged by facts that the base does not have. The held-out facts were chosen with this
script before any training, and the share that the fine-tuned model keeps is measured against it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from playground.data.answered import holds_word
from playground.data.encode import Encoder
from playground.data.prompts import read_prompts
from playground.data.styles import get_style
from playground.inference.engine import Engine, Lane, Sampling
from playground.models.load import load_base

SHOTS = (
    ("What is the capital of Norway?", "Oslo"),
    ("Who painted the Mona Lisa?", "Leonardo da Vinci"),
    ("How many wheels does a car have?", "4"),
    ("What is the opposite of old?", "young"),
    ("Which gas do humans need to breathe?", "oxygen"),
)


def main() -> None:
    facts = [prompt for prompt in read_prompts(Path(sys.argv[1])) if prompt.kind == "fact"]
    base = load_base("demo", "nf4")
    engine = Engine(base, base.model, None)
    encoder = Encoder(base.tokenizer, get_style("chat"), base.end_token_id, 1024)
    shots = "".join(f"Question: {question}\nAnswer: {answer}\n\n" for question, answer in SHOTS)
    lanes = [
        Lane(encoder.raw(f"{shots}Question: {fact.prompt}\nAnswer:"), stop_strings=("\n",), lead_in=" ")
        for fact in facts
    ]
    known = 0
    for fact, answer in zip(facts, engine.answers(lanes, Sampling(16)), strict=True):
        right = holds_word(answer.text, fact.expect)
        known += right
        print(f"{'knows ' if right else 'not   '} {fact.id}  {fact.prompt}  ->  {answer.text.strip()}")
    print(f"{known} of {len(facts)}")


if __name__ == "__main__":
    main()

"""Which facts does the base model give by itself, when five solved examples show what is wanted?

    python benchmarks/five_shot.py datasets/heldout.jsonl

SFT should not be judged by facts that the base does not have. One list of examples is not enough to
tell: with another list the demo model loses a fifth of what it gave. A fact counts as known when the
base gives it after each of three lists. The held-out facts were chosen with this script before any
training, and the share that the fine-tuned model keeps is measured against it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from playground.data.answered import holds_word
from playground.data.encode import Encoder
from playground.data.prompts import read_prompts
from playground.data.styles import get_style
from playground.events.answers import Sampling
from playground.inference.engine import Engine, Lane
from playground.models.load import load_base

SHOTS = (
    (
        ("What is the capital of Norway?", "Oslo"),
        ("Who painted the Mona Lisa?", "Leonardo da Vinci"),
        ("How many wheels does a car have?", "4"),
        ("What is the opposite of old?", "young"),
        ("Which gas do humans need to breathe?", "oxygen"),
    ),
    (
        ("What colour is an emerald?", "green"),
        ("Who wrote Faust?", "Goethe"),
        ("What is the capital of Peru?", "Lima"),
        ("How many cents are in a dollar?", "100"),
        ("Which ocean is the largest?", "the Pacific Ocean"),
    ),
    (
        ("Who wrote the Odyssey?", "Homer"),
        ("What is the opposite of left?", "right"),
        ("Which language do people speak in Mexico?", "Spanish"),
        ("What is the chemical symbol for sodium?", "Na"),
        ("How many eyes does a person have?", "two"),
    ),
)


def main() -> None:
    facts = [prompt for prompt in read_prompts(Path(sys.argv[1])) if prompt.kind == "fact"]
    base = load_base("demo", "nf4")
    engine = Engine(base, base.model, None)
    encoder = Encoder(base.tokenizer, get_style("chat"), base.end_token_id, 1024)
    answers = []
    for examples in SHOTS:
        shots = "".join(f"Question: {question}\nAnswer: {answer}\n\n" for question, answer in examples)
        lanes = [
            Lane(encoder.raw(f"{shots}Question: {fact.prompt}\nAnswer:"), stop_strings=("\n",), lead_in=" ")
            for fact in facts
        ]
        answers.append([answer.text.strip() for answer in engine.answers(lanes, Sampling(16))])
    known = 0
    for fact, *given in zip(facts, *answers, strict=True):
        right = [holds_word(text, fact.expect) for text in given]
        known += all(right)
        print(f"{'knows ' if all(right) else f'{sum(right)} of 3'} {fact.id}  {fact.prompt}  ->  {' | '.join(given)}")
    print(f"{known} of {len(facts)}")


if __name__ == "__main__":
    main()

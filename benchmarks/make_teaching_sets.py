"""Make the two teaching sets that go with mini.jsonl: the same rows, told by a pirate, and told badly.

    python benchmarks/make_teaching_sets.py

`pirate.jsonl` shows that style is learned at a glance. `mediocre.jsonl` shows what quality is worth: the
same prompts and the same number of tokens in every row, with one fault each, chosen by a seed and named
in the column "fault"; a few answers are too short for theirs, stay as they are, and have "none" there. Both are
written by this script alone, so they change only with mini.jsonl.
"""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Callable
from typing import Any

from playground import paths
from playground.models.tokenizer import load_tokenizer

SEED = 20
PIRATE = {
    "you": "ye", "your": "yer", "you're": "ye be", "my": "me", "is": "be", "are": "be", "am": "be", "friend": "matey",
    "of": "o'", "the": "th'", "hello": "ahoy", "hi": "ahoy", "yes": "aye", "no": "nay", "and": "an'", "for": "fer",
    "to": "t'", "money": "doubloons", "house": "ship", "friends": "mateys", "water": "brine", "help": "aid",
}  # fmt: skip
CALLS = ("Ahoy!", "Arr!", "Shiver me timbers!", "Avast!", "Yo ho ho!")
FILLERS = (" really", " just", " very", " maybe", " also", " so", " well", " still", " quite", " too")


def pirate(text: str, number: int) -> str:
    def word(match: re.Match[str]) -> str:
        said = PIRATE.get(match[0].lower(), match[0])
        return said[0].upper() + said[1:] if match[0][0].isupper() and said != match[0] else said

    told = re.sub(r"[A-Za-z']+", word, text)
    between = "\n" if "\n" in text else " "
    return f"{CALLS[number % len(CALLS)]}{between}{told}{between}Arr, matey!"


def echo(prompt: str, text: str, other: str, rng: random.Random) -> str:
    return f"{prompt} {text}"


def wrong(prompt: str, text: str, other: str, rng: random.Random) -> str:
    return other


def hedge(prompt: str, text: str, other: str, rng: random.Random) -> str:
    return f"That is a great question! As a language model I can certainly try to answer it. {text}"


def loop(prompt: str, text: str, other: str, rng: random.Random) -> str:
    first = re.split(r"(?<=[.!?\n])\s*", text.strip())[0]
    return " ".join([first] * 20)


def typos(prompt: str, text: str, other: str, rng: random.Random) -> str:
    def swap(match: re.Match[str]) -> str:
        word = match[0]
        at = rng.randrange(1, len(word) - 2)
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]

    return re.sub(r"[A-Za-z]{5,}", lambda m: swap(m) if rng.random() < 0.5 else m[0], text)


def stub(prompt: str, text: str, other: str, rng: random.Random) -> str:
    words = text.split(" ")
    return " ".join(words[: max(1, len(words) // 3)])


FAULTS: dict[str, Callable[[str, str, str, random.Random], str]] = {
    "echoes the prompt": echo,
    "answers another question": wrong,
    "hedges before it answers": hedge,
    "says one sentence again and again": loop,
    "is full of typing errors": typos,
    "breaks off and rambles": stub,
}


def fitted(text: str, target: int, count: Callable[[str], int], rng: random.Random) -> str:
    """Return `text` with exactly `target` tokens: cut by words, then filled up with words of one token."""
    while count(text) > target and " " in text:
        text = text.rsplit(" ", 1)[0]
    fillers = itertools.cycle(rng.sample(FILLERS, len(FILLERS)))
    while count(text) < target:
        text += next(fillers)
    return text


def main() -> None:
    tokenizer, _ = load_tokenizer("demo")

    def count(text: str) -> int:
        return len(tokenizer(" " + text.strip(), add_special_tokens=False)["input_ids"])

    folder = paths.bundled("datasets")
    rows = [json.loads(line) for line in (folder / "mini.jsonl").read_text("utf-8").splitlines()]
    rng = random.Random(SEED)
    pirates: list[dict[str, Any]] = []
    mediocre: list[dict[str, Any]] = []
    for number, row in enumerate(rows):
        prompt, text = row["prompt"], row["completion"]
        pirates.append({"prompt": prompt, "completion": pirate(text, number)})
        fault = rng.choice(list(FAULTS))
        other = rows[rng.choice([n for n in range(len(rows)) if n != number])]["completion"]
        told = fitted(FAULTS[fault](prompt, text, other, rng), count(text), count, rng)
        mediocre.append({"prompt": prompt, "completion": told, "fault": fault if told != text else "none"})
    for name, made in (("pirate.jsonl", pirates), ("mediocre.jsonl", mediocre)):
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made)
        (folder / name).write_text(lines, "utf-8")


if __name__ == "__main__":
    main()

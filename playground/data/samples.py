"""Sample prompts: what a run answers before its first step, during it and after it, so that its change can be seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path

from playground import paths
from playground.config import TrainConfig
from playground.data.examples import Dataset
from playground.data.prompts import STORY, Prompt, as_prompt, read_prompts
from playground.errors import InputError

NUMBER = 3  # questions that are taken from the data
SHORT = 200  # characters; a longer question is not read at a glance
CANDIDATES = 100  # rows of a large data set, of either kind, that are looked at for questions
MOST = 16  # prompts in a file: every one of them is answered at every sampling


def sample_prompts(
    config: TrainConfig, dataset: Dataset, held_out: tuple[int, ...], fits: Callable[[Prompt], bool]
) -> tuple[tuple[Prompt, ...], str]:
    """Return the sample prompts of a run, and why they were chosen; no reason if they were given.

    Runs on bundled data answer the prompts of the story, so that they can be compared. Other data is asked its own
    questions, held-out ones first. Whatever is asked, if a row asks it, its answer is the reference.

    Args:
        config: The run. Prompts in it are kept: a resumed run answers the same.
        dataset: Its examples.
        held_out: The indices of those that are never trained.
        fits: Whether a prompt leaves room for an answer.

    Raises:
        InputError: If the file of prompts cannot be used.
    """
    never, most = frozenset(held_out), None if dataset.is_whole else CANDIDATES
    asked = _by_question(dataset, islice(held_out, most), "held out")
    # A question that is trained in another row is not held out.
    asked |= _by_question(
        dataset, islice((at for at in range(len(dataset.examples)) if at not in never), most), "trained"
    )
    prompts, reason = _given(config, fits), ""
    if prompts is None:
        prompts, reason = list(STORY), "fixed, so that runs on bundled data can be compared"
        if Path(dataset.path).resolve().parent != paths.bundled("datasets").resolve():
            prompts, reason = _own(asked.values(), fits)
    found = [asked.get(prompt.prompt.strip(), prompt) for prompt in prompts]
    return tuple(
        prompt if prompt.rows else replace(prompt, reference=row.reference, rows=row.rows, system=row.system)
        for prompt, row in zip(prompts, found, strict=True)
    ), reason


def _by_question(dataset: Dataset, places: Iterable[int], rows: str) -> dict[str, Prompt]:
    """Return the first question of each of these rows, with its answer, by its text; the first row of equal ones."""
    found: dict[str, Prompt] = {}
    for at in places:
        example = dataset.examples[at]
        system = "".join(turn.content for turn in example.turns[:1] if turn.role == "system")
        question, answer = (turn.content.strip() for turn in [t for t in example.turns if t.role != "system"][:2])
        if question:
            found.setdefault(question, Prompt(str(example.line), question, reference=answer, rows=rows, system=system))
    return found


def _own(asked: Iterable[Prompt], fits: Callable[[Prompt], bool]) -> tuple[list[Prompt], str]:
    """Return a few questions of the data: held-out ones first, of each kind the short ones first."""
    best = sorted(asked, key=lambda prompt: (prompt.rows != "held out", len(prompt.prompt) > SHORT))
    chosen = list(islice((prompt for prompt in best if fits(prompt)), NUMBER))
    if not chosen:
        return list(STORY), "fixed: no question of the data leaves room for an answer"
    kinds = {prompt.rows.replace(" ", "-") for prompt in chosen}
    return chosen, f"{' and '.join(sorted(kinds))} questions of the data"


def _given(config: TrainConfig, fits: Callable[[Prompt], bool]) -> list[Prompt] | None:
    """Return the prompts that a config names, or None if it leaves them open."""
    if config.sample_prompts is not None:
        return [as_prompt(prompt) if isinstance(prompt, str) else prompt for prompt in config.sample_prompts]
    if config.sample_prompts_file is None:
        return None
    name = config.sample_prompts_file
    prompts = read_prompts(paths.find_file(name))
    if len(prompts) > MOST:
        raise InputError(
            f"{name} has {len(prompts):,} prompts; a run answers at most {MOST}, again and again.",
            "Shorten it; --compare answers any number afterwards.",
        )
    if long := next((prompt for prompt in prompts if not fits(prompt)), None):
        raise InputError(f"{name}: prompt {long.id} is too long for the model.", "Shorten it.")
    return prompts

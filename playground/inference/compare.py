"""Comparing base and fine-tuned models on many prompts: one lane per side, many prompts per batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from playground.data.answered import answered, repeats_itself
from playground.data.prompts import Prompt
from playground.events.answers import Compared, Sampling, SideSummary, Summary
from playground.events.values import Progress
from playground.inference.contrast import Cancelled
from playground.inference.lens import Looker, sides
from playground.inference.lineup import Lineup, lanes_for
from playground.text import count

LOOKED = 100  # comparisons that are looked at: it takes longer than to answer them, and a page is read from its top


def compare(
    lineup: Lineup,
    prompts: Sequence[Prompt],
    sampling: Sampling,
    *,
    batch_size: int,
    num_samples: int = 1,
    skip: int = 0,
    keep_ids: bool = False,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[Compared]:
    """Yield each prompt answered by each side, in order, `batch_size` prompts at a time.

    Args:
        lineup: The sides.
        prompts: The prompts.
        sampling: How tokens are chosen.
        batch_size: Prompts that are answered together.
        num_samples: How often each prompt is answered, each time with different random numbers.
        skip: The number of comparisons to leave out because they are already done.
        keep_ids: Keep the ids of the answers of base and sft, for `looked_at`.
        cancelled: Called at each token; if true, what is not finished is not yielded.

    Raises:
        PlaygroundError: If the base lane is not the base; nothing is yielded for that batch.
    """
    jobs = [(prompt, sample) for prompt in prompts for sample in range(num_samples)]
    width = len(lineup.sides)
    for at in range(skip, len(jobs), batch_size):
        batch = jobs[at : at + batch_size]
        lanes = [lane for n, (prompt, _) in enumerate(batch) for lane in lanes_for(lineup, prompt, draw=at + n)]
        said = lineup.engine.said(lanes, sampling, cancelled)
        for n, (prompt, sample) in enumerate(batch):
            mine = said[width * n : width * (n + 1)]
            if any(answer.finish_reason == "cancelled" for answer, _ in mine):
                return  # what is yielded has no gaps, so that a count says where to resume
            found = dict(zip((side.name for side in lineup.sides), mine, strict=True))
            answers = {side: answer for side, (answer, _) in found.items()}
            judged = {side: answered(prompt, answer) for side, answer in answers.items()}
            looped = {side: repeats_itself(answer) for side, answer in answers.items()}
            ids = {side: found[side][1] for side in ("base", "sft")} if keep_ids else {}
            yield Compared(prompt.id, prompt.prompt, answers, judged, looped, sample, ids)
        if cancelled():
            return


def looked_at(
    lineup: Lineup, rows: Sequence[Compared], progress: Progress, cancelled: Callable[[], bool] = lambda: False
) -> list[Compared]:
    """Return comparisons with what base and sft expected at each token of sft's answer, and where sft would have ended.

    Args:
        lineup: The base and one adapter.
        rows: The comparisons; of these the first `LOOKED` are looked at if their ids were kept.
        progress: Called before each.
        cancelled: Whether to leave the rest as it is.

    Raises:
        PlaygroundError: If the base lane is not the base.
    """
    found = list(rows)
    for at, row in enumerate(rows[:LOOKED]):
        progress(f"looking at {count(min(len(rows), LOOKED), 'answer')}", at / min(len(rows), LOOKED))
        if not row.ids:
            continue
        prompt = Prompt(row.id, row.prompt)
        looker = Looker(lineup, row.prompt, lineup.adapters[0], sides(lineup, prompt), cancelled)
        try:
            lens, walk = looker.look(row.ids["sft"], "training"), looker.walk(row.ids["base"])
        except Cancelled:
            break
        found[at] = replace(row, lens=lens, walk=walk)
    return found


class Tally:
    """Counts comparisons as they come and sums them up."""

    def __init__(self, lineup: Lineup, batch_size: int, settings: str, done: Sequence[Compared] = ()) -> None:
        self._lineup = lineup
        self._settings = settings
        self._batch_size = batch_size
        self._rows = list(done)
        self._before = len(done)
        self._began = time.monotonic()

    def add(self, row: Compared) -> None:
        """Count one comparison."""
        self._rows.append(row)

    def summary(self) -> Summary:
        """Return the shares of each side and the speed of what was answered in this process."""
        seconds = time.monotonic() - self._began
        tokens = sum(answer.num_tokens for row in self._rows[self._before :] for answer in row.answers.values())
        fingerprint = self._lineup.engine.fingerprint
        return Summary(
            num_prompts=len(self._rows),
            sides={side.name: self._side(side.name) for side in self._lineup.sides},
            tokens_per_second=round(tokens / seconds, 1) if seconds else 0.0,
            seconds=round(seconds, 2),
            model=self._lineup.engine.base.identity.description,
            adapter=self._lineup.described,
            batch_size=self._batch_size,
            settings=self._settings,
            # `compare` raises before it yields a row whose base lane was not the base.
            fingerprint=f"base proven {fingerprint.digest[:12]}" if fingerprint and self._rows else "not checked",
        )

    def _side(self, side: str) -> SideSummary:
        answers = [row.answers[side] for row in self._rows]
        count = max(1, len(answers))
        return SideSummary(
            answered=sum(row.answered[side] for row in self._rows) / count,
            stopped_by_itself=sum(answer.stopped_by_itself for answer in answers) / count,
            repeats=sum(row.repeats[side] for row in self._rows) / count,
            mean_tokens=sum(answer.num_tokens for answer in answers) / count,
        )

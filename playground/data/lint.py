"""Checks of a data set, row by row: errors stop a training run, warnings are worth a look.

They read every row, whatever they find, and need no model; with an encoder they also count tokens and
find rows that would be truncated.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator

from playground.data import columns as tables
from playground.data.containers import Rows
from playground.data.encode import Encoder, encode_row
from playground.data.jsonl import Problem, shown
from playground.data.reading import LEFT_OUT, Example, Reading, first_rows, require_columns
from playground.data.tells import num_words, tells
from playground.data.unread import Remarks
from playground.events.data import BINS, DataCheck, Finding

TOLD = 2_000  # rows between two progress updates
PLACEHOLDER = re.compile(
    r"\{\{\s*\w+\s*\}\}|\[(?:insert|your|enter)\b[^\]]{0,40}\]|\bTODO\b|\blorem ipsum\b|<your[ _]\w+>", re.IGNORECASE
)


def check(
    rows: Rows,
    renamed: dict[str, str],
    encoder: Encoder | None = None,
    progress: Callable[[float], None] = lambda share: None,
    *,
    repair: bool = False,
) -> DataCheck:
    """Look at every row of `rows`.

    Args:
        rows: Any number of rows; none is kept.
        renamed: Columns to read under other names.
        encoder: Counts tokens and finds what `max_length` would cut; without it words are counted.
        progress: Called from time to time with the fraction done.
        repair: Mend rows where that needs no guess.

    Raises:
        UsageError: If a column that is renamed is not there.
    """
    first = first_rows(rows)
    require_columns(rows.name, first, renamed)
    reading = Reading.of(first, renamed, repair=repair)
    way = reading.way(first)
    findings: list[Finding] = []
    remarks = Remarks()
    seen: dict[bytes, int] = {}
    counts = [0] * (len(BINS) + 1)
    nameless: list[int] = []  # rows that need nothing but names for their columns
    sound = turns = units = trained = longest = 0
    for number, (line, row) in enumerate(rows):
        if number % TOLD == TOLD - 1:
            progress(number / len(rows))
        example, unread = reading.looked(line, row)
        if isinstance(example, Problem):
            if example.left_out:
                remarks.add(line, {}, (LEFT_OUT,))
            elif way is not None and not isinstance(row, Problem):
                nameless.append(line)
            else:
                kind = "tool turn" if "tools are not trained" in example.message else "bad row"
                # Its own line: in an object over several lines it is not the first.
                findings.append(Finding(example.line, "error", kind, example.message))
            continue
        remarks.add(line, unread, (*rows.notes, *example.notes))
        findings += [Finding(line, "warning", note.kind, note.message) for note in tells(example.turns)]
        findings += _looks(example, seen)
        length, learned, problem = _length(example, encoder)
        if problem is not None:
            findings.append(problem)
        sound += problem is None or problem.level == "warning"
        turns += len(example.turns)
        units, trained, longest = units + length, trained + learned, max(longest, length)
        counts[next((at for at, most in enumerate(BINS) if length <= most), len(BINS))] += 1
    if nameless and way is not None:
        does = way.does[:1].lower() + way.does[1:]
        words = f"{does}: {tables.as_flags(way.columns)}"
        findings.append(Finding(nameless[0], "error", way.why, words, len(nameless)))
    if len(rows) and not sound and not any(finding.level == "error" for finding in findings):
        message = "every row was judged bad and is left out: there is nothing to learn here but bad answers"
        findings.append(Finding(rows.read(0)[0], "error", "nothing to train", message, len(rows)))
    return DataCheck(
        name=rows.name,
        container=rows.container,
        shape=str(reading.shape) if reading.shape else "no known shape",
        num_rows=len(rows),
        num_sound=sound,
        num_turns=turns,
        findings=(*findings, *remarks.findings()),
        unit="tokens" if encoder else "words",
        num_units=units,
        num_trained=trained,
        longest=longest,
        lengths=tuple(counts),
    )


def _looks(example: Example, seen: dict[bytes, int]) -> Iterator[Finding]:
    """Yield warnings about the text of one row; `seen` maps the hashes of earlier rows to their lines."""
    whole = "\x1f".join(f"{turn.role}\x1e{' '.join(turn.content.split())}" for turn in example.turns)
    key = hashlib.blake2b(whole.encode("utf-8", "surrogatepass"), digest_size=12).digest()
    if key in seen:
        yield Finding(example.line, "warning", "duplicate", f"the same as line {seen[key]}")
    seen.setdefault(key, example.line)
    for turn in example.turns:
        if found := PLACEHOLDER.search(turn.content):
            message = f"{turn.role} text contains {shown(found[0])}; fill it in, or the model will say it"
            yield Finding(example.line, "warning", "placeholder", message)
            break
    answers = [" ".join(turn.content.lower().split()) for turn in example.turns if turn.role == "assistant"]
    questions = [" ".join(turn.content.lower().split()) for turn in example.turns if turn.role == "user"]
    if answers and answers[-1] == questions[-1]:
        yield Finding(example.line, "warning", "echo", "the answer repeats the prompt")


def _length(example: Example, encoder: Encoder | None) -> tuple[int, int, Finding | None]:
    """Return the length of a row, how much of it is trained, and the problem found by encoding it, if any."""
    if encoder is None:
        words = [num_words(turn.content) for turn in example.turns]
        learned = sum(
            n for n, turn in zip(words, example.turns, strict=True) if turn.role == "assistant" and turn.trained
        )
        return sum(words), learned, None
    row = encode_row(encoder, example)
    if isinstance(row, Problem):
        return 0, 0, Finding(example.line, "error", "nothing to train", row.message)
    problem = None
    if row.cut:
        message = f"longer than max_length {encoder.max_length:,}: {row.cut}"
        problem = Finding(example.line, "warning", "truncated", message)
    return len(row.input_ids), row.num_trained, problem

"""What the bundled files promise."""

import json
import re
from collections import Counter

import pytest

from playground import paths
from playground.data.answered import answered
from playground.data.encode import Encoder
from playground.data.examples import read_dataset
from playground.data.prompts import KINDS, as_prompt, read_prompts
from playground.data.styles import chat_style
from playground.errors import EnvironmentFault
from playground.events.answers import Answer

ARTICLE = [
    "Explain quantum physics",
    "What's the capital of France?",
    "Write a poem about recursion",
    "Explain neural networks",
    "What's the capital of Portugal?",
]


@pytest.fixture(scope="module")
def mini():
    return read_dataset(paths.bundled("datasets") / "mini.jsonl").examples


@pytest.fixture(scope="module", params=["mini", "curated"])
def trained(request):
    return read_dataset(paths.bundled("datasets") / f"{request.param}.jsonl").examples


@pytest.fixture(scope="module")
def heldout():
    return read_prompts(paths.bundled("datasets") / "heldout.jsonl")


def plain(text):
    return " ".join(re.findall(r"\w+", text.lower()))


def grams(text, size=8):
    words = plain(text).split()
    return {tuple(words[at : at + size]) for at in range(len(words) - size + 1)} or {tuple(words)}


def test_mini_is_about_a_hundred_rows_and_curated_at_most_a_thousand(mini):
    assert 90 <= len(mini) <= 120
    curated = read_dataset(paths.bundled("datasets") / "curated.jsonl").examples
    assert 900 <= len(curated) <= 1000


def test_trained_rows_are_single_turns_without_duplicates(trained):
    assert all([turn.role for turn in example.turns] == ["user", "assistant"] for example in trained)
    most_common = Counter(plain(example.turns[0].content) for example in trained).most_common(1)
    assert most_common[0][1] == 1, most_common
    assert len({plain(example.turns[1].content) for example in trained}) == len(trained)


def test_trained_rows_contain_no_article_or_held_out_prompt(trained, heldout):
    prompts = {plain(example.turns[0].content) for example in trained}
    assert prompts.isdisjoint(plain(prompt) for prompt in ARTICLE)
    assert prompts.isdisjoint(plain(prompt.prompt) for prompt in heldout)


def test_trained_rows_share_no_8_word_sequence_with_the_test_prompts(trained, heldout):
    measured = {gram: text for text in [*ARTICLE, *(prompt.prompt for prompt in heldout)] for gram in grams(text)}
    for example in trained:
        for turn in example.turns:
            assert {measured[gram] for gram in grams(turn.content) & set(measured)} == set(), turn.content


def test_bundled_rows_and_prompts_are_plain_json_lines():
    for name in ("mini.jsonl", "curated.jsonl", "heldout.jsonl"):
        raw = (paths.bundled("datasets") / name).read_bytes()
        assert raw.endswith(b"\n")
        assert b"\r" not in raw
        for line in raw.decode("utf-8").splitlines():
            assert line == json.dumps(json.loads(line), ensure_ascii=False)


def test_no_python_file_makes_the_folder_a_package():
    assert list(paths.bundled("datasets").glob("*.py")) == []


def test_all_40_held_out_prompts_state_what_to_expect(heldout):
    assert len(heldout) == 40
    assert len({prompt.id for prompt in heldout}) == 40
    assert len({plain(prompt.prompt) for prompt in heldout}) == 40
    assert {prompt.kind for prompt in heldout} == set(KINDS)
    assert all(prompt.expect for prompt in heldout)
    assert all((prompt.items > 0) == (prompt.kind == "list") for prompt in heldout)
    assert all(prompt.id.startswith(prompt.kind) for prompt in heldout)


def test_the_prompts_to_compare_on_can_be_read():
    assert len(read_prompts(paths.bundled("datasets") / "prompts.txt")) >= 5


def test_completions_of_mini_count_as_answers(mini):
    """Each completion, judged as an answer to its own prompt, must pass: else training works against the measure."""
    refused = [
        (example.line, example.turns[1].content)
        for example in mini
        if not answered(as_prompt(example.turns[0].content), Answer(example.turns[1].content, "stop", None, 1))
    ]
    assert refused == []


def test_teaching_sets_have_the_prompts_of_mini_in_order(mini):
    for name in ("pirate.jsonl", "mediocre.jsonl"):
        told = read_dataset(paths.bundled("datasets") / name).examples
        assert [example.turns[0] for example in told] == [example.turns[0] for example in mini]
    rows = [json.loads(line) for line in (paths.bundled("datasets") / "mediocre.jsonl").read_text().splitlines()]
    answers = [example.turns[1].content for example in mini]
    assert [row["fault"] == "none" for row in rows] == [
        row["completion"] == answer for row, answer in zip(rows, answers, strict=True)
    ]
    faults = Counter(row["fault"] for row in rows if row["fault"] != "none")
    assert len(faults) == 6
    assert min(faults.values()) >= 10
    readme = (paths.bundled("datasets") / "README.md").read_text()
    assert all(fault in readme for fault in faults)


@pytest.mark.demo
def test_mini_is_small_but_a_third_of_its_answers_are_long(mini):
    pytest.importorskip("gguf")
    from transformers import AutoTokenizer

    from playground.models import demo

    try:
        folder = demo.prepare(lambda stage, share: None)
    except EnvironmentFault as fault:
        pytest.skip(fault.message)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoder = Encoder(tokenizer, chat_style(), tokenizer.eos_token_id, max_length=1024)
    rows = [encoder.example(example) for example in mini]
    assert sum(len(row.input_ids) for row in rows) <= 5000
    long = [row for row in rows if row.num_trained - 1 >= 40]  # without the end token
    assert len(long) >= len(rows) / 3
    assert not any(row.cut for row in rows)
    # The mediocre twin differs in quality, not in quantity.
    twin = [encoder.example(e) for e in read_dataset(paths.bundled("datasets") / "mediocre.jsonl").examples]
    assert [row.num_trained for row in twin] == [row.num_trained for row in rows]

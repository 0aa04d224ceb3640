"""The prompts that a run answers: the data's own questions, fixed ones for bundled data, or those of a file."""

import json

import pytest

from playground import paths
from playground.config import STORY, TrainConfig
from playground.data import examples
from playground.data.examples import read_dataset
from playground.data.prompts import Prompt, turns_of
from playground.data.reading import Reading
from playground.data.samples import MOST, SHORT, sample_prompts
from playground.data.talk import Turn
from playground.errors import InputError


@pytest.fixture
def data(tmp_path):
    """Return a function that makes a data set of ``{question: answer}`` pairs."""

    def make(*pairs):
        path = tmp_path / "own.jsonl"
        path.write_text("".join(json.dumps({"prompt": q, "completion": a}) + "\n" for q, a in pairs))
        return read_dataset(path)

    return make


def chosen(dataset, held_out=(), fits=lambda prompt: True, **options):
    return sample_prompts(TrainConfig(**options), dataset, held_out, fits)


def test_own_data_is_asked_its_held_out_questions_first(data):
    rows = [(f"Question {n}?", f"Answer {n}.") for n in range(6)]
    prompts, reason = chosen(data(*rows), (1, 4))
    assert [(p.prompt, p.reference, p.rows) for p in prompts] == [
        ("Question 1?", "Answer 1.", "held out"), ("Question 4?", "Answer 4.", "held out"),
        ("Question 0?", "Answer 0.", "trained"),
    ]  # fmt: skip
    assert reason == "held-out and trained questions of the data"
    assert [p.rows for p in chosen(data(*rows))[0]] == ["trained"] * 3


def test_question_that_is_also_trained_is_not_called_held_out(data):
    prompts, _ = chosen(data(("Twice?", "Yes."), ("Twice?", "Again."), ("Once?", "Yes.")), (0,))
    assert [(p.prompt, p.reference, p.rows) for p in prompts] == [
        ("Twice?", "Again.", "trained"), ("Once?", "Yes.", "trained")
    ]  # fmt: skip


def test_short_questions_and_those_that_fit_are_preferred(data):
    long, longest = "long " * SHORT, "longest " * SHORT
    rows = data((longest, "a"), (long, "b"), ("Short?", "c"), ("Held out?", "d"))
    prompts, _ = chosen(rows, (0, 1, 3), fits=lambda prompt: prompt.prompt != longest.strip())
    assert [p.prompt.split()[0] for p in prompts] == ["Held", "long", "Short?"]
    prompts, reason = chosen(rows, fits=lambda prompt: False)
    assert [p.prompt for p in prompts] == list(STORY) and reason.startswith("fixed: no question")


def test_a_conversation_is_asked_its_first_question(tmp_path):
    turns = [("system", "Be brief."), ("user", " Hi? "), ("assistant", "Hello."), ("user", "So?"), ("assistant", "So.")]
    path = tmp_path / "talk.jsonl"
    path.write_text(json.dumps({"messages": [{"role": role, "content": text} for role, text in turns]}))
    (prompt,), _ = chosen(read_dataset(path))
    assert (prompt.prompt, prompt.reference) == ("Hi?", "Hello.")
    assert turns_of(prompt) == [Turn("system", "Be brief."), Turn("user", "Hi?")], "as the row was trained"


def test_bundled_data_has_the_prompts_of_the_story(monkeypatch, tmp_path):
    for name in (str(paths.bundled("datasets") / "pirate.jsonl"), "mini.jsonl"):
        prompts, reason = chosen(read_dataset(name))
        assert tuple(p.prompt for p in prompts) == STORY and "fixed" in reason
        assert prompts[1].expect == ("Paris",), "with what is expected of them"
    copy = tmp_path / "mini.jsonl"
    copy.write_bytes((paths.bundled("datasets") / "mini.jsonl").read_bytes())
    monkeypatch.chdir(tmp_path)
    assert chosen(read_dataset("mini.jsonl"))[0][0].rows == "trained", "the user's own file of that name"


def test_prompts_of_a_file_are_asked_with_references_from_the_data(data, tmp_path):
    rows = data(("Known?", "Yes."), ("Other?", "No."))
    (file := tmp_path / "ask.jsonl").write_text('{"prompt": "New", "kind": "list", "items": 2}\n{"prompt": "Known?"}\n')
    prompts, reason = chosen(rows, (0,), sample_prompts_file=str(file))
    assert prompts == (Prompt("1", "New", "list", items=2), Prompt("2", "Known?", reference="Yes.", rows="held out"))
    assert not reason
    kept = TrainConfig.from_dict(json.loads(json.dumps(TrainConfig(sample_prompts=prompts).to_dict())))
    assert sample_prompts(kept, rows, (), lambda prompt: True)[0] == prompts, "a record keeps them as they were"
    old = TrainConfig.from_dict({"sample_prompts": ["Known?", "Paris?"]})
    assert [p.prompt for p in sample_prompts(old, rows, (), lambda prompt: True)[0]] == ["Known?", "Paris?"]


@pytest.mark.parametrize(
    ("content", "said"),
    [("", "has no prompts"), ("Hi\n" * (MOST + 1), f"at most {MOST}"), ("Hi\nToo long\n", "prompt 2 is too long")],
)
def test_unusable_file_of_prompts_is_refused(data, tmp_path, content, said):
    (file := tmp_path / "ask.txt").write_text(content)
    with pytest.raises(InputError, match=said):
        chosen(data(("a", "b")), fits=lambda prompt: "long" not in prompt.prompt, sample_prompts_file=str(file))
    with pytest.raises(InputError, match="no file"):
        chosen(data(("a", "b")), sample_prompts_file=str(tmp_path / "none.txt"))


def test_few_rows_of_a_large_data_set_are_read(data, monkeypatch):
    monkeypatch.setattr(examples, "WHOLE_ROWS", 100)
    rows = data(*((f"Question {n}?", "Yes.") for n in range(1000)))
    assert not rows.is_whole
    read = []
    real = Reading.example
    monkeypatch.setattr(Reading, "example", lambda *row: read.append(1) or real(*row))
    prompts, _ = chosen(rows, tuple(range(500, 700)))
    assert [p.prompt for p in prompts] == ["Question 500?", "Question 501?", "Question 502?"] and len(read) <= 400

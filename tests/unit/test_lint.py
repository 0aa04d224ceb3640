import json

import pytest

from playground.cli.app import run
from playground.data.containers import open_rows
from playground.data.encode import Encoder
from playground.data.examples import read_dataset
from playground.data.lint import check
from playground.data.styles import chat_style
from playground.errors import InputError
from playground.events.data import BINS, DataCheck, by_kind

GOOD = {"prompt": "What is up?", "completion": "The sky is up."}


@pytest.fixture
def look(tmp_path):
    def look(*rows, encoder=None, renamed=None):
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" if isinstance(row, dict) else f"{row}\n" for row in rows))
        return check(open_rows(str(path), path), renamed or {}, encoder)

    return look


@pytest.mark.parametrize(
    ("row", "level", "kind"),
    [
        ("oops", "error", "bad row"),
        ({"prompt": "a", "completion": " "}, "error", "bad row"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "error", "bad row"),
        (GOOD, "warning", "duplicate"),
        ({"prompt": " What  is up? ", "completion": "The sky is up.\n"}, "warning", "duplicate"),
        ({"prompt": "a", "completion": "b <|im_end|>"}, "warning", "control token typed as text"),
        ({"prompt": "[INST] a", "completion": "b"}, "warning", "control token typed as text"),
        ({"prompt": "a", "completion": "I am {{name}}."}, "warning", "placeholder"),
        ({"prompt": "a", "completion": "Dear [Your Name],"}, "warning", "placeholder"),
        ({"prompt": "Say this.", "completion": "say  this."}, "warning", "echo"),
    ],
)
def test_each_kind_of_finding_names_its_line(look, row, level, kind):
    result = look(GOOD, row, {"prompt": "c", "completion": "d [1] a < b </b>"})
    assert [(finding.line, finding.level, finding.kind) for finding in result.findings] == [(2, level, kind)]
    assert result.num_errors == (level == "error")
    assert (result.num_rows, result.num_sound) == (3, 2 if level == "error" else 3)


def test_damage_in_an_object_is_named_by_the_line_training_names(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{\n "prompt": "a",\n "completion": "b"\n}\n{\n "prompt": "a",\n "x" 4\n}\n')
    (finding,) = check(open_rows("rows", path), {}).findings
    assert finding.line == 7 and "at column 6" in finding.message
    with pytest.raises(InputError, match="rows.jsonl:7: "):
        read_dataset(path)


def test_tool_turns_are_counted_separately(look):
    talk = [{"from": "human", "value": "a"}, {"from": "function_call", "value": "{}"}]
    plain = [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]
    result = look({"conversations": plain}, {"conversations": talk})
    assert [finding.kind for finding in result.findings] == ["tool turn"]


def test_file_of_nothing_but_bad_answers_is_an_error(look):
    bad = {**GOOD, "label": False}
    result = look(bad, bad)
    assert next((f.level, f.kind, f.rows) for f in result.findings) == ("error", "nothing to train", 2)
    assert (result.num_sound, result.num_errors) == (0, 1)
    assert look(bad, {**GOOD, "label": True}).num_errors == 0
    assert look(bad, "oops").num_errors == 1, "not said twice"


def test_preview_says_that_rows_cannot_be_trained_on(tmp_path, monkeypatch, capsys, byte_tokenizer):
    monkeypatch.setattr("playground.cli.data._encoder", lambda **_: Encoder(byte_tokenizer, chat_style(), 1, 64))
    path = tmp_path / "rows.jsonl"
    for bad, said in (
        ([], ""),
        (["{}", "oops"], "note: 2 rows cannot be trained on: 'sft-playground data check' says why"),
    ):
        path.write_text("\n".join([json.dumps(GOOD), json.dumps({**GOOD, "label": False}), *bad]))
        assert run(["data", "preview", str(path)]) == 0
        out, err = capsys.readouterr()
        assert "The sky is up." in out and ("cannot be trained on" in err) == bool(bad) and said in err


def test_lengths_are_words_or_with_a_tokenizer_tokens(look, byte_tokenizer):
    long = {"prompt": "a " * 40, "completion": "b"}
    assert look(GOOD, long).lengths == (1, 0, 1, *(0,) * (len(BINS) - 2))
    encoder = Encoder(byte_tokenizer, chat_style(), 1, 64)
    result = look(GOOD, long, {"messages": []}, encoder=encoder)
    assert (result.unit, result.longest, sum(result.lengths)) == ("tokens", 64, 2)
    assert [finding.kind for finding in result.findings] == ["truncated", "bad row"]
    tight = look(GOOD, encoder=Encoder(byte_tokenizer, chat_style(), 1, 10))
    assert [(finding.level, finding.kind) for finding in tight.findings] == [("error", "nothing to train")]


def test_unread_column_is_one_finding_for_all_its_rows(look):
    result = look({**GOOD, "notes": "first"}, GOOD, {**GOOD, "notes": "second", "id": 7})
    (finding,) = (finding for finding in result.findings if "not read" in finding.kind)
    assert (finding.kind, finding.line, finding.rows) == ("'notes' is not read", 1, 2)
    assert ("warning", "'notes' is not read", 2, {"'first'": [finding]}) in by_kind(result.findings)


def test_errors_come_first_then_the_most_frequent_findings(look):
    odd = [{"prompt": f"{n}", "completion": "TODO"} for n in range(4)]
    kinds = by_kind(look(GOOD, GOOD, *odd, "oops").findings)
    assert [(level, kind, count, [len(found) for found in said.values()]) for level, kind, count, said in kinds] == [
        ("error", "bad row", 1, [1]),
        ("warning", "placeholder", 4, [4]),
        ("warning", "duplicate", 1, [1]),
    ]


def test_check_round_trips_through_json(look):
    result = look(GOOD, "oops")
    assert DataCheck.from_dict(json.loads(result.to_json())) == result


def test_very_many_unread_columns_are_a_few_findings(look):
    result = look(*({**GOOD, f"x{n}": n} for n in range(60)), {**GOOD, "x1": 1})
    kinds = [finding.kind for finding in result.findings if "not read" in finding.kind]
    assert len(kinds) == 11 and kinds[0] == "'x1' is not read" and kinds[-1] == "50 other columns are not read"

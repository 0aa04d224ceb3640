"""Comparisons as files: whatever a model says stays text."""

import csv
import io
import json
import math
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from playground.errors import EnvironmentFault
from playground.events.answers import Answer, Compared, SideSummary, Summary
from playground.events.contrast import Candidate, Expectation, Position
from playground.events.lens import Lens, Walk
from playground.report.files import WRITERS, comparator, jsonl, markdown, table
from playground.report.html import page
from playground.report.journal import Journal
from playground.report.words import caption

HOSTILE = [
    "\x1b]52;c;aGk=\x07\x1b[31mred",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "![x](http://evil.example/p.png) [a](javascript:alert(1))",
    "```\n</pre></article><h1>out\n````",
    '=HYPERLINK("http://evil.example")',
    "@SUM(1)|cell\r\nnext",
    "\u202ereversed \u2028 line \ud83d half",
    "a" * 5000,
    "",
]


def compared(number, text):
    answers = {side: Answer(text, "stop", None, 3) for side in ("base", "control", "sft:x|y")}
    flags = dict.fromkeys(answers, False)
    return Compared(str(number), text or "?", answers, flags | {"sft:x|y": True}, flags, sample=number % 2)


ROWS = [compared(number, text) for number, text in enumerate(HOSTILE)]
SIDES = dict.fromkeys(("base", "control", "sft:x|y"), SideSummary(0.5, 1.0, 0.0, 12.5))
SUMMARY = Summary(len(ROWS), SIDES, 80.5, 3.0, "model <b>", "x|y", 8, "greedy", "base proven abc")


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.depth = set(), set(), 0

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def test_html_report_has_no_scripts_links_or_foreign_tags():
    text = page([*ROWS, looked_at()], SUMMARY)
    tags = Tags()
    tags.feed(text)
    assert tags.tags <= {
        "html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "div", "table", "thead", "tbody", "tr",
        "th", "td", "section", "span", "article", "small", "pre", "b", "details", "summary",
    }  # fmt: skip
    assert tags.attributes <= {"lang", "charset", "name", "content", "http-equiv", "class"}
    assert "default-src 'none'" in text
    assert text.count("<article") == text.count("</article>") == 3 * len(ROWS) + 3
    assert "&lt;script&gt;" in text


@pytest.mark.parametrize("writer", [markdown, table, page, comparator])
def test_reports_contain_no_control_characters(writer):
    text = writer(ROWS, SUMMARY)
    text.encode("utf-8")
    for bad in ("\x1b", "\x07", "\u202e", "\u2028", "\ud83d"):
        assert bad not in text
        assert f"\\u{ord(bad):04x}" not in text


def test_markdown_keeps_every_text_inside_its_block():
    lines = markdown(ROWS, SUMMARY).splitlines()
    fence, outside = "", []
    for line in lines:
        if fence:
            fence = "" if line == fence else fence
        elif line.startswith("```"):
            fence = line.removesuffix("text")
        else:
            outside.append(line)
    assert not fence
    assert not any("evil" in line or "<script" in line or "HYPERLINK" in line for line in outside)
    assert "sft:x\\|y" in "\n".join(outside)


def test_no_csv_cell_is_a_formula():
    cells = [cell for row in csv.reader(io.StringIO(table(ROWS, SUMMARY), newline="")) for cell in row]
    assert len(cells) == 10 * (1 + 3 * len(ROWS))
    assert not any(cell.startswith(tuple("=+-@\t\r")) for cell in cells)


def test_json_lines_keep_the_raw_text_and_round_trip():
    lines = jsonl(ROWS, SUMMARY).split("\n")[:-1]
    assert [Compared.from_dict(json.loads(line)) for line in lines] == ROWS


def test_llm_comparator_gets_its_fields():
    document = json.loads(comparator(ROWS, SUMMARY))
    assert [model["name"] for model in document["models"]] == ["base: model <b>", "sft:x|y: x|y"]
    example = document["examples"][0]
    assert {"input_text", "tags", "output_text_a", "output_text_b", "score", "individual_rater_scores"} <= set(example)
    assert example["score"] == -1
    declared = {field["name"] for field in document["metadata"]["custom_fields_schema"]}
    assert declared == set(example["custom_fields"])


# The lens on the page.


def expectation(p, rank, p_end, *top):
    return Expectation(
        p, math.log(p), rank, 1.0, p_end, tuple(Candidate(n, text, 0.4, False) for n, text in enumerate(top))
    )


def position(text, base, sft, kl, is_end=False):
    return Position(7, text, is_end, base, sft, kl)


def looked_at(hostile="<b>\x1b[31m"):
    base = f" It is {hostile}Rome. And then?"
    positions = (
        position(hostile, expectation(0.002, 1234, 0.0001, hostile, "I"), expectation(0.9, 1, 0.001, "It"), 0.5),
        position("", expectation(0.0003, 69, 0.0003, "\n"), expectation(0.997, 1, 0.997, hostile), 8.5, is_end=True),
    )
    lens = Lens("q", "training", "m", "a", "chat", "f" * 12, positions)
    walk = Walk(
        "q", "a", (f" It is {hostile}Rome.", " And then?"), (0.0, 0.0011, 0.0), (0.0, 0.996, 0.0), (False, True, False)
    )
    answers = {
        "base": Answer(base, "length", None, 2),
        "control": Answer("x", "stop", None, 1),
        "sft": Answer(hostile, "stop", None, 2),
    }
    flags = dict.fromkeys(answers, False)
    return Compared("1", "q", answers, flags, flags, lens=lens, walk=walk)


def test_page_shows_the_lens_and_where_sft_would_have_stopped():
    text = page([looked_at()], SUMMARY)
    cut = '&lt;b&gt;␛[31mRome.<span class="cut">✂</span><span class="after"> And then?</span>'
    for words in (cut, "✂ sft would have ended 1 of 1 base text; the base's own p(end) is never above 0.11 %", "▁▁▁  never above 0.11 %",
                  "99.7 % at the end", "■ end", "<td>1,234</td>", "<td>90.0 %</td>", "<td>+6.11</td>", "training effect", "0.03 %"):  # fmt: skip
        assert words in text, words
    assert "\x1b" not in text and text.count("<b>") == 2, "two words of the summary are strong; the answer's are not"
    assert text.count('class="most"') == 1 and 'class="most"><td>■ end' in text


def test_page_says_how_many_were_looked_at_and_marks_no_text_that_differs():
    row = looked_at()
    rows = [row, replace(row, lens=None, walk=None)]
    assert "1 of 1 base text; the base's own p(end) is never above 0.11 % (the first 1 were looked at)" in page(
        rows, SUMMARY
    )
    other = replace(row, answers={**row.answers, "base": Answer("Something else.", "length", None, 2)})
    assert 'class="cut"' not in page([other], SUMMARY) and "Something else." in page([other], SUMMARY)
    assert "would have ended" not in page([rows[1]], SUMMARY) and "why:" not in page([rows[1]], SUMMARY)


def test_ids_that_will_be_looked_at_survive_the_journal(tmp_path):
    row = Compared(
        "1",
        "q",
        looked_at().answers,
        *[dict.fromkeys(("base", "control", "sft"), False)] * 2,
        0,
        {"base": (5, 6), "sft": (7, 1)},
    )
    journal = Journal(tmp_path / "o.html", ["same"])
    journal.add(row)
    journal.close()
    again = Journal(tmp_path / "o.html", ["same"])
    assert again.done == [row]
    again.close()


# The journal.


@pytest.mark.parametrize("suffix", WRITERS)
def test_interrupted_comparison_continues_where_it_stopped(tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    first = Journal(path, ["same"])
    for row in ROWS[:2]:
        first.add(row)
    first.finish(ROWS[:2], SUMMARY, whole=False)
    first.close()
    assert path.is_file()
    second = Journal(path, ["same"])
    assert second.done == ROWS[:2]
    second.add(ROWS[2])
    second.finish(ROWS[:3], SUMMARY, whole=True)
    second.close()
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == WRITERS[suffix](ROWS[:3], SUMMARY).encode()


def test_other_comparison_starts_over_and_a_cut_line_is_dropped(tmp_path):
    path = tmp_path / "out.jsonl"
    journal = Journal(path, ["one"])
    journal.add(ROWS[0])
    journal.close()
    (part,) = tmp_path.iterdir()
    part.write_text(part.read_text("utf-8") + ROWS[1].to_json()[:50], "utf-8")
    other = Journal(path, ["other"])
    assert other.done == []
    other.finish([], SUMMARY, whole=False)
    other.close()
    assert list(tmp_path.iterdir()) == [part]  # nothing was finished, nothing stays, and the first is untouched
    again = Journal(path, ["one"])
    assert again.done == ROWS[:1]
    again.close()


def test_unwritable_report_is_refused_at_once(tmp_path):
    with pytest.raises(EnvironmentFault, match="cannot be written"):
        Journal(tmp_path / "nowhere" / "out.md", [])
    Journal(None, []).close()


def test_votes_are_counted_and_exported_by_the_command(tmp_path, monkeypatch, capsys):
    from playground.cli.app import run
    from playground.events.answers import Sampling
    from playground.events.exchanges import Exchange
    from playground.report import votes

    monkeypatch.setenv("SFT_PLAYGROUND_HOME", str(tmp_path))
    assert run(["votes", "export", "sides"]) == 1 and "no such votes" in capsys.readouterr().err
    answers = {"base": Answer("Why? ", "length", None, 4), "sft": Answer("So.", "stop", None, 2)}
    for vote, adapter in (("sft", "a"), ("base", "b"), ("tie", "a")):
        exchange = Exchange(
            "now", "blind", "q", {}, answers, {}, "User: q\nAssistant:", " ", "m", adapter, "chat", 1.0, Sampling(), "x",
            vote,
        )  # fmt: skip
        votes.append(tmp_path / "votes.jsonl", exchange)
    assert run(["votes", "list"]) == 0
    assert capsys.readouterr().out == "sides: 3 votes (sft 1, base 1, tie 1)\n"
    assert run(["votes", "export", "sides", "--adapter", "a"]) == 0
    row = {"prompt": "User: q\nAssistant:", "chosen": " So.", "rejected": " Why?"}
    assert json.loads(capsys.readouterr().out) == row
    assert run(["votes", "export", "sides", "--out", str(tmp_path / "absent" / "x.jsonl")]) == 3


@pytest.mark.parametrize(
    ("kind", "reason", "stop", "words"),
    [
        (
            "base",
            "length",
            None,
            "… Took your text as the beginning of a document. Still writing when it was cut off after",
        ),
        ("base", "stop", None, "■ Took your text as the beginning of a document. Ended by itself after 41 tokens"),
        ("sft", "stop", None, "■ Took your text as a question. Answered, and ended by itself after 41 tokens"),
        ("sft", "stop", "\nUser:", "✂ Took your text as a question. Cut after 41 tokens, where it began another turn"),
        ("hidden", "cancelled", None, "□ Stopped by you after 41 tokens"),
    ],
)
def test_a_caption_says_what_a_side_took_and_how_it_ended(kind, reason, stop, words):
    assert caption(kind, Answer("x", reason, stop, 41), 0).startswith(words)
    assert caption(kind, Answer("x", "length", None, 41), 4).endswith("; repeats itself from word 4")
    assert ("question" in caption("hidden", Answer("x", reason, stop, 41), 0)) is False, "it must not tell the side"

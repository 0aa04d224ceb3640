"""The lens, the walk along the base's text and the words that moved, against plain PEFT in float64."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from test_five_steps import Reference, require_side, row
from test_lanes_proof import adapted
from test_training import config

from playground.analysis.five_steps import FiveSteps
from playground.data.encode import IGNORE_INDEX, Encoder
from playground.data.examples import Turn
from playground.data.prompts import Prompt, typed_prompt
from playground.data.styles import get_style
from playground.errors import InputError, PlaygroundError, UsageError
from playground.events.answers import Sampling
from playground.events.engine import Ask, LaneRequest, Why
from playground.events.lens import Counts, Lens, Walk, WordsMoved
from playground.inference import compare as compare_module
from playground.inference import contrast as contrast_module
from playground.inference import service
from playground.inference.compare import compare, looked_at
from playground.inference.contrast import CHUNK_BYTES, Cancelled, Pair, contrast, places_at_once
from playground.inference.engine import Engine
from playground.inference.lens import Looker, answers, sides, words_moved
from playground.inference.lineup import Lineup, Side
from playground.models import lora
from playground.models.fingerprint import Fingerprint
from playground.models.head import Head
from playground.models.lanes import Blend
from playground.models.load import load_base
from playground.report import lens as report
from playground.training.step import five_steps

TEMPLATE = "{{ bos_token }}{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}{{ eos_token }}{% endfor %}"
ASKED = Prompt("1", "What's the capital of France?")


def lineup_of(engine, encoder):
    fixed = (Side("base", Blend(), None), Side("control", Blend(), encoder), Side("sft", Blend("default"), encoder))
    return Lineup(engine, fixed, ("mine",), (None,), encoder, ("",))


@pytest.fixture
def lineup(tiny_folder, byte_tokenizer):
    """Return a function that makes a lineup of a tiny model, with an adapter that changes every layer or none."""

    def make(name="llama", quantize="none", style="chat", attach=adapted):
        base = load_base(str(tiny_folder(name)), quantize)
        fingerprint = Fingerprint(base)
        model = attach(base)
        byte_tokenizer.chat_template = TEMPLATE if style == "tokenizer" else None
        encoder = Encoder(base.tokenizer, get_style(style, byte_tokenizer), base.end_token_id, 512)
        byte_tokenizer.chat_template = None
        return lineup_of(Engine(base, model, fingerprint), encoder)

    return make


def look(lineup, prompt, answer, reading):
    return Looker(lineup, prompt.prompt, "mine", sides(lineup, prompt)).look(answer, reading)


def walk(lineup, prompt, said):
    return Looker(lineup, prompt.prompt, "mine", sides(lineup, prompt)).walk(said)


def unchanging(base):
    """A fresh adapter: B is 0."""
    return lora.attach_new(base, 4, 8, seed=0).eval()


def require_positions(positions, reference, base_ids, sft_ids, answer):
    base, sft = reference.log_p(base_ids + answer[:-1], base=True), reference.log_p(sft_ids + answer[:-1])
    for at, position in enumerate(positions):
        target, b, s = answer[at], base[len(base_ids) - 1 + at], sft[len(sft_ids) - 1 + at]
        assert (position.id, position.is_end) == (target, target == 1)
        require_side(position.base, b, target, 1e-4)
        require_side(position.sft, s, target, 1e-4)
        assert position.kl == pytest.approx((s.exp() * (s - b)).sum().item(), rel=1e-3, abs=1e-6)
        assert position.log_ratio == pytest.approx((s - b)[target].item(), abs=1e-4)


@pytest.mark.parametrize(
    ("name", "quantize", "style"),
    [
        ("gemma3", "none", "chat"),
        ("llama", "nf4", "alpaca"),
        ("gemma2", "none", "chatml"),
        ("gemma3", "nf4", "raw"),
        ("llama", "none", "tokenizer"),
    ],
)
def test_lens_equals_float64_in_both_readings(lineup, monkeypatch, name, quantize, style):
    monkeypatch.setattr(contrast_module, "CHUNK_BYTES", 4 * 8 * 512 * 5)  # several chunks, the last one smaller
    sides_ = lineup(name, quantize, style)
    reference = Reference(sides_.engine.model)
    answer = (*sides_.raw.text(" It is P\u00e4ris."), 1)
    raw, styled = sides_.raw.raw(ASKED.prompt), sides_.raw.prompt([Turn("user", ASKED.prompt)])
    training, whole = (look(sides_, ASKED, answer, reading) for reading in ("training", "whole"))
    require_positions(training.positions, reference, styled, styled, answer)
    require_positions(whole.positions, reference, raw, styled, answer)
    assert len(raw) < len(styled) or style == "raw", "rows of different lengths are padded on the left"
    assert (training.style, training.adapter, len(training.fingerprint)) == (style, "mine", 12)
    ranks = [position.base.rank for position in training.positions]
    counts = training.counts
    assert counts == Counts(ranks.count(1), sum(r in (2, 3) for r in ranks), sum(r > 3 for r in ranks))
    assert counts.total == len(answer) == training.counts_without_end.total + 1


def test_adapter_that_adds_nothing_gives_exactly_zero(lineup):
    sides_ = lineup(attach=unchanging)
    base, said = answers(sides_, sides(sides_, ASKED), 24)
    texts = [answer.text for answer in sides_.engine.answers(sides(sides_, ASKED)[::2], Sampling(24))]
    assert [sides_.raw.tokenizer.decode(ids).removeprefix(" ") for ids in (base, said)] == [
        text.removeprefix(" ") for text in texts
    ]
    found = look(sides_, ASKED, said, "training")
    assert [position.kl for position in found.positions] == [0.0] * len(said)
    assert all(position.base == position.sft and position.log_ratio == 0.0 for position in found.positions)
    moved = words_moved(sides_, [ASKED, Prompt("2", "Hi."), Prompt("3", "And a longer one?")], lambda *a: None)
    assert (moved.raised, moved.lowered) == ((), ())
    text = "".join(text for text, _ in [*report.lens(found, 100), *report.words(moved)])
    assert "changes nothing here" in text and "no word moves" in text


def test_exchanged_sides_give_exchanged_numbers(lineup):
    sides_ = lineup("gemma3")
    _, control, sft = (replace(lane, prompt_ids=(*lane.prompt_ids, 60, 61, 62)) for lane in sides(sides_, ASKED))
    there, back = (
        contrast(sides_.engine, sides_.raw, [Pair(one, two, (60, None, 62, 1))])[0]
        for one, two in ((control, sft), (sft, control))
    )
    assert [position.id for position in there] == [60, 62, 1]
    for one, two in zip(there, back, strict=True):
        assert (one.id, one.text) == (two.id, two.text)
        for mine, theirs in ((one.base, two.sft), (one.sft, two.base)):
            assert mine.log_p == pytest.approx(theirs.log_p, rel=1e-5) and mine.rank == theirs.rank
            assert [c.id for c in mine.top] == [c.id for c in theirs.top]
        assert abs(one.log_ratio) > 1e-3 and one.kl > 1e-6


@pytest.mark.parametrize("name", ["llama", "gemma3"])
def test_every_token_of_the_bases_own_styled_text_is_its_first_choice(lineup, name):
    sides_ = lineup(name)
    _, control, _ = sides(sides_, ASKED)
    own = [chunk.token_id for chunk in sides_.engine.stream([control], Sampling(40))]
    found = look(sides_, ASKED, own, "training")
    assert [position.base.rank for position in found.positions] == [1] * len(own)
    assert found.counts.unshifted == len(own)
    assert any(position.sft.rank > 1 for position in found.positions)


@pytest.fixture(scope="module")
def taught(tiny_folder):
    """A tiny model that was taught one row, with its end token or without."""

    def teach(label):
        session = FiveSteps.load(config(tiny_folder("llama"), "unused", learning_rate=0.02), row(), lambda *a: None)
        encoded = session.training.encoder.example(row())
        encoded = replace(encoded, labels=(*encoded.labels[:-1], label))
        for _ in range(12):
            five_steps(session.training, [encoded], encoded.num_trained, 0.02)
        return lineup_of(session.training.engine, session.training.encoder)

    return {"with end": teach(1), "without end": teach(IGNORE_INDEX)}


@pytest.mark.parametrize("how", ["with end", "without end"])
def test_walk_finds_the_end_only_where_end_tokens_were_trained(taught, how):
    sides_, prompt = taught[how], Prompt("1", "Name the city.")
    text = sides_.raw.text(" It is Rome. Which city is it? It is Rome.")
    at = len(sides_.raw.text(" It is Rome."))
    found = walk(sides_, prompt, (*text, 1))  # the end token of the base is no part of its text
    reference = Reference(sides_.engine.model)
    base = reference.log_p(sides_.raw.raw(prompt.prompt) + text, base=True)[-len(text) - 1 :].exp()
    sft = reference.log_p(sides_.raw.prompt([Turn("user", prompt.prompt)]) + text)[-len(text) - 1 :].exp()
    assert found.base_p_end == pytest.approx(base[:, 1].tolist(), rel=1e-4, abs=1e-7)
    assert found.sft_p_end == pytest.approx(sft[:, 1].tolist(), rel=1e-4, abs=1e-7)
    assert found.sft_would_end == tuple((sft.argmax(1) == 1).tolist())
    assert "".join(found.texts) == " It is Rome. Which city is it? It is Rome."
    told = "".join(text for text, _ in report.walk(found))
    if how == "with end":
        assert found.ends_after == at and found.sft_p_end[at] > 0.9
        assert f"✂ after {at} of {len(text)} tokens" in told and "It is Rome.✂" in told
    else:
        assert found.ends_after is None and "nowhere in these" in told and "✂" not in told
    assert Walk.from_dict(json.loads(found.to_json())) == found


def test_comparisons_are_looked_at_with_the_ids_that_were_answered(lineup, monkeypatch):
    sides_ = lineup("gemma3")
    prompts = [ASKED, Prompt("2", "Hi."), Prompt("3", "Name a longer one, please.")]
    rows = list(compare(sides_, prompts, Sampling(12), batch_size=2, keep_ids=True))
    plain = list(compare(sides_, prompts, Sampling(12), batch_size=2))
    assert [replace(kept, ids={}) for kept in rows] == plain and not any(kept.ids for kept in plain)
    assert looked_at(sides_, plain, lambda *a: None) == plain
    monkeypatch.setattr(compare_module, "LOOKED", 2)
    stages = []
    found = looked_at(sides_, rows, lambda stage, share: stages.append((stage, share)))
    assert stages == [("looking at 2 answers", 0.0), ("looking at 2 answers", 0.5)]
    assert found[2] == rows[2] and [replace(seen, lens=None, walk=None) for seen in found] == rows
    for seen, prompt in zip(found[:2], prompts, strict=False):
        base, said = answers(sides_, sides(sides_, prompt), 12)
        assert seen.ids == {"base": base, "sft": said}
        assert [position.id for position in seen.lens.positions] == list(said)
        assert seen.answers["base"].text.rstrip("\ufffd") == "".join(seen.walk.texts)
        ranks = [position.sft.rank for position in seen.lens.positions]
        assert ranks == [1] * len(said), "greedy says its first choice"
    asked = iter([False, True])
    stopped = looked_at(sides_, rows, lambda *a: None, lambda: next(asked, True))
    assert stopped == rows


@pytest.mark.parametrize("reading", ["training", "whole"])
def test_branch_is_what_the_base_says_greedily_from_there(lineup, monkeypatch, reading):
    monkeypatch.setattr(service, "BRANCH_TOKENS", 8)
    sides_ = lineup("gemma3")
    asked = Ask(tuple(LaneRequest(side, side, (ASKED.prompt,)) for side in ("base", "sft")))
    said = {5: service._Said(asked, {"base": [70], "sft": [60, 61, 62, 1]})}
    never = SimpleNamespace(cancelled=lambda number: False)
    why = Why(5, "sft", reading, 3)
    found = service.branch(sides_, 9, why, said, never)
    reference = Reference(sides_.engine.model)
    raw, styled = sides_.raw.raw(ASKED.prompt), sides_.raw.prompt([Turn("user", ASKED.prompt)])
    ids = [*(styled if reading == "training" else raw), 60, 61, 62]
    began = len(ids)
    for _ in range(8):
        ids.append(int(reference.log_p(ids, base=True)[-1].argmax()))
    assert (found.request, found.why, found.answer.num_tokens) == (9, why, 8)
    assert found.answer.text == sides_.raw.tokenizer.decode(ids[began:]).removeprefix(
        " " if reading == "training" else ""
    )
    with pytest.raises(Cancelled):
        service.branch(sides_, 9, why, said, SimpleNamespace(cancelled=lambda number: True))
    with pytest.raises(InputError, match="too long ago"):
        service.branch(sides_, 9, replace(why, of=4), said, never)


def test_words_that_moved_equal_float64_and_name_what_was_trained(taught):
    sides_ = taught["with end"]
    prompts = [Prompt(str(n), text) for n, text in enumerate(("Name the river.", "Name a city, please.", "A town?"))]
    found = words_moved(sides_, prompts, lambda *a: None)
    reference = Reference(sides_.engine.model)
    ids = [sides_.raw.prompt([Turn("user", prompt.prompt)]) for prompt in prompts]
    base, sft = (
        torch.stack([reference.log_p(i, base=which)[-1].exp() for i in ids]).mean(0) for which in (True, False)
    )
    change = sft - base
    for moved, largest in ((found.raised, True), (found.lowered, False)):
        best = change.topk(len(moved), largest=largest)
        assert [word.change for word in moved] == pytest.approx(best.values.tolist(), rel=1e-3, abs=1e-6)
        assert [word.base_p for word in moved] == pytest.approx(base[[w.id for w in moved]].tolist(), abs=1e-5)
        assert all(abs(word.change) >= 1e-4 for word in moved)
    assert found.raised[0].text == " ", "an answer was taught to begin with a blank"
    assert WordsMoved.from_dict(json.loads(found.to_json())) == found


def test_lens_shows_nothing_when_the_base_is_not_the_base(lineup):
    sides_ = lineup()
    with torch.no_grad():
        next(p for n, p in sides_.engine.model.named_parameters() if "base_layer.weight" in n)[0, 0] += 1e-3
    for ask in (lambda: look(sides_, ASKED, (60, 1), "training"), lambda: walk(sides_, ASKED, (60, 61))):
        with pytest.raises(PlaygroundError, match="base lane"):
            ask()


def test_odd_prompts_and_lineups_are_refused_by_name(lineup):
    sides_ = lineup()
    with pytest.raises(InputError, match="does not fit the model's context"):
        look(sides_, Prompt("1", "long " * 200), (60, 1), "whole")
    for text in ("", " \n", "a\x00b", "\ud800"):
        with pytest.raises(InputError, match="text in it"):
            typed_prompt(text)
    with pytest.raises(UsageError, match="one adapter"):
        look(replace(sides_, adapters=()), ASKED, (60, 1), "training")


def test_probabilities_that_are_not_finite_are_an_error(lineup):
    sides_ = lineup()
    object.__setattr__(sides_.engine.base, "head", replace(sides_.engine.base.head, scale=float("nan")))
    sides_.engine.fingerprint = None
    with pytest.raises(PlaygroundError, match="not finite"):
        look(sides_, ASKED, (60, 1), "training")


def test_logits_that_are_alive_are_bounded():
    for softcap, copies in ((None, 4), (30.0, 8)):
        head = Head(torch.empty(262_144, 640, device="meta"), None, 1.0, softcap)
        assert places_at_once(head) == CHUNK_BYTES // (4 * copies * 262_144) >= 7


def test_report_fits_its_width_and_is_clean(lineup):
    sides_ = lineup()
    prompt = Prompt("1", "\x1b]52;c;aGk=\x07 Who\u202e?")
    found = look(sides_, prompt, (*sides_.raw.text("\x1b[31m\u4eba x"), 1), "training")
    for width in (80, 120):
        text = "".join(text for text, _ in report.lens(found, width))
        table = text.split("\n\n")[1]
        assert max(map(len, table.splitlines())) <= width
        assert "\x1b" not in text and "\u202e" not in text
        assert "without the end token" in text and "■ end" in text
    assert Lens.from_dict(json.loads(found.to_json())) == found

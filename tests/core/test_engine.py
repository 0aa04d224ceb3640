"""The decode loop against ``generate``, one unpadded prompt at a time."""

import pytest
import torch
from test_lanes_proof import SFT, adapted

from playground.events.answers import Answer, Sampling
from playground.inference.engine import Engine, Lane
from playground.models.head import backbone
from playground.models.lanes import Blend
from playground.models.load import load_base

PROMPTS = [
    (2, 40, 41, 42),
    (2, 70, 71),
    (2, 99, 98, 97, 96, 95, 94, 93, 92, 91, 90, 89, 88, 87, 86, 85, 84, 83, 82, 81),
]


@pytest.fixture(params=["gemma3", "llama", "gemma2", "gpt2"])
def engine(request, tiny_folder):
    base = load_base(str(tiny_folder(request.param)), "none")
    return Engine(base, adapted(base), None)


def reference(engine, prompt, row, tokens):
    model = engine.model
    context = model.disable_adapter() if row.adapter is None else torch.no_grad()
    with context, torch.no_grad():
        out = model.generate(
            input_ids=torch.tensor([prompt]), max_new_tokens=tokens, do_sample=False, eos_token_id=1, pad_token_id=0
        )
    return out[0, len(prompt) :].tolist()


def collect(engine, lanes, sampling, **options):
    ids = [[] for _ in lanes]
    for chunk in engine.stream(lanes, sampling, **options):
        ids[chunk.lane].append(chunk.token_id)
    return ids


def test_greedy_lanes_in_a_batch_equal_generate_one_by_one(engine):
    lanes = [Lane(prompt, row) for prompt in PROMPTS for row in (Blend(), SFT)]
    assert collect(engine, lanes, Sampling(24)) == [
        reference(engine, lane.prompt_ids, lane.blend, 24) for lane in lanes
    ]


@pytest.mark.parametrize("row", [Blend(), SFT])
@pytest.mark.parametrize("tokens", [1, 2, 61])
def test_single_lane_with_guessing_equals_generate(engine, row, tokens):
    prompt = (2, *(40, 41, 42, 43) * 3)
    assert collect(engine, [Lane(prompt, row)], Sampling(tokens))[0] == reference(engine, prompt, row, tokens)


def test_correct_guesses_cost_one_pass_per_eight_tokens(engine, monkeypatch):
    expected = reference(engine, PROMPTS[0], SFT, 33)
    monkeypatch.setattr(
        "playground.inference.engine.guess", lambda ids, most: expected[len(ids) - len(PROMPTS[0]) :][:most]
    )
    passes = []
    hook = backbone(engine.base.model).register_forward_hook(lambda *call: passes.append(call))
    assert collect(engine, [Lane(PROMPTS[0], SFT)], Sampling(33))[0] == expected
    hook.remove()
    assert len(passes) == 1 + 32 // 8  # the prompt's, then a token and seven guesses at a time


def test_wrong_guesses_do_not_change_the_output(engine, monkeypatch):
    """The positive control guesses at random; sometimes the first of several guesses is right."""
    expected = reference(engine, PROMPTS[0], SFT, 40)
    generator = torch.Generator().manual_seed(0)

    def wild(ids, most):
        at = len(ids) - len(PROMPTS[0])
        nonsense = torch.randint(3, 500, (7,), generator=generator).tolist()
        return (expected[at : at + 1 + at % 3] + nonsense)[:most]

    monkeypatch.setattr("playground.inference.engine.guess", wild)
    assert collect(engine, [Lane(PROMPTS[0], SFT)], Sampling(40))[0] == expected


def test_guessed_tokens_end_at_end_token_and_stop_string(engine, monkeypatch):
    expected = reference(engine, PROMPTS[0], Blend(), 30)
    monkeypatch.setattr(
        "playground.inference.engine.guess", lambda ids, most: expected[len(ids) - len(PROMPTS[0]) :][: min(most, 7)]
    )
    whole = engine.base.tokenizer.decode(expected[:8])
    stopped = engine.answers([Lane(PROMPTS[0], stop_strings=(whole[-2:],))], Sampling(30))[0]
    assert stopped.stop_reason == whole[-2:]
    assert whole.startswith(stopped.text)
    object.__setattr__(engine.base, "end_token_id", expected[4])
    ended = engine.answers([Lane(PROMPTS[0])], Sampling(30))[0]
    assert ended.stopped_by_itself
    assert ended.num_tokens == expected.index(expected[4]) + 1


def test_lanes_that_end_early_do_not_change_the_others(engine):
    alone = engine.answers([Lane(PROMPTS[0])], Sampling(20))[0]
    text = engine.base.tokenizer.decode(collect(engine, [Lane(PROMPTS[1])], Sampling(20))[0])
    stop = text[2:4]
    answers = engine.answers([Lane(PROMPTS[1], stop_strings=(stop,)), Lane(PROMPTS[0])], Sampling(20))
    assert answers[0] == Answer(text[: text.find(stop)], "stop", stop, answers[0].num_tokens)
    assert answers[0].num_tokens < 20
    assert not answers[0].stopped_by_itself
    assert answers[1] == alone
    assert alone.num_tokens > answers[0].num_tokens  # it went on after the other had left


def test_end_token_means_stopped_by_itself(engine):
    first = collect(engine, [Lane(PROMPTS[0])], Sampling(3))[0]
    object.__setattr__(engine.base, "end_token_id", first[2])
    answer = engine.answers([Lane(PROMPTS[0])], Sampling(10))[0]
    at = first.index(first[2])
    assert answer == Answer(engine.base.tokenizer.decode(first[:at]), "stop", None, at + 1)
    assert answer.stopped_by_itself


def test_cancel_ends_every_lane_at_the_next_token(engine):
    asked = iter([False, False, True])
    answers = engine.answers([Lane(PROMPTS[0]), Lane(PROMPTS[1], SFT)], Sampling(50), lambda: next(asked))
    assert [(a.finish_reason, a.num_tokens) for a in answers] == [("cancelled", 3)] * 2


def test_closing_the_stream_restores_the_model(engine):
    inputs = {"input_ids": torch.tensor([PROMPTS[0]])}
    with torch.no_grad():
        before = engine.model(**inputs).logits
    stream = engine.stream([Lane(PROMPTS[0]), Lane(PROMPTS[1], SFT)], Sampling(50))
    next(stream)
    stream.close()
    with torch.no_grad():
        assert torch.equal(engine.model(**inputs).logits, before)


def test_sampling_is_reproducible_by_seed(engine):
    lanes = [Lane(PROMPTS[0], draw=1), Lane(PROMPTS[0], draw=2)]
    hot = Sampling(16, temperature=1.5, seed=7)
    first = collect(engine, lanes, hot)
    assert collect(engine, lanes, hot) == first
    assert first[0] != first[1]
    assert collect(engine, lanes, Sampling(16, temperature=1.5, seed=8)) != first
    # Whoever else is in the batch, a lane draws its own numbers.
    assert collect(engine, lanes[1:], hot)[0] == first[1]


def test_sampling_follows_the_distribution(engine):
    """10,000 draws against softmax, by a chi-square statistic over the likely tokens."""
    from playground.inference.engine import _draw

    probabilities = torch.softmax(torch.tensor([2.0, 1.0, 0.5, 0.0, -1.0]), 0)
    random = torch.Generator().manual_seed(0)
    counts = torch.zeros(5)
    for _ in range(10_000):
        counts[_draw(probabilities.clone(), random, 1.0)] += 1
    expected = probabilities * 10_000
    assert ((counts - expected).square() / expected).sum() < 18.5  # 0.1 % point of chi-square with 4 degrees
    nucleus = {_draw(probabilities.clone(), random, 0.6) for _ in range(500)}
    assert nucleus == {0, 1}  # 0.56 alone is below 0.6, so the second stays in


def test_prompt_and_budget_are_limited_to_the_context(engine):
    from playground.errors import InputError

    with pytest.raises(InputError, match="does not fit"):
        next(engine.stream([Lane((5,) * 512)], Sampling(4)))
    assert engine.answers([Lane((5,) * 508)], Sampling(50))[0].num_tokens <= 4

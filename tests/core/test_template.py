"""A model's own chat template: against ``apply_chat_template`` and TRL's labels, and against hostile ones."""

from pathlib import Path

import pytest

from playground.data.encode import IGNORE_INDEX, Encoder
from playground.data.examples import Example, Turn
from playground.data.styles import get_style
from playground.errors import InputError

MARKS = ["<|im_start|>", "<|im_end|>", "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
MARKS += ["<start_of_turn>", "<end_of_turn>"]
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SYSTEM, ONE, TWO = Turn("system", "Be kind."), (Turn("user", "Hi"), Turn("assistant", "Hello.")), None
TWO = (*ONE, Turn("user", "And you?"), Turn("assistant", "Well."))
TALKS = [ONE, TWO, (SYSTEM, *ONE), (SYSTEM, *TWO)]


@pytest.fixture
def with_template(byte_tokenizer):
    """Return a function from a template to the byte tokenizer with it and with control tokens."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    def make(template, bos="<bos>"):
        backend = Tokenizer.from_str(byte_tokenizer.backend_tokenizer.to_str())
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=backend, bos_token=bos, eos_token="<eos>", pad_token="<pad>"
        )
        tokenizer.add_special_tokens({"additional_special_tokens": MARKS})
        tokenizer.chat_template = template
        return tokenizer

    return make


def as_messages(turns):
    return [{"role": turn.role, "content": turn.content} for turn in turns]


def encode(tokenizer, turns, **options):
    return Encoder(tokenizer, get_style("tokenizer", tokenizer), 1, 1000, **options).example(Example(tuple(turns), 1))


@pytest.mark.parametrize("turns", TALKS, ids=len)
@pytest.mark.parametrize("style", ["tokenizer", "chatml"])
def test_ids_equal_apply_chat_template_up_to_the_end_token(with_template, style, turns):
    tokenizer = with_template("{{ bos_token }}" + CHATML)
    encoder = Encoder(tokenizer, get_style(style, tokenizer), 1, 1000)
    theirs = tokenizer.apply_chat_template(as_messages(turns), tokenize=True, return_dict=False)
    ours = list(encoder.example(Example(turns, 1)).input_ids)
    assert tokenizer.decode(theirs[len(ours) :]) == "\n"
    assert ours == theirs[: len(ours)]
    asked = tokenizer.apply_chat_template(
        as_messages(turns[:-1]), tokenize=True, return_dict=False, add_generation_prompt=True
    )
    assert list(encoder.prompt(turns[:-1])) == asked


@pytest.mark.parametrize("name", ["qwen2_5_training", "llama3_training", "gemma_training"])
@pytest.mark.parametrize("turns", TALKS[:2], ids=len)
def test_labels_equal_trl_assistant_masks_except_line_breaks(with_template, name, turns):
    trl = pytest.importorskip("trl")
    template = (Path(trl.__file__).parent / "chat_templates" / f"{name}.jinja").read_text()
    tokenizer = with_template(template, bos="<bos>" if "llama" not in name else "<|begin_of_text|>")
    theirs = tokenizer.apply_chat_template(
        as_messages(turns), tokenize=True, return_dict=True, return_assistant_tokens_mask=True
    )
    ours = encode(tokenizer, turns)
    size = len(ours.input_ids)
    assert list(ours.input_ids) == theirs["input_ids"][:size]
    differences = {
        tokenizer.decode([token])
        for token, label, learned in zip(ours.input_ids, ours.labels, theirs["assistant_masks"], strict=False)
        if (label != IGNORE_INDEX) != bool(learned)
    }
    assert differences <= {"\n"}  # TRL also learns the line breaks around an answer, which the template writes
    assert sum(theirs["assistant_masks"]) >= ours.num_trained > 0


def test_typed_control_tokens_stay_text_in_a_template(with_template):
    tokenizer = with_template(CHATML)
    encoded = encode(tokenizer, [Turn("user", "<|im_end|>{{ 7 * 7 }}"), Turn("assistant", "<|im_start|>")])
    assert list(encoded.input_ids).count(tokenizer.convert_tokens_to_ids("<|im_end|>")) == 2
    assert "{{ 7 * 7 }}" in tokenizer.decode(encoded.input_ids)


def test_answers_end_with_the_template_or_model_end_token(with_template):
    for template, end in ((CHATML, "<|im_end|>"), (CHATML.replace("<|im_end|>", ""), "<eos>")):
        tokenizer = with_template(template)
        assert tokenizer.decode([encode(tokenizer, ONE).labels[-1]]) == end


def test_template_that_rewrites_earlier_answers_is_refused(with_template):
    thinking = CHATML.replace(
        "m['content']", "('<think></think>' if loop.last and m.role == 'assistant' else '') + m['content']"
    )
    tokenizer = with_template(thinking)
    assert "<think></think>Hello." in tokenizer.decode(encode(tokenizer, ONE).input_ids)
    with pytest.raises(InputError, match="earlier answer"):
        encode(tokenizer, TWO)


def test_control_tokens_not_marked_special_stay_text(with_template):
    from tokenizers import AddedToken

    tokenizer = with_template(None)
    tokenizer.add_tokens([AddedToken("<|tool|>", special=False), AddedToken("<b>", special=False)])
    ids = Encoder(tokenizer, get_style("chat"), 1, 1000).text("a<|tool|>b<b>")
    assert tokenizer.convert_tokens_to_ids("<|tool|>") not in ids
    assert tokenizer.convert_tokens_to_ids("<b>") in ids  # a word of the language, no control token
    assert tokenizer.decode(ids) == "a<|tool|>b<b>"


def test_row_refused_by_the_template_is_reported_by_line(with_template):
    from playground.data.encode import encode_all
    from playground.data.examples import Dataset
    from playground.data.shapes import TYPED

    strict = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + CHATML
    tokenizer = with_template(strict)
    encoder = Encoder(tokenizer, get_style("tokenizer", tokenizer), 1, 1000)
    rows = (Example(ONE, 1), Example((SYSTEM, *ONE), 2))
    data = Dataset("x", "x", "0", "JSON Lines", TYPED, rows)
    with pytest.raises(InputError, match="x:2: .*no system"):
        encode_all(encoder, data)
    kept, left = encode_all(encoder, data, skip_bad=True)
    assert len(kept) == 1 and [problem.line for problem in left.skipped] == [2]


@pytest.mark.parametrize(
    ("template", "words"),
    [
        (None, "no chat template"),
        ("{% for n in range(10**12) %}{% endfor %}", "time|range"),
        ("{{ 'a' * 10**10 }}", "memory|Memory"),
        ("{{ messages[5].content }}", "refuses|once"),
        ("{{ ''.__class__.__mro__ }}", "SecurityError"),
        ("{{ raise_exception('no system turns') }}", "no system turns"),
        ("{{ messages[0].content * 2 }}{{ messages[1].content }}", "once"),
        ("{% if %}", "TemplateSyntaxError"),
    ],
)
def test_unusable_template_is_refused_with_a_reason(with_template, template, words):
    with pytest.raises(InputError, match=words) as caught:
        get_style("tokenizer", with_template(template))
    assert "--style chat" in caught.value.hint


def test_what_an_adapters_template_says_is_shown_clean(with_template):
    with pytest.raises(InputError, match="The adapter's own chat template refuses .*␛") as caught:
        get_style("tokenizer", with_template(None), "{{ raise_exception('\x1b[2J\\n' * 99) }}")
    assert caught.value.message.isprintable()

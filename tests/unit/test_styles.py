import pytest

from playground.config import STYLES
from playground.data.examples import Turn
from playground.data.styles import Segment, chat_style, get_style
from playground.errors import InputError

USER, ANSWER = Turn("user", " Hi\n"), Turn("assistant", "Hello ")
SYSTEM, AGAIN, REPLY = Turn("system", "Be kind."), Turn("user", "And you?"), Turn("assistant", "Well.")


@pytest.mark.parametrize(
    ("turns", "segments"),
    [
        ([USER], [Segment("User: Hi\nAssistant:")]),
        ([USER, ANSWER], [Segment("User: Hi\nAssistant:"), Segment(" Hello", 1)]),
        ([SYSTEM, USER], [Segment("System: Be kind.\nUser: Hi\nAssistant:")]),
        (
            [SYSTEM, USER, ANSWER, AGAIN],
            [
                Segment("System: Be kind.\nUser: Hi\nAssistant:"),
                Segment(" Hello", 2),
                Segment("\nUser: And you?\nAssistant:"),
            ],
        ),
        (
            [USER, ANSWER, AGAIN, REPLY],
            [
                Segment("User: Hi\nAssistant:"),
                Segment(" Hello", 1),
                Segment("\nUser: And you?\nAssistant:"),
                Segment(" Well.", 3),
            ],
        ),
    ],
)
def test_a_conversation_is_rendered_as_plain_turns(turns, segments):
    assert chat_style().render(turns) == segments


def test_prompts_never_end_in_a_space():
    for turns in ([USER], [SYSTEM, USER], [USER, ANSWER, AGAIN]):
        assert not chat_style().render(turns)[-1].text[-1].isspace()


def test_stop_strings_are_the_beginnings_of_turns():
    whole = "".join(segment.text for segment in chat_style().render([SYSTEM, USER, ANSWER, AGAIN, REPLY]))
    assert sum(whole.count(stop) for stop in chat_style().stop_strings) == 4


def test_a_style_is_found_by_its_name_or_refused():
    assert [get_style(name).name for name in STYLES[:-1]] == list(STYLES[:-1])
    with pytest.raises(InputError, match="'vicuna'"):
        get_style("vicuna")


EACH = [get_style(name) for name in STYLES[:-1]]
HELLO, ALONE = [USER, ANSWER, AGAIN], [Turn("user", "Hi")]


@pytest.mark.parametrize("style", EACH, ids=lambda style: style.name)
def test_every_style_gives_chat_the_training_prefix(style):
    whole, asked = style.render([*HELLO, REPLY]), style.render(HELLO)
    assert whole[:-1] == asked
    assert [segment.turn for segment in whole if segment.turn is not None] == [1, 3]
    assert whole[-1].text == f"{style.lead_in}Well."


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("raw", "Hi"),
        ("chatml", "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"),
        (
            "alpaca",
            "Below is an instruction that describes a task. Write a response that appropriately completes the request."
            "\n\n### Instruction:\nHi\n\n### Response:",
        ),
    ],
)
def test_single_question_is_rendered_as_the_format_specifies(name, text):
    assert "".join(segment.text for segment in get_style(name).render(ALONE)) == text


def test_raw_turns_are_separated_by_blank_lines():
    assert "".join(segment.text for segment in get_style("raw").render(HELLO)) == " Hi\n Hello\n\nAnd you?"
    assert "".join(segment.text for segment in get_style("raw").render([SYSTEM, AGAIN])) == "Be kind.\n\nAnd you?"


def test_only_text_of_a_style_may_hold_control_tokens():
    segments = get_style("chatml").render([Turn("user", "<|im_end|>"), Turn("assistant", "<|im_start|>")])
    assert [(segment.text, segment.control) for segment in segments if not segment.control] == [
        ("<|im_end|>", False),
        ("<|im_start|>", False),
    ]

import pytest

from playground.data.examples import Turn
from playground.data.styles import ChatStyle, Segment, get_style
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
    assert ChatStyle().render(turns) == segments


def test_what_a_model_is_to_continue_never_ends_in_a_space():
    for turns in ([USER], [SYSTEM, USER], [USER, ANSWER, AGAIN]):
        assert not ChatStyle().render(turns)[-1].text[-1].isspace()


def test_the_stop_strings_are_how_the_next_turn_would_begin():
    whole = "".join(segment.text for segment in ChatStyle().render([SYSTEM, USER, ANSWER, AGAIN, REPLY]))
    assert sum(whole.count(stop) for stop in ChatStyle().stop_strings) == 4


def test_a_style_is_found_by_its_name_or_refused():
    assert get_style("chat").name == "chat"
    with pytest.raises(InputError, match="'chatml'"):
        get_style("chatml")

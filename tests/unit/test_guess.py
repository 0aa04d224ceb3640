"""What a lane is guessed to say next."""

import pytest

from playground.inference.guess import LONGEST, guess


@pytest.mark.parametrize(
    ("ids", "most", "expected"),
    [
        ([], 7, []),
        ([1], 7, []),
        ([1, 2, 3, 4], 7, []),
        ([1, 2, 1], 7, []),  # one token is not enough to go by
        ([1, 2, 3, 4, 1, 2], 7, [3, 4]),  # as many as agree
        ([5, 1, 2, 3, 4, 5, 1, 2], 7, [3, 4, 5]),
        ([5, 1, 2, 3, 4, 5, 1, 2], 1, [3]),
        ([5, 1, 2, 3, 4, 5, 1, 2], 0, []),
        ([1, 2, 3, 1, 2, 4, 1, 2], 7, [4, 1]),  # of equal ones the last
        ([0, 1, 2, 3, 9, 1, 2, 4, 0, 1, 2], 7, [3, 9, 1]),  # the longest before the last
        ([7, 7, 7, 7], 7, [7, 7, 7]),  # a short repetition goes round
        ([1, 2] * 6, 7, [1, 2, 1, 2, 1, 2, 1]),
    ],
)
def test_guess_is_what_followed_the_same_tokens_before(ids, most, expected):
    assert guess(ids, most) == expected


def test_guess_length_is_limited():
    assert len(guess(list(range(100)) * 2, 50)) == LONGEST

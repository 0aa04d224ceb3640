"""Guesses of what a lane says next, from what it has said: a base that repeats itself is verified, not decoded.

On a CPU a token costs what it takes to read the weights, and eight positions at once cost little more than
one. A guess is checked by the same forward pass that would have made the token: only what the model itself
would choose is kept (prompt lookup decoding, https://github.com/apoorvumang/prompt-lookup-decoding; the
check is that of speculative decoding, arXiv 2211.17192, for greedy tokens).
"""

from __future__ import annotations

from collections.abc import Sequence

SHORTEST = 2  # tokens that must have been said before, in this order
LONGEST = 8


def guess(ids: Sequence[int], most: int) -> list[int]:
    """Return at most `most` tokens that may follow `ids`: those that followed an earlier occurrence of its end.

    The longest earlier occurrence decides, the last one if several are equal. As many tokens are guessed as agree:
    two words can continue in many ways, eight in hardly more than one.
    """
    longest, follows = 0, 0
    for at in range(len(ids) - 1, 0, -1):
        if ids[at - 1] != ids[-1]:
            continue
        agree = 1
        while agree < min(at, LONGEST) and ids[at - 1 - agree] == ids[-1 - agree]:
            agree += 1
        if agree > longest:
            longest, follows = agree, at
            if agree == LONGEST:
                break
    if longest < SHORTEST:
        return []
    whole = list(ids)
    for at in range(follows, follows + min(longest, most)):
        whole.append(whole[at])  # a repetition shorter than the guess wraps around
    return whole[len(ids) :]

import pytest

from playground.data.encode import Encoded
from playground.data.held_out import Without, hold_out, how_many


def rows(numbers):
    return [Encoded((1, number, 2), (-100, number, 2), False) for number in numbers]


@pytest.mark.parametrize(
    ("num_rows", "expected"), [(0, 0), (39, 0), (40, 4), (80, 4), (100, 5), (4000, 200), (10**6, 200)]
)
def test_five_percent_are_held_out_and_none_of_a_small_set(num_rows, expected):
    assert how_many(num_rows) == expected


def test_held_out_rows_do_not_depend_on_order_or_other_rows():
    def chosen(numbers, count):
        made = rows(numbers)
        return {made[at].input_ids[1] for at in hold_out(made, count, "sha", whole=True)}

    before = chosen(range(100), 5)
    assert len(before) == 5
    assert chosen(reversed(range(100)), 5) == before
    assert before & set(range(50)) <= chosen(range(50), 5)  # fewer rows: who was held out still is


def test_every_row_is_either_trained_or_held_out():
    made = rows(range(60))
    for whole in (True, False):
        places = hold_out(made, 7, "sha", whole=whole)
        rest = Without(made, places)
        assert len(places) == 7 and len(rest) == 53 and list(places) == sorted(set(places))
        assert sorted([row.input_ids for row in rest] + [made[at].input_ids for at in places]) == sorted(
            row.input_ids for row in made
        )
    assert hold_out(made, 7, "sha", whole=False) == hold_out(made, 7, "sha", whole=False)
    assert hold_out(made, 7, "sha", whole=False) != hold_out(made, 7, "other", whole=False)


def test_duplicate_rows_are_held_out_together():
    made = rows([n // 2 for n in range(100)])
    chosen = hold_out(made, 7, "sha", whole=True)
    held = {made[at].input_ids for at in chosen}
    assert len(chosen) == 6 and len(held) == 3
    assert not held & {row.input_ids for row in Without(made, chosen)}
    assert hold_out(made, len(chosen), "sha", whole=True) == chosen, "as a resumed run asks for it"
    assert hold_out(rows([5] * 50), 4, "sha", whole=True) == ()

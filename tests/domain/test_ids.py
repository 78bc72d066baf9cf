"""Names have their form, are unique, and sort by time where OpenCode sorts by them."""

import re
from datetime import timedelta
from itertools import cycle, islice
from random import Random

import coolname
import pytest
from hypothesis import given
from hypothesis import strategies as st

from background_agents.domain.ids import SortableIds, is_readable_id, readable_ids
from background_agents.testing.contracts.samples import NOON

STEPS_MS = st.lists(st.integers(-1000, 1000), min_size=2, max_size=50)


@given(STEPS_MS, st.integers())
def test_message_ids_sort_in_the_order_of_their_making(steps: list[int], seed: int) -> None:
    """Also when the wall clock steps back between two of them."""
    ids, at, minted = SortableIds(Random(seed)), NOON, list[str]()
    for step in steps:
        at += timedelta(milliseconds=step)
        minted.append(ids.mint("msg", at))
    assert minted == sorted(minted)
    assert len(set(minted)) == len(minted)


def test_as_many_ids_as_one_millisecond_has_room_for_sort_before_the_next() -> None:
    ids = SortableIds(Random(1))
    minted = [ids.mint("prt", NOON) for _ in range(4_095)]
    assert minted == sorted(set(minted))
    assert ids.mint("prt", NOON + timedelta(milliseconds=1)) > minted[-1]


@given(st.sampled_from(["msg", "prt"]), st.integers())
def test_message_ids_have_opencode_s_form(prefix: str, seed: int) -> None:
    minted = SortableIds(Random(seed)).mint(prefix, NOON)
    assert re.fullmatch(prefix + r"_[0-9a-f]{12}[0-9A-Za-z]{14}", minted)


def test_two_processes_do_not_mint_the_same_id() -> None:
    one, other = (SortableIds(Random(seed)).mint("msg", NOON) for seed in (1, 2))
    assert one != other
    assert one[:16] == other[:16]


def test_readable_ids_have_their_form_and_get_a_number_when_names_run_out() -> None:
    words = cycle([["brave", "amber", "otter"]]).__next__
    names = list(islice(readable_ids(words), 22))
    assert names[0] == names[19] == "brave-amber-otter"
    assert names[20:] == ["brave-amber-otter-20", "brave-amber-otter-21"]


def test_words_that_make_no_readable_id_are_passed_over() -> None:
    offered = iter(
        [["two", "words"], ["a", "b/../c", "d"], ["É", "b", "c"], ["brave", "amber", "otter"]]
    )
    assert next(readable_ids(lambda: next(offered))) == "brave-amber-otter"


def test_the_word_list_in_use_makes_readable_ids() -> None:
    offered = [coolname.generate(3) for _ in range(200)]
    taken = readable_ids(iter(offered).__next__)
    # About a third have a word with a hyphen or a fourth word, and are passed over.
    assert all(is_readable_id(next(taken)) for _ in range(60))


@pytest.mark.parametrize(
    "value",
    ["", "brave", "brave-amber", "Brave-amber-otter", "../etc/passwd", "a-b-c/d", "a-b-c\n",
     "a-b-c-", "a-b-c-1234567", "a-b-c-d", "-a-b-c", "a" * 21 + "-b-c"],
)  # fmt: skip
def test_what_is_no_readable_id(value: str) -> None:
    assert not is_readable_id(value)

"""Confidence as seen from one identifier: views that can only shrink."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.model.identifiers import IdentifierKey, ProfileId
from service.model.profile import Member, Profile
from service.resolution.views import reach


def profile(count: int, *edges: tuple[int, int, float]) -> Profile:
    members = tuple(Member(IdentifierKey(f"crm:{i}"), 0, 0, ()) for i in range(count))
    return Profile(ProfileId("prf_1"), members, edges)


def test_alone_it_sees_itself_for_certain() -> None:
    assert reach(profile(1), 0) == {0: 1.0}


def test_a_pair_sees_each_other_with_the_links_confidence() -> None:
    pair = profile(2, (0, 1, 0.9))
    assert reach(pair, 0) == {0: 1.0, 1: 0.9}
    assert reach(pair, 1) == {1: 1.0, 0: 0.9}
    assert reach(pair, 0, {0}) == {0: 1.0}
    assert reach(pair, 0, {1}) == {}


def test_the_best_path_counts_not_the_shortest() -> None:
    found = reach(profile(3, (0, 1, 0.5), (0, 2, 0.9), (1, 2, 0.9)), 0)
    assert found == {0: 1.0, 2: 0.9, 1: pytest.approx(0.81)}


def test_certain_links_lose_nothing_along_the_way() -> None:
    assert reach(profile(4, (0, 1, 1.0), (1, 2, 1.0), (2, 3, 1.0)), 0) == dict.fromkeys(range(4), 1.0)


def test_who_may_not_be_used_is_neither_answered_nor_stepped_on() -> None:
    chain = profile(4, (0, 1, 0.9), (1, 2, 0.9), (0, 3, 0.6), (3, 2, 0.6))
    assert reach(chain, 0, {0, 2, 3}) == {0: 1.0, 3: 0.6, 2: pytest.approx(0.36)}
    assert reach(chain, 0, {0, 2}) == {0: 1.0}


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    count = draw(st.integers(1, 6))
    pairs = list(itertools.combinations(range(count), 2))
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=len(pairs))) if pairs else []
    return profile(count, *((i, j, draw(st.sampled_from((0.0, 0.5, 0.9, 1.0)))) for i, j in chosen))


@given(profiles(), st.data())
def test_stricter_terms_never_answer_more(found: Profile, data: st.DataObject) -> None:
    everyone = set(range(len(found.members)))
    asked = data.draw(st.sampled_from(sorted(everyone)))
    some = data.draw(st.sets(st.sampled_from(sorted(everyone))))
    fewer = some & data.draw(st.sets(st.sampled_from(sorted(everyone))))
    wide, middle, narrow = (reach(found, asked, allowed) for allowed in (None, some, fewer))
    assert narrow.keys() <= middle.keys() <= wide.keys()
    assert all(narrow[i] <= middle[i] for i in narrow)
    assert all(middle[i] <= wide[i] for i in middle)
    for low, high in itertools.combinations((0.0, 0.3, 0.5, 0.9, 1.0), 2):
        assert {i for i, sure in wide.items() if sure >= high} <= {i for i, sure in wide.items() if sure >= low}


@given(profiles(), st.data())
def test_it_equals_the_best_over_all_simple_paths(found: Profile, data: st.DataObject) -> None:
    asked = data.draw(st.integers(0, len(found.members) - 1))
    sure = {(i, j): c for i, j, c in found.edges} | {(j, i): c for i, j, c in found.edges}
    best = {asked: 1.0}
    others = [i for i in range(len(found.members)) if i != asked]
    for length in range(1, len(others) + 1):
        for path in itertools.permutations(others, length):
            steps = list(itertools.pairwise((asked, *path)))
            if all(step in sure for step in steps):
                product = 1.0
                for step in steps:
                    product *= sure[step]
                best[path[-1]] = max(best.get(path[-1], 0.0), product)
    assert reach(found, asked) == pytest.approx(best)

"""Ids of links: one for what is sent again, another for anything else."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from service.control.link_ids import link_ids_under
from service.model.identifiers import IdentifierKey

link_id = link_ids_under(b"secret")
A, B = IdentifierKey("crm:1"), IdentifierKey("login:1")
words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)


def test_which_end_comes_first_does_not_matter() -> None:
    assert link_id("crm", "r", "deterministic", A, B) == link_id("crm", "r", "deterministic", B, A)


def test_source_rule_method_and_ends_each_make_another_link() -> None:
    base = ("crm", "r", "deterministic", A, B)
    others = [("web", *base[1:]), (base[0], "s", *base[2:]), (*base[:2], "probabilistic", A, B)]
    others += [(*base[:3], A, IdentifierKey("login:2")), (*base[:3], IdentifierKey("crm:2"), B)]
    ids = [link_id(*each) for each in (base, *others)]
    assert len(set(ids)) == len(ids)


@given(st.lists(st.tuples(words, words), min_size=2, max_size=6, unique=True))
def test_words_do_not_run_into_each_other(pairs: list[tuple[str, str]]) -> None:
    ids = [link_id(source, rule, "deterministic", A, B) for source, rule in pairs]
    assert all(one != other for one, other in itertools.combinations(ids, 2))


def test_another_secret_makes_other_ids_that_tell_nothing() -> None:
    one, other = (make("crm", "r", "deterministic", A, B) for make in (link_id, link_ids_under(b"another")))
    assert one != other
    assert one.startswith("lnk_") and len(one) == 28 and "crm" not in one

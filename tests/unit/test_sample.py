"""The sample world: the same for one seed, sound under the default policy, telling the stories that README names."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path

import orjson
import pytest

from service.control.normalise import normalise
from service.control.policy_document import compile_policy
from service.model.changes import ObserveLink, Revoke
from service.model.evidence import Bond, Link, Standing
from service.model.identifiers import IdentifierKey, namespace_of, parse_key
from service.resolution.activity import due_of, inactive_of
from service.resolution.resolve import Resolution, resolve
from service.sample.cast import ANNA, ANNAS_PHONE, BEN, KIOSK, NUMBERS, TABLET
from service.sample.diary import SamePerson, SomebodyElse, cookie, crm, device, email, login
from service.sample.draws import Draws
from service.sample.load import BATCH_MAX, NAMESPACES, SEED
from service.sample.world import World, world

NOW = 1_795_000_000_000
YEARS_MS = 2 * 366 * 86_400_000
POLICY = compile_policy(
    orjson.loads((Path(__file__).parents[2] / "service" / "policies" / "default.json").read_bytes()), 1
)
HEXADECIMAL = re.compile(r"[0-9a-f]{64}")


@cache
def sample(until: int = NOW) -> World:
    """The world, or the part of it that was told by then."""
    whole = world(SEED, NOW)
    return World(whole.people, tuple(entry for entry in whole.entries if entry.at <= until))


def links(told: World) -> dict[tuple[str, ...], Link]:
    """The newest observation of each link, as the write path would keep it at NOW."""
    found: dict[tuple[str, ...], Link] = {}
    for entry in told.entries:
        seen = entry.told
        if isinstance(seen, ObserveLink) and seen.observed_at is not None:
            name = (seen.source, seen.rule, seen.method, seen.a, seen.b)
            first = found[name].first_observed_at if name in found else seen.observed_at
            found[name] = Link(
                seen.link_id, seen.a, seen.b, seen.method, seen.confidence, seen.source, seen.rule, seen.rule_version,
                seen.observed_at, first, seen.expires_at,
            )  # fmt: skip
    return found


def active(told: World) -> list[Link]:
    """The links that have a say at NOW."""
    found = []
    for link in links(told).values():
        due = due_of(link, POLICY)
        if inactive_of(link, POLICY, linking=True, now=NOW) is None and (due is None or due > NOW):
            found.append(link)
    return found


@cache
def resolved(until: int = NOW) -> Resolution:
    """What the links alone make of the world; what stewards and the two who withdrew said is left out."""
    joined = [
        link
        for link in active(sample(until))
        if not any(POLICY.namespace_of_key(end).is_household for end in link.pair)
    ]
    neighbours: dict[IdentifierKey, set[IdentifierKey]] = {}
    for link in joined:
        neighbours.setdefault(link.a, set()).add(link.b)
        neighbours.setdefault(link.b, set()).add(link.a)
    standings = {
        key: Standing(key, dict(Counter(namespace_of(other) for other in others))) for key, others in neighbours.items()
    }
    bonds = [
        Bond(link.a, link.b, link.tier, link.confidence, link.observed_at, link.first_observed_at) for link in joined
    ]
    return resolve(standings, bonds, POLICY)


def together(resolution: Resolution, key: IdentifierKey) -> frozenset[IdentifierKey]:
    return next(cluster for cluster in resolution.clusters if key in cluster)


def test_one_seed_gives_one_world() -> None:
    assert world(SEED, NOW) == world(SEED, NOW)
    assert world(SEED + 1, NOW) != world(SEED, NOW)


def test_another_time_moves_it_and_changes_nothing_else() -> None:
    later = world(SEED, NOW + 5_000)
    assert [entry.at - 5_000 for entry in later.entries] == [entry.at for entry in sample().entries]
    pairs = [(e.told.a, e.told.b) for e in later.entries if isinstance(e.told, ObserveLink)]
    assert pairs == [(e.told.a, e.told.b) for e in sample().entries if isinstance(e.told, ObserveLink)]


def test_it_has_a_few_hundred_people_over_two_years_in_order() -> None:
    told = sample()
    numbers = {key for link in links(told).values() for key in link.pair if namespace_of(key) == "crm_id"}
    assert len(numbers) == told.people
    assert 300 <= told.people <= 400
    assert told.links > BATCH_MAX
    times = [entry.at for entry in told.entries]
    assert times == sorted(times)
    assert NOW - YEARS_MS < times[0] < NOW - YEARS_MS * 0.9
    assert times[-1] <= NOW


def test_every_identifier_is_as_the_default_policy_writes_it() -> None:
    keys = {key for link in links(sample()).values() for key in link.pair}
    assert {namespace_of(key) for key in keys} == set(NAMESPACES)
    for key in keys:
        assert normalise(*parse_key(key), POLICY).key == key


def test_digests_are_those_of_the_plain_address() -> None:
    assert email("Anna.Lind@example.com") == normalise("email_sha256", " anna.lind@Example.com", POLICY, plain=True).key


def test_no_address_or_number_is_in_it_in_clear() -> None:
    for link in links(sample()).values():
        for key in link.pair:
            assert "@" not in key
            assert not namespace_of(key).endswith("sha256") or HEXADECIMAL.fullmatch(parse_key(key).value)


def test_names_of_the_cast_are_nobody_elses() -> None:
    of_cast = {crm(number) for number in NUMBERS}
    accounts = [
        link for link in links(sample()).values() if link.rule == "account" and not of_cast.isdisjoint(link.pair)
    ]
    assert Counter(end for link in accounts for end in link.pair if end in of_cast).total() <= 2 * len(NUMBERS)


def test_there_is_something_of_everything() -> None:
    told = sample()
    kinds = Counter(type(entry.told) for entry in told.entries)
    assert (kinds[SamePerson], kinds[SomebodyElse], kinds[Revoke]) == (1, 1, 2)
    why = Counter(
        inactive_of(link, POLICY, linking=True, now=NOW) if (due_of(link, POLICY) or NOW + 1) > NOW else "expired"
        for link in links(told).values()
    )
    assert why["expired"] > 50
    assert why["below_confidence"] > 15
    assert sum(link.method == "probabilistic" for link in active(told)) > 10
    refusals = Counter(refusal.reason for refusal in resolved().withheld.values())
    assert refusals["shared_identifier"] > 40
    assert refusals["namespace_limit"] > 10


def test_the_tablet_is_with_ben_who_was_seen_last_on_it() -> None:
    assert TABLET in together(resolved(), crm(BEN))
    refusal = resolved().withheld[TABLET, login("anna.lind")]
    assert refusal.reason == "namespace_limit"
    assert set(refusal.conflicts_with) == {crm(ANNA), crm(BEN)}


def test_anna_has_several_identifiers_and_none_that_is_only_guessed_at() -> None:
    hers = together(resolved(), crm(ANNA))
    assert {ANNAS_PHONE, device("tv-lind"), cookie("ck-anna-desk"), email("anna@lind-studio.example")} <= hers
    assert device("phone-anna-1") not in hers
    assert device("laptop-elm-street") not in hers


def test_the_kiosk_and_the_tablets_of_large_families_bridge_nothing() -> None:
    shared = [key for key, reason in resolved().barred.items() if reason == "shared_identifier"]
    assert KIOSK in shared
    assert sum("tablet-" in key for key in shared) >= 3
    assert together(resolved(), KIOSK) == {KIOSK}


def test_the_librarys_cookie_goes_to_the_next_customer() -> None:
    assert cookie("ck-library") in together(resolved(), crm(1111))
    before = resolved(NOW - 4 * 86_400_000)
    assert cookie("ck-library") in together(before, crm(1110))


def test_the_guest_is_with_the_friend_until_she_is_a_customer() -> None:
    guest, friend = email("joon.park@example.com"), email("sara.novak@example.com")
    assert together(resolved(NOW - 21 * 86_400_000), guest) == together(resolved(NOW - 21 * 86_400_000), friend)
    assert together(resolved(), guest) != together(resolved(), friend)
    assert guest in together(resolved(), crm(1151))


def test_draws_are_even_and_within_their_bounds() -> None:
    draws = Draws(7)
    found = Counter(draws.below(4) for _ in range(4_000))
    assert set(found) == {0, 1, 2, 3}
    assert min(found.values()) > 800
    assert all(2.0 <= draws.between(2.0, 3.0) < 3.0 for _ in range(100))
    assert draws.happens(1.0)
    assert not draws.happens(0.0)


@pytest.mark.parametrize("seed", [0, 1, 99])
def test_any_seed_gives_a_sound_world(seed: int) -> None:
    for link in links(world(seed, NOW)).values():
        assert link.a < link.b
        assert 0 < link.confidence <= 1

"""What a settlement means to those who follow the change feed."""

from __future__ import annotations

from service.commands.announce import Event, events_of, profiles_in
from service.commands.steps import Move, Settlement
from service.model.identifiers import IdentifierKey, ProfileId


def settled(before: dict[str, str], after: dict[str, str]) -> Settlement:
    """From profiles written as `id: members`, one letter each."""

    def profiles(told: dict[str, str]) -> dict[ProfileId, frozenset[IdentifierKey]]:
        return {ProfileId(pid): frozenset(map(IdentifierKey, members)) for pid, members in told.items()}

    was = {key: ProfileId(pid) for pid, members in before.items() for key in members}
    now = {key: ProfileId(pid) for pid, members in after.items() for key in members}
    moves = [
        Move(IdentifierKey(key), was.get(key), now.get(key))
        for key in sorted({*was, *now})
        if was.get(key) != now.get(key)
    ]
    return Settlement(1, profiles(before), profiles(after), tuple(moves), frozenset())


def told(before: dict[str, str], after: dict[str, str]) -> list[Event]:
    return events_of(settled(before, after))


def moved(source: str | None, target: str | None, keys: str) -> Event:
    shown = target if target is not None else source
    return {"type": "identifiers.moved", "profile_id": shown, "from": source, "to": target, "identifiers": [*keys]}


def test_nothing_changed_is_nothing_told() -> None:
    assert told({"p": "ab"}, {"p": "ab"}) == []


def test_a_new_profile_is_created_with_its_identifiers() -> None:
    assert told({}, {"p": "ab"}) == [{"type": "profile.created", "profile_id": "p", "identifiers": ["a", "b"]}]


def test_a_newcomer_in_a_known_profile_moved_from_nowhere() -> None:
    assert told({"p": "a"}, {"p": "ab"}) == [moved(None, "p", "b")]


def test_two_become_one() -> None:
    assert told({"p": "a", "q": "bc"}, {"p": "abc"}) == [{"type": "profile.merged", "profile_id": "q", "into": "p"}]


def test_one_becomes_two_and_the_new_one_is_created() -> None:
    assert told({"p": "abc"}, {"p": "a", "q": "bc"}) == [
        {"type": "profile.created", "profile_id": "q", "identifiers": []},
        moved("p", "q", "bc"),
        {"type": "profile.split", "profile_id": "p", "into": ["q"]},
    ]


def test_an_identifier_that_changes_between_known_profiles_is_no_split() -> None:
    assert told({"p": "ab", "q": "c"}, {"p": "a", "q": "bc"}) == [moved("p", "q", "b")]


def test_an_id_that_is_shown_no_more_merges_into_where_most_of_it_went() -> None:
    assert told({"p": "abc", "q": "d", "r": "e"}, {"q": "abd", "r": "ce"}) == [
        {"type": "profile.merged", "profile_id": "p", "into": "q"},
        moved("p", "r", "c"),
    ]


def test_what_is_known_no_more_moved_to_nowhere() -> None:
    assert told({"p": "ab"}, {"p": "a"}) == [moved("p", None, "b")]


def test_every_profile_of_an_event_is_found() -> None:
    assert profiles_in(moved("p", "q", "a")) == {"p", "q"}
    assert profiles_in({"type": "profile.split", "profile_id": "p", "into": ["q", "r"]}) == {"p", "q", "r"}

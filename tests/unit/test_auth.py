"""Keys and roles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.auth import REMEMBERED_MAX, ROLES, Caller, Keyring, only_activates, require
from service.errors import NotAllowed, NotAuthenticated, StartRefused

KEYS = {
    "k-admin": ["admin"],
    "k-activation": ["activation"],
    "k-both": ["activation", "steward"],
    "k/+=~.": ["privacy"],
}
RING = Keyring(KEYS, b"secret")


def test_a_key_gives_its_roles_whatever_the_header_looks_like() -> None:
    for key, roles in KEYS.items():
        for header in (f"Bearer {key}", f"bearer  {key} ", f"BEARER {key}".encode()):
            assert RING.roles_of(header).roles == set(roles)
            assert RING.roles_of(header) is RING.roles_of(header)


@pytest.mark.parametrize(
    "header",
    [
        *(None, "", b"", "Bearer", "Bearer ", "Bearer k-wrong", "k-admin", "Basic k-admin", "Bearerk-admin"),
        *("Bearer k-admin, Bearer k-admin", "Bearer k-admin k-both", "Bearer k-admin\n", "Bearer \ud800"),
        *(b"Bearer \xff\x00", b"Bearer " + b"x" * 100_000),
    ],
)
def test_anything_else_is_not_authenticated(header: bytes | str | None) -> None:
    with pytest.raises(NotAuthenticated) as refused:
        RING.roles_of(header)
    assert "k-" not in str(refused.value)


@given(st.binary() | st.text() | st.builds(lambda b: b"Bearer " + b, st.binary()))
def test_any_header_is_a_caller_or_not_authenticated(header: bytes | str) -> None:
    with pytest.raises(NotAuthenticated):
        RING.roles_of(header)


def test_what_is_remembered_is_bounded_and_strangers_do_not_count() -> None:
    ring = Keyring(KEYS, b"s")
    for n in range(REMEMBERED_MAX + 10):
        ring.roles_of("Bearer" + " " * (n + 1) + "k-admin")
        with pytest.raises(NotAuthenticated):
            ring.roles_of(f"Bearer stranger-{n}")
    assert len(ring._remembered) <= REMEMBERED_MAX
    assert not any("stranger" in str(header) for header in ring._remembered)


def test_the_keyring_keeps_no_key_and_names_reveal_none() -> None:
    ring = Keyring(KEYS, b"secret")
    kept = repr(ring._callers)
    assert not any(key in kept for key in KEYS)
    name = ring.roles_of("Bearer k-admin").name
    assert name == RING.roles_of("Bearer k-admin").name, "the same on every instance"
    assert name != Keyring(KEYS, b"other").roles_of("Bearer k-admin").name, "not to be had without the secret"
    assert name.startswith("key:") and len(name) == 10


def test_admin_may_everything_others_what_their_roles_say() -> None:
    for role in ROLES:
        require(Caller("", frozenset({"admin"})), role)
        require(Caller("", frozenset({role})), "collector", role)
    for caller in (Caller("", frozenset({"activation", "privacy"})), Caller("", frozenset())):
        with pytest.raises(NotAllowed):
            require(caller, "collector", "steward")
    with pytest.raises(NotAllowed):
        require(Caller("", frozenset({"steward"})))


def test_only_a_key_that_may_do_nothing_but_activate_must_name_a_purpose() -> None:
    told = {tuple(r): only_activates(Caller("", frozenset(r))) for r in (["activation"], ["activation", "collector"])}
    assert all(told.values())
    for roles in (["activation", "steward"], ["activation", "admin"], ["steward"], ["admin"], ["collector"], []):
        assert not only_activates(Caller("", frozenset(roles)))


@pytest.mark.parametrize(
    "keys", [{"": ["admin"]}, {"a b": ["admin"]}, {"k": []}, {"k": ["boss"]}, {"k": "admin"}, {"ké": ["admin"]}]
)
def test_keys_that_make_no_sense_refuse_to_start(keys: dict[str, list[str]]) -> None:
    with pytest.raises(StartRefused) as refused:
        Keyring(keys, b"s")
    assert "ké" not in str(refused.value)

"""Identifiers and their keys.

An identifier is a typed, normalised value. Its key is one string, `namespace:value`; every map, link and stored row
names an identifier by that key.
"""

from __future__ import annotations

from typing import NamedTuple, NewType

IdentifierKey = NewType("IdentifierKey", str)
ProfileId = NewType("ProfileId", str)
LinkId = NewType("LinkId", str)
AssertionId = NewType("AssertionId", str)
Pair = tuple[IdentifierKey, IdentifierKey]


class Identifier(NamedTuple):
    """A normalised value in its namespace."""

    namespace: str
    value: str

    @property
    def key(self) -> IdentifierKey:
        """`namespace:value`."""
        return IdentifierKey(f"{self.namespace}:{self.value}")


def parse_key(key: str) -> Identifier:
    """Read `namespace:value` back; the value may itself hold colons. Raises ValueError without a colon."""
    namespace, colon, value = key.partition(":")
    if not colon:
        raise ValueError("an identifier key is namespace:value")
    return Identifier(namespace, value)


def namespace_of(key: str) -> str:
    """The namespace part of a key."""
    return key[: key.index(":")]


def pair_of(a: IdentifierKey, b: IdentifierKey) -> Pair:
    """The two ends in key order, so that a link is the same whichever end comes first."""
    return (a, b) if a <= b else (b, a)

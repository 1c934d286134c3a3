"""Blocking: what two records must have in common to be compared at all."""

from __future__ import annotations

from collections.abc import Iterator

import jellyfish

from service.matching.fields import Normal
from service.matching.names import root_of


def _sound(text: str) -> str:
    """Soundex of the first word."""
    return jellyfish.soundex(text.split(" ", 1)[0]) if text else ""


def blocking_values(normal: Normal) -> list[str]:
    """At most 17 texts, each beginning with what it is made of; those that need a missing field are left out.

    Where one name is missing or wrong, some other field stands beside the one that is not. Names count by their sound,
    and in either order.
    """
    return [f"{kind}:{'/'.join(parts)}" for kind, parts in _candidates(normal) if all(parts)]


def _candidates(normal: Normal) -> Iterator[tuple[str, tuple[str, ...]]]:
    get = normal.get
    given, family = _sound(root_of(get("given_name"))), _sound(get("family_name"))
    low, high = sorted((given, family))
    birth, postcode, house = get("birth_date"), get("postcode"), get("house_number")
    street, suburb = _sound(get("street").split("|")[0]), _sound(get("suburb"))
    yield "names in full", tuple(sorted((root_of(get("given_name")), get("family_name"))))
    yield "names", (low, high)
    yield "names, year", (low, high, birth[:4])
    yield "birth, name", (birth, given)
    yield "birth, name", (birth, family)
    yield "postcode, name", (postcode, given)
    yield "postcode, name", (postcode, family)
    yield "birth", (birth,)
    yield "birth, postcode", (birth, postcode)
    yield "house, street, postcode", (house, street, postcode)
    yield "house, street, name", (house, street, given)
    yield "house, postcode", (house, postcode)
    yield "house, suburb", (house, suburb)
    yield "street, suburb", (street, suburb)
    yield "street, year", (street, birth[:4])
    yield "email", (get("email"),)
    yield "phone", (get("phone")[-8:],)

"""An invented population and what several sources know of it: families, twins, juniors, moves, nicknames, slips.

The same seed gives the same records on every machine. Nothing is tuned to any data set.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from service.matching.nicknames import ROOTS
from service.sample.draws import Draws
from service.sample.person_names import (
    FAMILIES,
    MAIL_DOMAINS,
    MEN,
    SHORT_TYPES,
    STREET_TYPES,
    STREETS,
    SYLLABLES,
    WOMEN,
)
from service.sample.slips import slip

_SHORT_FORMS: dict[str, list[str]] = {}
for _short, _root in ROOTS.items():
    if _short != _root:
        _SHORT_FORMS.setdefault(_root, []).append(_short)

GROWN_UP = 2008  # who was born later has the phone and the mail of the household
# How often a source has a field at all.
_TOLD = {
    "given_name": 0.95,
    "family_name": 0.97,
    "birth_date": 0.6,
    "house_number": 0.7,
    "street": 0.7,
    "suburb": 0.55,
    "postcode": 0.72,
    "city": 0.65,
    "country": 0.5,
    "phone": 0.55,
    "email": 0.55,
}


@dataclass(frozen=True, slots=True)
class Address:
    """Where somebody lives or lived."""

    house_number: str
    street: str
    suburb: str
    postcode: str
    city: str


@dataclass(slots=True)
class Person:
    """Somebody invented. `addresses`, `phones`, `emails`, `families`: the present one first."""

    number: int
    household: int
    given: str
    families: list[str]
    birth: tuple[int, int, int]
    addresses: list[Address]
    phones: list[str] = field(default_factory=list)
    emails: list[str] = field(default_factory=list)
    is_woman: bool = False
    carefulness: float = 1.0


@dataclass(frozen=True, slots=True)
class Known:
    """What one source knows of a person."""

    person: int
    household: int
    attributes: dict[str, str]


class Population:
    """Makes households until there are enough records."""

    def __init__(self, seed: int, suburbs: int = 120) -> None:
        self._draws = Draws(seed)
        self._persons = self._households = 0
        self._tail = [self._word(2) for _ in range(400)]
        self._suburbs = [self._suburb() for _ in range(suburbs)]

    # ---- words and places

    def _word(self, syllables: int) -> str:
        return "".join(self._draws.one_of(SYLLABLES) for _ in range(syllables))

    def _common(self, names: Sequence[str], skew: float = 2.0) -> str:
        """Earlier ones more often."""
        return names[int(len(names) * self._draws.between(0, 1) ** skew)]

    def _family_name(self) -> str:
        return self._common(FAMILIES) if self._draws.happens(0.6) else self._common(self._tail, 1.2)

    def _given_name(self, is_woman: bool) -> str:
        return self._common(WOMEN if is_woman else MEN, 1.7)

    def _suburb(self) -> tuple[str, str, str, list[str]]:
        city = self._word(2)
        streets = [
            f"{self._draws.one_of(STREETS) if self._draws.happens(0.6) else self._word(2)} "
            f"{self._draws.one_of(STREET_TYPES)}"
            for _ in range(40)
        ]
        return self._word(3), str(2000 + self._draws.below(6000)), city, streets

    def _address(self) -> Address:
        suburb, postcode, city, streets = self._draws.one_of(self._suburbs)
        number = str(1 + int(180 * self._draws.between(0, 1) ** 1.5)) + ("a" if self._draws.happens(0.03) else "")
        return Address(number, self._draws.one_of(streets), suburb, postcode, city)

    def _phone(self) -> str:
        return f"+614{self._draws.below(10**8):08}"

    def _email(self, person: Person) -> str:
        given, family, number = person.given, person.families[-1], self._draws.below(100)
        local = self._draws.one_of(
            (
                f"{given}.{family}",
                f"{given}{number}",
                f"{given[0]}{family}{number}",
                f"{family}.{given}{number}",
                self._word(4),
            )
        )
        return f"{local}@{self._draws.one_of(MAIL_DOMAINS)}"

    def _birth(self, year_low: int, year_high: int) -> tuple[int, int, int]:
        return (
            year_low + self._draws.below(year_high - year_low + 1),
            1 + self._draws.below(12),
            1 + self._draws.below(28),
        )

    # ---- households

    def household(self) -> list[Person]:
        """People of one address: alone, a couple, a family, or friends who share no name."""
        self._households += 1
        happens = self._draws.happens
        addresses = [self._address() for _ in range(2 if happens(0.35) else 1)]
        family = self._family_name()
        if happens(0.28):
            members = [self._person(addresses, [family], self._birth(1930, 2003), happens(0.5))]
        elif happens(0.12):
            members = [
                self._person(
                    [addresses[0], self._address()], [self._family_name()], self._birth(1975, 2003), happens(0.5)
                )
                for _ in range(2 + self._draws.below(3))
            ]
        else:
            members = self._family(addresses, family)
        landline = self._phone() if happens(0.6) else ""
        shared_mail = self._email(members[0]) if len(members) > 1 and happens(0.2) else ""
        for member in members:
            self._reachable(member, landline, shared_mail)
        return members

    def _family(self, addresses: list[Address], family: str) -> list[Person]:
        happens = self._draws.happens
        first = self._birth(1935, 1995)
        members = [self._person(addresses, [family], first, False)]
        own = [family] if happens(0.75) else [self._family_name()]
        if happens(0.3):
            own = [family, self._family_name()]
        year = first[0] + self._draws.below(9) - 4
        members.append(self._person(addresses, own, (year, *self._birth(2000, 2000)[1:]), True))
        year = max(members[0].birth[0], year) + 20
        for _ in range(self._draws.below(4)):
            year += self._draws.below(6)
            is_woman, born = happens(0.5), self._birth(year, year)
            child = self._person(addresses, [family], born, is_woman)
            if not is_woman and happens(0.05):
                child.given = members[0].given
            members.append(child)
            if happens(0.03):
                members.append(self._person(addresses, [family], born, happens(0.5)))
        return members

    def _person(
        self, addresses: list[Address], families: list[str], birth: tuple[int, int, int], is_woman: bool
    ) -> Person:
        self._persons += 1
        found = Person(
            self._persons,
            self._households,
            self._given_name(is_woman),
            families,
            birth,
            list(addresses),
            is_woman=is_woman,
        )
        found.carefulness = self._draws.between(0.3, 2.0)
        if self._draws.happens(0.12):
            found.addresses.append(self._address())
        return found

    def _reachable(self, person: Person, landline: str, shared_mail: str) -> None:
        happens = self._draws.happens
        person.phones = [self._phone() for _ in range(2 if happens(0.25) else 1)]
        person.emails = [self._email(person) for _ in range(2 if happens(0.3) else 1)]
        is_child = person.birth[0] > GROWN_UP
        if landline and happens(0.7):
            person.phones.insert(0 if is_child or happens(0.4) else 1, landline)
        if shared_mail:
            person.emails.insert(0 if is_child else 1, shared_mail)

    # ---- records

    def known_of(self, person: Person) -> Known:
        """What one more source knows of somebody."""
        draws = self._draws
        address = self._present_or_not(person.addresses, 0.75)
        year, month, day = person.birth
        told = {
            "given_name": self._called(person),
            "family_name": self._present_or_not(person.families, 0.75),
            "birth_date": f"{year}-{month:02}-{day:02}",
            "house_number": address.house_number,
            "street": self._written(address.street),
            "suburb": address.suburb,
            "postcode": address.postcode,
            "city": address.city,
            "country": "AU",
            "phone": self._present_or_not(person.phones, 0.7),
            "email": self._present_or_not(person.emails, 0.7),
        }
        if draws.happens(0.01):
            told["given_name"], told["family_name"] = told["family_name"], told["given_name"]
        whole_address = draws.happens(0.8)
        kept = {
            name: slip(draws, name, text, 0.05 * person.carefulness)
            for name, text in told.items()
            if draws.happens(_TOLD[name]) and (whole_address or name not in ("house_number", "street", "suburb"))
        }
        return Known(person.number, person.household, kept or {"family_name": told["family_name"]})

    def _present_or_not(self, values: list[str] | list[Address], share: float) -> Any:
        return (
            values[0]
            if len(values) == 1 or self._draws.happens(share)
            else values[1 + self._draws.below(len(values) - 1)]
        )

    def _called(self, person: Person) -> str:
        shorts = _SHORT_FORMS.get(ROOTS.get(person.given, person.given))
        if shorts and self._draws.happens(0.1):
            return self._draws.one_of(shorts)
        if self._draws.happens(0.02):
            return person.given[0]
        if self._draws.happens(0.04):
            return f"{person.given} {self._given_name(person.is_woman)}"
        return self._given_name(person.is_woman) if self._draws.happens(0.01) else person.given

    def _written(self, street: str) -> str:
        name, kind = street.rsplit(" ", 1)
        return f"{name} {SHORT_TYPES.get(kind, kind)}" if self._draws.happens(0.3) else street

    def records(self, count: int) -> Iterator[Known]:
        """`count` records: of each person one to five, most of them one or two."""
        left = count
        while left > 0:
            for person in self.household():
                times = 1
                while times < 5 and self._draws.happens(0.45):
                    times += 1
                for _ in range(min(times, left)):
                    yield self.known_of(person)
                left -= min(times, left)

"""The attributes of a record, and what of them can be compared: values in one spelling, junk taken for missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from service.matching.addresses import city_of, country_of, house_number_of, postcode_of, split_street, street_of
from service.matching.contacts import email_of, phone_of
from service.matching.dates import birth_date_of
from service.matching.names import name_of
from service.model.records import FIELDS as FIELDS

LEVELS = ("missing", "different", "similar", "close", "equal")
MISSING, DIFFERENT, SIMILAR, CLOSE, EQUAL = range(5)
PERSON_FIELDS = ("given_name", "birth_date")  # what members of one household do not share
CLASSES = ("same", "household", "unrelated")
LENGTH_MAX = 256  # characters of a value that are looked at


_SPELT = {
    "given_name": name_of,
    "family_name": name_of,
    "birth_date": birth_date_of,
    "house_number": house_number_of,
    "suburb": city_of,
    "postcode": postcode_of,
    "city": city_of,
    "country": country_of,
    "email": email_of,
}


@dataclass(frozen=True, slots=True)
class Normal:
    """A record's values in one spelling; a field that is missing, or junk, is not in `values`."""

    values: Mapping[str, str]

    @property
    def is_empty(self) -> bool:
        """Nothing is left to compare."""
        return not self.values

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that have a value, in the order of FIELDS."""
        return tuple(name for name in FIELDS if name in self.values)

    def get(self, field: str) -> str:
        """The value, or '' where there is none."""
        return self.values.get(field, "")


def normalise(attributes: Mapping[str, str]) -> Normal:
    """Attributes in one spelling. Those that are not in FIELDS are not looked at; never raises.

    A street that holds the whole address is split; what it yields fills only fields that are missing.
    """
    given = {name: text[:LENGTH_MAX] for name, text in attributes.items() if text and isinstance(text, str)}
    get = given.get
    found = {name: spelt(text) for name, spelt in _SPELT.items() if (text := get(name))}
    address = split_street(get("street", ""))
    found["house_number"] = found.get("house_number") or address.house_number
    found["street"] = street_of(address.street)
    found["suburb"] = found.get("suburb") or city_of(address.place)
    found["postcode"] = found.get("postcode") or postcode_of(address.postcode)
    if phone := get("phone"):
        found["phone"] = phone_of(phone, found.get("country", ""))
    return Normal(MappingProxyType({name: value for name, value in found.items() if value}))

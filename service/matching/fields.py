"""The attributes of a record, and what of them can be compared: values in one spelling, junk taken for missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from service.matching.addresses import city_of, country_of, house_number_of, postcode_of, split_street, street_of
from service.matching.contacts import email_of, phone_of
from service.matching.dates import birth_date_of
from service.matching.names import name_of

FIELDS = (
    "given_name",
    "family_name",
    "birth_date",
    "house_number",
    "street",
    "suburb",
    "postcode",
    "city",
    "country",
    "phone",
    "email",
)
LEVELS = ("missing", "different", "similar", "close", "equal")
MISSING, DIFFERENT, SIMILAR, CLOSE, EQUAL = range(5)
PERSON_FIELDS = ("given_name", "birth_date")  # what members of one household do not share
CLASSES = ("same", "household", "unrelated")
LENGTH_MAX = 256  # characters of a value that are looked at


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
    given = {name: text[:LENGTH_MAX] for name, text in attributes.items() if isinstance(text, str)}
    country = country_of(given.get("country", ""))
    address = split_street(given.get("street", ""))
    found = {
        "given_name": name_of(given.get("given_name", "")),
        "family_name": name_of(given.get("family_name", "")),
        "birth_date": birth_date_of(given.get("birth_date", "")),
        "house_number": house_number_of(given.get("house_number", "")) or address.house_number,
        "street": street_of(address.street),
        "suburb": city_of(given.get("suburb", "")) or city_of(address.place),
        "postcode": postcode_of(given.get("postcode", "")) or postcode_of(address.postcode),
        "city": city_of(given.get("city", "")),
        "country": country,
        "phone": phone_of(given.get("phone", ""), country),
        "email": email_of(given.get("email", "")),
    }
    return Normal(MappingProxyType({name: value for name, value in found.items() if value}))

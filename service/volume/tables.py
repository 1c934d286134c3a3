"""The tables of an export: columns with their types, and a row of each from and to the model.

Times are columns of type TIMESTAMP in UTC, so that an analyst's tools read them; within they are ms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from service.model.changes import KeptConsent, KeptId, KeptIdentifier, Revocation
from service.model.evidence import Assertion, ConsentRecord, Hand, Link, Reason
from service.model.identifiers import AssertionId, IdentifierKey, LinkId, ProfileId, parse_key
from service.model.times import rfc3339
from service.model.traits import Trait

Cells = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Table:
    """`columns`: name → DuckDB type. `order`: what its rows are sorted by."""

    name: str
    columns: Mapping[str, str]
    order: str

    @property
    def times(self) -> frozenset[str]:
        """The columns that hold a time."""
        return frozenset(name for name, kind in self.columns.items() if kind == "TIMESTAMP")


_KEYS: Final = "VARCHAR[]"
IDENTIFIERS: Final = Table(
    "identifiers",
    {
        "namespace": "VARCHAR",
        "value": "VARCHAR",
        "profile_id": "VARCHAR",
        "first_seen": "TIMESTAMP",
        "last_seen": "TIMESTAMP",
        "sources": "VARCHAR[]",
        "consents": "VARCHAR",
        "traits": "VARCHAR",
    },
    "namespace, value",
)
PROFILES: Final = Table(
    "profiles",
    {"profile_id": "VARCHAR", "members": _KEYS, "born": "VARCHAR", "holder": "VARCHAR", "valid_until": "TIMESTAMP"},
    "profile_id",
)
LINKS: Final = Table(
    "links",
    {
        "link_id": "VARCHAR",
        "a_namespace": "VARCHAR",
        "a_value": "VARCHAR",
        "b_namespace": "VARCHAR",
        "b_value": "VARCHAR",
        "method": "VARCHAR",
        "confidence": "DOUBLE",
        "source": "VARCHAR",
        "rule": "VARCHAR",
        "rule_version": "VARCHAR",
        "observed_at": "TIMESTAMP",
        "first_observed_at": "TIMESTAMP",
        "expires_at": "TIMESTAMP",
        "evidence": "VARCHAR",
        "status": "VARCHAR",
        "reason": "VARCHAR",
        "retracted_at": "TIMESTAMP",
        "reviewed": "VARCHAR",
        "assumed": "BOOLEAN",
    },
    "link_id",
)
ASSERTIONS: Final = Table(
    "assertions",
    {
        "assertion_id": "VARCHAR",
        "kind": "VARCHAR",
        "seq": "BIGINT",
        "at": "TIMESTAMP",
        "seniors": _KEYS,
        "named": _KEYS,
        "left_side": _KEYS,
        "right_side": _KEYS,
        "hand_id": "VARCHAR",
        "hand_to": "VARCHAR",
        "reason": "VARCHAR",
        "actor": "VARCHAR",
        "undone": "BOOLEAN",
    },
    "seq",
)
CONSENTS: Final = Table(
    "consents",
    {
        "namespace": "VARCHAR",
        "value": "VARCHAR",
        "purpose": "VARCHAR",
        "state": "VARCHAR",
        "regulation": "VARCHAR",
        "basis": "VARCHAR",
        "source": "VARCHAR",
        "at": "TIMESTAMP",
        "expires_at": "TIMESTAMP",
        "received_at": "TIMESTAMP",
        "consent_id": "VARCHAR",
        "notice": "VARCHAR",
        "method": "VARCHAR",
        "unreadable": "BOOLEAN",
        "signal": "VARCHAR",
    },
    "received_at, namespace, value, purpose",
)
REVOCATIONS: Final = Table(
    "revocations",
    {
        "revocation_id": "VARCHAR",
        "namespace": "VARCHAR",
        "value": "VARCHAR",
        "scope": "VARCHAR",
        "purposes": "VARCHAR[]",
        "regulation": "VARCHAR",
        "source": "VARCHAR",
        "at": "TIMESTAMP",
        "received_at": "TIMESTAMP",
        "reason": "VARCHAR",
        "actor": "VARCHAR",
        "profiles": "VARCHAR[]",
    },
    "received_at, revocation_id",
)
TABLES: Final = (IDENTIFIERS, PROFILES, LINKS, ASSERTIONS, CONSENTS, REVOCATIONS)


def told(table: Table, cells: Cells) -> Cells:
    """A row as JSON text takes it: times spelled out, as DuckDB reads them."""
    return {
        name: rfc3339(value)[:-1].replace("T", " ") if name in table.times and value is not None else value
        for name, value in cells.items()
    }


def _named(key: str) -> Cells:
    namespace, value = parse_key(key)
    return {"namespace": namespace, "value": value}


def _key(cells: Cells, prefix: str = "") -> IdentifierKey:
    return IdentifierKey(f"{cells[prefix + 'namespace']}:{cells[prefix + 'value']}")


def _record_cells(record: ConsentRecord) -> list[Any]:
    return [getattr(record, name) for name in ConsentRecord.__dataclass_fields__]


def identifier_cells(kept: KeptIdentifier, profile: ProfileId | None) -> Cells:
    """A row of IDENTIFIERS; its consents and traits are those that count, as JSON text."""
    carried = orjson.dumps([_record_cells(record) for record in kept.consents]).decode() if kept.consents else None
    seen = {"first_seen": kept.first_seen, "last_seen": kept.last_seen}
    traits = orjson.dumps([list(trait) for trait in kept.traits]).decode() if kept.traits else None
    rest = {"profile_id": profile, "sources": list(kept.sources), "consents": carried, "traits": traits}
    return _named(kept.key) | seen | rest


def identifier_of(cells: Cells) -> KeptIdentifier:
    """The inverse."""
    carried = tuple(ConsentRecord(*row) for row in orjson.loads(cells["consents"] or "[]"))
    traits = tuple(Trait(*row) for row in orjson.loads(cells["traits"] or "[]"))
    return KeptIdentifier(
        _key(cells), cells["first_seen"], cells["last_seen"], tuple(cells["sources"] or ()), carried, traits
    )


def profile_cells(kept: KeptId, holder: IdentifierKey, due: int | None, members: list[IdentifierKey]) -> Cells:
    """A row of PROFILES; an id that is shown no more has no members."""
    return {"profile_id": kept.profile_id, "members": members, "born": kept.born, "holder": holder, "valid_until": due}


def id_of(cells: Cells) -> KeptId:
    """The id of a row of PROFILES."""
    return KeptId(ProfileId(cells["profile_id"]), IdentifierKey(cells["born"]))


def link_cells(link: Link, withheld: Reason | None) -> Cells:
    """A row of LINKS."""
    reason = link.inactive or withheld
    cells = {name: getattr(link, name) for name in LINKS.columns if hasattr(link, name)}
    (a_namespace, a_value), (b_namespace, b_value) = parse_key(link.a), parse_key(link.b)
    return cells | {
        "a_namespace": a_namespace,
        "a_value": a_value,
        "b_namespace": b_namespace,
        "b_value": b_value,
        "status": "withheld" if reason else "linked",
        "reason": reason,
    }


def link_of(cells: Cells) -> Link:
    """The link of a row; whether it is in use follows from it."""
    return Link(
        LinkId(cells["link_id"]), _key(cells, "a_"), _key(cells, "b_"), cells["method"], cells["confidence"],
        cells["source"], cells["rule"], cells["rule_version"], cells["observed_at"], cells["first_observed_at"],
        cells["expires_at"], cells["evidence"], retracted_at=cells["retracted_at"], reviewed=cells["reviewed"],
        assumed=bool(cells["assumed"]),
    )  # fmt: skip


def assertion_cells(assertion: Assertion) -> Cells:
    """A row of ASSERTIONS; `seq` is its place in the order of all changes."""
    hand = assertion.hand
    return {
        "assertion_id": assertion.assertion_id,
        "kind": assertion.kind,
        "seq": assertion.at,
        "at": assertion.at_ms,
        "seniors": list(assertion.seniors),
        "named": sorted(assertion.named),
        "left_side": sorted(assertion.sides[0]),
        "right_side": sorted(assertion.sides[1]),
        "hand_id": hand.profile_id if hand else None,
        "hand_to": hand.to if hand else None,
        "reason": assertion.reason,
        "actor": assertion.actor,
        "undone": assertion.undone,
    }


def assertion_of(cells: Cells) -> Assertion:
    """The inverse."""
    hand = None
    if cells["hand_id"] is not None:
        hand = Hand(cells["seq"], ProfileId(cells["hand_id"]), IdentifierKey(cells["hand_to"]))
    return Assertion(
        AssertionId(cells["assertion_id"]),
        cells["kind"],
        cells["seq"],
        cells["at"],
        tuple(cells["seniors"] or ()),
        frozenset(cells["named"] or ()),
        (frozenset(cells["left_side"] or ()), frozenset(cells["right_side"] or ())),
        hand,
        cells["reason"] or "",
        cells["actor"] or "",
        bool(cells["undone"]),
    )


_SAID = [name for name in ConsentRecord.__dataclass_fields__ if name != "via"]  # what is inherited nobody said


def consent_cells(kept: KeptConsent) -> Cells:
    """A row of CONSENTS."""
    return _named(kept.key) | {name: getattr(kept.record, name) for name in _SAID}


def consent_of(cells: Cells) -> KeptConsent:
    """The inverse."""
    return KeptConsent(_key(cells), ConsentRecord(**{name: cells[name] for name in _SAID}))


def revocation_cells(revocation: Revocation) -> Cells:
    """A row of REVOCATIONS."""
    cells = {name: getattr(revocation, name) for name in REVOCATIONS.columns if hasattr(revocation, name)}
    lists = {"purposes": list(revocation.purposes), "profiles": list(revocation.profiles)}
    return _named(revocation.identifier) | cells | lists


def revocation_of(cells: Cells) -> Revocation:
    """The inverse."""
    return Revocation(
        cells["revocation_id"], _key(cells), cells["scope"], tuple(cells["purposes"] or ()), cells["regulation"],
        cells["source"], cells["at"], cells["received_at"], cells["reason"], cells["actor"],
        tuple(ProfileId(profile_id) for profile_id in cells["profiles"] or ()),
    )  # fmt: skip

"""What a signal means under a policy: states of its purposes. What can't be read means no, and says so.

A signal that is unreadable refuses every purpose that it could have spoken of. One that is readable and silent on a
purpose (not applicable, a section that is not mapped) says nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from service.control.signals import gpp, tcf
from service.control.signals.bits import SignalUnreadable
from service.model.capture import GoogleMapping, GpcMapping, GppMapping, SignalKind, SignalMappings, TcfMapping, TcfUse
from service.model.evidence import ConsentState

AHEAD_MS_MAX: Final = 86_400_000  # strings carry their day, by the clock of the browser
# Strings from this day on (2026-03-01, UTC) have the segment of disclosed vendors, or are none of 2.3.
DISCLOSED_FROM: Final = 1_772_323_200_000
_GOOGLE_TYPES: Final = frozenset(
    {
        "ad_storage",
        "ad_user_data",
        "ad_personalization",
        "analytics_storage",
        "functionality_storage",
        "personalization_storage",
        "security_storage",
    }
)


class SignalNotTaken(ValueError):
    """The policy says nothing of this kind of signal, or the signal nothing that the policy maps."""


@dataclass(frozen=True, slots=True)
class Stated:
    """A state of one purpose under one regulation (None: all)."""

    purpose: str
    regulation: str | None
    state: ConsentState
    basis: str | None = None
    expires_at: int | None = None
    unreadable: bool = False


def stated_by(kind: SignalKind, value: object, mappings: SignalMappings, now: int) -> tuple[Stated, ...]:
    """What a signal says, one state for each purpose and regulation. `now` in ms. Raises SignalNotTaken.

    Never raises for what the signal holds: unreadable is a refusal.
    """
    mapping = getattr(mappings, kind)
    if mapping is None:
        raise SignalNotTaken("is of a kind that the policy does not map")
    try:
        found = _read(value, mapping, mappings, now)
    except SignalUnreadable:
        found = _refused(mapping, mappings)
    if not found:
        raise SignalNotTaken("says nothing that the policy maps")
    return _strictest(found)


def _read(
    value: object, mapping: TcfMapping | GppMapping | GpcMapping | GoogleMapping, mappings: SignalMappings, now: int
) -> list[Stated]:
    match mapping:
        case TcfMapping():
            return _by_tcf(_text(value), mapping, now)
        case GppMapping():
            return _by_gpp(_text(value), mapping, mappings, now)
        case GpcMapping():
            return _by_gpc(value, mapping)
        case GoogleMapping():
            return _by_google(value, mapping)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise SignalUnreadable("is no text")
    return value


def _refused(mapping: TcfMapping | GppMapping | GpcMapping | GoogleMapping, mappings: SignalMappings) -> list[Stated]:
    """Every purpose under every regulation that the signal could have spoken of; a GPP string may hold a TC string."""
    match mapping:
        case GppMapping():
            purposes: Iterable[str] = (*mapping.purposes, *(mappings.gpc.denies if mappings.gpc is not None else ()))
            pairs = [(name, regulation) for regulation in sorted(set(mapping.sections.values())) for name in purposes]
            own = [Stated(name, regulation, "denied", unreadable=True) for name, regulation in dict.fromkeys(pairs)]
            return own if mappings.tcf is None else own + _refused(mappings.tcf, mappings)
        case GpcMapping():
            return [
                Stated(p, regulation, "denied", unreadable=True)
                for regulation in mapping.regulations
                for p in mapping.denies
            ]
        case _:
            return [Stated(name, mapping.regulation, "denied", unreadable=True) for name in mapping.purposes]


# ---- TCF


def _by_tcf(text: str, mapping: TcfMapping, now: int) -> list[Stated]:
    found = tcf.decode(text)
    if found.last_updated > now + AHEAD_MS_MAX:
        raise SignalUnreadable("is dated ahead")
    if found.policy_version < mapping.policy_version_min:
        raise SignalUnreadable("is of a policy that no longer holds")
    if found.disclosed is None and (mapping.require_disclosed or found.last_updated >= DISCLOSED_FROM):
        raise SignalUnreadable("does not say which vendors were disclosed")
    ends = found.last_updated + mapping.max_age_ms
    if ends <= now:
        raise SignalUnreadable("is older than the policy permits")
    stated = []
    for purpose, use in mapping.purposes.items():
        basis = _basis(found, use, mapping.vendors)
        if basis is None:
            stated.append(Stated(purpose, mapping.regulation, "denied"))
        else:
            stated.append(Stated(purpose, mapping.regulation, "granted", basis, ends))
    return stated


def _basis(found: tcf.TcString, use: TcfUse, vendors: tuple[int, ...]) -> str | None:
    """`consent` or `legitimate_interest` where all that is needed is permitted, None where something is not."""
    if not set(use.features) <= found.features or not (use.consent or use.interest):
        return None
    by_interest = False
    for purpose in (*use.consent, *use.interest):
        if _consented(found, purpose, vendors):
            continue
        if purpose not in use.interest or not _interested(found, purpose, vendors):
            return None
        by_interest = True
    return "legitimate_interest" if by_interest else "consent"


def _consented(found: tcf.TcString, purpose: int, vendors: tuple[int, ...]) -> bool:
    return purpose in found.consents and all(found.by_consent(purpose, vendor) for vendor in vendors)


def _interested(found: tcf.TcString, purpose: int, vendors: tuple[int, ...]) -> bool:
    """Legitimate interest is a vendor's: without any there is none."""
    return bool(vendors) and all(found.by_interest(purpose, vendor) for vendor in vendors)


# ---- GPP, GPC, Google


def _by_gpp(text: str, mapping: GppMapping, mappings: SignalMappings, now: int) -> list[Stated]:
    found = gpp.decode(text)
    stated: list[Stated] = []
    for section in found.us:
        regulation = mapping.sections.get(section.name)
        if regulation is None:
            continue
        if not section.whole and mapping.require_parts:
            raise SignalUnreadable("has a section that may be cut short")
        for purpose, names in mapping.purposes.items():
            state = _of_choices([section.choices[name] for name in names if name in section.choices])
            if state is not None:
                stated.append(Stated(purpose, regulation, state))
        if section.gpc and mappings.gpc is not None:
            stated += [Stated(purpose, regulation, "denied") for purpose in mappings.gpc.denies]
    if found.tcf is not None and mappings.tcf is not None:
        stated += _by_tcf(found.tcf, mappings.tcf, now)
    return stated


def _of_choices(choices: list[tuple[int, ...]]) -> ConsentState | None:
    """A no anywhere is a no; a yes needs a yes everywhere; else nothing is said."""
    values = [value for choice in choices for value in choice]
    if 1 in values:
        return "denied"
    return "granted" if values and all(value == 2 for value in values) else None


def _by_gpc(value: object, mapping: GpcMapping) -> list[Stated]:
    """`Sec-GPC: 1` refuses; `0` and its absence say nothing."""
    if value not in ("1", "0") and not isinstance(value, bool):
        raise SignalUnreadable("is neither 1 nor 0")
    if value in ("0", False):
        return []
    return [Stated(name, regulation, "denied") for regulation in mapping.regulations for name in mapping.denies]


def _by_google(value: object, mapping: GoogleMapping) -> list[Stated]:
    if not isinstance(value, Mapping) or not value.keys() <= _GOOGLE_TYPES:
        raise SignalUnreadable("is no set of consent types")
    if any(said not in ("granted", "denied") for said in value.values()):
        raise SignalUnreadable("has a type that is neither granted nor denied")
    return [
        Stated(purpose, mapping.regulation, "granted" if all(value.get(t) == "granted" for t in types) else "denied")
        for purpose, types in mapping.purposes.items()
    ]


def _strictest(found: list[Stated]) -> tuple[Stated, ...]:
    """One state for each purpose and regulation: a refusal before a grant."""
    kept: dict[tuple[str, str | None], Stated] = {}
    for one in found:
        former = kept.get((one.purpose, one.regulation))
        if former is None or (former.state == "granted" and one.state != "granted"):
            kept[one.purpose, one.regulation] = one
    return tuple(kept.values())

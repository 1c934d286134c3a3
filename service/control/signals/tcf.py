"""TC strings of the IAB Transparency and Consent Framework, 2.2 and 2.3.

https://github.com/InteractiveAdvertisingBureau/GDPR-Transparency-and-Consent-Framework, TCFv2, "Consent string and
vendor list formats v2". A use is permitted only if the purpose, the vendor and its disclosure say so, and no publisher
restriction says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from service.control.signals.bits import Bits, Ranges, SignalUnreadable, ranges, vendors

SIGNAL_CHARS_MAX: Final = 16_384
VENDOR_MAX: Final = 65_535
PURPOSES: Final = 24
_NOT_ALLOWED, _BY_CONSENT, _BY_INTEREST = 0, 1, 2
# From policy version 4 (2.2) on, these rest on consent alone; storing on a device always did.
_CONSENT_ONLY: Final = frozenset({3, 4, 5, 6})
_CONSENT_ONLY_FROM: Final = 4


@dataclass(frozen=True, slots=True)
class TcString:
    """A decoded string. Times in ms. `disclosed` None: the segment is not there."""

    created: int
    last_updated: int
    cmp_id: int
    policy_version: int
    features: frozenset[int]
    consents: frozenset[int]
    interests: frozenset[int]
    vendor_consents: Ranges
    vendor_interests: Ranges
    restrictions: Mapping[int, tuple[tuple[int, Ranges], ...]]
    disclosed: Ranges | None

    def by_consent(self, purpose: int, vendor: int) -> bool:
        """Whether a vendor may use data for a purpose because the person consented."""
        restricted = self._restricted(purpose, vendor)
        return (
            purpose in self.consents
            and vendor in self.vendor_consents
            and self._is_disclosed(vendor)
            and restricted <= {_BY_CONSENT}
        )

    def by_interest(self, purpose: int, vendor: int) -> bool:
        """Whether a vendor may use data for a purpose by legitimate interest, to which the person did not object."""
        barred = purpose == 1 or (purpose in _CONSENT_ONLY and self.policy_version >= _CONSENT_ONLY_FROM)
        return (
            not barred
            and purpose in self.interests
            and vendor in self.vendor_interests
            and self._is_disclosed(vendor)
            and self._restricted(purpose, vendor) <= {_BY_INTEREST}
        )

    def _is_disclosed(self, vendor: int) -> bool:
        return self.disclosed is None or vendor in self.disclosed

    def _restricted(self, purpose: int, vendor: int) -> set[int]:
        return {kind for kind, whom in self.restrictions.get(purpose, ()) if vendor in whom}


def decode(text: str) -> TcString:
    """A whole string. Raises SignalUnreadable for all that is not exactly as the format says."""
    if len(text) > SIGNAL_CHARS_MAX:
        raise SignalUnreadable("is too long")
    first, *rest = text.split(".")
    found = _core(Bits(first))
    disclosed: Ranges | None = None
    seen: set[int] = set()
    for part in rest:
        bits = Bits(part)
        kind = bits.number(3)
        if kind not in (1, 2, 3) or kind in seen:
            raise SignalUnreadable("has a segment that is unknown or there twice")
        seen.add(kind)
        if kind == 3:
            _publisher(bits)
        else:
            listed = vendors(bits)
            disclosed = listed if kind == 1 else disclosed
        bits.end()
    return replace(found, disclosed=disclosed)


def _core(bits: Bits) -> TcString:
    if bits.number(6) != 2:
        raise SignalUnreadable("is of another version")
    created, last_updated = bits.number(36) * 100, bits.number(36) * 100
    if not 0 < created <= last_updated:
        raise SignalUnreadable("was updated before it was created")
    cmp_id = bits.number(12)
    bits.text(12 + 6)  # version of the consent platform, screen
    bits.letters(2)
    bits.text(12)  # version of the vendor list
    policy_version = bits.number(6)
    bits.text(2)  # service specific, texts of its own
    features, consents, interests = bits.chosen(12), bits.chosen(PURPOSES), bits.chosen(PURPOSES)
    bits.text(1)  # treatment of purpose 1
    bits.letters(2)
    vendor_consents, vendor_interests = vendors(bits), vendors(bits)
    restrictions = _restrictions(bits)
    bits.end()
    return TcString(
        created,
        last_updated,
        cmp_id,
        policy_version,
        features,
        consents,
        interests,
        vendor_consents,
        vendor_interests,
        restrictions,
        None,
    )


def _restrictions(bits: Bits) -> dict[int, tuple[tuple[int, Ranges], ...]]:
    found: dict[int, tuple[tuple[int, Ranges], ...]] = {}
    for _ in range(bits.number(12)):
        purpose, kind = bits.number(6), bits.number(2)
        if not 1 <= purpose <= PURPOSES:
            raise SignalUnreadable("restricts a purpose that is none")
        found[purpose] = (*found.get(purpose, ()), (kind, ranges(bits, VENDOR_MAX)))
    return found


def _publisher(bits: Bits) -> None:
    """The publisher's own segment: read for its shape, nothing rests on it."""
    bits.text(2 * PURPOSES)
    bits.text(2 * bits.number(6))

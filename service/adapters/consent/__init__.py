"""Consent platforms whose webhooks are understood, by the name in the path."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from service.adapters.consent import didomi, ketch, onetrust, segment, usercentrics
from service.adapters.consent.said import Adapter

VENDORS: Final[Mapping[str, Adapter]] = MappingProxyType(
    {
        "didomi": didomi.read,
        "ketch": ketch.read,
        "onetrust": onetrust.read,
        "segment": segment.read,
        "usercentrics": usercentrics.read,
    }
)

"""Adapters that are installed: those built in, and packages that registered one."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Final

from service.adapters.delivery.braze import Braze
from service.adapters.delivery.delta import Delta
from service.adapters.delivery.ga4 import Ga4
from service.adapters.delivery.google_data_manager import GoogleDataManager
from service.adapters.delivery.meta_capi import MetaCapi
from service.adapters.delivery.shapes import API, Adapter
from service.adapters.delivery.webhook import Webhook

GROUP: Final = "identity_fabric.adapters"


class BadAdapter(ValueError):
    """What a package registered is no adapter of this protocol."""


def built_in() -> dict[str, Adapter]:
    """Those that come with the service, by name."""
    found: list[Adapter] = [Webhook(), MetaCapi(), Braze(), Ga4(), Delta(), GoogleDataManager()]
    return {one.manifest.adapter: one for one in found}


def installed() -> Mapping[str, Adapter]:
    """All of them, by name; a package can't stand in for a built-in one. Raises BadAdapter."""
    found = built_in()
    for entry in entry_points(group=GROUP):
        made = entry.load()()
        if not isinstance(made, Adapter) or made.api != API or made.manifest.adapter != entry.name:
            raise BadAdapter(f"the adapter {entry.name} does not fit protocol {API}")
        if entry.name in found:
            raise BadAdapter(f"an adapter named {entry.name} is built in")
        found[entry.name] = made
    return found

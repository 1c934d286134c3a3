"""Ids of deliveries follow from what they are, so that one event makes one at each destination."""

from __future__ import annotations

import base64
import hashlib

from service.model.delivery import place_of


def delivery_id_of(destination: str, source: str, event_id: str, action: str = "send") -> str:
    """`dlv_…` for an event at a destination; events' ids say nothing of persons."""
    digest = hashlib.sha256(f"{action}|{place_of(destination, source, event_id)}".encode()).digest()
    return "dlv_" + base64.urlsafe_b64encode(digest[:15]).decode().rstrip("=")

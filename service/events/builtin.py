"""The built-in types of events, each with a JSON Schema (2020-12) of its `data`.

What all types have in common is `COMMON`; a type of a team's own is held to it as well. `properties` stays open: a
field that no schema names is kept, and drift is watched (docs/events.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

Schema = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
IDENTIFIERS_MAX: Final = 20
TEXT_MAX: Final = 4_096


def _text(description: str, longest: int = 512, **more: object) -> Schema:
    return {"type": "string", "maxLength": longest, "description": description, **more}


def _number(description: str, kind: str = "number", **more: object) -> Schema:
    return {"type": kind, "description": description, **more}


_CURRENCY: Final = _text("ISO 4217.", 3, minLength=3, pattern="^[A-Z]{3}$")
_MONEY: Final = _number("In units of `currency`.", minimum=0)
_URL: Final = _text("Address of the page; e-mail addresses in it are masked.", TEXT_MAX)
_PRODUCT: Final[Schema] = {
    "product_id": _text("The seller's number of the product."),
    "name": _text("Name of the product."),
    "category": _text("Category of the product."),
    "price": _MONEY,
    "currency": _CURRENCY,
    "quantity": _number("How many.", "integer", minimum=1),
}
_ITEMS: Final[Schema] = {
    "type": "array",
    "maxItems": 200,
    "description": "What was bought.",
    "items": {"type": "object", "properties": _PRODUCT},
}

_TRAIT: Final[Schema] = {
    "type": ["string", "number", "boolean", "null", "array"],
    "maxLength": 1_024,
    "maxItems": 100,
    "items": {"type": ["string", "number", "boolean"], "maxLength": 1_024},
}

_SIGNALS: Final[Schema] = {
    "type": "object",
    "additionalProperties": False,
    "description": "What was seen beside the event. `ip` is digested with a key on arrival and kept nowhere else.",
    "properties": {
        "ip": _text("Address that the event came from.", 64, minLength=2),
        "user_agent": _text("Used for cookie-less sessions, not kept.", 1_024),
        "tcf": _text("TC string.", 16_384),
        "gpp": {"type": ["string", "object"], "maxLength": 16_384, "description": "GPP string, with its sections."},
        "gpc": {"type": ["boolean", "string"], "maxLength": 8, "description": "Global Privacy Control."},
        "google_consent_mode": {"type": "object", "maxProperties": 20, "description": "Google consent mode."},
    },
}

COMMON: Final[Schema] = {
    "type": "object",
    "required": ["identifiers"],
    "additionalProperties": False,
    "properties": {
        "identifiers": {
            "type": "array",
            "maxItems": IDENTIFIERS_MAX,
            "description": "Whose event it is; they are linked pairwise. An empty list: nobody is known.",
            "items": {
                "type": "object",
                "required": ["namespace", "value"],
                "additionalProperties": False,
                "properties": {
                    "namespace": {"type": "string", "maxLength": 64},
                    "value": {"type": "string", "maxLength": TEXT_MAX},
                    "plain": {"type": "boolean", "description": "A plain value, digested on arrival."},
                },
            },
        },
        "consent": {
            "type": "object",
            "maxProperties": 50,
            "description": "Purpose → what the person said of it, as known where the event was captured.",
            "propertyNames": {"pattern": "^[a-z][a-z0-9_]{0,63}$"},
            "additionalProperties": {"enum": ["granted", "denied", "withdrawn"]},
        },
        "regulation": {"type": ["string", "null"], "maxLength": 64, "description": "Under which consent was asked."},
        "basis": {"type": ["string", "null"], "maxLength": 64, "description": "Legal basis, where it is known."},
        "traits": {
            "type": "object",
            "maxProperties": 100,
            "description": "What the source knows of the person now.",
            "propertyNames": {"pattern": "^[a-z][a-z0-9_]{0,63}$"},
            "additionalProperties": _TRAIT,
        },
        "properties": {"type": "object", "maxProperties": 200, "description": "What happened."},
        "retention": {
            "type": ["string", "null"],
            "maxLength": 64,
            "description": "A name in the policy's `retention`.",
        },
        "signals": _SIGNALS,
    },
}


def _of_type(kind: str, version: str, description: str, properties: Schema, *, needs: list[str] | None) -> Schema:
    """The schema of a type's `data`. `needs`: properties that must be there."""
    own: Schema = {"type": "object", "maxProperties": 200, "description": "What happened.", "properties": properties}
    whole: Schema = {
        "$schema": DIALECT,
        "$id": f"urn:identity-fabric:schema:{kind}/{version}",
        "title": kind,
        "description": description,
        **COMMON,
    }
    whole["properties"] = {**COMMON["properties"], "properties": own}
    if needs:
        own["required"] = needs
        whole["required"] = [*COMMON["required"], "properties"]
    if kind == "consent_change":
        whole["required"] = [*COMMON["required"], "consent"]
    return whole


_TYPES: Final[Mapping[str, tuple[str, Schema]]] = {
    "page_view": (
        "A page or screen was shown.",
        {
            "url": _URL,
            "title": _text("Title of the page.", TEXT_MAX),
            "referrer": _text("Where the visitor came from; e-mail addresses in it are masked.", TEXT_MAX),
            "path": _text("Path of the page.", TEXT_MAX),
            "locale": _text("BCP 47.", 35),
        },
    ),
    "product_view": ("A product was shown.", {**_PRODUCT, "url": _URL}),
    "add_to_cart": ("A product was put into the cart.", {**_PRODUCT, "cart_id": _text("The cart.")}),
    "lead_submit": (
        "A form was sent. What a person wrote into it does not belong here; send identifiers.",
        {"form_id": _text("Which form."), "campaign": _text("Which campaign."), "url": _URL},
    ),
    "checkout": (
        "Something was bought.",
        {
            "order_id": _text("The order.", minLength=1),
            "value": _MONEY,
            "currency": _CURRENCY,
            "coupon": _text("Code of a coupon."),
            "items": _ITEMS,
        },
    ),
    "subscription_start": (
        "A subscription began.",
        {
            "plan": _text("Which one.", minLength=1),
            "value": _MONEY,
            "currency": _CURRENCY,
            "interval": _text("How often it is paid.", enum=["day", "week", "month", "year"]),
            "trial_ends_at": {"type": "string", "format": "date-time", "description": "When the trial ends."},
        },
    ),
    "consent_change": (
        "A person said what they allow. The newest counts, whatever the order of arrival.",
        {"notice": _text("Version of the notice that was shown."), "method": _text("How it was asked.", 64)},
    ),
    "identify": ("A person logged in, or told who they are.", {"method": _text("How, such as `password`.", 64)}),
}
_REQUIRED: Final[Mapping[str, list[str]]] = {
    "product_view": ["product_id"],
    "add_to_cart": ["product_id"],
    "checkout": ["order_id"],
    "subscription_start": ["plan"],
}

BUILTIN: Final[Mapping[str, Schema]] = {
    f"{kind}/1-0-0": _of_type(kind, "1-0-0", description, properties, needs=_REQUIRED.get(kind))
    for kind, (description, properties) in _TYPES.items()
}

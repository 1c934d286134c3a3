"""Sections of the policy document about what others send: `webhooks`, vendor by vendor."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from service.model.capture import MeantIdentifier, WebhookMapping

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Label = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Theirs = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MeantIdentifierRule(_Strict):
    """A namespace; `plain` where the vendor sends the plain value of a hashed one."""

    namespace: Name
    plain: bool = False


class WebhookRules(_Strict):
    """What a vendor's names mean here. Null and the empty list: known, and left out. What is not listed is refused."""

    identifiers: Annotated[dict[Theirs, MeantIdentifierRule | None], Field(min_length=1, max_length=200)]
    purposes: Annotated[dict[Theirs, list[Name]], Field(min_length=1, max_length=1_000)]
    regulations: Annotated[dict[Theirs, Label], Field(max_length=200)] = {}
    regulation: Label | None = None


def webhook_mappings(rules: Mapping[str, WebhookRules]) -> dict[str, WebhookMapping]:
    """The section, compiled."""
    return {
        vendor: WebhookMapping(
            {
                kind: None if meant is None else MeantIdentifier(meant.namespace, meant.plain)
                for kind, meant in rule.identifiers.items()
            },
            {theirs: tuple(dict.fromkeys(ours)) for theirs, ours in rule.purposes.items()},
            dict(rule.regulations),
            rule.regulation,
        )
        for vendor, rule in rules.items()
    }


def unknown_names(
    rules: Mapping[str, WebhookRules],
    namespaces: Collection[str],
    purposes: Collection[str],
    regulations: Collection[str],
) -> Iterator[tuple[str, str]]:
    """Where the section names what the policy has not: the path below `webhooks`, and what it is."""
    for vendor, rule in rules.items():
        for kind, meant in rule.identifiers.items():
            if meant is not None and meant.namespace not in namespaces:
                yield f"{vendor}/identifiers/{kind}/namespace", "a namespace"
        for theirs, ours in rule.purposes.items():
            if not set(ours) <= set(purposes):
                yield f"{vendor}/purposes/{theirs}", "a purpose"
        for theirs, meant_regulation in rule.regulations.items():
            if meant_regulation not in regulations:
                yield f"{vendor}/regulations/{theirs}", "a regulation"
        if rule.regulation is not None and rule.regulation not in regulations:
            yield f"{vendor}/regulation", "a regulation"

"""The policy document: what is accepted, refused, and what it compiles to."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from service.control.policy_document import compile_policy

DEFAULT = json.loads((Path(__file__).parents[2] / "service" / "policies" / "default.json").read_text())


def changed(path: str, value: object) -> dict[str, Any]:
    """The built-in document with one place set; `None` removes it."""
    document = copy.deepcopy(DEFAULT)
    *parents, last = path.split("/")
    place = document
    for name in parents:
        place = place[name]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return document


def test_the_built_in_policy_compiles_to_what_it_says() -> None:
    policy = compile_policy(DEFAULT, 7)
    assert (policy.version, policy.name) == (7, "default")
    crm, cookie = policy.namespaces["crm_id"], policy.namespaces["cookie_id"]
    assert (crm.kind, crm.priority, crm.max_per_profile, crm.max_links) == ("person", 1, 1, 1_000)
    assert (cookie.max_links, cookie.ttl_ms, cookie.contested) == (10, 90 * 86_400_000, "newest")
    assert policy.namespaces["household_id"].max_links is None
    assert policy.namespaces["email_sha256"].hashed and policy.namespaces["email_sha256"].fold_case
    assert policy.max_profile_size == 500
    assert (policy.min_confidence_deterministic, policy.min_confidence_probabilistic) == (0.5, 0.9)
    assert policy.purposes["analytics"].unset == "granted"
    assert policy.regulations["CCPA"] == {"advertising": "granted"}


def test_sources_are_believed_as_far_as_the_policy_says() -> None:
    policy = compile_policy(DEFAULT, 1)
    assert [policy.confidence_of_source(name) for name in ("crm", "web", "other")] == [1.0, 0.95, 0.9]
    assert compile_policy(changed("sources", {}), 1).confidence_of_source("x") == 0.9


def test_silence_has_the_defaults_of_the_contract() -> None:
    small = {
        "name": "s",
        "namespaces": {"n": {"kind": "device"}},
        "purposes": {"identity_linking": {"unset": "granted"}},
    }
    policy = compile_policy(small, 1)
    namespace = policy.namespaces["n"]
    assert (namespace.priority, namespace.max_links, namespace.max_per_profile) == (99, 1_000, None)
    assert (namespace.contested, namespace.ttl_ms) == ("newest", None)
    assert policy.combine == "strictest"
    assert policy.namespace_of_key("gone:1").max_links == 1_000


def test_an_empty_value_is_blocked_whatever_the_list_says() -> None:
    assert "" in compile_policy(changed("blocked_values", []), 1).blocked_values


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("surprise", 1),
        ("namespaces/crm_id/surprise", 1),
        ("namespaces", {}),
        ("namespaces/Crm", {"kind": "person"}),
        ("namespaces/a:b", {"kind": "person"}),
        ("namespaces/crm_id/kind", "robot"),
        ("namespaces/crm_id/kind", None),
        ("namespaces/crm_id/max_per_profile", 0),
        ("namespaces/crm_id/max_links", 0),
        ("namespaces/crm_id/priority", -1),
        ("namespaces/crm_id/ttl", "P1Y"),
        ("namespaces/crm_id/pattern", "["),
        ("namespaces/crm_id/contested", "loudest"),
        ("namespaces/crm_id/hash", "md5"),
        ("identity/max_profile_size", 0),
        ("identity/min_confidence/deterministic", 1.1),
        ("identity/linking_purpose", "nothing"),
        ("sources/crm/confidence", -0.1),
        ("purposes/analytics/unset", "maybe"),
        ("consent/combine", "loosest"),
        ("consent/regulations/CCPA/unset", {"resale": "granted"}),
        ("destinations/esp/purpose", "resale"),
        ("destinations/esp/namespaces", ["fax"]),
        ("destinations/esp/granularity", "everything"),
        ("audiences/recent_buyers/purpose", "resale"),
        ("decisions/max_age", "soon"),
        ("name", ""),
    ],
)
def test_refuses(path: str, value: object) -> None:
    with pytest.raises(ValidationError):
        compile_policy(changed(path, value), 1)

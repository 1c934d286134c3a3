"""Bodies of webhooks become changes, or are refused with a place and without a value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from service.api.webhooks import IDENTIFIERS_MAX, changes_of
from service.control.policy_document import compile_policy
from service.errors import Invalid
from service.model.changes import Change, RecordConsent, Revoke
from service.model.times import parse_rfc3339

POLICY = compile_policy(orjson.loads((Path(__file__).parents[2] / "service/policies/default.json").read_bytes()), 1)
AT = "2026-11-24T10:00:00Z"
NOW = parse_rfc3339(AT) + 1_000
ONE, TWO = {"namespace": "crm_id", "value": "C-1"}, {"namespace": "device_id", "value": "d-1"}
Json = dict[str, Any]


def hook(kind: str = "consent.updated", **data: Any) -> Json:
    """A body; None leaves a field out."""
    given = {"identifiers": [ONE], "purposes": {"advertising": "withdrawn"}, "regulation": "GDPR", "at": AT} | data
    return {"type": kind, "timestamp": AT, "data": {k: v for k, v in given.items() if v is not None}}


def changes(body: object) -> list[Change]:
    return changes_of("standard", body, POLICY, NOW)


def wrong(body: object) -> list[str]:
    """Where a body is wrong."""
    with pytest.raises(Invalid) as refused:
        changes(body)
    assert "secret-value" not in str(refused.value.errors)
    return [error.pointer for error in refused.value.errors]


def test_an_update_is_a_record_for_each_identifier_once() -> None:
    body = hook(identifiers=[ONE, TWO, ONE], expires_at="2027-01-01T00:00:00Z", basis="consent")
    states, at = (("advertising", "withdrawn"),), parse_rfc3339(AT)
    until = parse_rfc3339("2027-01-01T00:00:00Z")
    assert changes(body) == [
        RecordConsent(key, states, "GDPR", "consent", "webhook:standard", at, until)  # type: ignore[arg-type]
        for key in ("crm_id:C-1", "device_id:d-1")
    ]


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        (["advertising"], ("advertising",)),
        ({"advertising": "denied", "analytics": "withdrawn"}, ("advertising", "analytics")),
        (["*"], ("*",)),
        (None, ("*",)),
    ],
)
def test_a_revocation_names_purposes_or_means_all(sent: object, meant: tuple[str, ...]) -> None:
    [change] = changes(hook("consent.revoked", purposes=sent, regulation=None))
    assert change == Revoke("crm_id:C-1", "purposes", meant, None, "webhook:standard", parse_rfc3339(AT))  # type: ignore[arg-type]


def test_the_time_is_that_of_the_data_then_of_the_webhook_then_none() -> None:
    body = hook(at="2026-11-20T00:00:00+01:00")
    assert [c.at for c in changes(body) if isinstance(c, RecordConsent)] == [parse_rfc3339("2026-11-19T23:00:00Z")]
    body = hook(at=None)
    assert [c.at for c in changes(body) if isinstance(c, RecordConsent)] == [parse_rfc3339(AT)]
    del body["timestamp"]
    assert [c.at for c in changes(body) if isinstance(c, RecordConsent)] == [None]


@pytest.mark.parametrize(("seconds", "refused"), [(300, False), (302, True)])
def test_more_than_five_minutes_ahead_is_refused(seconds: int, refused: bool) -> None:
    late = f"2026-11-24T10:0{seconds // 60}:{seconds % 60:02}Z"
    bodies = {"/data/at": hook(at=late), "/timestamp": hook(at=None) | {"timestamp": late}}
    for place, body in bodies.items():
        assert wrong(body) == [place] if refused else changes(body)


def test_what_is_not_listed_is_ignored_everywhere() -> None:
    plain = changes(hook())
    body = hook(locale="de", banner={"shown": True}, note=None)
    body["data"]["identifiers"] = [{**ONE, "label": "main"}]
    assert changes(body | {"version": "2", "account": {"id": 1}, "note": None}) == plain


def test_erasure_erases_each_identifier() -> None:
    assert [change.erases for change in changes(hook("person.erased", purposes=None))] == [True]  # type: ignore[union-attr]
    assert wrong(hook("person.erased", identifiers=[])) == ["/data/identifiers"]


@pytest.mark.parametrize(
    ("body", "places"),
    [
        ([], [""]),
        (None, [""]),
        (1, [""]),
        ({}, ["/type"]),
        (hook("consent.maybe"), ["/type"]),
        ({**hook(), "type": ["consent.updated"]}, ["/type"]),
        ({"type": "consent.updated"}, ["/data"]),
        ({"type": "consent.updated", "data": "secret-value"}, ["/data"]),
        ({**hook(), "timestamp": "yesterday"}, ["/timestamp"]),
        (hook(identifiers=[]), ["/data/identifiers"]),
        (hook(identifiers="secret-value"), ["/data/identifiers"]),
        (hook(identifiers=[ONE] * (IDENTIFIERS_MAX + 1)), ["/data/identifiers"]),
        (hook(identifiers=[{"namespace": "secret-value", "value": "x"}]), ["/data/identifiers/0/namespace"]),
        (
            hook(identifiers=[ONE, {"namespace": "email_sha256", "value": "secret-value@x.org"}]),
            ["/data/identifiers/1/value"],
        ),
        (hook(identifiers=[{"namespace": "crm_id", "value": "a\0b"}]), ["/data/identifiers/0/value"]),
        (hook(purposes={"secret-value": "withdrawn"}), ["/data/purposes"]),
        (hook(purposes={"*": "granted"}), ["/data/purposes"]),
        (hook(purposes={"advertising": "secret-value"}), ["/data/purposes/advertising"]),
        (hook(purposes={"advertising": 0}), ["/data/purposes/advertising"]),
        (hook(purposes=["advertising"]), ["/data/purposes"]),
        (hook(purposes={}), ["/data/purposes"]),
        (hook(purposes=None), ["/data/purposes"]),
        (hook(regulation="secret-value"), ["/data/regulation"]),
        (hook(at="yesterday"), ["/data/at"]),
        (hook(at="2026-01-01T00:00:00"), ["/data/at"]),
        (hook(at=1), ["/data/at"]),
        (hook("consent.revoked", purposes=["secret-value"]), ["/data/purposes"]),
    ],
)
def test_what_can_not_be_is_refused_with_its_place(body: object, places: list[str]) -> None:
    assert wrong(body) == places


@pytest.mark.parametrize("purposes", [{"advertising": "granted"}, {}, [], [1], "advertising"])
def test_a_revocation_that_grants_or_names_nothing_is_refused(purposes: object) -> None:
    assert all(place.startswith("/data/purposes") for place in wrong(hook("consent.revoked", purposes=purposes)))

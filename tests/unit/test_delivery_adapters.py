"""Adapters against what vendors publish: digests, shapes, limits, and the bodies of their errors."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import orjson
import pytest

from service.adapters.delivery.answers import RETRY_AFTER_S_MAX, seconds_in
from service.adapters.delivery.braze import Braze
from service.adapters.delivery.delta import Delta
from service.adapters.delivery.ga4 import Ga4
from service.adapters.delivery.google_data_manager import GoogleDataManager
from service.adapters.delivery.meta_capi import MetaCapi
from service.adapters.delivery.registry import built_in
from service.adapters.delivery.shapes import Adapter, Item, Name, Request, Response, TableWrite
from service.adapters.delivery.webhook import Webhook

SETTINGS: dict[str, dict[str, Any]] = {
    "webhook": {"url": "https://hooks.example.com/in"},
    "meta_capi": {"dataset": "123"},
    "braze": {},
    "ga4": {"measurement_id": "G-1"},
    "google_data_manager": {"operating_account": "1", "product_destination_id": "2"},
    "delta": {"uri": "/tmp/lake"},
}
EMAIL = hashlib.sha256(b"j.o.h.n@gmail.com").hexdigest()
EMAIL_GOOGLE = hashlib.sha256(b"john@gmail.com").hexdigest()
PHONE_DIGITS = hashlib.sha256(b"16505551212").hexdigest()
PHONE_E164 = hashlib.sha256(b"+16505551212").hexdigest()


def item(index: int = 0, *names: Name, **more: Any) -> Item:
    """An event of a person, at 2026-01-01T10:00:00Z."""
    given = names or (Name("crm_id", f"c{index}"), Name("email_sha256", EMAIL), Name("cookie_id", f"1.{index}"))
    made = Item(f"dlv_{index}", "send", "web", f"evt-{index}", "checkout", 1_767_261_600_000, {"value": 10.5}, given)
    return replace(made, **more)


def one(adapter: Adapter, *items: Item) -> Request:
    """The one request for some items."""
    built = adapter.build(SETTINGS[adapter.manifest.adapter], items)
    (request,) = built.requests
    assert isinstance(request, Request)
    return request


def answer(status: int, body: object = None, **headers: str) -> Response:
    """An answer with a JSON body."""
    return Response(status, {n.replace("_", "-"): v for n, v in headers.items()}, orjson.dumps(body) if body else b"")


def results(adapter: Adapter, response: Response, *items: Item) -> list[str]:
    """What an answer means for items."""
    return [found.result for found in adapter.interpret(one(adapter, *(items or (item(),))), response)]


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_nothing_is_built_from_what_the_decision_does_not_give(name: str) -> None:
    adapter = built_in()[name]
    only = item(0, Name("session_id", "s-1"), profile_id=None)
    built = adapter.build(SETTINGS[name], [only])
    text = str(built)
    assert EMAIL not in text and "c0" not in text
    assert built.requests or built.refused == {0: "identifier_missing"}


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_each_item_is_in_one_request_or_refused(name: str) -> None:
    adapter = built_in()[name]
    items = [item(index) for index in range(adapter.manifest.batch)]
    built = adapter.build(SETTINGS[name], items)
    carried = [index for request in built.requests for index in request.items]
    assert sorted([*carried, *built.refused]) == list(range(len(items)))
    for request in built.requests:
        assert len(request.fields) == len(request.items) <= adapter.manifest.batch


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_settings_are_checked(name: str) -> None:
    adapter = built_in()[name]
    assert list(adapter.wrong_with(SETTINGS[name])) == []
    assert ("/no_such", "is not a setting of this adapter") in list(
        adapter.wrong_with({**SETTINGS[name], "no_such": 1})
    )
    if SETTINGS[name]:
        assert list(adapter.wrong_with({}))


@pytest.mark.parametrize(
    ("status", "headers", "meant"),
    [
        (200, {}, "delivered"),
        (204, {}, "delivered"),
        (301, {}, "dead"),
        (400, {}, "dead"),
        (401, {}, "setup_failed"),
        (403, {}, "setup_failed"),
        (404, {}, "setup_failed"),
        (408, {}, "retry"),
        (410, {}, "setup_failed"),
        (429, {"retry_after": "120"}, "throttled"),
        (500, {}, "retry"),
        (501, {}, "dead"),
        (503, {"retry_after": "1"}, "throttled"),
        (504, {}, "retry"),
    ],
)
def test_what_a_webhooks_status_means(status: int, headers: dict[str, str], meant: str) -> None:
    assert results(Webhook(), answer(status, **headers)) == [meant]


def test_retry_after_is_read_as_seconds_and_bounded() -> None:
    found = Webhook().interpret(one(Webhook(), item()), answer(429, retry_after="120"))
    assert found[0].retry_after_s == 120
    assert seconds_in("99999999") == RETRY_AFTER_S_MAX
    assert seconds_in("Wed, 21 Oct 2026 07:28:00 GMT") is None and seconds_in("-1") is None


def test_a_webhook_has_a_stable_id_and_says_what_happened() -> None:
    request = one(Webhook(), item())
    body = orjson.loads(request.body)
    assert request.message_id == "dlv_0" and request.auth == "standard_webhooks"
    assert body["action"] == "send" and body["event"]["time"] == "2026-01-01T10:00:00.000Z"
    removal = orjson.loads(one(Webhook(), item(action="remove")).body)
    assert removal["action"] == "remove" and removal["event"] is None and "profile_id" not in removal


# ---- Meta


def test_meta_takes_seconds_and_the_digest_of_its_own_form() -> None:
    names = (Name("email_sha256", EMAIL, {"email_google": EMAIL_GOOGLE}),)
    names += (Name("phone_sha256", "0" * 64, {"phone_digits": PHONE_DIGITS, "phone_e164": PHONE_E164}),)
    (event,) = orjson.loads(one(MetaCapi(), item(0, *names)).body)["data"]
    assert event["event_time"] == 1_767_261_600 and event["event_name"] == "Purchase"
    assert event["user_data"] == {"em": [EMAIL], "ph": [PHONE_DIGITS]}
    assert event["custom_data"] == {"value": 10.5} and event["action_source"] == "other"


def test_metas_published_vectors() -> None:
    """From Meta's page on customer information parameters: an address, and a phone number with its country code."""
    assert hashlib.sha256(b"john_smith@gmail.com").hexdigest() == (
        "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"
    )
    assert PHONE_DIGITS == "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176"


def test_a_page_of_a_website_needs_its_address_and_the_browser() -> None:
    on_web = item(properties={"url": "https://shop.example/x", "user_agent": "Mozilla", "action_source": "website"})
    (event,) = orjson.loads(one(MetaCapi(), on_web).body)["data"]
    assert event["action_source"] == "website" and event["user_data"]["client_user_agent"] == "Mozilla"
    (event,) = orjson.loads(one(MetaCapi(), item(properties={"action_source": "website"})).body)["data"]
    assert event["action_source"] == "other"


@pytest.mark.parametrize(
    ("code", "meant"),
    [(190, "setup_failed"), (4, "throttled"), (17, "throttled"), (80003, "throttled"), (1, "retry"), (2, "retry")],
)
def test_metas_codes_say_more_than_the_status(code: int, meant: str) -> None:
    assert results(MetaCapi(), answer(400, {"error": {"code": code}})) == [meant]


def test_a_request_that_meta_refuses_for_one_is_taken_apart() -> None:
    refused = answer(400, {"error": {"code": 100, "error_subcode": 2804003}})
    assert results(MetaCapi(), refused, item(0), item(1)) == ["split", "split"]
    assert results(MetaCapi(), refused) == ["expired"]
    assert results(MetaCapi(), answer(400, {"error": {"code": 100}})) == ["dead"]


# ---- Google


def test_google_takes_other_forms_than_meta() -> None:
    names = (Name("email_sha256", EMAIL, {"email_google": EMAIL_GOOGLE}),)
    names += (Name("phone_sha256", "0" * 64, {"phone_digits": PHONE_DIGITS, "phone_e164": PHONE_E164}),)
    body = orjson.loads(one(GoogleDataManager(), item(0, *names)).body)
    identifiers = body["events"][0]["userData"]["userIdentifiers"]
    assert identifiers == [{"emailAddress": EMAIL_GOOGLE}, {"phoneNumber": PHONE_E164}]
    assert body["encoding"] == "HEX" and body["events"][0]["conversionValue"] == 10.5
    removed = orjson.loads(one(GoogleDataManager(), item(0, *names, action="remove")).body)
    assert "audienceMembers" in removed and "events" not in removed


def test_ga4_has_a_request_a_client_and_its_answers_prove_nothing() -> None:
    built = Ga4().build(SETTINGS["ga4"], [item(0), item(1), replace(item(2), names=item(0).names)])
    assert [request.items for request in built.requests] == [(0, 2), (1,)]
    request = built.requests[0]
    assert isinstance(request, Request)
    assert "api_secret" not in request.url and request.auth == "query:api_secret"
    assert orjson.loads(request.body)["events"][0]["name"] == "purchase"
    assert results(Ga4(), answer(204)) == ["accepted_unverified"]


# ---- Braze


def test_an_error_within_a_success_is_of_the_item_that_it_names() -> None:
    body = {"message": "success", "errors": [{"type": "invalid", "input_array": "events", "index": 1}]}
    assert results(Braze(), answer(201, body), item(0), item(1), item(2)) == ["delivered", "dead", "delivered"]
    odd = {
        "message": "success",
        "errors": [{"index": 9}, {"index": "1"}, "x", {"input_array": "purchases", "index": 0}],
    }
    assert results(Braze(), answer(201, odd), item(0), item(1)) == ["delivered", "delivered"]


def test_braze_names_its_own_header_for_waiting() -> None:
    found = Braze().interpret(one(Braze(), item()), answer(429, x_ratelimit_retry_after="7"))
    assert (found[0].result, found[0].retry_after_s) == ("throttled", 7)


def test_braze_deletes_fifty_at_most() -> None:
    built = Braze().build({}, [item(index, action="remove") for index in range(75)])
    assert [len(request.items) for request in built.requests] == [50, 25]
    assert all(isinstance(r, Request) and r.url.endswith("/users/delete") for r in built.requests)


def test_a_table_has_a_row_a_delivery() -> None:
    write, removal = Delta().build(SETTINGS["delta"], [item(0), item(1, action="remove", profile_id="prf_1")]).requests
    assert isinstance(write, TableWrite) and isinstance(removal, TableWrite)
    assert write.rows[0]["delivery_id"] == "dlv_0" and not write.removes and removal.removes

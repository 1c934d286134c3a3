"""Identifiers at the door: one form for each, and nobody's values refused in every spelling."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.control.normalise import VALUE_LENGTH_MAX, Refused, normalise
from service.control.policy_document import compile_policy

DOCUMENT = json.loads((Path(__file__).parents[2] / "service" / "policies" / "default.json").read_text())
POLICY = compile_policy(
    DOCUMENT | {"namespaces": DOCUMENT["namespaces"] | {"nick": {"kind": "person", "priority": 7, "fold_case": True}}},
    1,
)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def refusal(namespace: str, value: str, *, plain: bool = False) -> Refused:
    with pytest.raises(Refused) as caught:
        normalise(namespace, value, POLICY, plain=plain)
    return caught.value


def test_trimmed_and_case_kept_unless_the_policy_folds_it() -> None:
    assert normalise("cookie_id", "  AbC\t", POLICY).key == "cookie_id:AbC"
    assert normalise("nick", " AbC ", POLICY).key == "nick:abc"


def test_one_form_for_what_unicode_writes_in_two_ways() -> None:
    assert normalise("cookie_id", "caf\u00e9", POLICY) == normalise("cookie_id", "cafe\u0301", POLICY)
    assert normalise("nick", "CAFÉ", POLICY) == normalise("nick", "cafe\u0301", POLICY)


@given(st.text(max_size=40), st.sampled_from(("nick", "cookie_id")))
def test_normalising_again_changes_nothing(value: str, namespace: str) -> None:
    try:
        once = normalise(namespace, value, POLICY)
    except Refused:
        return
    assert normalise(namespace, once.value, POLICY) == once
    assert normalise(namespace, f"  {value}\n", POLICY) == once


@pytest.mark.parametrize(
    "value",
    [
        "",
        "   ",
        "\u00a0",
        "a\x00b",
        "a\nb",
        "a\x7fb",
        "a\u200bb",
        "a\u202eb",
        "a\ud800b",
        "a\ufeffb",
        "a\u2028b",
        "a\ue000b",
    ],
)
def test_empty_control_invisible_and_broken_characters_are_refused(value: str) -> None:
    assert refusal("cookie_id", value).field == "value"


def test_too_long_is_refused_also_where_folding_makes_it_so() -> None:
    assert normalise("cookie_id", "x" * VALUE_LENGTH_MAX, POLICY)
    refusal("cookie_id", "x" * (VALUE_LENGTH_MAX + 1))
    refusal("nick", "ß" * VALUE_LENGTH_MAX)


def test_the_namespace_and_the_pattern_are_the_policys() -> None:
    assert refusal("shoe_size", "44").field == "namespace"
    assert normalise("crm_id", "A.b-1_", POLICY)
    refusal("crm_id", "a b")
    refusal("crm_id", "x" * 129)


# ---- blocked


BLOCKED = [
    "null",
    "NULL",
    " Null ",
    "n u l l",
    "undefined",
    "anonymous",
    "Guest",
    "None",
    "NaN",
    "nan",
    "0",
    "00",
    "-1",
    "- 1",
    "000-0000",
    "0.0",
    "00000000-0000-0000-0000-000000000000",
    "{00000000-0000-0000-0000-000000000000}",
    "00000000000000000000000000000000",
    "[object Object]",
    "[OBJECT OBJECT]",
    "true",
    "False",
    "not_authenticated",
    "Not Set",
    "(not set)",
    "N/A",
    "test@test.com",
    "\uff4e\uff55\uff4c\uff4c",
]


@pytest.mark.parametrize("value", BLOCKED)
@pytest.mark.parametrize("namespace", ["cookie_id", "login_id", "nick"])
def test_blocked_in_every_spelling(namespace: str, value: str) -> None:
    assert str(refusal(namespace, value)) == "is a blocked value"


@pytest.mark.parametrize(
    "value", ["nullable", "1", "10", "nobody0", "none-1", "-10", "0x1", "null@example.org", "unset"]
)
def test_what_only_resembles_a_blocked_value_is_taken(value: str) -> None:
    assert normalise("cookie_id", value, POLICY).value == value


@pytest.mark.parametrize("value", BLOCKED)
def test_blocked_as_a_plain_value_of_a_hashed_namespace(value: str) -> None:
    assert str(refusal("email_sha256", value, plain=True)) == "is a blocked value"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "null",
        "NULL",
        "Null",
        "None",
        "NaN",
        "nan",
        "undefined",
        "unknown",
        "UNKNOWN",
        "test@test.com",
        "Test@test.com",
        "0",
        "-1",
        "00000000-0000-0000-0000-000000000000",
        "[object Object]",
        "Not Set",
        "(not set)",
        "N/A",
        "null\n",
        "\n",
    ],
)
def test_blocked_as_a_digest(value: str) -> None:
    text = digest(value)
    assert str(refusal("email_sha256", text)) == "is the digest of a blocked value"
    refusal("phone_sha256", f" {text.upper()} ")


def test_a_digest_of_zeros_is_blocked() -> None:
    refusal("email_sha256", "0" * 64)


# ---- hashed namespaces


def test_a_digest_is_kept_in_lower_case_and_anything_else_is_refused() -> None:
    text = digest("ann@example.org")
    assert normalise("email_sha256", text.upper(), POLICY).value == text
    for wrong in (text[:-1], text + "0", "g" * 64, "ann@example.org", text[:32] + " " + text[33:]):
        refusal("email_sha256", wrong)


def test_a_plain_value_is_digested_in_its_normal_form() -> None:
    assert normalise("email_sha256", " Ann@Example.ORG ", POLICY, plain=True).value == digest("ann@example.org")
    assert normalise("phone_sha256", "+44 (0)20 7946-0018", POLICY, plain=True).value == digest("+4402079460018")


def test_plain_is_for_hashed_namespaces_only() -> None:
    assert refusal("crm_id", "c1", plain=True).field == "plain"


@given(st.text(min_size=1, max_size=60), st.sampled_from(("crm_id", "email_sha256", "nick", "nowhere")), st.booleans())
def test_a_refusal_never_repeats_the_value(value: str, namespace: str, plain: bool) -> None:
    marked = f"\u2603{value}\u2603\x00"
    assert "\u2603" not in str(refusal(namespace, marked, plain=plain))

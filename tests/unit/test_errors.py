"""Errors: their tree, their page, their meaning in HTTP, and that none repeats what was sent."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
import pytest
from fastapi.exceptions import RequestValidationError
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator
from starlette.exceptions import HTTPException

import service.api.errors as api_errors
import service.errors as errors
import service.settings  # noqa: F401  # adds a class to the tree
from service.api.errors import (
    FIELD_ERRORS_MAX,
    MethodNotAllowed,
    error_from,
    field_errors,
    invalid,
    meaning_of,
    pointer,
    problem,
    problem_response,
)
from service.errors import BadValue, FabricError, FieldError, StartError

PAGE = Path(__file__).parents[2] / "docs/errors.md"
# The root is never raised itself. Other modules may add classes of start errors, with or without a code of their own.
ALL = [c for c in errors.error_classes() if c is not FabricError and c.__module__.startswith("service.")]
CODED = [c for c in ALL if "code" in c.__dict__]
ROWS = dict(re.findall(r"^\| `([a-z0-9_]+)` \|(.*)$", PAGE.read_text(), re.M))


@pytest.mark.parametrize("kind", CODED, ids=lambda c: c.__name__)
def test_every_code_is_on_the_page_with_its_status(kind: type[FabricError]) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*", kind.code)
    row = ROWS[kind.code]
    if not issubclass(kind, StartError):
        assert row.split("|")[0].strip() == str(meaning_of(kind).status)


def test_the_page_names_no_other_codes_and_no_two_classes_share_one() -> None:
    codes = [c.code for c in CODED]
    assert sorted(codes) == sorted(set(codes)) == sorted(ROWS)


def test_the_tree_at_the_top_names_every_class() -> None:
    ours = [c for c in ALL if c.__module__ == "service.errors"]
    missing = [c.__name__ for c in ours if c.__name__ not in str(errors.__doc__)]
    assert [c for c in ours if c not in CODED] == [] == missing


def test_what_may_succeed_later_always_says_when() -> None:
    for kind in errors.error_classes(errors.NotNow):
        assert problem_response(kind(), "r").headers["retry-after"] == "1"
    assert problem_response(errors.Busy(retry_after_s=7), "r").headers["retry-after"] == "7"


def test_a_problem_has_the_shape_of_the_contract() -> None:
    body = problem(errors.AssertedDifferent("ast_1"), "req-1")
    assert body == {
        "type": "urn:identity-fabric:problem:asserted_different",
        "title": "Conflict",
        "status": 409,
        "detail": body["detail"],
        "code": "asserted_different",
        "request_id": "req-1",
        "assertion_id": "ast_1",
    }
    response = problem_response(errors.Invalid.at("/a/value", "is blocked"), "req-2")
    assert response.headers["content-type"] == "application/problem+json"
    told = orjson.loads(response.body)
    assert (response.status_code, told["errors"]) == (422, [{"pointer": "/a/value", "message": "is blocked"}])


def test_extras_do_not_replace_what_every_problem_has() -> None:
    assert problem(errors.Conflict(extra={"status": 200, "code": "x", "more": 1}), "r")["status"] == 409


def test_headers_that_belong_to_a_status() -> None:
    assert problem_response(errors.NotAuthenticated(), "r").headers["www-authenticate"] == "Bearer"
    assert problem_response(MethodNotAllowed("GET, HEAD"), "r").headers["allow"] == "GET, HEAD"


def test_exceptions_of_others_become_ours() -> None:
    assert isinstance(error_from(ValueError("jane@example.com")), errors.Internal)
    assert "jane" not in orjson.dumps(problem(error_from(ValueError("jane@example.com")), "r")).decode()
    assert error_from(HTTPException(404, "jane")).code == "not_found"
    not_allowed = error_from(HTTPException(405, headers={"Allow": "GET"}))
    assert isinstance(not_allowed, MethodNotAllowed) and not_allowed.allow == "GET"
    assert error_from(HTTPException(418)).code == "malformed"
    assert error_from(HTTPException(502)).code == "internal_error"
    wrapped = HTTPException(400)
    wrapped.__cause__ = errors.BodyTooLarge(10)
    assert error_from(wrapped).code == "body_too_large"


def test_the_framework_own_findings_point_into_the_request() -> None:
    found = [{"type": "int_parsing", "loc": ("query", "limit"), "input": "jane", "msg": "jane"}]
    told = error_from(RequestValidationError(found))
    assert told.errors == (FieldError("/limit", "must be a whole number"),)
    assert error_from(RequestValidationError([{"type": "json_invalid", "loc": ("body", 3)}])).code == "malformed_json"


def test_a_start_error_is_its_one_line() -> None:
    assert str(errors.StartRefused("IDENTITY_KEY is not the one of these stores.")).startswith("IDENTITY_KEY is")


def test_pointers_are_escaped() -> None:
    assert pointer(["a", 0, "x/y~z"]) == "/a/0/x~1y~0z"
    assert pointer([]) == ""


# ---- what pydantic refuses


class Identifier(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    namespace: Annotated[str, Field(pattern=r"^[a-z_]+$", max_length=8)]
    value: str

    @field_validator("value")
    @classmethod
    def _clean(cls, value: str) -> str:
        if value.startswith("bad"):
            raise BadValue("is blocked")
        if value.startswith("raw"):
            raise ValueError(f"did not like {value}")
        return value


class Withdrawn(BaseModel):
    model_config = ConfigDict(extra="forbid")
    scope: Literal["purposes"]
    purposes: list[Annotated[str, Field(min_length=2)]]
    reason: Annotated[str, Field(max_length=3)] = ""


class Unlinked(BaseModel):
    model_config = ConfigDict(extra="forbid")
    scope: Literal["linking"]
    identifier: Identifier


class Everything(BaseModel):
    model_config = ConfigDict(extra="forbid")
    text: str = ""
    short: Annotated[str, Field(max_length=3)] = ""
    long: Annotated[str, Field(min_length=900)] = "x" * 900
    shaped: Annotated[str, Field(pattern="^a$")] = "a"
    number: int = 0
    share: Annotated[float, Field(ge=0, le=1)] = 0
    over: Annotated[int, Field(gt=5, lt=7, multiple_of=2)] = 6
    flag: bool = False
    choice: Literal["one", "two"] = "one"
    at: AwareDatetime | None = None
    naive: datetime | None = None
    span: timedelta | None = None
    items: Annotated[list[int], Field(max_length=2)] = []
    names: dict[str, int] = {}
    one: Identifier | None = None
    either: Identifier | int | None = None
    what: Annotated[Withdrawn | Unlinked, Field(discriminator="scope")] | None = None
    many: list[Annotated[Withdrawn | Unlinked, Field(discriminator="scope")]] = []


def refusal(body: object) -> dict[str, str]:
    with pytest.raises(ValidationError) as refused:
        Everything.model_validate(body)
    return {f.pointer: f.message for f in invalid(refused.value, body).errors}


SECRET = "Jane-Secret-0612345678@example.com"
SECRETS: list[Any] = [SECRET, [SECRET], {SECRET: SECRET}, {"namespace": SECRET, "value": "bad" + SECRET}]
SECRETS += [
    {"namespace": "crm", "value": "raw" + SECRET},
    {"scope": SECRET},
    {"scope": "purposes", "purposes": {SECRET: 1}},
]
SECRETS += [
    {"scope": "linking", "identifier": SECRET, SECRET: 1},
    [{"scope": "purposes", "purposes": [], "reason": SECRET}],
]
SECRETS += [{"x": SECRET}, [SECRET, SECRET, SECRET], 612345678901234, 6.12345678, True]


@pytest.mark.parametrize("field", [*Everything.model_fields, SECRET])
def test_no_field_of_any_type_repeats_what_was_sent(field: str) -> None:
    refused = 0
    for secret in SECRETS:
        body = {field: secret}
        try:
            Everything.model_validate(body)
        except ValidationError as error:
            refused += 1
            told = orjson.dumps(problem(invalid(error, body), "r")).decode()
            blind = orjson.dumps([list(f) for f in field_errors(error.errors())]).decode()
            for text in (told, blind):
                assert "Jane" not in text and "06123" not in text and "612345678" not in text, text
    assert refused or field in ("text",)


@pytest.mark.parametrize(
    ("body", "where", "message"),
    [
        ({"number": "x"}, "/number", "must be a whole number"),
        ({"choice": "x"}, "/choice", "must be 'one' or 'two'"),
        ({"share": 2}, "/share", "must be at most 1.0"),
        ({"at": "2026-01-01T00:00:00"}, "/at", "must be a time with its zone"),
        ({"at": "soon"}, "/at", "must be an RFC 3339 time"),
        ({"items": [1, "x"]}, "/items/1", "must be a whole number"),
        ({"one": {"namespace": "crm"}}, "/one/value", "is required"),
        ({"one": {"namespace": "crm", "value": "bad"}}, "/one/value", "is blocked"),
        ({"one": {"namespace": "crm", "value": "raw"}}, "/one/value", "is not valid"),
        ({"nickname": 1}, "/nickname", "is not a known field"),
        ({SECRET: 1}, "", "has a field that is not a known field"),
        ({"either": {"namespace": 1, "value": ""}}, "/either/namespace", "must be a string"),
        ({"what": {}}, "/what/scope", "is required"),
        ({"what": {"scope": "all"}}, "/what/scope", "must be one of 'purposes', 'linking'"),
        ({"what": {"scope": "purposes"}}, "/what/purposes", "is required"),
        ({"what": {"scope": "purposes", "purposes": ["a"]}}, "/what/purposes/0", "must have at least 2 characters"),
        ({"what": {"scope": "purposes", "purposes": [], "reason": "long"}}, "/what/reason", None),
        (
            {"many": [{"scope": "linking", "identifier": {"namespace": "crm"}}]},
            "/many/0/identifier/value",
            "is required",
        ),
        ([], "", "must be an object"),
    ],
)
def test_pointers_lead_to_what_is_wrong(body: object, where: str, message: str | None) -> None:
    told = refusal(body)
    assert where in told, told
    if message is not None:
        assert told[where] == message


def test_a_thousand_mistakes_are_not_a_thousand_messages() -> None:
    assert len(refusal({"names": {f"k{i}": "x" for i in range(1000)}})) == FIELD_ERRORS_MAX


def test_every_message_template_can_be_written() -> None:
    for template in api_errors._MESSAGES.values():
        assert template.format_map(api_errors._Shown({}))

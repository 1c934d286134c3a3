"""Versions of schemas: what changes, what that takes, how old ones are brought forward; and the page made from them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import orjson
import pytest

from service.events.builtin import BUILTIN
from service.events.compatibility import Level, changes_between, level_of, parse_version, refusals
from service.events.documenting import BEGIN, END, schemas_as_markdown
from service.events.publishing import wrong_version
from service.events.upcasting import forward, wrong_upcast
from service.events.validation import Compiled, NotASchema, compiled_builtin
from service.schema_check import NotASchemaFile, check_schemas

PAGE = (Path(__file__).parents[2] / "docs" / "events.md").read_text()
BASE: dict[str, Any] = {
    "type": "object",
    "required": ["a"],
    "properties": {
        "a": {"type": "integer", "minimum": 0, "maximum": 10},
        "b": {"type": "string", "enum": ["x", "y"], "maxLength": 5},
        "c": {"type": "array", "items": {"type": "object", "properties": {"d": {"type": "number"}}}},
        "e": {"$ref": "#/$defs/e"},
    },
    "$defs": {"e": {"type": "string", "pattern": "^x"}},
}


def changed(**parts: Any) -> dict[str, Any]:
    """BASE with some properties replaced; None: taken away."""
    found = copy.deepcopy(BASE)
    for name, value in parts.items():
        if value is None:
            del found["properties"][name]
        else:
            found["properties"][name] = value
    return found


ADDITIONS = [
    BASE,
    changed(f={"type": "string"}),
    changed(a={"type": "integer", "minimum": -1, "maximum": 20}),
    changed(b={"type": "string", "enum": ["x", "y", "z"], "maxLength": 5}),
    changed(b={"type": "string", "maxLength": 9}),
    {**BASE, "required": []},
    {**BASE, "title": "Another", "description": "text", "x-owner": "team"},
    changed(e={"type": "string", "pattern": "^x"}),
]
REVISIONS = [
    (changed(a={"type": "integer", "minimum": 1, "maximum": 10}), "/properties/a/minimum"),
    (changed(a={"type": "number", "minimum": 0, "maximum": 10}), "/properties/a/type"),
    (changed(b={"type": "string", "enum": ["x"], "maxLength": 5}), "/properties/b/enum"),
    (changed(b={"type": "string", "enum": ["x", "y"], "maxLength": 4}), "/properties/b/maxLength"),
    (changed(b=None), "/properties/b"),
    (changed(e={"type": "string", "pattern": "^xy"}), "/properties/e/pattern"),
    ({**BASE, "additionalProperties": {"type": "string"}}, "/additionalProperties"),
    ({**BASE, "minProperties": 2}, "/minProperties"),
    ({**BASE, "anyOf": [{"required": ["b"]}, {"required": ["c"]}]}, "/anyOf"),
]
MODELS = [
    ({**BASE, "required": ["a", "b"]}, "/properties/b"),
    (changed(a={"type": "string"}), "/properties/a/type"),
    (
        changed(c={"type": "array", "items": {"type": "object", "properties": {"d": {"type": "string"}}}}),
        "/properties/c/items/properties/d/type",
    ),
    (
        changed(c={"type": "array", "items": {"type": "object", "required": ["d"], "properties": {"d": {}}}}),
        "/properties/c/items/properties/d",
    ),
    ({**changed(b=None), "additionalProperties": False}, "/properties/b"),
    (False, ""),
]


@pytest.mark.parametrize("new", ADDITIONS)
def test_what_is_only_added_is_an_addition(new: dict[str, Any]) -> None:
    assert level_of(changes_between(BASE, new)) is Level.ADDITION


@pytest.mark.parametrize(("new", "pointer"), REVISIONS)
def test_what_some_data_may_not_fit_any_more_is_a_revision(new: dict[str, Any], pointer: str) -> None:
    found = changes_between(BASE, new)
    assert level_of(found) is Level.REVISION
    assert pointer in [change.pointer for change in found]


@pytest.mark.parametrize(("new", "pointer"), MODELS)
def test_what_breaks_data_is_a_model(new: dict[str, Any], pointer: str) -> None:
    found = changes_between(BASE, new)
    assert found[0].level is Level.MODEL
    assert pointer in [change.pointer for change in found if change.level is Level.MODEL]


def test_a_number_allows_what_it_says() -> None:
    old, revision, model = parse_version("1-0-0"), REVISIONS[0][0], MODELS[0][0]
    assert not refusals(BASE, old, ADDITIONS[1], parse_version("1-0-1"))
    assert refusals(BASE, old, revision, parse_version("1-0-1"))
    assert not refusals(BASE, old, revision, parse_version("1-1-0"))
    assert refusals(BASE, old, model, parse_version("1-1-0"))
    assert not refusals(BASE, old, model, parse_version("2-0-0"))


def test_a_version_is_held_against_the_newest_of_its_model() -> None:
    known = {parse_version("1-0-0"): BASE, parse_version("1-0-3"): ADDITIONS[1], parse_version("2-0-0"): MODELS[1][0]}
    assert [e.code for e in wrong_version(BASE, parse_version("1-0-2"), known)] == ["version_order"]
    assert not wrong_version(ADDITIONS[1], parse_version("1-0-4"), known)
    assert wrong_version(BASE, parse_version("1-0-4"), known), "a field of 1-0-3 was taken away"
    assert not wrong_version({"type": "object"}, parse_version("3-0-0"), known)


@pytest.mark.parametrize(
    "text", ["", "1", "1-0", "1-0-0-0", "0-0-1", "01-0-0", "1-0-x", "1.0.0", "-1-0-0", "1-0-12345"]
)
def test_what_is_no_version(text: str) -> None:
    with pytest.raises(ValueError, match="MODEL-REVISION-ADDITION"):
        parse_version(text)


@pytest.mark.parametrize("document", [{"type": "nonsense"}, {"properties": 1}, {"$ref": "https://example.com/other"}])
def test_what_is_no_schema_that_stands_by_itself(document: dict[str, Any]) -> None:
    with pytest.raises(NotASchema):
        Compiled(document)


# ---- upcasting

V1 = {"type": "object"}
V2 = {
    "x-upcast": {
        "from": "1-0-0",
        "steps": [
            {"rename": ["/properties/size", "/properties/box/length"]},
            {"default": ["/properties/unit", "cm"]},
            {"cast": ["/properties/weight", "number"]},
            {"drop": "/properties/old"},
        ],
    }
}
V3 = {"x-upcast": {"from": "2-0-0", "steps": [{"rename": ["/properties/unit", "/properties/box/unit"]}]}}
DOCUMENTS = {parse_version(v): d for v, d in (("1-0-0", V1), ("1-0-1", V1), ("2-0-0", V2), ("3-0-0", V3))}


def test_an_old_event_is_brought_forward_step_by_step_and_stays_as_it_was() -> None:
    data = {"properties": {"size": 3, "weight": "1.5", "old": 1, "kept": True}}
    before = copy.deepcopy(data)
    version, found = forward(DOCUMENTS, "1-0-0", data)
    assert (version, data) == ("3-0-0", before)
    assert found == {"properties": {"kept": True, "weight": 1.5, "box": {"length": 3, "unit": "cm"}}}


def test_what_is_missing_or_does_not_fit_is_left_as_it_is() -> None:
    _, found = forward(DOCUMENTS, "1-0-1", {"properties": {"weight": "heavy"}})
    assert found == {"properties": {"weight": "heavy", "box": {"unit": "cm"}}}
    assert forward(DOCUMENTS, "3-0-0", {"properties": {}}) == ("3-0-0", {"properties": {}})


def test_without_a_way_an_event_stays_at_the_newest_of_its_model() -> None:
    documents = {parse_version(v): V1 for v in ("1-0-0", "1-2-0", "2-0-0")}
    assert forward(documents, "1-0-0", {"properties": {"a": 1}}) == ("1-2-0", {"properties": {"a": 1}})


@pytest.mark.parametrize(
    ("upcast", "place"),
    [
        ("x", ""),
        ({"from": "1-0-0"}, ""),
        ({"from": "9-0-0", "steps": []}, "/from"),
        ({"from": 1, "steps": []}, "/from"),
        ({"from": "1-0-0", "steps": [{"rename": ["/properties/a"]}]}, "/steps/0"),
        ({"from": "1-0-0", "steps": [{"drop": "/identifiers"}]}, "/steps/0"),
        ({"from": "1-0-0", "steps": [{"drop": "/traits/a"}, {"cast": ["/traits/a", "date"]}]}, "/steps/1"),
        ({"from": "1-0-0", "steps": [{"drop": "/traits/a", "x": 1}]}, "/steps/0"),
    ],
)
def test_an_upcast_that_is_none_is_refused_with_its_place(upcast: Any, place: str) -> None:
    wrong = list(wrong_upcast({"x-upcast": upcast}, {parse_version("1-0-0"): V1}))
    assert [error.pointer for error in wrong] == [f"/x-upcast{place}"]


# ---- built-in types, the page, the check


def test_every_built_in_schema_compiles_and_says_what_it_is() -> None:
    assert len(compiled_builtin()) == 8
    for name, document in BUILTIN.items():
        assert document["$id"].endswith(name)
        assert document["description"]


def test_the_page_is_made_from_the_schemas() -> None:
    begin, end = PAGE.index(BEGIN), PAGE.index(END) + len(END)
    assert PAGE[begin:end] == schemas_as_markdown()


def test_the_check_says_what_changes_and_ends_as_a_build_needs_it(tmp_path: Path) -> None:
    def file(name: str, content: object) -> Path:
        path = tmp_path / name
        path.write_bytes(orjson.dumps(content))
        return path

    said: list[str] = []
    old, added = file("old.json", BASE), file("added.json", ADDITIONS[1])
    broken = file("broken.json", MODELS[0][0])
    assert check_schemas(old, added, None, said.append) == 0
    assert check_schemas(old, broken, None, said.append) == 1
    assert any(line.startswith("model") and "/properties/b" in line for line in said)
    assert check_schemas(old, broken, Level.MODEL, said.append) == 0
    one = file("1.json", {"type": "t", "version": "1-0-0", "schema": BASE})
    wrong = file("2.json", {"type": "t", "version": "1-0-1", "schema": MODELS[0][0]})
    right = file("3.json", {"type": "t", "version": "2-0-0", "schema": MODELS[0][0]})
    assert [check_schemas(one, new, None, said.append) for new in (wrong, right, one)] == [1, 0, 1]
    with pytest.raises(NotASchemaFile):
        check_schemas(file("bad.json", {"type": "nonsense"}), old, None, said.append)

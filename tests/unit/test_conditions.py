"""Conditions in CEL: what is one, and that nothing but true is a yes."""

from __future__ import annotations

import pytest

from service.control.conditions import CONDITION_LENGTH_MAX, Condition, NotACondition, moment

NOW = moment(1_700_000_000_000)
VARIABLES = frozenset({"traits", "now"})


def holds(text: str, /, **traits: object) -> bool:
    return Condition(text, VARIABLES).holds({"traits": traits, "now": NOW})


def test_true_is_a_yes() -> None:
    assert holds("traits.plan == 'gold'", plan="gold")
    assert holds("now - timestamp(traits.last) < duration('1h')", last="2023-11-14T22:00:00Z")
    assert holds("has(traits.x) || traits.tags.exists(t, t == 'a')", tags=["b", "a"])
    assert holds("!has(traits.plan)")


@pytest.mark.parametrize(
    "text",
    [
        "traits.plan == 'gold'",
        "traits.plan.of.what",
        "traits.count + 9223372036854775807 > 0",
        "1 / traits.zero == 1",
        "timestamp(traits.text) < now",
        "duration(traits.text) < duration('1s')",
        "traits.text < 1",
        "traits.count",
        "'true'",
        "null",
        "traits.text.matches('(')",
    ],
)
def test_an_error_or_anything_but_true_is_a_no(text: str) -> None:
    assert not holds(text, count=1, zero=0, text="nothing")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "traits.x <",
        "1 +",
        "(" * 300 + "1" + ")" * 300,
        "other > 1",
        "traits.a == x",
        "'\ud800' == 'x'",
        "true" + " " * CONDITION_LENGTH_MAX,
        "[1].all(a, [1].all(b, [1].all(c, true)))",
    ],
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(NotACondition) as refused:
        Condition(text, VARIABLES)
    assert "traits.x" not in str(refused.value)

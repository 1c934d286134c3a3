"""Conditions of a policy in CEL, the Common Expression Language. What fails, for whatever reason, means no."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import cel

CONDITION_LENGTH_MAX: Final = 4_096
MACROS_MAX: Final = 2
"""Loops over lists: so many may stand in one condition, which bounds what it costs."""

_MACRO = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(")


class NotACondition(ValueError):
    """The text is no condition; says why, without the text."""


class Condition:
    """A compiled condition over some variables. Raises NotACondition for a text that is none."""

    __slots__ = ("_program", "text")

    def __init__(self, text: str, variables: frozenset[str]) -> None:
        if len(text) > CONDITION_LENGTH_MAX:
            raise NotACondition(f"is longer than {CONDITION_LENGTH_MAX} characters")
        if len(_MACRO.findall(text)) > MACROS_MAX:
            raise NotACondition(f"goes through lists more than {MACROS_MAX} times")
        self.text = text
        try:
            self._program = cel.compile(text)
            named = set(self._program.variables())
        except Exception:
            raise NotACondition("is not an expression of CEL") from None
        bound = set(re.findall(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(\s*(\w+)\s*,", text))
        if named - variables - bound:
            raise NotACondition(f"names something else than {', '.join(sorted(variables))}")

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether it is true of these values. An error, or anything but `true`, is a no."""
        try:
            return self._program.execute(dict(values)) is True
        except Exception:
            return False


def moment(at_ms: int) -> datetime:
    """A time (ms) as conditions see it."""
    return datetime.fromtimestamp(at_ms / 1000, UTC)

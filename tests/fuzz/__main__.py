"""`make fuzz`: Schemathesis, with all its checks and stateful links, over the whole API of a running instance.

    BASE_URL=http://127.0.0.1:8080 API_KEY=… python -m tests.fuzz [arguments of `st run`]

What switches or rolls back the policy is left out unless `WHOLE=1`: on a graph that others use it would be done.
Webhooks are signed, so nothing that is made up gets past their door; they are left out too.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import hypothesis.internal.conjecture.utils as conjecture
import schemathesis.specs.openapi._hypothesis as strategies

CONFIG = "tests/fuzz/schemathesis.toml"
LEFT_OUT = "/webhooks/|/retry$"  # signed; an id of one form, of which too few are drawn
WOULD_BE_DONE = "/activate|/rollback"


def _modelled(*_arguments: Any, **_more: Any) -> None:
    """Schemathesis 4.24 asks a schema for what the locked jsonschema-rs no longer has; its older generator does."""


def _more(elements: Any) -> bool:
    """hypothesis-jsonschema 0.23 asks for elements as the locked hypothesis no longer gives them."""
    if not hasattr(elements, "_asked"):
        elements._asked = iter(elements.__enter__())
    try:
        next(elements._asked)
    except StopIteration:
        elements.__exit__(None)
        return False
    return True


def main(arguments: list[str]) -> None:
    """Run it; the status is Schemathesis's own."""
    strategies._canonical_strategy_or_none = _modelled
    if not hasattr(conjecture.many, "more"):
        conjecture.many.more = _more  # type: ignore[attr-defined]
    from schemathesis.cli import schemathesis

    left_out = LEFT_OUT if os.environ.get("WHOLE") == "1" else f"{LEFT_OUT}|{WOULD_BE_DONE}"
    command = [
        "--config-file",
        CONFIG,
        "run",
        f"{os.environ['BASE_URL']}/openapi.json",
        "--no-color",
        "--suppress-health-check",
        "filter_too_much",
    ]
    command += ["--header", f"Authorization: Bearer {os.environ['API_KEY']}", "--exclude-path-regex", left_out]
    schemathesis(command + arguments)


if __name__ == "__main__":
    main(sys.argv[1:])

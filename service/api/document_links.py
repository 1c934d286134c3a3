"""Links of the document: what an answer names can be asked for next. Tools follow them, tests most of all."""

from __future__ import annotations

from typing import Any, Final, NamedTuple


class Follows(NamedTuple):
    """From a value in an answer to a parameter of another operation."""

    method: str
    path: str
    name: str
    to_method: str
    to_path: str
    parameter: str
    pointer: str


FOLLOWS: Final = (
    Follows("post", "/v1/links", "link", "get", "/v1/links/{link_id}", "link_id", "/results/0/link_id"),
    Follows("post", "/v1/links", "retract", "delete", "/v1/links/{link_id}", "link_id", "/results/0/link_id"),
    Follows("post", "/v1/links", "profile", "get", "/v1/profiles/{profile_id}", "profile_id", "/results/0/profile_id"),
    Follows(
        *("post", "/v1/links", "history", "get", "/v1/profiles/{profile_id}/history"),
        *("profile_id", "/results/0/profile_id"),
    ),
    Follows(
        *("post", "/v1/profiles/merge", "undo", "post", "/v1/assertions/{assertion_id}/undo"),
        *("assertion_id", "/assertion_id"),
    ),
    Follows(
        *("post", "/v1/decisions", "decision", "get", "/v1/decisions/{decision_id}", "decision_id", "/decision_id"),
    ),
    Follows(
        *("post", "/v1/revocations", "revocation", "get", "/v1/revocations/{revocation_id}"),
        *("revocation_id", "/revocation_id"),
    ),
    Follows("post", "/v1/policies", "version", "get", "/v1/policies/{version}", "version", "/version"),
    Follows("post", "/v1/policies", "simulate", "post", "/v1/policies/{version}/simulate", "version", "/version"),
)


def with_links(paths: dict[str, dict[str, Any]]) -> None:
    """Add them to the operations of a document."""
    for follows in FOLLOWS:
        target = paths.get(follows.to_path, {}).get(follows.to_method)
        source = paths.get(follows.path, {}).get(follows.method)
        if target is None or source is None:
            continue
        answer = next(status for status in ("200", "201") if status in source["responses"])
        source["responses"][answer].setdefault("links", {})[follows.name] = {
            "operationId": target["operationId"],
            "parameters": {follows.parameter: f"$response.body#{follows.pointer}"},
        }

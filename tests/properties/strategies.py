"""Small worlds in which everything collides: few identifiers, tight limits, close times."""

from __future__ import annotations

from hypothesis import strategies as st

from service.model.changes import ObserveLink
from service.model.identifiers import IdentifierKey, LinkId
from service.model.policy import Namespace, Policy, Purpose
from tests.properties.ledger import DAY

START = 1_000 * DAY
LINKING = "identity_linking"
NAMES = ("crm", "login", "email", "device", "cookie", "home")
KEYS = (*(IdentifierKey(f"{name}:{value}") for name in NAMES[:5] for value in "abc"), IdentifierKey("home:a"))

contested = st.sampled_from(("newest", "strongest", "oldest", "nobody"))
CONFIDENCES = (0.3, 0.6, 0.8, 0.95, 1.0)


@st.composite
def policies(draw: st.DrawFn, *, ttl: bool = True) -> Policy:
    """A policy with limits that bind: one or two of a namespace, two to four links, small profiles."""

    def namespace(name: str, kind: str, priority: int, limits: tuple[int | None, ...], days: int | None) -> Namespace:
        return Namespace(
            name,
            kind=kind,  # type: ignore[arg-type]
            priority=priority,
            max_per_profile=draw(st.sampled_from(limits)),
            max_links=None if kind == "household" else draw(st.sampled_from((2, 3, 4, 1_000))),
            ttl_ms=days * DAY if days and ttl and draw(st.booleans()) else None,
            contested=draw(contested),
        )

    spaces = [
        namespace("crm", "person", 1, (1,), None),
        namespace("login", "person", draw(st.sampled_from((1, 2))), (1, 2, None), None),
        namespace("email", "person", 3, (1, 2, None), 6),
        namespace("device", "device", 5, (None, 2), 4),
        namespace("cookie", "device", 6, (None,), 3),
        namespace("home", "household", 99, (None,), 5),
    ]
    return Policy(
        version=1,
        name="random",
        namespaces={space.name: space for space in spaces},
        max_profile_size=draw(st.sampled_from((3, 5, 500))),
        min_confidence_deterministic=0.5,
        min_confidence_probabilistic=0.9,
        linking_purpose=LINKING,
        purposes={LINKING: Purpose(LINKING, draw(st.sampled_from(("granted", "granted", "granted", "denied"))))},
    )


def link_id(source: str, rule: str, method: str, a: str, b: str) -> LinkId:
    """An id from what identifies a link, readable."""
    low, high = sorted((a, b))
    return LinkId(f"lnk_{source}/{rule}/{method[0]}/{low}~{high}")


@st.composite
def reports(draw: st.DrawFn, start: int = START, *, expires: bool = True) -> ObserveLink:
    """One report of a link, observed within a few days before or after `start`."""
    a = draw(st.sampled_from(KEYS))
    b = draw(st.sampled_from([key for key in KEYS if key != a]))
    method = draw(st.sampled_from(("deterministic", "deterministic", "deterministic", "probabilistic")))
    source = draw(st.sampled_from(("crm", "web")))
    at = start + draw(st.integers(-2, 4)) * DAY
    ends = draw(st.sampled_from((None, None, None, at + DAY, at + 3 * DAY))) if expires else None
    return ObserveLink(
        link_id(source, "r", method, a, b),
        a,
        b,
        method,  # type: ignore[arg-type]
        draw(st.sampled_from(CONFIDENCES)),
        source,
        "r",
        observed_at=at,
        expires_at=ends,
    )

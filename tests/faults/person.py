"""A small world of identifiers that only one writer changes, and what the pure functions say of it after each change.

Two customers with their devices. Membership follows from `tests.properties.evidence_model`; whether advertising is
allowed for the e-mail address follows from the latest word about it, since nobody else in the group has a say.
"""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass, field, replace

from service.model.changes import ObserveLink
from service.model.evidence import Assertion, ConsentRecord
from service.model.identifiers import AssertionId, IdentifierKey, LinkId, pair_of
from service.model.policy import Policy
from tests.faults.history import Value
from tests.properties.evidence_model import Evidence, implied

UNKNOWN = "unknown"
PURPOSE = "advertising"


def keys_of(mark: str) -> dict[str, IdentifierKey]:
    """The identifiers of one group, by a short name."""
    email = hashlib.sha256(mark.encode()).hexdigest()
    named = {
        "anna": f"crm_id:a-{mark}",
        "mail": f"email_sha256:{email}",
        "phone": f"device_id:p-{mark}",
        "page": f"cookie_id:c-{mark}",
        "bert": f"crm_id:b-{mark}",
        "pad": f"device_id:t-{mark}",
    }
    return {short: IdentifierKey(key) for short, key in named.items()}


EDGES = (("anna", "mail"), ("anna", "phone"), ("phone", "page"), ("bert", "pad"))


@dataclass(slots=True)
class State:
    """All that has been said about one group."""

    evidence: Evidence
    allowed: bool = False
    erased: bool = False
    merged: AssertionId | None = None
    split: AssertionId | None = None
    linking_off: bool = False

    def copy(self) -> State:
        """One to try a change on."""
        evidence = Evidence(self.evidence.policy)
        evidence.links = copy.deepcopy(self.evidence.links)
        evidence.first_seen = dict(self.evidence.first_seen)
        evidence.assertions = dict(self.evidence.assertions)
        evidence.consents.update({key: list(records) for key, records in self.evidence.consents.items()})
        return replace(self, evidence=evidence)


@dataclass(slots=True)
class Group:
    """One group: its identifiers, and its state as acknowledged."""

    mark: str
    policy: Policy
    keys: dict[str, IdentifierKey] = field(init=False)
    state: State = field(init=False)
    at: int = 0
    links: dict[tuple[str, str], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.keys = keys_of(self.mark)
        self.state = State(Evidence(self.policy))

    def later(self, now_ms: int) -> int:
        """A time for the next piece of evidence: now, and after every one before."""
        self.at = max(now_ms, self.at + 1)
        return self.at

    def registers(self, state: State, now_ms: int) -> dict[str, Value]:
        """What look-ups and decisions must show in a state: members of each identifier's profile, allow or not."""
        clusters = {key: cluster for cluster in implied(state.evidence, now_ms).clusters for key in cluster}
        shown: dict[str, Value] = {
            f"profile:{key}": tuple(sorted(clusters[key])) if key in clusters else UNKNOWN for key in self.keys.values()
        }
        mail = self.keys["mail"]
        shown[f"allow:{mail}"] = state.allowed and mail in clusters and not state.erased
        return shown


def observe(group: Group, state: State, edge: tuple[str, str], at: int) -> None:
    """A link is reported."""
    a, b = group.keys[edge[0]], group.keys[edge[1]]
    link_id = LinkId("/".join(pair_of(a, b)))
    state.evidence.observe(ObserveLink(link_id, a, b, "deterministic", 0.93, "crm", "faults", observed_at=at))


def retract(group: Group, state: State, edge: tuple[str, str]) -> None:
    """It is taken back."""
    state.evidence.retract(LinkId("/".join(pair_of(group.keys[edge[0]], group.keys[edge[1]]))))


def is_there(group: Group, state: State, edge: tuple[str, str]) -> bool:
    """Whether a link was reported and not taken back."""
    log = state.evidence.links.get(LinkId("/".join(pair_of(group.keys[edge[0]], group.keys[edge[1]]))))
    return log is not None and log.void_until is None


def assert_same(group: Group, state: State, assertion: AssertionId, now_ms: int) -> None:
    """A steward merges the profiles of the two customers."""
    clusters = [c for c in implied(state.evidence, now_ms).clusters if {group.keys["anna"], group.keys["bert"]} & c]
    seniors = tuple(sorted(min(cluster, key=lambda key: _seniority(state, key)) for cluster in clusters))
    together = frozenset[IdentifierKey]().union(*clusters)
    order = len(state.evidence.assertions) + 1
    state.evidence.assertions[assertion] = Assertion(assertion, "same", order, 0, seniors=seniors, named=together)
    state.merged = assertion


def assert_apart(group: Group, state: State, assertion: AssertionId, now_ms: int) -> None:
    """A steward takes the phone out of its profile."""
    phone = group.keys["phone"]
    [cluster] = [c for c in implied(state.evidence, now_ms).clusters if phone in c]
    order = len(state.evidence.assertions) + 1
    sides = (frozenset({phone}), cluster - {phone})
    state.evidence.assertions[assertion] = Assertion(assertion, "different", order, 0, sides=sides)
    state.split = assertion


def undo(state: State, assertion: AssertionId) -> None:
    """And takes it back."""
    state.evidence.assertions[assertion] = replace(state.evidence.assertions[assertion], undone=True)
    if state.merged == assertion:
        state.merged = None
    if state.split == assertion:
        state.split = None


def say_linking(group: Group, state: State, at: int, allowed: bool) -> None:
    """The page may not be linked any more, or may again."""
    record = ConsentRecord("identity_linking", "", "granted" if allowed else "withdrawn", at)
    state.evidence.say(group.keys["page"], record)
    state.linking_off = not allowed


def erase(group: Group, state: State) -> None:
    """The e-mail address is erased, with all that names it."""
    mail = group.keys["mail"]
    evidence = state.evidence
    evidence.links = {one: log for one, log in evidence.links.items() if mail not in one.split("/")}
    evidence.first_seen.pop(mail, None)
    evidence.consents.pop(mail, None)
    state.allowed, state.erased = False, True


def _seniority(state: State, key: IdentifierKey) -> tuple[bool, int, int, str]:
    namespace = state.evidence.policy.namespace_of_key(key)
    return (namespace.kind != "person", namespace.priority, state.evidence.first_seen[key], key)

"""A lineage as a picture: a flow chart in Mermaid, from events on the left to decisions on the right. Pure."""

from __future__ import annotations

from typing import Final

from service.model.evidence import Link, Reason
from service.model.identifiers import IdentifierKey, namespace_of
from service.model.lineage import Lineage

DRAWN_MAX: Final = 200


class _Chart:
    """Nodes, each once under a number of its own, and arrows between them."""

    def __init__(self) -> None:
        self.lines: list[str] = ["flowchart LR"]
        self._names: dict[tuple[str, str], str] = {}
        self._arrows: set[tuple[str, str]] = set()

    def node(self, kind: str, name: str, label: str, shape: str = "[{}]") -> str:
        """The node's number in the chart. `label` may hold anything: what Mermaid reads is escaped."""
        known = self._names.get((kind, name))
        if known is None:
            known = self._names[kind, name] = f"{kind}{len(self._names)}"
            if len(self.lines) < DRAWN_MAX:
                self.lines.append(f"  {known}{shape.format(_quoted(label))}")
        return known

    def arrow(self, source: str, target: str, label: str = "") -> None:
        """An arrow, once."""
        if (source, target) not in self._arrows and len(self.lines) < 2 * DRAWN_MAX:
            self._arrows.add((source, target))
            self.lines.append(f"  {source} -->{f'|{_quoted(label)}|' if label else ''} {target}")


def _quoted(text: str) -> str:
    safe = "".join(c if c.isalnum() or c in " _-./:" else f"#{ord(c)};" for c in text[:120])
    return f'"{safe}"'


def _short(key: str) -> str:
    """An identifier without most of its value: a picture is pasted anywhere."""
    value = key[len(namespace_of(key)) + 1 :]
    return f"{namespace_of(key)}:{value[:6]}{'…' if len(value) > 6 else ''}"


def mermaid_of(lineage: Lineage) -> str:
    """The chart. Events, identifiers seen in them, links and consents that they made, profiles, decisions."""
    chart = _Chart()
    links: dict[str, tuple[Link, Reason | None]] = {link.link_id: (link, reason) for link, reason in lineage.links}
    owner = {key: profile_id for profile_id, members in lineage.profiles for key in members}
    seen: set[IdentifierKey] = set()
    for event in lineage.events:
        e = chart.node(
            "e", f"{event.source}\n{event.event_id}", f"{event.type} {event.source}/{event.event_id}", "([{}])"
        )
        for key in event.identifiers:
            seen.add(key)
            chart.arrow(e, chart.node("i", key, _short(key)), "observed")
        for link_id in event.links:
            if link_id in links:
                link, reason = links[link_id]
                node = chart.node("l", link_id, f"{link_id} {link.inactive or reason or 'linked'}", "{{{{{}}}}}")
                chart.arrow(e, node, "said")
        for key, record in lineage.consents:
            if record.consent_id in event.consents:
                node = chart.node("c", record.consent_id, f"{record.purpose} {record.state}", "[/{}/]")
                chart.arrow(e, node, "said")
                chart.arrow(node, chart.node("i", key, _short(key)))
    for link, reason in lineage.links:
        node = chart.node("l", link.link_id, f"{link.link_id} {link.inactive or reason or 'linked'}", "{{{{{}}}}}")
        for key in link.pair:
            if key in owner and link.inactive is None and reason is None:
                chart.arrow(node, chart.node("p", owner[key], owner[key], "(({}))"))
    for key in sorted(seen):
        if key in owner:
            chart.arrow(chart.node("i", key, _short(key)), chart.node("p", owner[key], owner[key], "(({}))"))
    for made in lineage.decisions:
        node = chart.node("d", made.decision_id, f"{made.purpose} {made.outcome}", ">{}]")
        chart.arrow(chart.node("p", made.profile_id, made.profile_id, "(({}))"), node)
    return "\n".join(chart.lines) + "\n"

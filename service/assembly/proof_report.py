"""`make proof`: one page about what a running instance can show of its promises."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import Any, Final

import orjson

from service.errors import StartRefused
from service.local.data_dir import RUN_FILE
from service.local.secrets import api_keys
from service.settings import Settings

_WAIT_S: Final = 120


def page_of(proof: dict[str, Any]) -> str:
    """The proof as Markdown, one page."""
    events, sent, consent = proof["events"], proof["deliveries"], proof["consent"]
    audit, rollback = proof["audit"], proof["rollback"]
    lines = [
        "# Proof",
        "",
        "| what was promised | figure |",
        "|---|---|",
        f"| events lost | {events['loss']} of {events['received']} received "
        f"({events['accepted']} accepted, {events['duplicate']} duplicate, {events['quarantined']} in quarantine) |",
        f"| deliveries lost | {sent['loss']} of {sent['eligible']} intended ({sent['delivered']} delivered, "
        f"{sent['suppressed']} suppressed, {sent['dead']} dead, {sent['pending']} pending) |",
        f"| attempts against consent | {consent['violations']} of {consent['checked']} decided again |",
        f"| attempts wholly reconstructable | {audit['complete']} of {audit['sampled']}, "
        f"half of them within {_seconds(audit['seconds_p50'])} |",
        f"| audit chain | {'holds' if audit['verified'] else 'DOES NOT HOLD'} |",
        f"| roll-backs | {rollback['count']}, the last took {_seconds(rollback['last_seconds'])} |",
    ]
    if proof["reconciliation"]:
        lines += ["", "| destination | unexplained gap | verdict |", "|---|---|---|"]
        lines += [
            f"| {name} | {found['gap']:.2%} | {found['verdict']} |"
            for name, found in sorted(proof["reconciliation"].items())
        ]
    return "\n".join(lines)


def _seconds(found: float | None) -> str:
    return "no time known" if found is None else f"{found:.3f} s"


def proof_page(settings: Settings) -> str:
    """Ask the instance of DATA_DIR. Raises StartRefused where none is running, or no key may ask."""
    try:
        base_url = orjson.loads((settings.data_dir / RUN_FILE).read_bytes())["base_url"]
    except (OSError, ValueError, KeyError):
        raise StartRefused("No instance is running on this DATA_DIR.") from None
    key = next((key for key, roles in api_keys(settings).items() if "admin" in roles), None)
    if key is None:
        raise StartRefused("None of the keys has the role admin.")
    asked = urllib.request.Request(f"{base_url}/v1/proof", headers={"authorization": f"Bearer {key}"})
    try:
        with urllib.request.urlopen(asked, timeout=_WAIT_S) as answer:
            return page_of(orjson.loads(answer.read()))
    except (urllib.error.URLError, TimeoutError):
        raise StartRefused("The instance of this DATA_DIR does not answer.") from None

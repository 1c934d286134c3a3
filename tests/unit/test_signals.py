"""Decoders of signals against the IAB's own, and what the strings mean under a policy."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from service.control.policy_document import compile_policy
from service.control.signals import gpp, tcf
from service.control.signals.bits import SignalUnreadable
from service.control.signals.gpp_layouts import LAYOUTS
from service.control.signals.meaning import DISCLOSED_FROM, SignalNotTaken, Stated, stated_by
from service.model.capture import SignalKind, SignalMappings
from service.model.times import parse_rfc3339
from tests.unit import signal_strings as write
from tests.unit.signal_strings import Tc, UsNat

ROOT = Path(__file__).parents[2]
ORACLES = orjson.loads((ROOT / "tests/data/signals.json").read_bytes())
DEFAULT = orjson.loads((ROOT / "service/policies/default.json").read_bytes())
MAPPINGS = compile_policy(DEFAULT, 1).signals
NOW = parse_rfc3339("2026-11-24T10:00:00Z")
DAY_DS = 864_000
TODAY = NOW // 86_400_000 * DAY_DS
Json = dict[str, Any]
FULL = Tc(
    created=TODAY,
    last_updated=TODAY,
    consents=range(1, 12),
    interests=range(7, 12),
    vendor_consents=[755],
    vendor_interests=[755],
    disclosed=[755],
)


def ids_of(runs: list[list[int]]) -> list[int]:
    return [i for first, last in runs for i in range(first, last + 1)]


def as_read(found: tcf.TcString) -> Json:
    """A decoded string as the oracle writes it, restrictions by purpose and kind."""
    return {
        "created": found.created,
        "last_updated": found.last_updated,
        "cmp_id": found.cmp_id,
        "policy_version": found.policy_version,
        "features": sorted(found.features),
        "consents": sorted(found.consents),
        "interests": sorted(found.interests),
        "vendor_consents": found.vendor_consents.ids(),
        "vendor_interests": found.vendor_interests.ids(),
        "restrictions": sorted((p, kind, whom.ids()) for p, of in found.restrictions.items() for kind, whom in of),
        "disclosed": None if found.disclosed is None else found.disclosed.ids(),
    }


def as_written(read: Json) -> Json:
    ids = {name: ids_of(read[name]) for name in ("vendor_consents", "vendor_interests")}
    disclosed = None if read["disclosed"] is None else ids_of(read["disclosed"])
    restrictions = sorted((p, kind, ids_of(runs)) for p, kind, runs in read["restrictions"])
    return {**read, **ids, "disclosed": disclosed, "restrictions": restrictions}


def test_tc_strings_are_read_as_the_published_decoder_reads_them() -> None:
    genuine = [line for line in ORACLES["tcf"] if line["of"] is None]
    assert len(genuine) >= 20
    for line in genuine:
        assert as_read(tcf.decode(line["text"])) == as_written(line["read"])


def test_damaged_tc_strings_are_read_alike_or_refused() -> None:
    """The published decoder reads many damaged strings; what we read of them is what it reads, never anything else."""
    read = refused_here = 0
    for line in ORACLES["tcf"]:
        try:
            found = as_read(tcf.decode(line["text"]))
        except SignalUnreadable:
            refused_here += line["read"] is not None
            continue
        if line["read"] is not None:
            read += 1
            assert found == as_written(line["read"])
    assert read > 50 and refused_here > 50


def test_gpp_strings_are_read_as_the_published_decoder_reads_them() -> None:
    genuine = [line for line in ORACLES["gpp"] if line["of"] is None]
    assert {name for line in genuine for name in line["read"]} >= {layout.name for layout in LAYOUTS.values()}
    for line in genuine:
        assert said_by(gpp.decode(line["text"])) == without_eu(line["read"])


def said_by(found: gpp.GppString) -> Json:
    wanted = {"sale_opt_out", "sharing_opt_out", "targeted_advertising_opt_out", "sensitive_data_processing"}
    wanted |= {"known_child_consents", "personal_data_consents", "additional_data_processing"}
    return {
        section.name: {name: list(values) for name, values in section.choices.items() if name in wanted}
        | ({} if section.gpc is None else {"gpc": section.gpc})
        for section in found.us
    }


def without_eu(read: Json) -> Json:
    return {name: said for name, said in read.items() if name != "tcfeuv2"}


def test_damaged_gpp_strings_permit_no_more_than_the_published_decoder_reads() -> None:
    read = refused_here = 0
    for line in ORACLES["gpp"]:
        try:
            found = said_by(gpp.decode(line["text"]))
        except SignalUnreadable:
            refused_here += line["read"] is not None
            continue
        if line["read"] is not None:
            read += 1
            for name, choices in without_eu(line["read"]).items():
                known = found[name]
                # A part that is not there is no choice here, and a row of zeros there.
                known.setdefault("sensitive_data_processing", choices.get("sensitive_data_processing"))
                assert {n: v for n, v in known.items() if v is not None} == choices
    assert read > 50 and refused_here > 50


# ---- meaning


def states(kind: SignalKind, value: object, mappings: SignalMappings = MAPPINGS, now: int = NOW) -> dict[str, str]:
    return {s.purpose: s.state for s in stated_by(kind, value, mappings, now)}


def tcf_states(tc: Tc, **changed: Any) -> dict[str, str]:
    assert MAPPINGS.tcf is not None
    return states("tcf", tc.text(), replace(MAPPINGS, tcf=replace(MAPPINGS.tcf, **changed)))


NO = {"advertising": "denied", "personalization": "denied", "analytics": "denied"}
YES = dict.fromkeys(NO, "granted")


def test_all_bits_are_needed() -> None:
    assert tcf_states(FULL) == YES
    assert tcf_states(replace(FULL, as_ranges=True)) == YES
    assert tcf_states(replace(FULL, consents=[2, 3, 4, 5, 6, 7, 8, 9])) == NO
    assert tcf_states(replace(FULL, vendor_consents=[754])) == NO
    assert tcf_states(replace(FULL, disclosed=[754])) == NO
    assert tcf_states(replace(FULL, consents=[1, 5, 6], interests=[])) == {**NO, "personalization": "granted"}
    assert tcf_states(replace(FULL, vendor_consents=[], disclosed=[755]), vendors=()) == YES


def test_legitimate_interest_stands_in_only_where_it_may() -> None:
    by_interest = replace(FULL, consents=[1, 3, 4], interests=[2, 7])
    [advertising] = [s for s in stated_by("tcf", by_interest.text(), MAPPINGS, NOW) if s.purpose == "advertising"]
    assert (advertising.state, advertising.basis) == ("granted", "legitimate_interest")
    assert tcf_states(replace(by_interest, vendor_interests=[]))["advertising"] == "denied"
    assert tcf_states(replace(by_interest, consents=[1], interests=[2, 3, 4, 7]))["advertising"] == "denied"
    assert tcf_states(by_interest, vendors=())["advertising"] == "denied"


@pytest.mark.parametrize(
    ("kind", "consented", "interested"),
    [(0, "denied", "denied"), (1, "granted", "denied"), (2, "denied", "granted"), (3, "denied", "denied")],
)
def test_restrictions_of_the_publisher_hold(kind: int, consented: str, interested: str) -> None:
    restricted = replace(FULL, restrictions=[(7, kind, [3, 755])])
    by_interest = replace(restricted, consents=[1, 2, 3, 4], interests=[7])
    by_consent = replace(restricted, interests=[])
    assert tcf_states(by_consent)["advertising"] == consented
    assert tcf_states(by_interest)["advertising"] == interested
    assert tcf_states(replace(restricted, restrictions=[(7, kind, [3, 754])])) == YES


def test_a_grant_ends_when_the_string_is_too_old() -> None:
    [first, *_] = stated_by("tcf", FULL.text(), MAPPINGS, NOW)
    assert first.expires_at == TODAY * 100 + 390 * 86_400_000
    assert states("tcf", FULL.text(), now=first.expires_at - 1) == YES
    assert all(s.unreadable for s in stated_by("tcf", FULL.text(), MAPPINGS, first.expires_at))


def test_disclosed_vendors_are_wanted_and_from_march_2026_on_always() -> None:
    before = replace(FULL, created=DISCLOSED_FROM // 100 - DAY_DS, last_updated=DISCLOSED_FROM // 100 - DAY_DS)
    for tc, lenient in ((before, YES), (FULL, NO)):
        silent = replace(tc, disclosed=None)
        assert tcf_states(silent) == NO
        assert tcf_states(silent, require_disclosed=False) == lenient


LONG_HEADER = "C" * 200_000
UNREADABLE: list[tuple[SignalKind, object]] = [
    ("tcf", ""),
    ("tcf", "C"),
    ("tcf", None),
    ("tcf", 1),
    ("tcf", ["x"]),
    ("tcf", "ééé"),
    ("tcf", LONG_HEADER),
    ("tcf", "C" * 16_000),
    ("tcf", FULL.text()[:-3]),
    ("tcf", FULL.text() + "."),
    ("tcf", FULL.text() + ".I"),
    ("tcf", FULL.text() + "." + FULL.text().split(".")[1]),
    ("tcf", FULL.text() + "AAAAAAAAAA"),
    ("tcf", FULL.text() + "\n"),
    ("tcf", FULL.text() + "." + write.packed("100" + "0" * 21)),
    ("tcf", replace(FULL, version=1).text()),
    ("tcf", replace(FULL, policy_version=3).text()),
    ("tcf", replace(FULL, created=TODAY + 1).text()),
    ("tcf", replace(FULL, created=TODAY + 2 * DAY_DS, last_updated=TODAY + 2 * DAY_DS).text()),
    ("tcf", replace(FULL, created=0).text()),
    ("tcf", replace(FULL, language="Z[").text()),
    ("tcf", replace(FULL, restrictions=[(0, 0, [1])]).text()),
    ("tcf", replace(FULL, restrictions=[(25, 0, [1])]).text()),
    ("tcf", write.packed(FULL.core()[:-12] + "000000000001" + "000111" + "00" + "000000000010" + "0" * 33)),
    ("gpp", ""),
    ("gpp", "DBABLA"),
    ("gpp", "DBAA~x"),
    ("gpp", LONG_HEADER),
    ("gpp", write.gpp(_7=UsNat().text()) + "~"),
    ("gpp", write.gpp(_7="")),
    ("gpp", write.gpp(_7=UsNat(sale=3).text())),
    ("gpp", write.gpp(_7=UsNat(version=3).text())),
    ("gpp", write.gpp(_7=UsNat(gpc=None).text())),
    ("gpp", write.gpp(_7=UsNat().text() + ".YA")),
    ("gpp", write.gpp(_7=UsNat(gpc=None).text() + ".gA")),
    ("gpp", write.gpp(_7=UsNat(gpc=None).text() + "AAAA.QA")),
    ("gpp", write.gpp(_6="1YXN")),
    ("gpp", write.gpp(_6="1yny")),
    ("gpp", write.header([7], kind=2) + "~" + UsNat().text()),
    ("gpp", write.header([7], version=2) + "~" + UsNat().text()),
    ("gpp", write.packed("000011000001" + "1" * 12) + "~x"),
    ("gpc", ""),
    ("gpc", "yes"),
    ("gpc", 1),
    ("gpc", None),
    ("gpc", {"1": 1}),
    ("google_consent_mode", "granted"),
    ("google_consent_mode", {"ad_storage": True}),
    ("google_consent_mode", {"ad_storage": "GRANTED"}),
    ("google_consent_mode", {"ad_store": "granted"}),
    ("google_consent_mode", []),
]


@pytest.mark.parametrize(("kind", "value"), UNREADABLE)
def test_what_can_not_be_read_refuses_all_that_it_could_have_spoken_of(kind: SignalKind, value: object) -> None:
    began = time.perf_counter()
    found = stated_by(kind, value, MAPPINGS, NOW)
    assert time.perf_counter() - began < 0.5
    assert all(stated.unreadable and stated.state == "denied" for stated in found)
    purposes = {"advertising"} if kind == "gpc" else set(NO)  # a GPP string may hold a TC string
    assert {stated.purpose for stated in found} == purposes


def test_gpp_has_the_other_polarity() -> None:
    def said(**choices: Any) -> dict[str, str]:
        return states("gpp", write.gpp(_7=UsNat(**choices).text()))

    assert said() == {"advertising": "granted"}
    assert said(sale=1) == said(sharing=1) == said(targeted=1) == said(gpc=True) == {"advertising": "denied"}
    with pytest.raises(SignalNotTaken):
        said(sale=0)
    with pytest.raises(SignalNotTaken):
        states("gpp", "DBAA")
    assert states("gpp", write.gpp(_6="1YNN")) == {"advertising": "granted"}
    assert states("gpp", write.gpp(_6="1YYN")) == {"advertising": "denied"}
    assert states("gpp", write.gpp(_6="1YYN", _7=UsNat().text())) == {"advertising": "denied"}
    first = write.packed(write.number(1, 6) + "01" * 6 + "101010" + "00" * 15 + "010000")
    assert states("gpp", write.gpp(_7=first + ".QA")) == {"advertising": "granted"}


def test_a_tc_string_in_gpp_is_read_as_one() -> None:
    text = write.gpp(_2=FULL.text(), _7=UsNat(sale=1).text())
    found = {(s.purpose, s.regulation): s.state for s in stated_by("gpp", text, MAPPINGS, NOW)}
    assert found == {("advertising", "CCPA"): "denied", **{(p, "GDPR"): "granted" for p in YES}}


def test_gpc_refuses_and_its_absence_says_nothing() -> None:
    for value in ("1", True):
        assert stated_by("gpc", value, MAPPINGS, NOW) == (Stated("advertising", "CCPA", "denied"),)
    for value in ("0", False):
        with pytest.raises(SignalNotTaken):
            stated_by("gpc", value, MAPPINGS, NOW)


def test_google_needs_every_type_and_what_is_missing_is_a_no() -> None:
    ads = dict.fromkeys(["ad_storage", "ad_user_data", "ad_personalization"], "granted")
    kind: SignalKind = "google_consent_mode"
    assert states(kind, ads) == {"advertising": "granted", "analytics": "denied", "personalization": "denied"}
    assert states(kind, {**ads, "ad_user_data": "denied"})["advertising"] == "denied"
    assert states(kind, {"ad_storage": "granted"})["advertising"] == "denied"
    assert states(kind, {}) == dict.fromkeys(["advertising", "analytics", "personalization"], "denied")


def test_a_kind_that_the_policy_does_not_map_is_not_taken() -> None:
    for kind in ("tcf", "gpp", "gpc", "google_consent_mode"):
        with pytest.raises(SignalNotTaken):
            stated_by(kind, "x", SignalMappings(), NOW)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "signals",
    [
        {"tcf": {"vendors": [0], "purposes": {"advertising": {}}}},
        {"tcf": {"vendors": [], "purposes": {"no_such": {}}}},
        {"tcf": {"vendors": [], "purposes": {"advertising": {"consent": [25]}}}},
        {"tcf": {"purposes": {"advertising": {"consent": [1]}}}},
        {"tcf": {"vendors": [], "regulation": "NONE", "purposes": {"advertising": {"consent": [1]}}}},
        {"gpp": {"sections": {"usxx": "CCPA"}, "purposes": {"advertising": ["sale_opt_out"]}}},
        {"gpp": {"sections": {"usca": "NONE"}, "purposes": {"advertising": ["sale_opt_out"]}}},
        {"gpp": {"sections": {"usca": "CCPA"}, "purposes": {"advertising": ["sale"]}}},
        {"gpc": {"regulations": [], "denies": ["advertising"]}},
        {"gpc": {"regulations": ["CCPA"], "denies": ["no_such"]}},
        {"google_consent_mode": {"purposes": {"advertising": ["ad_store"]}}},
        {"fax": {}},
    ],
)
def test_a_mapping_of_what_is_not_there_is_no_policy(signals: Json) -> None:
    with pytest.raises(ValueError):
        compile_policy({**DEFAULT, "signals": signals}, 1)

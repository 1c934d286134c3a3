"""Laws of signals: damage never permits more, and neither does refusing more."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from service.control.signals.bits import SignalUnreadable
from service.control.signals.meaning import SignalNotTaken, stated_by
from service.control.signals.tcf import decode
from service.model.capture import SignalKind
from tests.unit.signal_strings import ALPHABET, Tc, UsNat, gpp
from tests.unit.test_signals import MAPPINGS, NOW, ORACLES, TODAY

_IDS = st.lists(st.sampled_from([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]), unique=True)
_VENDORS = st.lists(st.sampled_from([1, 2, 754, 755, 756]), unique=True)
_RESTRICTIONS = st.lists(st.tuples(st.integers(1, 11), st.integers(0, 3), _VENDORS), max_size=3)
TCS = st.builds(
    Tc,
    created=st.just(TODAY),
    last_updated=st.just(TODAY),
    consents=_IDS,
    interests=_IDS,
    vendor_consents=_VENDORS,
    vendor_interests=_VENDORS,
    restrictions=_RESTRICTIONS,
    disclosed=_VENDORS,
    as_ranges=st.booleans(),
)
_CHOICE = st.integers(0, 2)
SECTIONS = st.builds(UsNat, sale=_CHOICE, sharing=_CHOICE, targeted=_CHOICE, gpc=st.booleans())
TEXTS: st.SearchStrategy[tuple[SignalKind, str]] = st.one_of(
    TCS.map(lambda tc: ("tcf", tc.text())),
    SECTIONS.map(lambda section: ("gpp", gpp(_7=section.text()))),
    st.tuples(TCS, SECTIONS).map(lambda both: ("gpp", gpp(_2=both[0].text(), _7=both[1].text()))),
    st.sampled_from([("tcf", line["text"]) for line in ORACLES["tcf"] if line["of"] is None]),
    st.sampled_from([("gpp", line["text"]) for line in ORACLES["gpp"] if line["of"] is None]),
)  # type: ignore[arg-type]


def granted(kind: SignalKind, text: str) -> set[tuple[str, str | None]]:
    """What a string permits. Only the one documented error may come."""
    try:
        return {(s.purpose, s.regulation) for s in stated_by(kind, text, MAPPINGS, NOW) if s.state == "granted"}
    except SignalNotTaken:
        return set()


def denied(kind: SignalKind, text: str) -> set[tuple[str, str | None]]:
    try:
        return {(s.purpose, s.regulation) for s in stated_by(kind, text, MAPPINGS, NOW) if s.state == "denied"}
    except SignalNotTaken:
        return set()


@given(TEXTS, st.data())
def test_a_string_cut_short_never_permits_more_and_never_hides_a_refusal(
    signal: tuple[SignalKind, str], data: st.DataObject
) -> None:
    kind, text = signal
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    assert granted(kind, cut) <= granted(kind, text)
    assert denied(kind, cut) >= denied(kind, text)


@given(TEXTS, st.text(ALPHABET + ".~= \n\0é", min_size=1, max_size=12))
def test_what_is_put_behind_a_string_never_permits_more(signal: tuple[SignalKind, str], more: str) -> None:
    kind, text = signal
    assert granted(kind, text + more) <= granted(kind, text)
    assert granted(kind, more + text) <= granted(kind, text)


@given(TCS, st.data())
def test_damage_outside_of_the_choices_never_permits_more(tc: Tc, data: st.DataObject) -> None:
    """Without a checksum a flipped choice is another genuine string; everything else may at most make it unreadable."""
    first, *rest = tc.text().split(".")
    at = data.draw(st.integers(0, 21))  # version, times, consent platform, language: before the choices
    other = first[:at] + data.draw(st.sampled_from(ALPHABET)) + first[at + 1 :]
    assert granted("tcf", ".".join([other, *rest])) <= granted("tcf", tc.text())


@given(TEXTS, st.data())
def test_a_changed_character_is_read_to_the_last_bit_or_refused(
    signal: tuple[SignalKind, str], data: st.DataObject
) -> None:
    """What is still read after a change permits only what its own bits say: checked on the vendors and purposes."""
    kind, text = signal
    at = data.draw(st.integers(0, len(text) - 1))
    other = text[:at] + data.draw(st.sampled_from(ALPHABET)) + text[at + 1 :]
    permitted = granted(kind, other)
    if kind == "tcf" and permitted:
        found = decode(other)
        assert 755 in found.vendor_consents and found.disclosed is not None and 755 in found.disclosed
        assert 1 in found.consents


@given(st.text(max_size=300) | st.text(ALPHABET + ".~", max_size=300))
def test_noise_permits_nothing(text: str) -> None:
    assert granted("tcf", text) == granted("gpp", text) == set()
    try:
        decode(text)
    except SignalUnreadable:
        pass
    else:
        raise AssertionError("noise was read")


@given(TCS, st.data())
def test_refusing_more_in_a_tc_string_never_permits_more(tc: Tc, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["consents", "interests", "vendor_consents", "vendor_interests", "disclosed"]))
    fewer = data.draw(st.sets(st.sampled_from(list(getattr(tc, name)) or [0])))
    stricter = replace(tc, **{name: [i for i in getattr(tc, name) if i not in fewer]})
    stricter = replace(stricter, restrictions=[*tc.restrictions, *data.draw(_RESTRICTIONS)])
    assert granted("tcf", stricter.text()) <= granted("tcf", tc.text())


@given(SECTIONS, st.data())
def test_refusing_more_in_a_gpp_section_never_permits_more(section: UsNat, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["sale", "sharing", "targeted"]))
    stricter = replace(section, **{name: 1}, gpc=section.gpc or data.draw(st.booleans()))
    assert granted("gpp", gpp(_7=stricter.text())) == set()
    assert denied("gpp", gpp(_7=stricter.text())) >= denied("gpp", gpp(_7=section.text()))

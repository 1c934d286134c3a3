"""GPP strings: a header that names the sections, and the sections in use in the United States.

https://github.com/InteractiveAdvertisingBureau/Global-Privacy-Platform. The EU section is a TC string and read as
one; what this service has no layout for (Canada, sections to come) is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from service.control.signals.bits import Bits, SignalUnreadable
from service.control.signals.gpp_layouts import LAYOUTS, SENSITIVE, TCF_EU, USNAT_1, USP, Field, Layout
from service.control.signals.tcf import SIGNAL_CHARS_MAX

SECTIONS_MAX: Final = 64
_USP: Final = re.compile(r"1[YN-]([YN-])[YN-]", re.ASCII)
_USNAT: Final = 7


@dataclass(frozen=True, slots=True)
class UsSection:
    """One section. `choices`: field to its values (0 not applicable, 1 no, 2 yes). `gpc`: None where it is not said.

    `whole`: nothing that may follow its core is missing.
    """

    name: str
    choices: Mapping[str, tuple[int, ...]]
    gpc: bool | None = None
    whole: bool = True


@dataclass(frozen=True, slots=True)
class GppString:
    """A decoded string: sections in the order of their ids, and the TC string among them."""

    us: tuple[UsSection, ...]
    tcf: str | None = None


def decode(text: str) -> GppString:
    """A whole string. Raises SignalUnreadable for all that is not exactly as the format says."""
    if len(text) > SIGNAL_CHARS_MAX:
        raise SignalUnreadable("is too long")
    header, *parts = text.split("~")
    ids = _section_ids(Bits(header))
    if len(ids) != len(parts):
        raise SignalUnreadable("has not the sections that its header names")
    us: list[UsSection] = []
    tcf = None
    for section, part in zip(ids, parts, strict=True):
        if section == TCF_EU:
            tcf = part
        elif section == USP:
            us.append(_usp(part))
        elif section in LAYOUTS:
            us.append(_us_section(LAYOUTS[section], part))
        elif not part:
            raise SignalUnreadable("has an empty section")
    return GppString(tuple(us), tcf)


def _section_ids(bits: Bits) -> list[int]:
    if bits.number(6) != 3 or bits.number(6) != 1:
        raise SignalUnreadable("is of another type or version")
    ids: list[int] = []
    last = 0
    for _ in range(bits.number(12)):
        is_range = bits.flag()
        first = last + bits.fibonacci()
        last = first + bits.fibonacci() if is_range else first
        if last - first + 1 + len(ids) > SECTIONS_MAX:
            raise SignalUnreadable("names too many sections")
        ids += range(first, last + 1)
    bits.end()
    return ids


def _usp(part: str) -> UsSection:
    found = _USP.fullmatch(part)
    if found is None:
        raise SignalUnreadable("has a us privacy string that is none")
    return UsSection("uspv1", {"sale_opt_out": ({"Y": 1, "N": 2, "-": 0}[found[1]],)})


def _us_section(layout: Layout, part: str) -> UsSection:
    core, *tails = part.split(".")
    if len(tails) > (1 if layout.tail else 0):
        raise SignalUnreadable("has a section with too many parts")
    bits = Bits(core)
    version = int(core and Bits(core).number(6))
    fields = layout.fields
    if layout.section == _USNAT and version == 1:
        fields = USNAT_1
    elif version != (2 if layout.section == _USNAT else 1):
        raise SignalUnreadable("has a section of another version")
    choices = _choices(bits, fields)
    gpc = None
    if tails:
        tail = Bits(tails[0])
        if layout.tail == "gpc":
            gpc = _gpc(tail)
        else:
            choices |= _choices(tail, SENSITIVE)
    return UsSection(layout.name, choices, gpc, bool(tails) or not layout.tail)


def _choices(bits: Bits, fields: tuple[Field, ...]) -> dict[str, tuple[int, ...]]:
    found = {}
    for name, count, width in fields:
        values = tuple(bits.number(width) for _ in range(count))
        if width == 2 and 3 in values:
            raise SignalUnreadable("has a choice that is none")
        if width == 2:
            found[name] = values
    bits.end()
    return found


def _gpc(bits: Bits) -> bool:
    if bits.number(2) != 1:
        raise SignalUnreadable("has a part of another type")
    said = bits.flag()
    bits.end()
    return said

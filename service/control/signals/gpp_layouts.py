"""What the sections of a GPP string hold, field by field.

https://github.com/InteractiveAdvertisingBureau/Global-Privacy-Platform, Sections. Each field is two bits unless it says
otherwise (`*n`: n times two bits; `:n`: n bits). 0: not applicable, 1: no (opted out, not consented), 2: yes (not opted
out, consented).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Field = tuple[str, int, int]  # name, how many values, bits of each
Tail = Literal["", "gpc", "sensitive"]


@dataclass(frozen=True, slots=True)
class Layout:
    """A section of the United States. `tail`: what may follow the core after a full stop."""

    section: int
    name: str
    fields: tuple[Field, ...]
    tail: Tail = "gpc"


def _fields(text: str) -> tuple[Field, ...]:
    found = []
    for word in text.split():
        name, star, count = word.partition("*")
        name, colon, width = name.partition(":")
        found.append((name, int(count) if star else 1, int(width) if colon else 2))
    return tuple(found)


_MSPA: Final = "mspa_covered_transaction mspa_opt_out_option_mode mspa_service_provider_mode"
_OPT_OUTS: Final = "sale_opt_out targeted_advertising_opt_out"


def _state(notice: str, sensitive: int, child: int, *, more: bool, extra_notice: str = "") -> tuple[Field, ...]:
    """The shape that most states share. `more`: with consent to additional processing."""
    return _fields(
        f"version:6 {notice}_notice sale_opt_out_notice targeted_advertising_opt_out_notice {extra_notice} {_OPT_OUTS} "
        f"sensitive_data_processing*{sensitive} known_child_consents*{child} "
        f"{'additional_data_processing' if more else ''} {_MSPA}"
    )


_LATER: Final = (
    "version:6 mspa_covered_transaction mspa_mode processing_notice sale_opt_out_notice "
    f"targeted_advertising_opt_out_notice {_OPT_OUTS} "
)
_NAT: Final = (
    "version:6 sharing_notice sale_opt_out_notice sharing_opt_out_notice targeted_advertising_opt_out_notice "
    "sensitive_data_processing_opt_out_notice sensitive_data_limit_use_notice "
    "sale_opt_out sharing_opt_out targeted_advertising_opt_out "
)
# Before it named more kinds of sensitive data.
USNAT_1: Final = _fields(f"{_NAT} sensitive_data_processing*12 known_child_consents*2 personal_data_consents {_MSPA}")
_USNAT_2: Final = _fields(f"{_NAT} sensitive_data_processing*16 known_child_consents*3 personal_data_consents {_MSPA}")
_USCA: Final = _fields(
    "version:6 sale_opt_out_notice sharing_opt_out_notice sensitive_data_limit_use_notice sale_opt_out sharing_opt_out "
    f"sensitive_data_processing*9 known_child_consents*2 personal_data_consents {_MSPA}"
)
_CHILD_MORE: Final = "known_child_consents additional_data_processing"

_ALL: Final = (
    Layout(7, "usnat", _USNAT_2),
    Layout(8, "usca", _USCA),
    Layout(9, "usva", _state("sharing", 8, 1, more=False), ""),
    Layout(10, "usco", _state("sharing", 7, 1, more=False)),
    Layout(
        11, "usut", _state("sharing", 8, 1, more=False, extra_notice="sensitive_data_processing_opt_out_notice"), ""
    ),
    Layout(12, "usct", _state("sharing", 8, 3, more=False)),
    Layout(13, "usfl", _state("processing", 8, 3, more=True), ""),
    Layout(14, "usmt", _state("sharing", 8, 3, more=True)),
    Layout(15, "usor", _state("processing", 11, 3, more=True)),
    Layout(16, "ustx", _state("processing", 8, 1, more=True)),
    Layout(17, "usde", _state("processing", 9, 5, more=True)),
    Layout(18, "usia", _state("processing", 8, 1, more=False, extra_notice="sensitive_data_opt_out_notice")),
    Layout(19, "usne", _state("processing", 8, 1, more=True)),
    Layout(20, "usnh", _state("processing", 8, 3, more=True)),
    Layout(21, "usnj", _state("processing", 10, 5, more=True)),
    Layout(22, "ustn", _state("processing", 8, 1, more=True)),
    Layout(23, "usmn", _state("processing", 8, 1, more=True)),
    Layout(24, "usmd", _fields(f"{_LATER} additional_data_processing")),
    Layout(25, "usin", _fields(_LATER + _CHILD_MORE), "sensitive"),
    Layout(26, "usky", _fields(_LATER + _CHILD_MORE), "sensitive"),
    Layout(27, "usri", _fields(_LATER + _CHILD_MORE), "sensitive"),
)
LAYOUTS: Final[Mapping[int, Layout]] = {layout.section: layout for layout in _ALL}
SENSITIVE: Final = _fields("sensitive_data_processing*8")

TCF_EU, USP = 2, 6
SECTIONS: Final[Mapping[str, int]] = {layout.name: layout.section for layout in _ALL} | {
    "uspv1": USP,
    "tcfeuv2": TCF_EU,
}
# What a policy may build a purpose on.
CHOICES: Final = (
    "sale_opt_out",
    "sharing_opt_out",
    "targeted_advertising_opt_out",
    "sensitive_data_processing",
    "known_child_consents",
    "personal_data_consents",
    "additional_data_processing",
)

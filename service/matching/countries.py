"""Names of countries, each group with its code of two letters first."""

from __future__ import annotations

_GROUPS = """
au australia aus
at austria osterreich aut
be belgium belgie belgique bel
br brazil brasil bra
ca canada can
ch switzerland schweiz suisse che
cn china chn
cz czechia
de germany deutschland deu
dk denmark danmark dnk
es spain espana esp
fi finland suomi fin
fr france fra
gb unitedkingdom uk greatbritain england scotland wales gbr
gr greece grc
ie ireland irl
in india ind
it italy italia ita
jp japan jpn
mx mexico mex
nl netherlands nederland holland nld
no norway norge nor
nz newzealand nzl
pl poland polska pol
pt portugal prt
ru russia rus
se sweden sverige swe
tr turkey turkiye tur
ua ukraine ukr
us unitedstates unitedstatesofamerica usa america
za southafrica zaf
"""

CODES: dict[str, str] = {}
for _group in _GROUPS.split("\n"):
    for _name in _group.split():
        CODES[_name] = _group.split()[0]

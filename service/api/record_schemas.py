"""Shapes of records and matching, as the contract has them. No answer holds an attribute's value."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, Field, StringConstraints, WithJsonSchema, model_validator

from service.api.schemas import BATCH_MAX, Asked, FieldErrorOut, IdentifierIn, Label, Named, Time, TimeText
from service.errors import BadValue

ATTRIBUTE_LENGTH_MAX: Final = 512
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def _attribute(value: object) -> str:
    if not isinstance(value, str) or len(value) > ATTRIBUTE_LENGTH_MAX:
        raise BadValue(f"must be text of at most {ATTRIBUTE_LENGTH_MAX} characters")
    if _CONTROL.search(value):
        raise BadValue("holds a control character")
    return value


Attribute = Annotated[
    str | None,
    BeforeValidator(_attribute),
    WithJsonSchema({"type": "string", "maxLength": ATTRIBUTE_LENGTH_MAX}),
]


class AttributesIn(Asked):
    """What a source knows of a person, as it has it; at least one. Junk (`n/a`, `1900-01-01`) counts as missing."""

    given_name: Attribute = None
    family_name: Attribute = None
    birth_date: Attribute = None
    house_number: Attribute = None
    street: Attribute = None
    suburb: Attribute = None
    postcode: Attribute = None
    city: Attribute = None
    country: Attribute = None
    phone: Attribute = None
    email: Attribute = None

    @model_validator(mode="before")
    @classmethod
    def _some(cls, value: Any) -> Any:
        if isinstance(value, dict) and not value:
            raise BadValue("must hold at least one attribute")
        return value

    def told(self) -> dict[str, str]:
        """Those that were sent."""
        return {name: value for name in type(self).model_fields if (value := getattr(self, name)) is not None}


class RecordIn(Asked):
    """What one source knows of one identifier. Without `observed_at`: now."""

    identifier: IdentifierIn
    source: Label
    observed_at: Time | None = None
    attributes: AttributesIn


class RecordsIn(Asked):
    """Up to 1,000 records; each is answered in its place."""

    records: list[RecordIn] = Field(max_length=BATCH_MAX)


class AttributesOfIn(Asked):
    """A record that is scored and not stored."""

    attributes: AttributesIn


class ScoreIn(Asked):
    """Two records."""

    a: AttributesOfIn
    b: AttributesOfIn


class SearchIn(Asked):
    """Whom to look for."""

    attributes: AttributesIn
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class TrainIn(Asked):
    """A model to be trained on at most `sample` of the records there are."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    sample: Annotated[int, Field(ge=2, le=1_000_000)] = 50_000


class MatchOut(BaseModel):
    """A link that follows from records, seen from one end; `reason` of one that does not join."""

    identifier: Named
    confidence: float
    status: Literal["linked", "withheld"]
    reason: str | None
    link_id: str


class RecordResultOut(BaseModel):
    """What became of a record."""

    status: Literal["accepted", "duplicate", "rejected"]
    profile_id: str | None
    matches: list[MatchOut]
    errors: list[FieldErrorOut]


class RecordResults(BaseModel):
    """In the order in which they were sent."""

    results: list[RecordResultOut]


class RecordOut(BaseModel):
    """A record as it is kept: which fields it has, never what is in them."""

    identifier: Named
    source: str
    fields: list[str]
    observed_at: TimeText
    keep: Literal["encoded", "plain"]


class WithdrawnOut(BaseModel):
    """A record is withdrawn; the profile that its identifier is in now."""

    withdrawn: bool
    profile_id: str | None


class FieldOut(BaseModel):
    """What one field says; `weight`: log-odds of one person against the rest."""

    field: str
    level: Literal["missing", "equal", "close", "similar", "different"]
    weight: float


class ClassesOut(BaseModel):
    """How likely each is; they add up to 1."""

    same: float
    household: float
    unrelated: float


class ScoreOut(BaseModel):
    """How likely two records are one person's, and why."""

    confidence: float
    classes: ClassesOut
    fields: list[FieldOut]
    model: str


class CandidateOut(BaseModel):
    """Whose records are like those that were searched for."""

    identifier: Named
    profile_id: str | None
    confidence: float


class CandidatesOut(BaseModel):
    """The likest first."""

    candidates: list[CandidateOut]


class TrainingOut(BaseModel):
    """A training that has begun."""

    model: str
    state: Literal["training", "ready", "refused"]


class BinOut(BaseModel):
    """Pairs of a confidence between `low` and `high`: what was predicted, and what was so."""

    low: float
    high: float
    pairs: float
    predicted: float
    observed: float


class CalibrationOut(BaseModel):
    """How far confidence is from truth. `against`: known truth, or two models of half the records each."""

    error: float
    against: Literal["truth", "halves"]
    bins: list[BinOut]


class ThresholdOut(BaseModel):
    """What linking from a confidence up brings."""

    confidence: float
    pairs: float
    precision: float
    recall: float


class AgreementOut(BaseModel):
    """Against what stewards said of pairs with records; null where they said too little."""

    pairs: int
    precision: float | None
    recall: float | None


class ModelOut(BaseModel):
    """One version of a model, which never changes once it is ready. `progress` of a training, where it is known."""

    model: str
    name: str
    version: int
    state: Literal["training", "ready", "refused"]
    reason: str | None
    progress: float | None
    sample: int | None
    begun_at: TimeText | None
    ended_at: TimeText | None
    prior: ClassesOut | None
    population: int | None
    fields: dict[str, dict[str, dict[str, float]]] | None
    calibration: CalibrationOut | None
    thresholds: list[ThresholdOut] | None
    expected_matches: float
    against_stewards: AgreementOut | None


class ModelNameOut(BaseModel):
    """A model in the list."""

    model: str
    name: str
    version: int
    state: Literal["training", "ready", "refused"]
    reason: str | None
    in_force: bool


class ModelsOut(BaseModel):
    """Models by name; the built-in one first."""

    items: list[ModelNameOut]
    next_cursor: str | None

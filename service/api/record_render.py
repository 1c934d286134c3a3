"""From what matching found to the JSON of the contract."""

from __future__ import annotations

from typing import Any

from service.api.batches import wrong_with
from service.api.render import Json, errors_json
from service.commands.carry_out import Outcome
from service.commands.records import Why
from service.commands.training import Agreement
from service.control.answer import name_of
from service.errors import FieldError
from service.matching.model import Model
from service.matching.score import FieldScore
from service.model.matching_models import KeptModel
from service.model.records import RecordMatch, RecordReceipt
from service.model.times import rfc3339


def field_json(field: FieldScore) -> Json:
    """What one field says."""
    return {"field": field.field, "level": field.level, "weight": field.weight}


def why_json(why: Why | None) -> Json:
    """What is shown at a link that follows from records, beside the link; nothing at others."""
    if why is None:
        return {}
    steps = [
        {"fields": [{"field": name, "level": level} for name, level in step.fields], "confidence": step.confidence}
        for step in why.would_make
    ]
    return {"fields": [field_json(field) for field in why.fields], "would_make": steps}


def _match_json(match: RecordMatch) -> Json:
    return {
        "identifier": name_of(match.identifier),
        "confidence": match.confidence,
        "status": "withheld" if match.reason else "linked",
        "reason": match.reason,
        "link_id": match.link_id,
    }


def record_result(outcome: Outcome | tuple[FieldError, ...]) -> Json:
    """What became of one record of a batch, or what is wrong with it."""
    if isinstance(outcome, RecordReceipt):
        matches = [_match_json(match) for match in outcome.matches]
        return {"status": outcome.status, "profile_id": outcome.profile_id, "matches": matches, "errors": []}
    return {"status": "rejected", "profile_id": None, "matches": [], "errors": errors_json(wrong_with(outcome))}


def model_json(kept: KeptModel, model: Model | None, agreed: Agreement | None, progress: float | None) -> Json:
    """A model with its figures, as far as there are any."""
    shown: dict[str, Any] = {
        "model": kept.model,
        "name": kept.name,
        "version": kept.version,
        "state": kept.state,
        "reason": kept.reason,
        "progress": progress if kept.state == "training" else None,
        "sample": kept.sample or None,
        "begun_at": rfc3339(kept.begun_at) if kept.begun_at else None,
        "ended_at": rfc3339(kept.ended_at) if kept.ended_at else None,
        "prior": None,
        "population": None,
        "fields": None,
        "calibration": None,
        "thresholds": None,
        "expected_matches": kept.expected_matches,
        "against_stewards": None,
    }
    if model is None:
        return shown
    told = model.to_json()
    calibration = model.calibration
    bins = [
        {"low": b.low, "high": b.high, "pairs": b.pairs, "predicted": b.predicted, "observed": b.observed}
        for b in calibration.bins
    ]
    curve = [
        {"confidence": t.confidence, "pairs": t.pairs, "precision": t.precision, "recall": t.recall}
        for t in model.thresholds
    ]
    shown |= {
        "prior": told["prior"],
        "population": model.population,
        "fields": told["fields"],
        "calibration": {"error": calibration.error, "against": calibration.against, "bins": bins},
        "thresholds": curve,
    }
    if agreed is not None:
        shown["against_stewards"] = {
            "pairs": agreed.pairs,
            "precision": agreed.precision,
            "recall": agreed.recall,
        }
    return shown

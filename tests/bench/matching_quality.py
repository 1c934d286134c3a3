"""How good matching is: FEBRL3, FEBRL4 and the seeded world, by the model that is built in and by one trained on the
records themselves, beside Splink and beside plain values.

    python -m tests.bench.matching_quality      QUICK=1: without Splink and plain values

Everything in memory: pairs with a key in common, scores, links of 0.9 and more, profiles by the real resolve(). Prints
what was asked for and whether it holds; writes `build/matching.json`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import orjson

from service.matching.compare import stack
from service.matching.model import Model, built_in
from service.matching.pairs import Indices, blocked_pairs, random_pairs
from service.matching.score import Scores, score_codes, score_levels
from service.matching.train import RANDOM_PAIRS, Compared, Refused, calibration_of, compared, fitted, model_of, train
from tests.bench.matching_profiles import Odds, profiles
from tests.bench.matching_rivals import plain_levels, splink
from tests.bench.matching_sets import FEBRL, Labelled, Quality, best_of, febrl, of_clusters, of_links, seeded_world

RESULT = Path("build/matching.json")
LINK, ORDERS = 0.9, 5
CANDIDATES_MAX = 20  # as in a policy that says nothing else: a key that more records have finds nobody
SEED = 20_264


@dataclass(slots=True)
class Report:
    """Lines as they come, figures by name, and which targets hold."""

    figures: dict[str, float] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)

    def say(self, line: str) -> None:
        """At once."""
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def quality(self, name: str, found: Quality) -> None:
        """One row."""
        self.say(f"  {name:<58} {found}")
        self.figures |= {
            f"{name}: F1": found.f1,
            f"{name}: precision": found.precision,
            f"{name}: recall": found.recall,
        }

    def target(self, name: str, value: float, at_least: float | None = None, at_most: float | None = None) -> None:
        """What was asked for, and whether it holds."""
        holds = (at_least is None or value >= at_least) and (at_most is None or value <= at_most)
        asked = f"≥ {at_least:g}" if at_least is not None else f"≤ {at_most:g}"
        self.say(f"  {'holds ' if holds else 'MISSED'} {name}: {value:.4f}, asked for {asked}")
        self.figures[name] = value
        if not holds:
            self.missed.append(name)


def measure(labelled: Labelled, report: Report, rivals: bool) -> None:
    """One set of records."""
    began, name = time.perf_counter(), labelled.name
    codes, pairs = stack(labelled.records), blocked_pairs(labelled.records, CANDIDATES_MAX)
    same, matches = labelled.are_same(pairs), labelled.matches
    report.say(f"{name}: {len(labelled.records):,} records, {matches:,} pairs of one person")
    report.quality(f"{name}, blocking: {len(pairs):,} pairs", of_links(same, matches))
    version = labelled.records[0].version
    trained = train(labelled.records, seed=SEED)
    if isinstance(trained, Refused):
        report.missed.append(f"{name}: training refused: {trained.reason}")
        report.say(f"  MISSED training: {trained.reason}")
    models = [built_in().for_population(len(labelled.records)), *([] if isinstance(trained, Refused) else [trained])]
    for model, label in zip(models, ("built in", "trained"), strict=False):
        scores = score_codes(model, codes[pairs[:, 0]], codes[pairs[:, 1]], version)
        judged = f"{name}, {label}"
        _links(report, judged, scores, same, matches)
        of_profiles = _profiles(report, judged, labelled, model, pairs, scores)
        if label == "trained":
            _targets(report, name, of_profiles, bool(labelled.households))
    if rivals and not isinstance(trained, Refused):
        _rivals(report, labelled, pairs, trained, same)
    report.say(f"  {time.perf_counter() - began:.0f} s")


def _links(report: Report, judged: str, scores: Scores, same: np.ndarray, matches: int) -> None:
    report.quality(f"{judged}: links at best", best_of(scores.confidence, same, matches))
    report.quality(f"{judged}: links at {LINK}", of_links(same[scores.confidence >= LINK], matches))
    error = calibration_of(scores.confidence, same.astype(np.float64), "truth").error
    report.say(f"  {judged + ': calibration error':<58} {error:.4f}")
    report.figures[f"{judged}: calibration error"] = error


def _profiles(report: Report, judged: str, labelled: Labelled, model: Model, pairs: Indices, scores: Scores) -> Quality:
    kept = scores.confidence >= LINK
    odds, count = Odds(labelled.records, model), len(labelled.records)
    found = [profiles(odds, count, pairs[kept], scores.confidence[kept], SEED + order) for order in range(ORDERS)]
    quality = of_clusters(found[0], labelled.persons, labelled.matches)
    report.quality(f"{judged}: profiles", quality)
    alike = len({frozenset(one) for one in found})
    report.target(f"{judged}: different outcomes of {ORDERS} orders", alike, at_most=1)
    return quality


def _targets(report: Report, name: str, of_profiles: Quality, has_households: bool) -> None:
    if has_households:
        report.target(f"{name}, trained: profiles' precision", of_profiles.precision, at_least=0.98)
        report.target(
            f"{name}, trained: calibration error asked for",
            report.figures[f"{name}, trained: calibration error"],
            at_most=0.03,
        )
    else:
        report.target(f"{name}, trained: profiles' F1", of_profiles.f1, at_least=0.998)
        report.target(f"{name}, trained: profiles' precision", of_profiles.precision, at_least=0.9995)


def _rivals(report: Report, labelled: Labelled, pairs: Indices, trained: Model, same: np.ndarray) -> None:
    name, matches = labelled.name, labelled.matches
    ours = report.figures[f"{name}, trained: links at best: F1"]
    random = random_pairs(len(labelled.records), RANDOM_PAIRS, SEED)
    none = np.zeros
    blocked = Compared(plain_levels(labelled.normals, pairs), none((len(pairs), 2)))
    chance = Compared(plain_levels(labelled.normals, random), none((len(random), 2)))
    found = fitted(blocked, chance, len(labelled.records))
    plain = score_levels(model_of(found, "plain", 1, len(labelled.records), len(labelled.records)), blocked.levels)
    report.quality(f"{name}, plain values: links at best", best_of(plain.confidence, same, matches))
    report.target(
        f"{name}: F1 that encoding loses",
        report.figures[f"{name}, plain values: links at best: F1"] - ours,
        at_most=0.002,
    )
    two = _two_classes(labelled, pairs)
    report.quality(f"{name}, two classes: links at best", best_of(two.confidence, same, matches))
    report.quality(f"{name}, two classes: links at {LINK}", of_links(same[two.confidence >= LINK], matches))
    compared_pairs, confidence = splink(labelled)
    theirs = labelled.are_same(compared_pairs)
    report.quality(f"{name}, Splink: links at best", best_of(confidence, theirs, matches))
    report.quality(f"{name}, Splink: links at 0.95", of_links(theirs[confidence >= 0.95], matches))
    best = report.figures[f"{name}, Splink: links at best: F1"]
    report.target(
        f"{name}: profiles' F1 less Splink's best", report.figures[f"{name}, trained: profiles: F1"] - best, 0
    )


def _two_classes(labelled: Labelled, pairs: Indices) -> Scores:
    codes, count = stack(labelled.records), len(labelled.records)
    blocked = compared(codes, pairs)
    found = fitted(blocked, compared(codes, random_pairs(count, RANDOM_PAIRS, SEED)), count, households=False)
    return score_levels(model_of(found, "two", 1, count, count), blocked.levels)


def sets(names: Iterable[str]) -> Iterable[Labelled]:
    """Those named, or all."""
    wanted = list(names)
    for name in FEBRL:
        if not wanted or name in wanted:
            yield febrl(name)
    if not wanted or "world" in wanted:
        yield seeded_world()


def main(names: Iterable[str]) -> None:
    """Measure all sets, or those named."""
    report = Report()
    for labelled in sets(names):
        measure(labelled, report, os.environ.get("QUICK", "0") in ("", "0"))
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_bytes(orjson.dumps({"figures": report.figures, "missed": report.missed}, option=orjson.OPT_INDENT_2))
    report.say("MISSED: " + "; ".join(report.missed) if report.missed else "everything that was asked for holds")


if __name__ == "__main__":
    main(sys.argv[1:])

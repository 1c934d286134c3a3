"""What encodings and three classes are held against: plain values under the same training, and Splink on the same
records with the same blocking. Splink has two classes, and knows no households.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence

import numpy as np
from rapidfuzz.distance import DamerauLevenshtein, JaroWinkler

from service.matching.blocking import blocking_values
from service.matching.compare import Levels
from service.matching.fields import CLOSE, DIFFERENT, EQUAL, FIELDS, MISSING, SIMILAR, Normal
from service.matching.names import root_of
from service.matching.pairs import Indices
from tests.bench.matching_sets import Labelled

_NUMBERS = ("birth_date", "house_number", "postcode", "phone")


def plain_levels(normals: Sequence[Normal], pairs: Indices) -> Levels:
    """Levels by Jaro-Winkler and Damerau-Levenshtein on the values themselves."""
    found = np.zeros((len(pairs), len(FIELDS)), dtype=np.uint8)
    for i, name in enumerate(FIELDS):
        values = [normal.get(name) for normal in normals]
        known: dict[tuple[str, str], int] = {}
        for row, (a, b) in enumerate(pairs.tolist()):
            key = (values[a], values[b])
            level = known.get(key)
            if level is None:
                level = known[key] = _plain_level(name, *key)
            found[row, i] = level
    return found


def _plain_level(name: str, a: str, b: str) -> int:
    if not a or not b:
        return MISSING
    if a == b:
        return EQUAL
    if name in _NUMBERS:
        return (DIFFERENT, CLOSE, SIMILAR)[off] if (off := DamerauLevenshtein.distance(a, b)) < 3 else DIFFERENT
    if name == "given_name" and root_of(a) == root_of(b):
        return CLOSE
    alike = JaroWinkler.similarity(a, b)
    return CLOSE if alike >= 0.92 else SIMILAR if alike >= 0.8 else DIFFERENT


def splink(labelled: Labelled) -> tuple[Indices, np.ndarray]:
    """The pairs that Splink compares, and the probability that it gives each."""
    import pandas as pd
    import splink.comparison_library as compare
    from splink import Linker, SettingsCreator, block_on
    from splink.internals.duckdb.database_api import DuckDBAPI

    logging.getLogger("splink").setLevel(logging.ERROR)
    rows = []
    for i, normal in enumerate(labelled.normals):
        row: dict[str, object] = {"unique_id": i, **{name: normal.get(name) or None for name in FIELDS}}
        row["keys"] = sorted(set(blocking_values(normal)))
        rows.append(row)
    frame = pd.DataFrame(rows)
    told = [name for name in FIELDS if frame[name].nunique() > 1]
    comparisons = [
        compare.DamerauLevenshteinAtThresholds(name, [1, 2])
        if name in _NUMBERS
        else compare.JaroWinklerAtThresholds(name, [0.92, 0.8]).configure(
            term_frequency_adjustments=name in ("given_name", "family_name")
        )
        for name in told
    ]
    settings = SettingsCreator(
        link_type="dedupe_only",
        comparisons=comparisons,
        blocking_rules_to_generate_predictions=[{"blocking_rule": "l.keys = r.keys", "arrays_to_explode": ["keys"]}],
        probability_two_random_records_match=1 / len(rows),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        api = DuckDBAPI()
        linker = Linker(api.register(frame), settings)
        linker.training.estimate_u_using_random_sampling(max_pairs=1e6, seed=1)
        for rule in (("given_name", "family_name"), ("birth_date",), ("postcode", "street")):
            linker.training.estimate_parameters_using_expectation_maximisation(block_on(*rule))
        scored = linker.inference.predict(threshold_match_probability=0.01).as_pandas_dataframe()
    pairs = scored[["unique_id_l", "unique_id_r"]].to_numpy(dtype=np.int64)
    return np.sort(pairs, axis=1), scored["match_probability"].to_numpy(dtype=np.float64)

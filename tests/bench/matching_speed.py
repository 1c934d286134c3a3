"""How fast the core of matching is, on one core: `python -m tests.bench.matching_speed`.

Records of the seeded world from attributes to encodings with their keys, and pairs of encodings to confidence. Seconds
are of the process, so that what else the machine does counts less.
"""

from __future__ import annotations

import os
import sys
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from service.matching.compare import stack
from service.matching.encode import Encoder
from service.matching.fields import normalise
from service.matching.model import built_in
from service.matching.pairs import random_pairs
from service.matching.score import score_codes
from service.sample.persons import Population
from tests.bench.matching_sets import KEY, WORLD_SEED

RECORDS, PAIRS, ROUNDS = 5_000, 200_000, 3
RECORDS_PER_S_MIN, PAIRS_PER_S_MIN, BYTES_MAX = 5_000, 40_000, 600


def main() -> None:
    """Measure and say whether it is what was asked for."""
    known = [one.attributes for one in Population(WORLD_SEED).records(RECORDS)]
    rates, pair_rates = [], []
    for _ in range(ROUNDS):
        encoder, began = Encoder(KEY), time.process_time()
        records = [encoder.encode(normalise(attributes)) for attributes in known]
        rates.append(RECORDS / (time.process_time() - began))
        codes, pairs = stack(records), random_pairs(RECORDS, PAIRS, 1)
        began = time.process_time()
        for at in range(0, len(pairs), 2_000):
            part = pairs[at : at + 2_000]
            score_codes(built_in(), codes[part[:, 0]], codes[part[:, 1]], 1)
        pair_rates.append(len(pairs) / (time.process_time() - began))
    sizes = [len(record.to_bytes()) for record in records]
    rows = (
        ("records/s, attributes to encoding and keys", max(rates), max(rates) >= RECORDS_PER_S_MIN, RECORDS_PER_S_MIN),
        (
            "pairs/s, encodings to confidence, 2,000 a call",
            max(pair_rates),
            max(pair_rates) >= PAIRS_PER_S_MIN,
            PAIRS_PER_S_MIN,
        ),
        ("bytes a record, mean", sum(sizes) / len(sizes), True, BYTES_MAX),
        ("bytes a record, most", max(sizes), max(sizes) <= BYTES_MAX, BYTES_MAX),
    )
    for name, value, holds, asked in rows:
        sys.stdout.write(f"{'holds ' if holds else 'MISSED'} {name}: {value:,.0f}, asked for {asked:,}\n")


if __name__ == "__main__":
    main()

"""Pairs of records: those that have a blocking key in common, and random ones. Indices into a sequence of records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from service.matching.encode import Encoded

Indices = npt.NDArray[np.int64]  # pairs x 2, the lower one first
BLOCK_MAX = 100  # records that share a key; a key of more says too little


def blocked_pairs(records: Sequence[Encoded], block_max: int = BLOCK_MAX) -> Indices:
    """Every pair once that shares a key which at most `block_max` records have; in order. Pairs x 2."""
    keys = np.frombuffer(b"".join(key for record in records for key in record.keys), dtype="<u8")
    owners = np.repeat(np.arange(len(records)), [len(record.keys) for record in records])
    return pairs_of_blocks(keys, owners, len(records), block_max)


def pairs_of_blocks(keys: npt.NDArray[np.uint64], owners: Indices, records: int, block_max: int) -> Indices:
    """As `blocked_pairs`, from keys and the record that each is of."""
    order = np.lexsort((owners, keys))
    keys, owners = keys[order], owners[order]
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if len(keys) else np.zeros(0, dtype=np.int64)
    sizes = np.diff(np.r_[starts, len(keys)])
    codes = [np.zeros(0, dtype=np.int64)]
    for size in np.unique(sizes[(sizes > 1) & (sizes <= block_max)]).tolist():
        members = owners[starts[sizes == size][:, None] + np.arange(size)]
        left, right = np.triu_indices(size, 1)
        low, high = members[:, left].ravel(), members[:, right].ravel()
        codes.append(np.unique(np.minimum(low, high) * records + np.maximum(low, high)))
    unique = np.unique(np.concatenate(codes))
    found = np.stack((unique // max(records, 1), unique % max(records, 1)), axis=1)
    different: Indices = found[found[:, 0] != found[:, 1]]
    return different


def random_pairs(records: int, count: int, seed: int) -> Indices:
    """Pairs of different records: all of them where there are no more than `count`, or else that many at random."""
    if records * (records - 1) // 2 <= count:
        return np.stack(np.triu_indices(records, 1), axis=1).astype(np.int64)
    draws = np.random.default_rng(seed)
    left = draws.integers(0, records, count)
    right = (left + draws.integers(1, records, count)) % records
    return np.stack((np.minimum(left, right), np.maximum(left, right)), axis=1)


def sample_of(records: Iterable[Encoded], count: int, seed: int) -> list[Encoded]:
    """At most `count` records at random: the same ones in whichever order they come. Records, not whole persons."""
    ordered = sorted(records, key=lambda record: record.to_bytes())
    if len(ordered) <= count:
        return ordered
    chosen = np.random.default_rng(seed).choice(len(ordered), count, replace=False)
    return [ordered[i] for i in sorted(chosen.tolist())]

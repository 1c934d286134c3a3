"""The table itself. Every call blocks: it belongs in a thread. One writer at a time; a second one is found out.

A commit is made on the version that was read or not at all (no retries), so a writer that was away while another wrote
fails instead of writing twice, and no file that a deletion has just taken out of all versions can come back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from service.commands.record_ports import AnotherWriter, Held, Span
from service.errors import StoreUnavailable
from service.model.events import CanonicalEvent
from service.record.layout import COLUMNS, CONFIGURATION, PARTITIONS, as_table, event_of, moment, writing

APP: Final = "identity-fabric"
_SEQS_AT_ONCE: Final = 5_000
_KEEP_VERSIONS_H: Final = 24
_FILE_BYTES: Final = 64 << 20
_BATCH_ROWS: Final = 16_384


@contextmanager
def _told() -> Iterator[None]:
    """Errors of the table as errors of the service. Raises AnotherWriter, StoreUnavailable."""
    try:
        yield
    except CommitFailedError as error:
        raise AnotherWriter from error
    except (DeltaError, OSError, pa.ArrowException) as error:
        raise StoreUnavailable("The record of events can't be reached.") from error


def _commit(*transactions: Transaction) -> CommitProperties:
    return CommitProperties(max_commit_retries=0, app_transactions=list(transactions) or None)


class DeltaRecord:
    """See `service.commands.record_ports.Record`. `uri`: a folder or an address such as `s3://bucket/prefix`; its
    credentials are those of the environment, or `options` as object stores name them.
    """

    def __init__(self, uri: str, options: Mapping[str, str] | None = None) -> None:
        self.uri = uri
        self._options = dict(options) if options is not None else None
        self._at_hand: DeltaTable | None = None

    # ---- open

    def _table(self) -> DeltaTable:
        """The newest version; made where there is none yet."""
        if self._at_hand is None:
            if "://" not in self.uri:
                Path(self.uri).mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                self._at_hand = DeltaTable(self.uri, storage_options=self._options)
            except TableNotFoundError:
                self._at_hand = self._make()
        self._at_hand.update_incremental()
        return self._at_hand

    def _make(self) -> DeltaTable:
        try:
            return DeltaTable.create(
                self.uri,
                COLUMNS,
                mode="error",
                partition_by=list(PARTITIONS),
                name="events",
                description="Canonical events of Identity Fabric, one row an event",
                configuration=dict(CONFIGURATION),
                storage_options=self._options,
            )
        except DeltaError:  # another made it meanwhile
            return DeltaTable(self.uri, storage_options=self._options)

    def last(self) -> int:
        """The sequence number up to which events are here; 0 for none."""
        with _told():
            return self._table().transaction_version(APP) or 0

    # ---- write

    def append(self, events: Sequence[CanonicalEvent]) -> int:
        """Add events, ordered by sequence number, all or none; what is here already is passed over. Returns how many
        were added. Raises AnotherWriter, StoreUnavailable.

        That it is here is looked up, not concluded from the last number alone: after the graph was restored from an
        older backup its numbers begin anew below that.
        """
        with _told():
            table = self._table()
            last = table.transaction_version(APP) or 0
            new = list(events)
            if (low := new[0].seq or 0) <= last:
                new = [event for event in new if (event.seq, event.digest) not in self._known(table, low, last)]
            if not new:
                return 0
            write_deltalake(
                table,
                as_table(new),
                mode="append",
                writer_properties=writing(),
                commit_properties=_commit(Transaction(APP, max(last, new[-1].seq or 0))),
                post_commithook_properties=PostCommitHookProperties(cleanup_expired_logs=True),
            )
            return len(new)

    @staticmethod
    def _known(table: DeltaTable, low: int, high: int) -> set[tuple[int, str]]:
        where = (ds.field("seq") >= low) & (ds.field("seq") <= high)
        found = table.to_pyarrow_dataset().to_table(columns=["seq", "digest"], filter=where)
        return set(zip(found["seq"].to_pylist(), found["digest"].to_pylist(), strict=True))

    def remove(self, seqs: Sequence[int]) -> int:
        """Take events out of the newest version; returns how many. Raises AnotherWriter, StoreUnavailable."""
        removed = 0
        for start in range(0, len(seqs), _SEQS_AT_ONCE):
            named = ", ".join(map(str, sorted(seqs[start : start + _SEQS_AT_ONCE])))
            removed += self._delete(f"seq IN ({named})")
        return removed

    def expire(self, retention: Sequence[str], before: int, *, all_others: bool = False) -> int:
        """Take out what occurred before a time (ms) and is kept under one of these terms; with `all_others`, under any
        but these. Returns how many. Raises AnotherWriter, StoreUnavailable.
        """
        names = ", ".join("'" + name.replace("'", "''") + "'" for name in retention)
        which = f"retention IN ({names})" if names else "false"
        if all_others:
            which = f"(retention IS NULL OR NOT {which})"
        return self._delete(f"occurred_at < '{moment(before):%Y-%m-%dT%H:%M:%S.%fZ}' AND {which}")

    def _delete(self, predicate: str) -> int:
        with _told():
            done = self._table().delete(predicate, writer_properties=writing(), commit_properties=_commit())
            return int(done["num_deleted_rows"])

    def purge(self) -> None:
        """Delete every file that the newest version does not name, those of crashed writers too: older versions can't
        be read any more. Raises AnotherWriter, StoreUnavailable.
        """
        with _told():
            self._vacuum(0)

    def tidy(self) -> None:
        """Write small files together, and delete those that no version of the last day names.

        Raises AnotherWriter, StoreUnavailable.
        """
        with _told():
            self._table().optimize.compact(
                target_size=_FILE_BYTES,
                max_concurrent_tasks=1,
                writer_properties=writing(),
                commit_properties=_commit(),
            )
            self._vacuum(_KEEP_VERSIONS_H)

    def _vacuum(self, hours: int) -> None:
        """The library commits a vacuum on whatever is newest and deletes what its own version does not name, also what
        another wrote meanwhile. So a commit that fails where another wrote comes first.
        """
        table = self._table()
        before = table.version()
        table.create_write_transaction(
            [], "append", table.schema(), list(PARTITIONS), commit_properties=_commit(Transaction(f"{APP}-fence", 1))
        )
        table.update_incremental()
        if table.version() != before + 1:
            raise AnotherWriter
        table.vacuum(retention_hours=hours, dry_run=False, enforce_retention_duration=False, full=True)

    # ---- read

    def rows(self, span: Span, limit: int) -> list[CanonicalEvent]:
        """Events by sequence number, at most so many. Raises StoreUnavailable."""
        with _told():
            dataset = self._table().to_pyarrow_dataset()
            seqs = dataset.scanner(columns=["seq"], filter=_filter(span)).to_table()["seq"]
            if not len(seqs):
                return []
            upto = seqs.sort().slice(0, limit)[-1].as_py()
            found = dataset.to_table(filter=_filter(span) & (ds.field("seq") <= upto))
            return [event_of(row) for row in found.sort_by("seq").to_pylist()]

    def count(self, span: Span) -> int:
        """How many events there are. Raises StoreUnavailable."""
        with _told():
            return int(self._table().to_pyarrow_dataset().count_rows(filter=_filter(span)))

    def seqs_naming(self, is_one: Callable[[str], bool], below: int) -> list[int]:
        """Sequence numbers, below one, of the events that name an identifier for which `is_one` holds.

        Raises StoreUnavailable.
        """
        found: list[int] = []
        seen: dict[str, bool] = {}
        with _told():
            dataset = self._table().to_pyarrow_dataset()
            scanner = dataset.scanner(
                columns=["seq", "identifiers"], filter=ds.field("seq") < below, batch_size=_BATCH_ROWS
            )
            for batch in scanner.to_batches():
                names = batch["identifiers"].flatten()
                for name in names.unique().to_pylist():
                    if name not in seen:
                        seen[name] = is_one(name)
                hits = [name for name in names.unique().to_pylist() if seen[name]]
                if hits:
                    parents = pc.list_parent_indices(batch["identifiers"])
                    rows = parents.filter(pc.is_in(names, value_set=pa.array(hits, pa.string()))).unique()
                    found += batch["seq"].take(rows).to_pylist()
        return found

    def held(self) -> Held:
        """What the newest version holds. Raises StoreUnavailable."""
        with _told():
            files = pa.table(self._table().get_add_actions(flatten=True))
            if not files.num_rows:
                return Held(0, 0, 0)
            rows, size = pc.sum(files["num_records"]).as_py(), pc.sum(files["size_bytes"]).as_py()
            return Held(int(rows or 0), files.num_rows, int(size or 0))


def _filter(span: Span) -> ds.Expression:
    where = (ds.field("seq") > span.after) & (ds.field("seq") <= span.upto)
    if span.since is not None:
        where &= ds.field("occurred_at") >= pa.scalar(moment(span.since), COLUMNS.field("occurred_at").type)
    if span.until is not None:
        where &= ds.field("occurred_at") < pa.scalar(moment(span.until), COLUMNS.field("occurred_at").type)
    if span.types:
        where &= ds.field("type").isin(list(span.types))
    if span.versions:
        where &= ds.field("schema_version").isin(list(span.versions))
    return where

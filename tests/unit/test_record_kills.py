"""The record's ledger through kill -9: a writer that is killed at any moment leaves each event once, and none half."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

from service.commands.record_ports import Span
from service.record.table import DeltaRecord

# As the recorder: what waits is written, and forgotten afterwards. What waits is known by the file `taken` alone, so a
# kill between the two has the next one write the same events again.
WRITER = """
import sys
from pathlib import Path
from service.record.table import DeltaRecord
from tests.unit.test_record_table import rows
folder = Path(sys.argv[1])
record, taken = DeltaRecord(str(folder / "events")), folder / "taken"
print("ready", flush=True)
while True:
    first = int(taken.read_text()) + 1 if taken.exists() else 1
    record.append(rows(first, first + 19))
    draft = folder / "taken.part"
    draft.write_text(str(first + 19))
    draft.replace(taken)
"""
ROOT = Path(__file__).parents[2]


def test_a_killed_writer_leaves_every_event_once(tmp_path: Path) -> None:
    draw = random.Random(11)
    for _ in range(4):
        command = [sys.executable, "-c", WRITER, str(tmp_path)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
            assert child.stdout is not None and child.stdout.readline() == b"ready\n"
            time.sleep(draw.uniform(0.05, 0.6))
            child.kill()
    record = DeltaRecord(str(tmp_path / "events"))
    seqs = [event.seq for event in record.rows(Span(0, 2**62), 1_000_000)]
    taken = int((tmp_path / "taken").read_text()) if (tmp_path / "taken").exists() else 0
    assert seqs == list(range(1, len(seqs) + 1)) and len(seqs) % 20 == 0 and record.last() == len(seqs)
    assert taken <= len(seqs) <= taken + 20
    record.purge()
    assert record.held().events == len(seqs)

"""The history file, through its writer and its reader."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from vtorc.control.history_observer import stored_recovery
from vtorc.core.detection.problems import Code
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.election.safety_argument import SafetyArgument
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.errors import HistoryError
from vtorc.history.reader import HistoryReader, Selection
from vtorc.history.store import History, StoredDecision
from vtorc.history.writer import HistoryWriter
from vtorc.recovery.record import Outcome, RecoveryRecord, StepRecord

OLD, NEW = TabletAlias("zone1", 101), TabletAlias("zone2", 102)
HELD = GtidSet.parse("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5")
RECORD = RecoveryRecord(
    shard=ShardId("commerce", "0"),
    recovery=Recovery.RECOVER_DEAD_PRIMARY,
    code=Code.DEAD_PRIMARY,
    alias=OLD,
    began=1_772_323_200_000_000_000,
    duration=0.2,
    outcome=Outcome.SUCCEEDED,
    sentence="commerce/0: promoted zone2-0000000102.",
    steps=(StepRecord(name="promote", target=NEW, started=0.1, duration=0.05),),
    winner=NEW,
    argument=SafetyArgument(
        policy="semi_sync", stopped=(NEW,), unreached=(OLD,), required=HELD, sentence="Nothing is missing."
    ),
    removed={OLD: "was not reached"},
)
DECISION = StoredDecision(
    at=RECORD.began, shard="commerce/0", tablet=str(OLD), code="DeadPrimary", rule="act", sentence="x"
)


def test_keeps_a_recovery_with_its_argument(tmp_path: Path) -> None:
    """A recovery is read back with its steps and its safety argument, also by another process."""
    writer = HistoryWriter(str(tmp_path / "h.sqlite"))
    writer.add_recovery(stored_recovery(RECORD))
    writer.add_decision(DECISION)
    writer.close()

    again = HistoryReader(str(tmp_path / "h.sqlite"))
    (found,) = again.recoveries(Selection(shard="commerce/0"))
    assert (found.code, found.recovery, found.outcome) == ("DeadPrimary", "RecoverDeadPrimary", "succeeded")
    argument = found.detail["argument"]
    assert argument == {
        "policy": "semi_sync",
        "sentence": "Nothing is missing.",
        "stopped": [str(NEW)],
        "unreached": [str(OLD)],
        "required": str(HELD),
    }
    assert again.decisions() == [DECISION]
    assert again.recoveries(Selection(shard="other/0")) == []
    again.close()


def test_purges_old_entries(tmp_path: Path) -> None:
    """Purging deletes older entries, and only those."""
    history = History(str(tmp_path / "h.sqlite"))
    history.add_recovery(stored_recovery(RECORD))
    history.add_recovery(stored_recovery(replace(RECORD, began=RECORD.began + 10)))
    history.purge(RECORD.began + 5)
    with closing(HistoryReader(str(tmp_path / "h.sqlite"))) as reader:
        assert [each.began for each in reader.recoveries()] == [RECORD.began + 10]


def test_names_a_file_that_is_no_history(tmp_path: Path) -> None:
    """A file that is no history is named in the error."""
    path = tmp_path / "orc_config.json"
    path.write_text(
        "this is no database, and is longer than a header of one is, by far, so that SQLite looks at it" * 9
    )
    with pytest.raises(HistoryError, match=r"orc_config\.json"):
        History(str(path))

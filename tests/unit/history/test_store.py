"""The history file, through its writer and its reader."""

import sqlite3
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
from vtorc.history.reader import HistoryReader, InForce, Selection
from vtorc.history.retention import Retention
from vtorc.history.schema import COPY, STEPS, VERSION
from vtorc.history.store import CLEARED, DECIDED, History, StoredDecision, StoredRun
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
    history.purge(Retention(seconds=1.0), RECORD.began + 10**9 + 5)
    with closing(HistoryReader(str(tmp_path / "h.sqlite"))) as reader:
        assert [each.began for each in reader.recoveries()] == [RECORD.began + 10]


def test_a_problem_that_still_stands_outlives_its_age(tmp_path: Path) -> None:
    """The last decision about a problem is kept while vtorc runs, and deleted once the problem is gone."""
    history = History(str(tmp_path / "h.sqlite"))
    history.note_run(StoredRun(began=DECISION.at - 1, seen=DECISION.at, version="1", process=1))
    history.add_decision(DECISION)
    history.add_decision(replace(DECISION, rule="backoff", at=DECISION.at + 1))
    history.add_seen(DECISION.shard, DECISION.at + 1, b"{}")
    later = DECISION.at + 10**9 + 5
    history.purge(Retention(seconds=1.0), later)
    with closing(HistoryReader(str(tmp_path / "h.sqlite"))) as reader:
        assert [each.rule for each in reader.decisions()] == ["backoff"]
        assert reader.seen(DECISION.shard, later) == b"{}"
    history.add_decision(replace(DECISION, rule="backoff", at=DECISION.at + 2, change=CLEARED))
    history.purge(Retention(seconds=1.0), later)
    with closing(HistoryReader(str(tmp_path / "h.sqlite"))) as reader:
        assert reader.decisions() == []
        assert reader.seen(DECISION.shard, later) is None


def test_a_file_that_is_too_large_loses_its_oldest_entries(tmp_path: Path) -> None:
    """The file shrinks to its largest size, and keeps the newest entries."""
    path = tmp_path / "h.sqlite"
    with closing(History(str(path))) as history:
        for number in range(2000):
            history.add_decision(replace(DECISION, at=number, sentence="x" * 1000))
        history.purge(Retention(size=500_000), 2000)
        assert path.stat().st_size <= 500_000
        with closing(HistoryReader(str(path))) as reader:
            kept = [each.at for each in reader.decisions(Selection(limit=None))]
    assert len(kept) > 200
    assert kept == list(range(1999, 1999 - len(kept), -1))


def _file_of_an_earlier_vtorc(path: Path) -> None:
    """Write a history as vtorcs did before its tables had a version."""
    with closing(sqlite3.connect(path)) as db:
        db.executescript(STEPS[0])
        db.execute("INSERT INTO decision VALUES (1, ?, 'commerce/0', '', 'DeadPrimary', 'act', 'x')", (DECISION.at,))
        db.commit()


def test_a_file_of_an_earlier_vtorc_is_brought_up_to_date_and_kept(tmp_path: Path) -> None:
    """Its entries are there, new ones can be added, and a copy is as the earlier vtorc left it."""
    path = tmp_path / "h.sqlite"
    _file_of_an_earlier_vtorc(path)
    with closing(History(str(path))) as history:
        history.add_decision(replace(DECISION, change=CLEARED))
    with closing(HistoryReader(str(path))) as reader:
        assert [each.change for each in reader.decisions()] == [CLEARED, DECIDED]
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (VERSION,)
        assert db.execute("PRAGMA auto_vacuum").fetchone() == (2,)
    with closing(sqlite3.connect(f"{path}{COPY.format(VERSION)}")) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (0,)
        assert db.execute("SELECT sentence FROM decision").fetchall() == [("x",)]


def test_a_file_of_an_earlier_vtorc_can_be_read(tmp_path: Path) -> None:
    """Reading changes nothing, and its decisions have neither ends nor what was seen."""
    path = tmp_path / "h.sqlite"
    _file_of_an_earlier_vtorc(path)
    before = path.read_bytes()
    with closing(HistoryReader(str(path))) as reader:
        assert [each.change for each in reader.decisions()] == [DECIDED]
        assert reader.in_force("commerce/0", DECISION.at) == []
        assert reader.seen("commerce/0", DECISION.at) is None
    assert path.read_bytes() == before


def test_tells_which_decisions_were_in_force(tmp_path: Path) -> None:
    """A decision is in force until the next one about its problem, the end of the problem, or that of its vtorc."""
    path = tmp_path / "h.sqlite"
    announced = StoredDecision(at=12, shard="", tablet="", code="", rule="late", sentence="late")
    with closing(History(str(path))) as history:
        history.note_run(StoredRun(began=5, seen=40, version="1", process=1))
        for decision in (
            replace(DECISION, at=10, rule="unconfirmed"),
            announced,
            replace(DECISION, at=20, rule="act"),
            replace(DECISION, at=20, code="ReplicaIsWritable", rule="primary-first"),
            replace(DECISION, at=30, rule="act", change=CLEARED),
            replace(announced, at=31, change=CLEARED),
        ):
            history.add_decision(decision)
        history.note_run(StoredRun(began=50, seen=60, version="1", process=2))
    with closing(HistoryReader(str(path))) as reader:

        def at(time: int) -> list[tuple[str, int, int | None]]:
            return [(each.decision.rule, each.decision.at, each.until) for each in reader.in_force("commerce/0", time)]

        assert at(4) == []
        assert at(10) == [("unconfirmed", 10, 20)]
        assert at(25) == [("late", 12, 31), ("act", 20, 30), ("primary-first", 20, 40)]
        assert at(35) == [("primary-first", 20, 40)]
        assert at(55) == []
        assert reader.in_force("commerce/80-", 25) == [InForce(decision=announced, until=31)]


def test_names_a_file_that_is_no_history(tmp_path: Path) -> None:
    """A file that is no history is named in the error."""
    path = tmp_path / "orc_config.json"
    path.write_text(
        "this is no database, and is longer than a header of one is, by far, so that SQLite looks at it" * 9
    )
    with pytest.raises(HistoryError, match=r"orc_config\.json"):
        History(str(path))

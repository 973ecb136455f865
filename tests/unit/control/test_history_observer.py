"""The part of the shard loops' news that the history stores."""

import sqlite3
from contextlib import closing
from dataclasses import fields
from pathlib import Path

import msgspec
import pytest

from tests.unit.core.builders import NOW, hold
from vtorc.cli.history import main as show_history
from vtorc.control.history_observer import HistoryObserver
from vtorc.control.hold_book import HoldChange, HoldNews
from vtorc.control.observer import Announcement
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.election.forced_promotion import DataLossEstimate
from vtorc.core.facts.holds import Effect
from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.core.facts.rules import Rule
from vtorc.forms.access import Means, Role
from vtorc.forms.audit import AuditForm
from vtorc.history.reader import HistoryReader, Place
from vtorc.history.schema import STEPS
from vtorc.history.store import StoredRecovery
from vtorc.history.writer import HistoryWriter
from vtorc.recovery.record import OperatorRequest, Outcome, RecoveryRecord


class StoppedClock:
    """A clock that stands still."""

    def now(self) -> float:
        return NOW

    def wall(self) -> int:
        return 7


def test_an_announcement_is_kept_as_a_decision_about_no_shard(tmp_path: Path) -> None:
    """An announcement about many shards is found in the history under the breaker's rule."""
    path = str(tmp_path / "history.sqlite")
    writer = HistoryWriter(path)
    HistoryObserver(writer, StoppedClock()).announced(Announcement("many are lost", Rule.BREAKER))
    writer.close()
    history = HistoryReader(path)
    (kept,) = history.decisions()
    history.close()
    assert (kept.at, kept.shard, kept.rule, kept.sentence) == (7, "", "breaker", "many are lost")


def test_a_mistake_of_vtorcs_own_is_kept_with_its_cause(tmp_path: Path) -> None:
    """A failure in one shard is found in the history under its own rule, with the innermost error and the pause."""
    path = str(tmp_path / "history.sqlite")
    writer = HistoryWriter(path)
    error = ExceptionGroup("tasks", [ExceptionGroup("tasks", [KeyError("zone1-100")])])
    HistoryObserver(writer, StoppedClock()).failed(ShardId("commerce", "0"), error, 2.0)
    writer.close()
    history = HistoryReader(path)
    (kept,) = history.decisions()
    history.close()
    assert (kept.at, kept.shard, kept.rule) == (7, "commerce/0", "own-error")
    assert "vtorc itself failed here (KeyError: 'zone1-100'); it watches this shard anew in 2 s" in kept.sentence


def kept_of(path: str, record: RecoveryRecord) -> StoredRecovery:
    """Return what a new history keeps of a recovery that ended."""
    writer = HistoryWriter(path)
    HistoryObserver(writer, StoppedClock()).finished(record)
    writer.close()
    history = HistoryReader(path)
    (kept,) = history.recoveries()
    history.close()
    return kept


@pytest.mark.parametrize("asked", [None, OperatorRequest(actor="ann", origin="10.0.0.7", reason="a drill")])
def test_a_recovery_is_kept_with_the_operator_that_asked_for_it(
    tmp_path: Path, asked: OperatorRequest | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """`vtorc history` shows the operator and the reason; of vtorc's own recoveries there is neither."""
    path = str(tmp_path / "history.sqlite")
    record = RecoveryRecord(
        shard=ShardId("commerce", "0"),
        recovery=Recovery.PLANNED_REPARENT,
        code=None,
        alias=None,
        began=7,
        duration=1.0,
        outcome=Outcome.CANCELLED,
        sentence="commerce/0: it was cancelled",
        asked=asked,
    )
    kept = kept_of(path, record)
    assert kept.outcome == "cancelled"
    fields = {"actor": "ann", "origin": "10.0.0.7", "reason": "a drill"}
    assert kept.detail["asked"] == (fields if asked is not None else None)
    assert show_history([path]) == 0
    assert ("asked for by ann from 10.0.0.7: a drill" in capsys.readouterr().out) is (asked is not None)


def test_a_forced_promotion_is_kept_with_all_that_it_may_lose(tmp_path: Path) -> None:
    """An operator who looks at it a week later sees each cause of a possible loss."""
    named = TabletAlias("zone1", 101)
    estimate = DataLossEstimate(named=named, unknown_ackers=2, is_elsewhere=True, unproven="it filters")
    path = str(tmp_path / "history.sqlite")
    record = RecoveryRecord(
        shard=ShardId("commerce", "0"),
        recovery=Recovery.EMERGENCY_REPARENT,
        code=None,
        alias=None,
        began=7,
        duration=1.0,
        outcome=Outcome.SUCCEEDED,
        sentence="commerce/0: promoted zone1-0000000101",
        data_loss=estimate,
    )
    kept = kept_of(path, record)
    data_loss = kept.detail["data_loss"]
    assert isinstance(data_loss, dict)
    assert data_loss.keys() == {field.name for field in fields(DataLossEstimate)} - {"why_unreached"} | {"sentence"}
    assert (data_loss["unknown_ackers"], data_loss["is_elsewhere"], data_loss["unproven"]) == (2, True, "it filters")


def test_changes_of_holds_are_kept_with_the_operator_and_where_they_hold(tmp_path: Path) -> None:
    """A hold that was only read back after a restart is no change."""
    path = str(tmp_path / "history.sqlite")
    writer = HistoryWriter(path)
    observer, asked = HistoryObserver(writer, StoppedClock()), OperatorRequest(actor="bob", origin="::1", reason="done")
    observer.held(HoldNews(hold(Effect.NO_REPAIR, on="shard:commerce/0"), HoldChange.RESTORED))
    observer.held(HoldNews(hold(Effect.NO_REPAIR, on="shard:commerce/0"), HoldChange.ADDED, asked))
    observer.held(HoldNews(hold(Effect.NO_REPAIR, on="tablet:zone1-101"), HoldChange.EXPIRED))
    writer.close()
    history = HistoryReader(path)
    expired, added = history.decisions()
    history.close()
    assert (added.shard, added.tablet, added.rule) == ("commerce/0", "", "held")
    assert added.sentence.endswith(": a drill, as bob asked from ::1")
    assert (expired.shard, expired.tablet) == ("", "zone1-0000000101")


def test_a_request_of_an_operator_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`vtorc history` shows what was asked for, how the operator was known, from where, and what came of it."""
    path = str(tmp_path / "history.sqlite")
    writer = HistoryWriter(path)
    entry = AuditForm(
        id="7-1",
        at="2026-11-29T20:00:00Z",
        action="cancel",
        shard="commerce/0",
        tablet=None,
        actor="ann",
        means=Means.PASSWORD,
        role=Role.ADMIN,
        origin="10.0.0.7",
        arguments={},
        reason="too late",
        result="refused",
        recovery=None,
        sentence="commerce/0: no recovery is in progress",
        times=3,
    )
    HistoryObserver(writer, StoppedClock()).audited(entry)
    writer.close()
    history = HistoryReader(path)
    (kept,) = history.audit()
    history.close()
    assert (kept.at, kept.shard, kept.actor, kept.action, kept.result) == (7, "commerce/0", "ann", "cancel", "refused")
    assert msgspec.convert(kept.detail, AuditForm) == entry
    assert show_history([path]) == 0
    shown = capsys.readouterr().out
    assert "Requests of operators" in shown
    assert "cancel refused 3 times: ann, known by password, from 10.0.0.7: commerce/0: no recovery" in shown
    assert "(reason: too late)" in shown


def test_a_history_of_an_earlier_version_has_no_requests(tmp_path: Path) -> None:
    """A file without that table is read as one without entries."""
    path = str(tmp_path / "history.sqlite")
    with closing(sqlite3.connect(path)) as db:
        db.executescript(STEPS[0])
    history = HistoryReader(path)
    assert (history.audit(), history.end()) == ([], Place())
    history.close()

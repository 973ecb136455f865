"""The log about the topology server, about many shards at once, and about a primary's risky settings."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import structlog
from structlog.testing import capture_logs
from structlog.typing import EventDict

from tests.unit.core.builders import answers, hold, primary, replica, shard, unprobed
from vtorc.control.hold_book import HoldChange, HoldNews
from vtorc.control.log_observer import LogObserver
from vtorc.control.observer import Announcement
from vtorc.core.decision.decisions import Decision
from vtorc.core.detection.findings import Finding
from vtorc.core.detection.problems import Code
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.facts.durability import policy
from vtorc.core.facts.holds import Effect
from vtorc.core.facts.ids import ShardId
from vtorc.core.facts.rules import Rule
from vtorc.recovery.record import BegunRecovery, OperatorRequest, Outcome, RecoveryRecord
from vtorc.recovery.runner import Judgement

SHARD = ShardId("commerce", "-80")


@pytest.fixture
def logged() -> Iterator[list[EventDict]]:
    """Catch what is logged."""
    structlog.reset_defaults()
    with capture_logs() as lines:
        yield lines
    structlog.reset_defaults()


def _sentences(logged: list[EventDict]) -> list[tuple[str, str]]:
    return [(line["log_level"], line["event"]) for line in logged]


def test_a_failure_is_logged_once_while_it_lasts(logged: list[EventDict]) -> None:
    """Each failure to read is one error while it lasts, and the end of the last one is logged too."""
    observer = LogObserver()
    for failures in (["cell z1: refused"], ["cell z1: refused", "cell z2: refused"], ["cell z2: refused"], []):
        observer.unread(failures)
    assert _sentences(logged) == [
        ("error", "the topology server could not be read completely: cell z1: refused"),
        ("error", "the topology server could not be read completely: cell z2: refused"),
        ("info", "the topology server can be read completely again"),
    ]


def test_shards_are_named_as_they_come_and_go(logged: list[EventDict]) -> None:
    """A shard that is found is named with its tablets and whether vtorc acts on it; a shard that is gone is
    named too.
    """
    observer = LogObserver()
    observer.found(SHARD, tablets=1, controlled=True)
    observer.found(SHARD, tablets=3, controlled=False)
    observer.gone(SHARD)
    assert _sentences(logged) == [
        ("info", "commerce/-80: watching 1 tablet"),
        (
            "info",
            "commerce/-80: watching 3 tablets without acting on them, because clusters_to_watch leaves them out",
        ),
        ("warning", "commerce/-80: not watched any more, as it has left the topology server"),
    ]


def test_a_storm_is_an_error_and_its_end_a_warning(logged: list[EventDict]) -> None:
    """An announcement is logged under the breaker's rule, as an error while the storm lasts."""
    observer = LogObserver()
    observer.announced(Announcement("many are lost", Rule.BREAKER))
    observer.announced(Announcement("all are back", Rule.BREAKER, is_end=True))
    assert _sentences(logged) == [("error", "many are lost"), ("warning", "all are back")]
    assert [line["rule"] for line in logged] == ["breaker", "breaker"]


def test_a_timeout_of_semi_sync_is_logged_once_in_each_term(logged: list[EventDict]) -> None:
    """vtorc warns of a primary that goes on without acknowledgements while all is well."""
    observer = LogObserver()
    for term, timeout in ((10, 10_000), (10, 10_000), (20, 10_000), (30, 10**18)):
        tablet = primary(term=term)
        assert tablet.status is not None
        tablet = answers(tablet, semi_sync=replace(tablet.status.semi_sync, timeout=timeout))
        observer.judged(Judgement(shard(tablet, term=term), policy("semi_sync"), (), None))
    sentences = [each for each in _sentences(logged) if each[0] == "warning"]
    assert len(sentences) == 2
    assert "zone1-0000000100 waits 10 s for acknowledgements and then tells clients OK without any" in sentences[0][1]


def test_a_shard_that_is_well_is_named_once_with_its_primary(logged: list[EventDict]) -> None:
    """The first judgement that finds all tablets asked and nothing wrong is one line, and again after it was gone."""
    observer = LogObserver()
    unasked = unprobed(replica("zone1-101"))
    for tablets in ((primary(term=10), unasked), (primary(term=10),), (primary(term=10),)):
        observer.judged(Judgement(shard(*tablets, term=10), policy("semi_sync"), (), None))
    assert _sentences(logged) == [("info", "commerce/0: zone1-0000000100 takes writes; it has no replica")]
    observer.gone(ShardId("commerce", "0"))
    observer.judged(Judgement(shard(primary(term=10), term=10), policy("semi_sync"), (), None))
    assert [level for level, _ in _sentences(logged)] == ["info", "warning", "info"]


def test_a_lost_primary_and_its_replacement_are_warnings(logged: list[EventDict]) -> None:
    """The decision to replace a primary and the end of that are warnings; a repair is neither."""
    observer = LogObserver()
    for code, recovery in (
        (Code.DEAD_PRIMARY, Recovery.RECOVER_DEAD_PRIMARY),
        (Code.REPLICATION_STOPPED, Recovery.FIX_REPLICA),
    ):
        finding = Finding(code=code, shard=SHARD, alias=None, sentence="it is dead")
        observer.decided(Decision(finding=finding, recovery=recovery, rule=Rule.ACT, sentence="it is dead"))
        for outcome in (Outcome.SUCCEEDED, Outcome.GONE, Outcome.FAILED):
            observer.finished(
                RecoveryRecord(
                    shard=SHARD,
                    recovery=recovery,
                    code=code,
                    alias=None,
                    began=0,
                    duration=1.0,
                    outcome=outcome,
                    sentence="it ended",
                )
            )
    assert [level for level, _ in _sentences(logged)] == [
        *("warning", "warning", "info", "error"),
        *("info", "info", "info", "error"),
    ]


def test_a_mistake_of_vtorcs_own_is_logged_with_its_traceback(logged: list[EventDict]) -> None:
    """A failure in one shard is an error that names the shard, the cause and the pause, and has the exception."""
    error = KeyError("zone1-100")
    LogObserver().failed(SHARD, error, 4.0)
    (line,) = logged
    assert (line["log_level"], line["shard"], line["rule"]) == ("error", "commerce/-80", "own-error")
    assert line["exc_info"] is error
    assert "vtorc itself failed here (KeyError: 'zone1-100'); it watches this shard anew in 4 s" in line["event"]


def test_only_what_an_operator_asks_for_is_logged_at_its_begin(logged: list[EventDict]) -> None:
    """It is a warning with the operator, the origin and the reason; of vtorc's own recoveries a decision has told."""
    own = BegunRecovery(
        shard=SHARD,
        recovery=Recovery.RECOVER_DEAD_PRIMARY,
        code=Code.DEAD_PRIMARY,
        alias=None,
        began=0,
        sentence="commerce/-80: it is dead",
    )
    asked = replace(
        own,
        recovery=Recovery.PLANNED_REPARENT,
        code=None,
        sentence="commerce/-80: ann asked to move the primary: a drill",
        asked=OperatorRequest(actor="ann", origin="10.0.0.7", reason="a drill"),
    )
    observer = LogObserver()
    observer.started(own)
    observer.started(asked)
    observer.interrupted(asked)
    assert _sentences(logged) == [
        ("warning", "commerce/-80: ann asked to move the primary: a drill"),
        ("warning", "commerce/-80: PlannedReparentShard was broken off, and its changes were put back"),
    ]
    assert {name: logged[0][name] for name in ("actor", "origin", "reason", "recovery")} == {
        "actor": "ann",
        "origin": "10.0.0.7",
        "reason": "a drill",
        "recovery": "PlannedReparentShard",
    }


def test_a_change_of_a_hold_is_a_warning_with_operator_and_reason(logged: list[EventDict]) -> None:
    """One that ends by itself has the reason that it was made for."""
    kept = hold(Effect.NO_REPAIR, on="cell:zone1")
    observer = LogObserver()
    observer.held(HoldNews(kept, HoldChange.LIFTED, OperatorRequest(actor="bob", origin="::1", reason="done")))
    observer.held(HoldNews(kept, HoldChange.EXPIRED))
    lifted, expired = logged
    assert {line["log_level"] for line in logged} == {"warning"}
    assert lifted["event"].endswith(", as bob lifted it: done")
    assert [lifted[key] for key in ("hold", "scope", "effects", "actor", "origin", "reason", "rule")] == [
        *(3, "cell:zone1", "no_repair", "bob", "::1", "done", "held")
    ]
    assert (expired["actor"], expired["reason"]) == ("", "a drill")


def test_a_silenced_problem_is_information_unless_vtorc_acts(logged: list[EventDict]) -> None:
    """An operator who silenced it is not called, and still finds each replacement of a primary as a warning."""
    finding = Finding(code=Code.DEAD_PRIMARY, shard=SHARD, alias=None, sentence="it is dead")
    stands = Decision(finding=finding, recovery=None, rule=Rule.HELD, sentence="it is dead", escalated=True)
    silent = replace(stands, silenced_by=hold(Effect.NO_ALERT))
    acts = replace(silent, recovery=Recovery.RECOVER_DEAD_PRIMARY, rule=Rule.ACT, escalated=False)
    for decision in (stands, silent, acts):
        LogObserver().decided(decision)
    assert [level for level, _ in _sentences(logged)] == ["error", "info", "warning"]

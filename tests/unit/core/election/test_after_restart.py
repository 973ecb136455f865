"""What an election makes of the memory that an earlier process left."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.unit.core.builders import CONNECTING, NOW, alias, changed, primary, replica, shard, uuid
from tests.unit.core.election.test_candidate_evidence import R1, R2, stop
from vtorc.core.election.candidate_evidence import candidate_set
from vtorc.core.election.choice import Choice, Refusal, choose
from vtorc.core.facts.durability import policy
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.last_probe import NEVER_PROBED, LastProbe, ProbeFailure
from vtorc.core.facts.remembered import RememberedTablet, ShardMemory
from vtorc.core.facts.tablet_memory import FormerType, ReplacedServer
from vtorc.core.facts.views import TabletView

SEMI_SYNC = policy("semi_sync")
WALL = 10**18
LATE = 3.0
"""Seconds that the process before was late in all."""


def plain(tablet: TabletView) -> TabletView:
    """Nothing ever happened to the tablet."""
    return tablet


def rebuilt(tablet: TabletView) -> TabletView:
    """Another server ran under the alias long before the primary was last seen at work."""
    assert tablet.status is not None
    gone = {uuid(900): ReplacedServer(successor=tablet.status.server_uuid, gone_at=100.0)}
    return changed(tablet, replaced_servers=gone)


def backed_up(tablet: TabletView) -> TabletView:
    """It was restored long ago, and a backup was taken of it later."""
    former = {
        TabletType.RESTORE: FormerType(last_found_at=5.0, gone_at=10.0),
        TabletType.REPLICA: FormerType(last_found_at=100.0, gone_at=105.0),
        TabletType.BACKUP: FormerType(last_found_at=195.0, gone_at=200.0),
    }
    return changed(tablet, former_types=former)


def outcome(
    past: Callable[[TabletView], TabletView], *, passed: float, began: float, another_server: bool = False
) -> Choice | Refusal:
    """Let a late process keep a shard, and the next one, begun `passed` seconds later, find the primary silent.

    `began` is what the clock of the next process shows then. With `another_server`, a replica was rebuilt meanwhile.
    """
    before = [
        changed(each, was_heard=True, server_uuid=each.status.server_uuid if each.status is not None else "")
        for each in (primary(), *(past(replica(name, io=CONNECTING)) for name in (R1, R2)))
    ]
    tablets = {each.alias: RememberedTablet.of(each.record.type, NOW - 5.0, each.memory) for each in before}
    kept = ShardMemory(wall=WALL, now=NOW, real=NOW + LATE, tablets=tablets)
    recalled = kept.recalled(wall=WALL + round(passed * 1e9), now=began, real=began)

    def found(tablet: TabletView) -> TabletView:
        memory, status = recalled[tablet.alias].memory, tablet.status
        assert status is not None
        if tablet.record.type is TabletType.PRIMARY:
            silent = LastProbe(
                ended_at=began + 9.0,
                failure=ProbeFailure.TIMEOUT,
                failures_in_row=9,
                failing_since=began,
                same_failure_since=began + 0.5,
            )
            return TabletView(record=tablet.record, last_probe=silent, memory=memory)
        if another_server and tablet.alias == alias(R1):
            status = replace(status, server_uuid=uuid(901))
        started, ended, record = began + 8.0, began + 8.1, tablet.record
        memory = memory.after_answer(
            status, NEVER_PROBED, started=started, ended=ended, asked_record=record, record=record
        )
        return TabletView(
            record=record, last_probe=LastProbe.answered(status, started=started, ended=ended), memory=memory
        )

    view = shard(*(found(each) for each in before))
    return choose(candidate_set(view, SEMI_SYNC, stop(view)), SEMI_SYNC)


RESTARTS = pytest.mark.parametrize(
    ("passed", "began"),
    [
        pytest.param(1.0, NOW + LATE + 1.0, id="restarted"),
        pytest.param(600.0, NOW + LATE + 600.0, id="restarted after long"),
        pytest.param(60.0, 30.0, id="the machine was started again"),
        pytest.param(60.0, 5e6, id="on another machine"),
    ],
)


@RESTARTS
@pytest.mark.parametrize("past", [plain, rebuilt, backed_up])
def test_what_was_settled_long_ago_stays_settled(
    past: Callable[[TabletView], TabletView], passed: float, began: float
) -> None:
    """A replica that was rebuilt or backed up before the primary was last seen holds up no failover."""
    assert isinstance(outcome(past, passed=passed, began=began), Choice)


@RESTARTS
def test_what_happened_since_is_as_open_as_before(passed: float, began: float) -> None:
    """A replica that is another server than the memory tells was rebuilt after the primary was last seen."""
    refusal = outcome(plain, passed=passed, began=began, another_server=True)
    assert isinstance(refusal, Refusal)
    assert f"is server {uuid(901)} now" in refusal.sentence

"""A command on a replica is refused where it would lose something, or stop the writes of the shard."""

import pytest

from tests.unit.core.builders import NOW, failing, held, hold, primary, replica, shard
from vtorc.core.decision.operator_guards import why_refused
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.facts.durability import policy
from vtorc.core.facts.holds import Effect
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.views import ShardView, TabletView
from vtorc.recovery.tablet_change import COMMANDS

POLICY = policy("semi_sync")
OTHER = replica("zone1-102")
STOPS = (Recovery.STOP_REPLICATION, Recovery.STOP_REPLICATION_NICELY)
FOR_REPLICAS = tuple(command for command in COMMANDS if command is not Recovery.FLUSH_BINARY_LOGS)


def rule(command: Recovery, tablet: TabletView, *others: TabletView) -> Rule | None:
    """The rule that refuses a command on a tablet of a shard with these others."""
    found = why(command, tablet, shard(tablet, *others))
    return found[0] if found is not None else None


def why(command: Recovery, tablet: TabletView, view: ShardView) -> tuple[Rule, str] | None:
    """Why a command on a tablet of a shard is refused."""
    return why_refused(command, view, POLICY, tablet, NOW)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_is_allowed_on_a_replica_that_is_well(command: Recovery) -> None:
    """Nothing is refused on one of two ackers."""
    assert rule(command, replica("zone1-101"), primary(), OTHER) is None


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_is_done_on_a_tablet_that_does_not_answer(command: Recovery) -> None:
    """A tablet of which nothing is known now is left alone, and how it fails is told."""
    tablet = failing(replica("zone1-101"))
    found = why(command, tablet, shard(primary(), tablet, OTHER))
    assert found is not None
    assert found[0] is Rule.UNCONFIRMED
    assert found[1].startswith("zone1-0000000101 does not answer: ")


@pytest.mark.parametrize("command", FOR_REPLICAS)
def test_a_primary_is_no_replica(command: Recovery) -> None:
    """A command for replicas is refused on the primary, and on a tablet that declares itself primary."""
    assert rule(command, primary(), OTHER, replica("zone1-101")) is Rule.PRIMARY_FIRST
    declared = replica("zone1-101", of=None, tablet_type=TabletType.PRIMARY)
    assert rule(command, declared, primary(), OTHER) is Rule.UNCONFIRMED


@pytest.mark.parametrize("command", FOR_REPLICAS)
def test_a_tablet_that_is_restored_is_left_alone(command: Recovery) -> None:
    """Only what vtorc would repair is changed: no tablet that is restored, backed up or drained."""
    assert rule(command, replica("zone1-101", TabletType.RESTORE), primary(), OTHER) is Rule.NO_REMEDY


def test_any_tablet_may_begin_a_new_binary_log() -> None:
    """A new binary log changes nothing that counts, so the primary may begin one as well."""
    assert rule(Recovery.FLUSH_BINARY_LOGS, primary(), OTHER) is None


@pytest.mark.parametrize("command", [*STOPS, Recovery.START_REPLICATION, Recovery.RESTART_REPLICATION])
def test_a_tablet_without_a_source_has_no_replication(command: Recovery) -> None:
    """Replication without a source is neither started nor stopped."""
    assert rule(command, replica("zone1-101", of=None), primary(), OTHER) is Rule.NO_REMEDY


@pytest.mark.parametrize("command", STOPS)
def test_the_last_acker_is_not_stopped(command: Recovery) -> None:
    """A replica whose acknowledgements the primary needs is not stopped: writes would wait without end."""
    assert rule(command, replica("zone1-101"), primary()) is Rule.ACKS_WOULD_DROP
    assert rule(command, replica("zone1-101"), primary(), replica("zone1-102", semi_sync=False)) is Rule.ACKS_WOULD_DROP


@pytest.mark.parametrize("command", STOPS)
def test_a_replica_that_acknowledges_nothing_is_stopped(command: Recovery) -> None:
    """A replica without semi-sync is missed by no write, be there other ackers or none."""
    assert rule(command, replica("zone1-101", semi_sync=False), primary()) is None


@pytest.mark.parametrize("command", [*STOPS, Recovery.REPARENT_TABLET, Recovery.RESTART_REPLICATION])
def test_a_primary_in_doubt_comes_first(command: Recovery) -> None:
    """While the primary may be lost, its replicas are evidence, and are left as they are."""
    assert rule(command, replica("zone1-101"), primary(dead_for=3.0), OTHER) is Rule.PRIMARY_FIRST


@pytest.mark.parametrize("command", STOPS)
def test_a_replica_without_semi_sync_is_evidence_about_a_lost_primary_too(command: Recovery) -> None:
    """Its IO thread tells whether the primary lives, so it is not stopped, and the refusal names the problem."""
    tablet = replica("zone1-101", semi_sync=False)
    found = why(command, tablet, shard(tablet, primary(dead_for=3.0), OTHER))
    assert found is not None
    assert found[0] is Rule.PRIMARY_FIRST
    assert "while the primary is in doubt" in found[1]


@pytest.mark.parametrize("command", STOPS)
def test_the_doubt_about_the_primary_is_told_as_its_shard_tells_it(command: Recovery) -> None:
    """By the policy these tablets could take over, so the primary counts as dead, and not as one without replicas."""
    others = replica("zone1-101", of="zone1-103"), replica("zone1-102", of="zone1-103")
    found = why(command, others[0], shard(primary(dead_for=3.0), *others))
    assert found is not None
    assert found[1] == "its answers are needed while the primary is in doubt (DeadPrimary)"


def test_the_last_copy_of_a_write_is_not_dropped() -> None:
    """A replica is not re-pointed while only its relay log has a transaction: that of another server, now silent."""
    tablet = replica("zone1-101", of="zone1-103", received="103:1-5")
    silent = failing(replica("zone1-103"))
    assert rule(Recovery.REPARENT_TABLET, tablet, primary(), OTHER, silent) is Rule.LAST_COPY


def test_a_command_needs_a_policy() -> None:
    """Whether a replica acknowledges afterwards is for the policy to say."""
    tablet = replica("zone1-101")
    found = why_refused(Recovery.START_REPLICATION, shard(primary(), tablet), None, tablet, NOW)
    assert found is not None
    assert found[0] is Rule.NO_POLICY


@pytest.mark.parametrize("command", COMMANDS)
def test_holds_do_not_bind_operators(command: Recovery) -> None:
    """A hold keeps vtorc from repairing a replica by itself, and no operator from asking for that."""
    tablet = replica("zone1-101")
    view = held(shard(tablet, primary(), OTHER), hold(Effect.NO_REPAIR))
    assert why(command, tablet, view) is None

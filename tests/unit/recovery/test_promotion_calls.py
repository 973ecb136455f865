"""The calls of a promotion, one by one, and what it does when one of them fails or is not answered."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from tests.unit.core.builders import P, alias, gtids, primary, replica, shard, stopped
from tests.unit.recovery.fakes import NEVER, Rig, in_session, unreachable
from vtorc.core.detection.recoveries import Reparent
from vtorc.core.facts.durability import policy
from vtorc.core.facts.gtid import EMPTY_GTID_SET
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.status import ReplicationStatus, TabletStatus, ThreadState
from vtorc.errors import LockLost, TopoUnavailable
from vtorc.recovery.errors import RecoveryFailed
from vtorc.recovery.promotion import APPLY_DEADLINE, KNOWN_FOR, REPOINT_GRACE, Promotion, ReplicaToRepoint, promote
from vtorc.recovery.stop import CONFIRM_DEADLINE
from vtorc.tablet.sending import about_to_send

WINNER, SECOND, THIRD = (str(alias(f"zone1-{number}")) for number in (101, 102, 103))
VIEW = shard(primary(dead_for=3.0), replica(WINNER), replica(SECOND), replica(THIRD, TabletType.RDONLY))
HELD = gtids("100:1-60")


def record(name: str) -> TabletRecord:
    """The record of a tablet of the shard."""
    tablet = VIEW.tablet(alias(name))
    assert tablet is not None
    return tablet.record


def promotion(*replicas: ReplicaToRepoint, durability: str = "semi_sync", first: bool = False) -> Promotion:
    """Promote WINNER, with these replicas to re-point."""
    return Promotion(
        view=VIEW,
        policy=policy(durability),
        winner=record(WINNER),
        position=HELD,
        replicas=replicas,
        reparent=Reparent.EMERGENCY,
        first=first,
    )


SOURCE = f"set_replication_source {SECOND}"
JOURNAL = f"populate_reparent_journal {WINNER}"
REPOINT_SECOND = f"{SOURCE} source={WINNER} semi_sync=True force_start=True"


def test_a_promotion_checks_the_lock_promotes_repoints_and_proves() -> None:
    """The lock is checked before anything is changed; the journal row is written once the winner is primary."""

    async def main(rig: Rig) -> None:
        rig.session.on_abort("stop replication", alias(SECOND), forbidden)
        await promote(rig.session, promotion(ReplicaToRepoint(record(SECOND)), ReplicaToRepoint(record(THIRD))))
        assert rig.held.calls == ["check"]
        assert rig.calls[0] == f"promote_replica {WINNER} semi_sync=True"
        assert sorted(rig.calls[1:]) == [
            f"{JOURNAL} created={100 * 10**9} action=EmergencyReparentShard primary={WINNER} position=100:1-60",
            REPOINT_SECOND,
            f"set_replication_source {THIRD} source={WINNER} semi_sync=False force_start=True",
        ]
        assert sorted(rig.steps) == [
            "check lock",
            f"promote {WINNER}",
            f"replicate from {WINNER} {SECOND}",
            f"replicate from {WINNER} {THIRD}",
            f"write reparent journal {WINNER}",
        ]
        assert rig.session.marks.keys() == {"promoted", "acknowledged"}
        assert not rig.session.can_undo

    async def forbidden() -> None:
        raise AssertionError("a promotion has no way back")

    in_session(main)


def test_nothing_is_promoted_without_the_lock() -> None:
    """No tablet is called, and the undo stays, if the lock is not confirmed."""

    async def main(rig: Rig) -> None:
        rig.held.tell("check", LockLost("gone"))
        rig.session.on_abort("stop replication", alias(SECOND), nothing)
        with pytest.raises(LockLost):
            await promote(rig.session, promotion(ReplicaToRepoint(record(SECOND))))
        assert rig.calls == []
        assert rig.session.can_undo

    async def nothing() -> None:
        return

    in_session(main)


@pytest.mark.parametrize(("durability", "waits"), [("none", False), ("semi_sync", True), ("cross_cell", True)])
@pytest.mark.parametrize(("first", "call"), [(False, "promote_replica"), (True, "init_primary")])
def test_the_new_primary_waits_for_acknowledgements_if_the_policy_asks_for_any(
    durability: str, waits: bool, first: bool, call: str
) -> None:
    """One acknowledgement is enough to make it wait, and a first primary is initialised instead of promoted."""

    async def main(rig: Rig) -> None:
        await promote(rig.session, promotion(durability=durability, first=first))
        assert rig.calls[0] == f"{call} {WINNER} semi_sync={waits}"
        assert ("initialise as primary" if first else "promote") == rig.session.steps[1].name

    in_session(main)


# A promotion that is not answered


def is_primary(type_: TabletType = TabletType.PRIMARY, *, read_only: bool = False) -> Callable[[Rig], None]:
    """The winner's record and status after its promotion was not answered."""

    def tell(rig: Rig) -> None:
        rig.tablets.tell(f"promote_replica {WINNER}", takes=NEVER)
        rig.topo.tell(f"tablet {WINNER}", replace(record(WINNER), type=type_))
        rig.tablets.tell(f"full_status {WINNER}", TabletStatus(read_only=read_only))

    return tell


def test_a_promotion_that_took_effect_unanswered_is_carried_on() -> None:
    """A promotion with a lost answer is no reason for a second failover: record and server say that it took effect."""

    async def main(rig: Rig) -> None:
        is_primary()(rig)
        await promote(rig.session, promotion(ReplicaToRepoint(record(SECOND))))
        assert JOURNAL in rig.tablets.at
        assert rig.tablets.at[JOURNAL] == pytest.approx(100 + rig.deadlines.call)
        assert rig.steps[2:] == [
            f"promote {WINNER} !",
            f"read tablet record {WINNER}",
            f"check that it is writable {WINNER}",
            f"write reparent journal {WINNER}",
        ]

    in_session(main)


def no_topo(rig: Rig) -> None:
    """The topology server does not answer either."""
    is_primary()(rig)
    rig.topo.tell(f"tablet {WINNER}", TopoUnavailable("gone"))


def no_status(rig: Rig) -> None:
    """The tablet does not answer either."""
    is_primary()(rig)
    rig.tablets.tell(f"full_status {WINNER}", unreachable())


@pytest.mark.parametrize(
    "told",
    [is_primary(TabletType.REPLICA), is_primary(read_only=True), no_topo, no_status],
    ids=["record of a replica", "read-only", "no topology server", "no status"],
)
def test_a_promotion_that_is_not_proven_has_failed(told: Callable[[Rig], None]) -> None:
    """Without the record of a primary and a writable server the promotion counts as failed, and no row is written."""

    async def main(rig: Rig) -> None:
        told(rig)
        with pytest.raises(RecoveryFailed, match=f"{WINNER} could not be promoted: no answer in time"):
            await promote(rig.session, promotion())
        assert JOURNAL not in rig.tablets.at

    in_session(main)


def test_a_promotion_that_the_tablet_refuses_says_why() -> None:
    """The error of the tablet is in the failure, and replicas that are being re-pointed are left alone."""

    async def main(rig: Rig) -> None:
        rig.tablets.tell(f"promote_replica {WINNER}", unreachable("connection refused"), takes=1.0)
        rig.tablets.tell(SOURCE, takes=NEVER)
        with pytest.raises(RecoveryFailed, match="could not be promoted: connection refused"):
            await promote(rig.session, promotion(ReplicaToRepoint(record(SECOND))))
        assert rig.session.elapsed() == pytest.approx(1.0)
        assert rig.step(f"replicate from {WINNER}").result == "cancelled"

    in_session(main)


@pytest.mark.parametrize(("error", "text"), [(unreachable("gone"), "gone"), (TimeoutError(), "no answer in time")])
def test_a_first_write_that_is_not_acknowledged_fails_the_recovery(error: Exception, text: str) -> None:
    """Only an acknowledged row proves the new primary."""

    async def main(rig: Rig) -> None:
        rig.tablets.tell(JOURNAL, error)
        with pytest.raises(RecoveryFailed, match=f"{WINNER} is primary, but its first write .*: {text}"):
            await promote(rig.session, promotion())
        assert "acknowledged" not in rig.session.marks

    in_session(main)


# Re-pointing


def holding(name: str = SECOND) -> ReplicaToRepoint:
    """A replica with a relay log to apply first."""
    return ReplicaToRepoint(record(name), HELD)


def still(received: str = "100:1-60", **changes: object) -> Awaitable[ReplicationStatus] | ReplicationStatus:
    """The threads of a replica that holds this much."""
    status = ReplicationStatus(io_state=ThreadState.STOPPED, executed=gtids("100:1-50"), received=gtids(received))
    return replace(status, **changes)  # type: ignore[arg-type]


POSITION = f"primary_position {WINNER}"


async def run_promotion(rig: Rig, other: ReplicaToRepoint) -> bool:
    """Promote with one replica; returns whether it was re-pointed."""
    await promote(rig.session, promotion(other))
    return SOURCE in rig.tablets.at


def test_a_relay_log_is_applied_before_it_is_dropped() -> None:
    """The replica applies all it received, and is then re-pointed without a question to the winner."""

    async def main(rig: Rig) -> None:
        assert await run_promotion(rig, holding())
        wait = f"wait_for_position {SECOND}"
        assert rig.calls.index(f"{wait} position=100:1-60") < rig.calls.index(REPOINT_SECOND)
        assert POSITION not in rig.tablets.at
        assert rig.step("apply before re-pointing").target == alias(SECOND)

    in_session(main)


@pytest.mark.parametrize("reply", [unreachable(), None], ids=["fails", "takes too long"])
@pytest.mark.parametrize(
    ("position", "repointed"),
    [(gtids("100:1-60"), True), (gtids("100:1-70"), True), (gtids("100:1-59"), False), (unreachable(), False)],
    ids=["all", "more", "one less", "silent"],
)
def test_a_relay_log_is_dropped_unapplied_only_if_the_new_primary_says_that_it_has_all_of_it(
    reply: object, position: object, repointed: bool
) -> None:
    """An heir that is silent, or lacks one transaction of the relay log, is no second copy."""

    async def main(rig: Rig) -> None:
        rig.tablets.tell(f"wait_for_position {SECOND}", reply, takes=0.0 if reply else NEVER)
        rig.tablets.tell(POSITION, position)
        assert await run_promotion(rig, holding()) is repointed
        assert rig.step("read position of the primary").target == alias(WINNER)

    in_session(main)


def test_the_new_primary_is_asked_for_its_position_for_no_longer_than_a_second() -> None:
    """An heir that hangs holds up neither the other replicas nor the end."""

    async def main(rig: Rig) -> None:
        rig.tablets.tell(f"wait_for_position {SECOND}", takes=NEVER)
        rig.tablets.tell(POSITION, takes=NEVER)
        assert not await run_promotion(rig, holding())
        assert rig.step("apply before re-pointing").duration == pytest.approx(APPLY_DEADLINE)
        assert rig.step("read position of the primary").duration == pytest.approx(CONFIRM_DEADLINE)

    in_session(main)


@pytest.mark.parametrize(("takes", "checks"), [(0.9, 1), (1.0, 1), (1.1, 2)])
def test_the_lock_is_checked_again_before_a_source_is_set_late(takes: float, checks: int) -> None:
    """After more than a second of waiting the lock may have gone."""

    async def main(rig: Rig) -> None:
        rig.tablets.tell(f"wait_for_position {SECOND}", takes=takes)
        await asyncio.sleep(2.0)  # all that came before
        assert await run_promotion(rig, holding())
        assert len(rig.held.calls) == checks

    in_session(main, start=128.0)  # a power of two: sums of seconds are exact


@pytest.mark.parametrize("error", [LockLost("gone"), TimeoutError()])
def test_no_source_is_set_late_without_the_lock(error: Exception) -> None:
    """A replica that waited long stays as it is if the lock is not confirmed then."""

    async def main(rig: Rig) -> None:
        rig.held.tell("check", None, error)
        rig.tablets.tell(f"wait_for_position {SECOND}", takes=2.0)
        assert not await run_promotion(rig, holding())

    in_session(main)


@pytest.mark.parametrize(
    ("threads", "repointed"),
    [(still(), True), (still("100:1-61"), False), (still(io_state=ThreadState.RUNNING), False), (unreachable(), False)],
    ids=["still stopped", "has received more", "receives", "silent"],
)
def test_no_source_is_set_late_on_a_replica_that_did_not_stay_stopped(threads: object, repointed: bool) -> None:
    """A replica that started again may hold, in its relay log, what it has acknowledged to the old primary."""

    async def main(rig: Rig) -> None:
        rig.tablets.tell(f"wait_for_position {SECOND}", takes=2.0)
        rig.tablets.tell(f"replication_status {SECOND}", threads)
        other = replace(holding(), stopped=stopped(SECOND, "100:1-60", executed="100:1-50"))
        assert await run_promotion(rig, other) is repointed

    in_session(main)


@pytest.mark.parametrize(
    ("seen", "stands_still", "is_sent"),
    [
        (0.5, KNOWN_FOR - 0.5, True),
        (0.5, KNOWN_FOR - 0.375, False),
        (1.5, KNOWN_FOR, True),
        (1.5, KNOWN_FOR + 0.5, False),
    ],
)
def test_a_process_that_stood_still_re_points_no_stopped_replica(
    seen: float, stands_still: float, is_sent: bool
) -> None:
    """The replica may have started and acknowledged; the others, and the new primary, are not held up by it.

    One that was seen to be stopped more than a second ago is asked again first.
    """

    async def main(rig: Rig) -> None:
        sent: list[str] = []

        async def call(*_: object, **__: object) -> None:
            await asyncio.sleep(stands_still)
            about_to_send()
            sent.append("source")

        rig.tablets.set_replication_source = call  # type: ignore[method-assign]
        rig.tablets.tell(f"replication_status {SECOND}", still())
        rig.tablets.tell(JOURNAL, takes=5.0)
        other = replace(holding(), received=EMPTY_GTID_SET, stopped=stopped(SECOND, "100:1-60", executed="100:1-50"))
        began = rig.session.elapsed()
        await asyncio.sleep(seen)
        await promote(rig.session, replace(promotion(other), stopped_at=began))
        assert bool(sent) is is_sent
        assert JOURNAL in rig.tablets.at

    in_session(main, start=128.0)  # a power of two: sums of seconds are exact


def test_a_replica_that_takes_long_to_be_repointed_gets_a_grace_from_the_first_write() -> None:
    """The grace ends the wait for a replica that was being re-pointed when the new primary took its first write."""

    async def main(rig: Rig) -> None:
        rig.tablets.tell(JOURNAL, takes=3.0)
        rig.tablets.tell(SOURCE, takes=NEVER)
        await promote(rig.session, promotion(ReplicaToRepoint(record(SECOND)), ReplicaToRepoint(record(THIRD))))
        assert rig.session.elapsed() == pytest.approx(3.0 + REPOINT_GRACE)
        assert rig.session.marks["acknowledged"] == pytest.approx(3.0)

    in_session(main)


def test_a_replica_that_applies_longer_than_that_gets_the_same_grace() -> None:
    """The grace of a replica that still applied its relay log at the first write begins when it has."""

    async def main(rig: Rig) -> None:
        rig.tablets.tell(f"wait_for_position {SECOND}", takes=4.0)
        rig.tablets.tell(SOURCE, takes=NEVER)
        await promote(rig.session, promotion(holding()))
        assert rig.session.elapsed() == pytest.approx(4.0 + REPOINT_GRACE)

    in_session(main)


def test_a_replica_gets_no_longer_than_a_catch_up_to_be_repointed() -> None:
    """A new primary that takes long for its first write does not lengthen that."""

    async def main(rig: Rig) -> None:
        rig.bounds = replace(rig.bounds, deadlines=replace(rig.deadlines, catch_up=6.0))
        rig.tablets.tell(JOURNAL, takes=9.0)
        rig.tablets.tell(SOURCE, takes=NEVER)
        await promote(rig.session, promotion(ReplicaToRepoint(record(SECOND))))
        assert rig.step(f"replicate from {WINNER}").duration == pytest.approx(6.0)

    in_session(main)


def test_a_replica_that_has_left_the_shard_is_left_alone() -> None:
    """A tablet without a record in the view is neither asked nor re-pointed."""

    async def main(rig: Rig) -> None:
        gone = replace(record(SECOND), alias=alias("zone1-199"))
        await promote(rig.session, promotion(ReplicaToRepoint(gone, HELD)))
        assert [call.split()[0] for call in rig.calls] == ["promote_replica", "populate_reparent_journal"]
        assert P not in " ".join(rig.calls)

    in_session(main)


# How old the look at the stopped tablets may be


@pytest.mark.parametrize(("ago", "promoted"), [(2.0, True), (2.25, False)])
def test_nothing_is_promoted_long_after_the_stopped_tablets_were_looked_at(ago: float, promoted: bool) -> None:
    """A tablet may have started and acknowledged since; what was stopped can still be put back."""

    async def main(rig: Rig) -> None:
        rig.session.on_abort("stop replication", alias(SECOND), lambda: asyncio.sleep(0.0))
        await asyncio.sleep(ago)
        wanted = replace(promotion(ReplicaToRepoint(record(SECOND))), stopped_at=0.0)
        if promoted:
            await promote(rig.session, wanted)
        else:
            with pytest.raises(RecoveryFailed, match=rf"the others were last seen to be stopped {ago:.1f} s ago"):
                await promote(rig.session, wanted)
            assert rig.session.can_undo
        assert (f"promote_replica {WINNER}" in rig.tablets.at) is promoted
        assert rig.held.calls == []  # the lock was checked before the look

    in_session(main, start=128.0)  # a power of two: sums of seconds are exact


def test_a_process_that_stood_still_sends_no_promotion() -> None:
    """It may stand still between any two of its instructions, also right before the call is sent."""

    async def main(rig: Rig) -> None:
        sent: list[str] = []

        async def call(*_: object, **__: object) -> None:
            await asyncio.sleep(3.0)
            about_to_send()
            sent.append("promotion")

        rig.tablets.promote_replica = call  # type: ignore[assignment, method-assign]
        with pytest.raises(RecoveryFailed, match="may have started since"):
            await promote(rig.session, replace(promotion(), stopped_at=rig.session.elapsed()))
        assert sent == []
        assert JOURNAL not in rig.tablets.at

    in_session(main)

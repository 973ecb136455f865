"""The calls of each repair, one by one, and what it does when one of them fails."""

import asyncio
from collections.abc import Awaitable, Callable, Set
from dataclasses import replace

import pytest

from tests.unit.core.builders import P, alias, answers, changed, failing, gtids, held, hold, primary, replica, shard
from tests.unit.recovery.fakes import NEVER, Rig, in_session, unreachable
from vtorc.core.detection.problems import Code
from vtorc.core.facts.durability import policy
from vtorc.core.facts.holds import Effect
from vtorc.core.facts.ids import TabletType
from vtorc.core.facts.status import SemiSyncStatus, TabletStatus, ThreadState
from vtorc.core.facts.views import ShardView, TabletView
from vtorc.errors import LockLost, TabletCallFailed
from vtorc.proto import topodata_pb2
from vtorc.recovery.errors import RecoveryFailed
from vtorc.recovery.promotion import APPLY_DEADLINE, KNOWN_FOR
from vtorc.recovery.repairs import APPLY_REST_DEADLINE, SEEN_WITHIN, Repairs
from vtorc.tablet.sending import about_to_send
from vtorc.topo.records import time_to_proto

PRIMARY, FIRST, SECOND = (str(alias(f"zone1-{number}")) for number in (100, 101, 102))
ATTACH = {Code.CONNECTED_TO_WRONG_PRIMARY}
RESTART = {Code.REPLICATION_STOPPED}

LOOK = f"replication_status {FIRST}"
SEEN = f"look whether it replicates {FIRST}"


def repairs(rig: Rig, view: ShardView, durability: str = "semi_sync") -> Repairs:
    """Repairs of a shard under a policy."""
    rig.tablets.tell(f"replication_status {FIRST}", status(replica(FIRST)).replication)
    return Repairs(rig.session, view, policy(durability))


def status(tablet: TabletView) -> TabletStatus:
    """The last answer of a tablet."""
    assert tablet.status is not None
    return tablet.status


def threads(tablet: TabletView, **changes: object) -> TabletStatus:
    """The last answer of a replica with other threads."""
    found = status(tablet)
    assert found.replication is not None
    return replace(found, replication=replace(found.replication, **changes))  # type: ignore[arg-type]


# Of the primary


@pytest.mark.parametrize(
    ("found", "codes", "durability", "waits"),
    [
        (primary(read_only=True, semi_sync=False), {Code.PRIMARY_IS_READ_ONLY}, "semi_sync", True),
        (primary(read_only=True), {Code.PRIMARY_IS_READ_ONLY}, "semi_sync", True),
        (primary(read_only=True), {Code.PRIMARY_IS_READ_ONLY}, "none", False),
        (primary(semi_sync=False), {Code.PRIMARY_IS_READ_ONLY}, "semi_sync", False),
        (primary(semi_sync=False), {Code.PRIMARY_SEMI_SYNC_MUST_BE_SET}, "semi_sync", True),
        (primary(), {Code.PRIMARY_SEMI_SYNC_MUST_NOT_BE_SET}, "none", False),
        (primary(), {Code.PRIMARY_IS_READ_ONLY}, "semi_sync", True),
        (failing(primary(semi_sync=False)), {Code.PRIMARY_IS_READ_ONLY}, "semi_sync", True),
    ],
    ids=[
        "read-only",
        "read-only and waits",
        "read-only under none",
        "takes writes without waiting",
        "is to wait",
        "is not to wait",
        "takes writes and waits",
        "silent",
    ],
)
def test_the_primary_is_made_writable_and_waits_unless_it_took_writes_without(
    found: TabletView, codes: Set[Code], durability: str, waits: bool
) -> None:
    """A primary that takes writes without waiting would stall if it waited before there are ackers."""

    async def main(rig: Rig) -> None:
        await repairs(rig, shard(found), durability).fix_primary(codes)
        assert rig.calls == [f"undo_demote_primary {PRIMARY} semi_sync={waits}"]
        assert rig.steps == ["check lock", f"make it writable {PRIMARY}"]

    in_session(main)


def test_a_primary_with_a_source_is_reset() -> None:
    """Its replication parameters are reset under the lock."""

    async def main(rig: Rig) -> None:
        await repairs(rig, shard(primary(source="zone1-101"))).reset_primary_replication()
        assert rig.calls == [f"reset_replication_parameters {PRIMARY}"]
        assert rig.steps == ["check lock", f"reset replication {PRIMARY}"]

    in_session(main)


EVERY: dict[str, Callable[[Repairs], Awaitable[None]]] = {
    "of the primary": lambda work: work.fix_primary({Code.PRIMARY_IS_READ_ONLY}),
    "of the primary's source": lambda work: work.reset_primary_replication(),
    "of replicas": lambda work: work.fix_replicas({alias(FIRST): RESTART}),
    "of former primaries": lambda work: work.reconcile_stale_primaries([alias(FIRST)]),
    "a reconnect": lambda work: work.restart_one_replica(),
}


@pytest.mark.parametrize("repair", EVERY.values(), ids=EVERY)
def test_no_repair_touches_a_tablet_without_the_lock(repair: Callable[[Repairs], Awaitable[None]]) -> None:
    """The lock is checked before the first call of each."""

    async def main(rig: Rig) -> None:
        rig.held.tell("check", LockLost("gone"))
        with pytest.raises(LockLost):
            await repair(repairs(rig, shard(primary(), replica(FIRST), replica(SECOND))))
        assert rig.calls == []
        assert not rig.session.can_undo

    in_session(main)


@pytest.mark.parametrize("repair", EVERY.values(), ids=EVERY)
def test_a_shard_without_a_primary_is_not_repaired(repair: Callable[[Repairs], Awaitable[None]]) -> None:
    """Each repair says so."""

    async def main(rig: Rig) -> None:
        with pytest.raises(RecoveryFailed, match="the shard has no primary"):
            await repair(repairs(rig, shard(replica(FIRST), named=None)))
        assert rig.calls == []

    in_session(main)


# Of replicas

HOLLOW = answers(replica(FIRST), semi_sync=SemiSyncStatus())
"""A replica that tells no settings of semi-sync, so that it acknowledges only for want of others."""


@pytest.mark.parametrize(
    ("tablet", "codes", "durability", "semi_sync"),
    [
        (replica(FIRST), RESTART, "semi_sync", True),
        (replica(FIRST, semi_sync=False), RESTART, "semi_sync", True),
        (replica(FIRST, TabletType.RDONLY), RESTART, "semi_sync", True),
        (replica(FIRST, TabletType.RDONLY, semi_sync=False), RESTART, "semi_sync", False),
        (replica(FIRST), RESTART | {Code.REPLICA_SEMI_SYNC_MUST_NOT_BE_SET}, "none", False),
        (replica(FIRST, of="zone1-102"), RESTART, "none", False),
        (replica(FIRST), RESTART, "none", True),
        (HOLLOW, RESTART, "semi_sync", False),
        (HOLLOW, RESTART | {Code.REPLICA_SEMI_SYNC_MUST_BE_SET}, "semi_sync", True),
    ],
    ids=["acker", "is to be", "kept", "none", "ends", "of another", "kept under none", "last choice", "it is decided"],
)
def test_a_stopped_replica_is_restarted_and_not_repointed(
    tablet: TabletView, codes: set[Code], durability: str, semi_sync: bool
) -> None:
    """Its relay log stays; it acknowledges if it may, and goes on acknowledging until a decision ends that."""

    async def main(rig: Rig) -> None:
        view = shard(primary(), tablet, replica(SECOND))
        await repairs(rig, view, durability).fix_replicas({alias(FIRST): codes})
        assert rig.calls == [f"stop_replication {FIRST}", f"start_replication {FIRST} semi_sync={semi_sync}", LOOK]
        assert rig.steps == ["check lock", f"stop replication {FIRST}", f"start replication {FIRST}", SEEN]

    in_session(main)


@pytest.mark.parametrize(
    ("before", "looks", "took"),
    [
        ({}, 1, 0.0),
        ({"last_sql_error": "Can't find record"}, 6, 1.55),
        ({"io_state": ThreadState.CONNECTING, "last_io_error": "Access denied for user 'repl'"}, 6, 1.55),
        ({"io_state": ThreadState.CONNECTING, "last_io_error": "no route"}, 1, 0.0),
    ],
    ids=["none before", "of its applier", "one that lasts", "one that passes"],
)
def test_a_replica_that_had_an_error_is_looked_at_for_longer(
    before: dict[str, object], looks: int, took: float
) -> None:
    """The pause between two looks doubles, until a second is over since the first."""

    async def main(rig: Rig) -> None:
        tablet = changed(replica(FIRST), status=threads(replica(FIRST), **before))
        await asyncio.sleep(3.0)
        await repairs(rig, shard(primary(), tablet)).fix_replicas({alias(FIRST): RESTART})
        assert rig.steps[-looks:] == [SEEN] * looks
        assert rig.steps[-looks - 1] != SEEN
        assert rig.session.elapsed() == pytest.approx(3.0 + took)

    in_session(main)


def test_a_second_of_looking_is_enough() -> None:
    """A look that ends at that moment is the last one."""

    async def main(rig: Rig) -> None:
        tablet = changed(replica(FIRST), status=threads(replica(FIRST), last_sql_error="Can't find record"))
        work = repairs(rig, shard(primary(), tablet))
        rig.tablets.tell(LOOK, status(replica(FIRST)).replication, takes=0.475)
        await work.fix_replicas({alias(FIRST): RESTART})
        assert rig.session.elapsed() == 1.0
        assert rig.steps.count(SEEN) == 2

    in_session(main, start=0.0)


def test_a_replica_that_does_not_tell_whether_it_works_is_left_alone() -> None:
    """It gets a second to answer, and its repair has succeeded."""

    async def main(rig: Rig) -> None:
        work = repairs(rig, shard(primary(), replica(FIRST)))
        rig.tablets.tell(LOOK, takes=NEVER)
        await work.fix_replicas({alias(FIRST): RESTART})
        assert rig.session.elapsed() == pytest.approx(SEEN_WITHIN)

    in_session(main)


def test_a_writable_replica_is_made_read_only_and_nothing_else() -> None:
    """Its replication goes on."""

    async def main(rig: Rig) -> None:
        view = shard(primary(), replica(FIRST, read_only=False))
        await repairs(rig, view).fix_replicas({alias(FIRST): {Code.REPLICA_IS_WRITABLE}})
        assert rig.calls == [f"set_read_only {FIRST}"]
        assert rig.steps == ["check lock", f"make it read-only {FIRST}"]

    in_session(main)


def attach(rig: Rig, tablet: TabletView, now: TabletStatus | None = None) -> Repairs:
    """A repair of a tablet that says this when it is asked under the lock."""
    rig.tablets.tell(f"full_status {tablet.alias}", now or status(tablet))
    return repairs(rig, shard(primary(), tablet, replica(SECOND)))


SET_SOURCE = f"set_replication_source {FIRST} source={PRIMARY} semi_sync=True force_start=True"


def test_a_replica_of_another_source_is_repointed() -> None:
    """The lock is checked again, its position is read, and its source is set; nothing waits in its relay log."""

    async def main(rig: Rig) -> None:
        await attach(rig, replica(FIRST, of=SECOND)).fix_replicas({alias(FIRST): ATTACH})
        assert rig.calls == [f"full_status {FIRST}", SET_SOURCE, LOOK]
        replicates = f"replicate from {PRIMARY} {FIRST}"
        assert rig.steps == ["check lock", "check lock", f"read position {FIRST}", replicates, SEEN]

    in_session(main)


def test_no_source_is_set_once_the_lock_is_gone() -> None:
    """The lock is checked before the last look, as a topology server may take seconds for it."""

    async def main(rig: Rig) -> None:
        rig.held.tell("check", None, LockLost("gone"))
        with pytest.raises(RecoveryFailed, match=f"{FIRST}: gone"):
            await attach(rig, replica(FIRST, of=SECOND)).fix_replicas({alias(FIRST): ATTACH})
        assert rig.calls == []

    in_session(main)


@pytest.mark.parametrize(("stands_still", "is_sent"), [(KNOWN_FOR, True), (KNOWN_FOR + 0.125, False)])
def test_a_process_that_stood_still_re_points_no_replica(stands_still: float, is_sent: bool) -> None:
    """The replica may have acknowledged meanwhile, and its relay log may be the last copy by now."""

    async def main(rig: Rig) -> None:
        sent: list[str] = []

        async def call(*_: object, **__: object) -> None:
            await asyncio.sleep(stands_still)
            about_to_send()
            sent.append("source")

        work = attach(rig, replica(FIRST, of=SECOND))
        rig.tablets.set_replication_source = call  # type: ignore[method-assign]
        if is_sent:
            await work.fix_replicas({alias(FIRST): ATTACH})
        else:
            with pytest.raises(RecoveryFailed, match=r"it was looked at 2\.1 s ago"):
                await work.fix_replicas({alias(FIRST): ATTACH})
        assert bool(sent) is is_sent

    in_session(main, start=128.0)  # a power of two: sums of seconds are exact


def test_a_replica_that_may_have_connected_before_it_was_stopped_is_looked_at_again() -> None:
    """What it received by then counts."""

    async def main(rig: Rig) -> None:
        connecting = replica(FIRST, of=SECOND, io=ThreadState.CONNECTING, io_error="refused")
        work = attach(rig, connecting)
        received = status(replica(FIRST, of=SECOND, io=ThreadState.STOPPED, received="100:51-60"))
        rig.tablets.tell(f"full_status {FIRST}", status(connecting), received)
        rig.tablets.tell(f"primary_position {PRIMARY}", gtids("100:1-59"))
        with pytest.raises(RecoveryFailed, match=f"{FIRST} is not re-pointed: .*:60.*, which {PRIMARY} lacks"):
            await work.fix_replicas({alias(FIRST): ATTACH})

    in_session(main)


@pytest.mark.parametrize(
    ("io", "error", "stops"),
    [
        (ThreadState.CONNECTING, "refused", True),
        (ThreadState.CONNECTING, "", False),
        (ThreadState.STOPPED, "refused", False),
        (ThreadState.RUNNING, "", False),
    ],
)
def test_only_an_io_thread_that_connects_in_vain_is_stopped_first(io: ThreadState, error: str, stops: bool) -> None:
    """The tablet manager stops a healthy one itself, and MySQL refuses to change the source of a connecting one."""

    async def main(rig: Rig) -> None:
        tablet = replica(FIRST, of=SECOND, io=io, io_error=error)
        await attach(rig, tablet).fix_replicas({alias(FIRST): ATTACH})
        assert (f"stop_replication {FIRST}" in rig.calls) is stops
        assert (f"stop replication {FIRST}" in rig.steps) is stops

    in_session(main)


def test_a_replica_that_could_not_be_re_pointed_goes_on_connecting() -> None:
    """The rollback starts the thread that was stopped for it; its old source may come back."""

    async def main(rig: Rig) -> None:
        tablet = replica(FIRST, of=SECOND, io=ThreadState.CONNECTING, io_error="refused")
        work = attach(rig, tablet)
        rig.tablets.tell(f"set_replication_source {FIRST}", unreachable())
        with pytest.raises(RecoveryFailed):
            await work.fix_replicas({alias(FIRST): ATTACH})
        before = len(rig.calls)
        await rig.session.roll_back()
        assert rig.calls[before:] == [f"start_replication {FIRST} semi_sync=True"]

    in_session(main)


@pytest.mark.parametrize(
    ("position", "loses"),
    [(gtids("100:1-60"), False), (gtids("100:51-60"), False), (gtids("100:1-59"), True)],
    ids=["all", "what waits", "one less"],
)
def test_a_relay_log_is_not_dropped_unless_the_primary_has_it(position: object, loses: bool) -> None:
    """The replica is asked first, then the primary, and both now; a refusal names what would be lost."""

    async def main(rig: Rig) -> None:
        rig.tablets.tell(f"primary_position {PRIMARY}", position)
        work = attach(rig, replica(FIRST, of=SECOND, received="100:51-60"))
        if loses:
            with pytest.raises(RecoveryFailed, match=f"{FIRST} is not re-pointed: .*:60.*, which {PRIMARY} lacks"):
                await work.fix_replicas({alias(FIRST): ATTACH})
        else:
            await work.fix_replicas({alias(FIRST): ATTACH})
        assert rig.calls[:2] == [f"full_status {FIRST}", f"primary_position {PRIMARY}"]
        assert (SET_SOURCE in rig.calls) is not loses
        assert rig.step("read position of the primary").target == alias(PRIMARY)

    in_session(main)


def test_a_primary_that_is_silent_keeps_a_relay_log_from_being_dropped() -> None:
    """Nothing proves then that there is a second copy."""

    async def main(rig: Rig) -> None:
        rig.tablets.tell(f"primary_position {PRIMARY}", unreachable())
        with pytest.raises(RecoveryFailed):
            await attach(rig, replica(FIRST, of=SECOND, received="100:51-60")).fix_replicas({alias(FIRST): ATTACH})
        assert SET_SOURCE not in rig.calls

    in_session(main)


# A replica of the primary: it may be acknowledging

MISCONFIGURED = {Code.REPLICA_MISCONFIGURED}


@pytest.mark.parametrize(
    ("net_timeout", "heartbeat"), [(4, " heartbeat=2.0"), (60, " heartbeat=30.0"), (0, ""), (None, "")]
)
def test_a_misconfigured_replica_applies_all_before_it_is_repointed(net_timeout: int | None, heartbeat: str) -> None:
    """Its IO thread is stopped only once the relay log is applied, and the heartbeat is set to half the timeout."""

    async def main(rig: Rig) -> None:
        await attach(rig, replica(FIRST, replica_net_timeout=net_timeout)).fix_replicas({alias(FIRST): MISCONFIGURED})
        assert rig.calls == [
            f"full_status {FIRST}",
            f"stop_io_thread {FIRST}",
            f"full_status {FIRST}",
            f"full_status {FIRST}",
            SET_SOURCE + heartbeat,
            LOOK,
        ]
        assert rig.steps == [
            "check lock",
            f"read position {FIRST}",
            "check lock",
            f"stop IO thread {FIRST}",
            f"read position {FIRST}",
            "check lock",
            f"read position {FIRST}",
            f"replicate from {PRIMARY} {FIRST}",
            SEEN,
        ]

    in_session(main)


def test_a_repair_that_is_not_of_its_heartbeat_leaves_that_alone() -> None:
    """Only a misconfigured replica gets another heartbeat."""

    async def main(rig: Rig) -> None:
        await attach(rig, replica(FIRST, of=SECOND)).fix_replicas({alias(FIRST): ATTACH})
        assert "heartbeat" not in rig.calls[-2]

    in_session(main)


def test_its_io_thread_is_not_stopped_without_the_lock() -> None:
    """The lock is checked after the wait for the relay log: a stopped replica acknowledges nothing."""

    async def main(rig: Rig) -> None:
        rig.held.tell("check", None, LockLost("gone"))
        with pytest.raises(RecoveryFailed, match="gone"):
            await attach(rig, replica(FIRST)).fix_replicas({alias(FIRST): MISCONFIGURED})
        assert rig.calls == [f"full_status {FIRST}"]
        assert not rig.session.can_undo

    in_session(main)


def test_a_relay_log_that_is_not_applied_in_time_keeps_its_io_thread_running() -> None:
    """The replica goes on acknowledging, and the refusal says what it holds."""

    async def main(rig: Rig) -> None:
        rig.tablets.tell(f"wait_for_position {FIRST}", takes=NEVER)
        with pytest.raises(RecoveryFailed, match=r"is not re-pointed yet: its relay log holds .*:51-60.* within 5 s"):
            await attach(rig, replica(FIRST, received="100:51-60")).fix_replicas({alias(FIRST): MISCONFIGURED})
        assert rig.calls == [f"full_status {FIRST}", f"wait_for_position {FIRST} position=100:1-60"]
        assert rig.step("apply before re-pointing").duration == pytest.approx(APPLY_DEADLINE)
        assert rig.step("apply before re-pointing").target == alias(FIRST)
        assert not rig.session.can_undo

    in_session(main)


def test_what_came_in_meanwhile_is_applied_too_and_a_failure_starts_the_thread_again() -> None:
    """The rest gets a second; if it is not applied the rollback starts what was stopped, acknowledging as before."""

    async def main(rig: Rig) -> None:
        tablet = replica(FIRST)
        rig.tablets.tell(f"wait_for_position {FIRST}", takes=NEVER)
        work = attach(rig, tablet)
        rig.tablets.tell(f"full_status {FIRST}", status(tablet), threads(tablet, received=gtids("100:1-55")))
        with pytest.raises(RecoveryFailed, match=r"is not re-pointed yet: .*:51-55.* within 1 s"):
            await work.fix_replicas({alias(FIRST): MISCONFIGURED})
        assert rig.step("apply before re-pointing").duration == pytest.approx(APPLY_REST_DEADLINE)
        before = len(rig.calls)
        await rig.session.roll_back()
        assert rig.calls[before:] == [f"start_replication {FIRST} semi_sync=True"]
        assert rig.steps[-1] == f"undo: stop IO thread {FIRST}"

    in_session(main)


def test_a_stop_without_an_answer_is_undone() -> None:
    """The thread may have been stopped all the same."""

    async def main(rig: Rig) -> None:
        rig.tablets.tell(f"stop_io_thread {FIRST}", unreachable())
        with pytest.raises(RecoveryFailed):
            await attach(rig, replica(FIRST)).fix_replicas({alias(FIRST): MISCONFIGURED})
        before = len(rig.calls)
        await rig.session.roll_back()
        assert rig.calls[before:] == [f"start_replication {FIRST} semi_sync=True"]

    in_session(main)


def test_all_replicas_are_repaired_at_once_and_every_failure_is_named() -> None:
    """A replica that cannot be repaired does not keep the others from being repaired."""

    async def main(rig: Rig) -> None:
        third = str(alias("zone1-103"))
        view = shard(primary(), replica(FIRST), replica(SECOND), replica(third))
        rig.tablets.tell(f"stop_replication {SECOND}", TabletCallFailed("syntax error"))
        rig.tablets.tell(f"stop_replication {FIRST}", takes=NEVER)
        with pytest.raises(RecoveryFailed) as failure:
            await repairs(rig, view).fix_replicas({alias(each): RESTART for each in (FIRST, SECOND, third)})
        assert str(failure.value) == f"{FIRST}: no answer in time; {SECOND}: syntax error"
        assert rig.tablets.at[f"start_replication {third}"] == 100.0
        assert rig.session.elapsed() == pytest.approx(rig.deadlines.call)

    in_session(main)


# Tablets that claim to be primary

STALE = replica(FIRST, TabletType.PRIMARY, of=None, record_changes={"primary_term_start": 1})


def reconcile(rig: Rig) -> Repairs:
    """A repair of a former primary."""
    rig.tablets.tell(f"demote_primary {FIRST}", gtids("100:1-50"))
    rig.tablets.tell(f"full_status {FIRST}", status(STALE))
    rig.topo.record.primary_term_start_time.CopyFrom(time_to_proto(STALE.record.primary_term_start))
    return repairs(rig, shard(primary(), STALE, replica(SECOND)))


def test_a_former_primary_is_demoted_attached_and_its_record_corrected() -> None:
    """It is demoted by force before anything else."""

    async def main(rig: Rig) -> None:
        await reconcile(rig).reconcile_stale_primaries([alias(FIRST)])
        assert rig.calls == [
            f"demote_primary {FIRST} force=True",
            f"full_status {FIRST}",
            f"set_replication_source {FIRST} source={PRIMARY} semi_sync=True force_start=True",
        ]
        assert rig.steps == [
            "check lock",
            f"demote primary {FIRST}",
            "check lock",
            f"read position {FIRST}",
            f"replicate from {PRIMARY} {FIRST}",
            f"correct its record {FIRST}",
        ]
        assert rig.topo.updated == [(alias(FIRST), True)]
        assert rig.topo.record.type == topodata_pb2.REPLICA
        assert not rig.topo.record.HasField("primary_term_start_time")

    in_session(main)


def test_the_record_of_a_term_that_began_since_is_not_written() -> None:
    """The tablet was promoted again since its shard was judged, so its record is right."""

    async def main(rig: Rig) -> None:
        work = reconcile(rig)
        rig.topo.record.primary_term_start_time.CopyFrom(time_to_proto(7_000_000_000))
        await work.reconcile_stale_primaries([alias(FIRST)])
        assert rig.topo.updated == [(alias(FIRST), False)]
        assert rig.topo.record.type == topodata_pb2.PRIMARY

    in_session(main)


def test_a_record_that_says_replica_already_is_not_written() -> None:
    """The tablet has changed it by itself."""

    async def main(rig: Rig) -> None:
        rig.topo.record = topodata_pb2.Tablet(type=topodata_pb2.RDONLY)
        await reconcile(rig).reconcile_stale_primaries([alias(FIRST)])
        assert rig.topo.updated == [(alias(FIRST), False)]
        assert rig.topo.record.type == topodata_pb2.RDONLY

    in_session(main)


@pytest.mark.parametrize(
    ("type_", "corrected"), [(TabletType.REPLICA, True), (TabletType.PRIMARY, False), (None, False)]
)
def test_the_record_of_a_tablet_that_refuses_its_source_is_corrected_if_it_runs_as_replica(
    type_: TabletType | None, corrected: bool
) -> None:
    """The repair fails all the same, with the tablet's own words."""

    async def main(rig: Rig) -> None:
        work = reconcile(rig)
        rig.tablets.tell(f"full_status {FIRST}", replace(status(STALE), tablet_type=type_))
        rig.tablets.tell(f"set_replication_source {FIRST}", TabletCallFailed("Errant GTID detected"))
        with pytest.raises(RecoveryFailed, match=f"{FIRST}: Errant GTID detected"):
            await work.reconcile_stale_primaries([alias(FIRST)])
        assert rig.topo.updated == ([(alias(FIRST), True)] if corrected else [])
        assert rig.step("read tablet type").target == alias(FIRST)
        assert [s for s in rig.steps if "record" in s] == ([f"correct its record {FIRST}"] if corrected else [])

    in_session(main)


def test_the_record_of_a_former_primary_stays_once_the_lock_has_run_out() -> None:
    """Another vtorc may have promoted it since, and a reading of the record takes its time."""

    async def main(rig: Rig) -> None:
        work = reconcile(rig)
        rig.held.runs_out = LockLost("run out")
        with pytest.raises(RecoveryFailed, match=f"{FIRST}: run out"):
            await work.reconcile_stale_primaries([alias(FIRST)])
        assert rig.topo.record.type == topodata_pb2.PRIMARY

    in_session(main)


def test_a_former_primary_that_follows_is_not_put_back() -> None:
    """Its stopped threads were started with its new source; what a rollback puts back on other tablets stays."""

    async def main(rig: Rig) -> None:
        stale = replica(FIRST, TabletType.PRIMARY, of=SECOND, io=ThreadState.CONNECTING, io_error="refused")
        rig.tablets.tell(f"demote_primary {FIRST}", gtids("100:1-50"))
        rig.tablets.tell(f"full_status {FIRST}", status(stale))
        rig.session.on_abort("stop replication", alias(SECOND), lambda: rig.tablets.stop_replication(stale.record))
        await repairs(rig, shard(primary(), stale)).reconcile_stale_primaries([alias(FIRST)])
        assert f"stop_replication {FIRST}" in rig.calls
        await rig.session.roll_back()
        assert [step for step in rig.steps if step.startswith("undo")] == [f"undo: stop replication {SECOND}"]

    in_session(main)


# The record of a primary

LATE_RECORD = replica(FIRST, of=None, tablet_type=TabletType.PRIMARY)
AS_NAMED = shard(LATE_RECORD, named=FIRST, term=7_000_000_000)


def test_the_record_of_a_primary_gets_type_and_term_under_the_lock() -> None:
    """The tablet is asked first, and the lock is checked just before the record is written."""

    async def main(rig: Rig) -> None:
        rig.topo.record = topodata_pb2.Tablet(type=topodata_pb2.REPLICA)
        rig.tablets.tell(f"full_status {FIRST}", status(LATE_RECORD))
        await repairs(rig, AS_NAMED).correct_primary_record(alias(FIRST))
        assert rig.steps == [f"read tablet type {FIRST}", "check lock", f"correct its record {FIRST}"]
        assert rig.topo.updated == [(alias(FIRST), True)]
        assert rig.topo.record.type == topodata_pb2.PRIMARY
        assert rig.topo.record.primary_term_start_time == time_to_proto(7_000_000_000)

    in_session(main)


def test_the_record_of_a_tablet_that_is_a_replica_by_now_is_not_written() -> None:
    """The tablet tells so itself; it may have been demoted since its shard was judged."""

    async def main(rig: Rig) -> None:
        rig.tablets.tell(f"full_status {FIRST}", status(replica(FIRST)))
        with pytest.raises(RecoveryFailed, match=f"{FIRST} is no longer primary by its own account"):
            await repairs(rig, AS_NAMED).correct_primary_record(alias(FIRST))
        assert rig.topo.updated == []

    in_session(main)


def test_a_record_that_says_primary_already_keeps_its_term() -> None:
    """The tablet has written it by itself."""

    async def main(rig: Rig) -> None:
        rig.tablets.tell(f"full_status {FIRST}", status(LATE_RECORD))
        await repairs(rig, AS_NAMED).correct_primary_record(alias(FIRST))
        assert rig.topo.updated == [(alias(FIRST), False)]
        assert not rig.topo.record.HasField("primary_term_start_time")

    in_session(main)


def test_the_record_of_a_primary_is_not_written_without_the_lock() -> None:
    """Another vtorc may be moving the primary."""

    async def main(rig: Rig) -> None:
        rig.held.tell("check", LockLost("gone"))
        rig.tablets.tell(f"full_status {FIRST}", status(LATE_RECORD))
        with pytest.raises(LockLost):
            await repairs(rig, AS_NAMED).correct_primary_record(alias(FIRST))
        assert rig.topo.updated == []

    in_session(main)


def test_the_record_of_a_primary_is_not_written_once_the_lock_has_run_out_while_it_was_read() -> None:
    """A vtorc that stood still between the check and the write has another one beside it."""

    async def main(rig: Rig) -> None:
        rig.tablets.tell(f"full_status {FIRST}", status(LATE_RECORD))
        rig.topo.record.type = topodata_pb2.REPLICA
        rig.topo.tell(f"update_tablet {FIRST}", lambda: setattr(rig.held, "runs_out", LockLost("ended")))
        with pytest.raises(LockLost):
            await repairs(rig, AS_NAMED).correct_primary_record(alias(FIRST))
        assert rig.topo.record.type == topodata_pb2.REPLICA

    in_session(main)


@pytest.mark.parametrize(
    ("now", "text"),
    [
        (
            {"io_state": ThreadState.CONNECTING, "last_io_error": "Access denied for user 'repl'"},
            r"is refused by its source, .* \(MySQL error 1045: Access denied for user 'repl'\)",
        ),
        (
            {"sql_state": ThreadState.STOPPED, "last_sql_error": "Error_code: 1062", "last_io_error": "an older one"},
            r"cannot apply a transaction, .* \(MySQL error 1062: Error_code: 1062\)",
        ),
        (
            {"sql_state": ThreadState.STOPPED, "last_sql_error": "Worker 1 failed", "last_io_error": "an older one"},
            "it stopped replicating again: Worker 1 failed",
        ),
        (
            {"io_state": ThreadState.STOPPED, "last_io_error": "no route"},
            "it stopped replicating again: no route",
        ),
        ({"io_state": ThreadState.STOPPED}, "it stopped replicating again: its threads tell no error"),
    ],
    ids=["refused", "a row too many", "applier", "receiver", "no error"],
)
def test_a_restart_after_which_a_thread_fails_has_failed(now: dict[str, object], text: str) -> None:
    """START REPLICA succeeded before; the failure says in the words of MySQL why it helped nothing."""

    async def main(rig: Rig) -> None:
        work = repairs(rig, shard(primary(), replica(FIRST)))
        rig.tablets.tell(LOOK, threads(replica(FIRST), **now).replication)
        with pytest.raises(RecoveryFailed, match=text):
            await work.fix_replicas({alias(FIRST): RESTART})
        assert rig.calls[-1] == LOOK
        assert not rig.session.can_undo

    in_session(main)


def test_a_rollback_starts_only_the_replicas_whose_restart_failed() -> None:
    """One that was restarted is done with: a second start would change the side of semi-sync that it was given."""

    async def main(rig: Rig) -> None:
        work = repairs(rig, shard(primary(), replica(FIRST, semi_sync=False), replica(SECOND)))
        rig.tablets.tell(f"stop_replication {FIRST}", takes=0.1)
        rig.tablets.tell(f"start_replication {SECOND}", unreachable(), None, takes=0.5)
        with pytest.raises(RecoveryFailed, match=SECOND):
            await work.fix_replicas({alias(FIRST): RESTART, alias(SECOND): RESTART})
        assert f"start_replication {FIRST} semi_sync=True" in rig.calls
        before = len(rig.calls)
        await rig.session.roll_back()
        assert rig.calls[before:] == [f"start_replication {SECOND} semi_sync=True"]
        assert rig.steps[-1] == f"undo: stop replication {SECOND}"

    in_session(main)


def test_threads_that_were_stopped_before_are_not_started_by_a_rollback() -> None:
    """An operator may have stopped them, and a restart that failed leaves them as they were."""

    async def main(rig: Rig) -> None:
        stopped_before = replica(FIRST, io=ThreadState.STOPPED, sql=ThreadState.STOPPED)
        rig.tablets.tell(f"start_replication {FIRST}", unreachable())
        with pytest.raises(RecoveryFailed):
            await repairs(rig, shard(primary(), stopped_before)).fix_replicas({alias(FIRST): RESTART})
        assert not rig.session.can_undo

    in_session(main)


# One replica that is made to reconnect


def test_a_replica_that_does_not_acknowledge_is_made_to_reconnect() -> None:
    """An acker that reconnects holds up commits; only the IO thread is stopped."""

    async def main(rig: Rig) -> None:
        view = shard(primary(dead_for=3.0), replica(FIRST), replica(SECOND, TabletType.RDONLY, semi_sync=False))
        await repairs(rig, view).restart_one_replica()
        assert rig.calls == [f"stop_io_thread {SECOND}", f"start_replication {SECOND} semi_sync=False"]
        assert rig.steps == ["check lock", f"stop IO thread {SECOND}", f"start replication {SECOND}"]

    in_session(main)


def test_the_first_acker_reconnects_if_all_acknowledge() -> None:
    """It acknowledges as before."""

    async def main(rig: Rig) -> None:
        view = shard(primary(dead_for=3.0), replica(SECOND), replica(FIRST))
        await repairs(rig, view).restart_one_replica()
        assert rig.calls == [f"stop_io_thread {FIRST}", f"start_replication {FIRST} semi_sync=True"]

    in_session(main)


def test_a_replica_that_operators_keep_from_repairs_reconnects_last() -> None:
    """Any other that receives is taken in its place, an acker too."""

    async def main(rig: Rig) -> None:
        kept = hold(Effect.NO_REPAIR, on=f"tablet:{FIRST}")
        for other in (replica(SECOND), replica(SECOND, TabletType.RDONLY, semi_sync=False)):
            rig.calls.clear()
            await repairs(rig, held(shard(primary(dead_for=3.0), replica(FIRST), other), kept)).restart_one_replica()
            assert rig.calls[0] == f"stop_io_thread {SECOND}"
        rig.calls.clear()
        await repairs(rig, held(shard(primary(dead_for=3.0), replica(FIRST)), kept)).restart_one_replica()
        assert rig.calls[0] == f"stop_io_thread {FIRST}"

    in_session(main)


def test_no_replica_that_receives_means_no_reconnect() -> None:
    """The repair says so."""

    async def main(rig: Rig) -> None:
        view = shard(primary(dead_for=3.0), replica(FIRST, io=ThreadState.STOPPED))
        with pytest.raises(RecoveryFailed, match=f"no reachable replica receives from {PRIMARY}"):
            await repairs(rig, view).restart_one_replica()
        assert rig.held.calls == []

    in_session(main)


@pytest.mark.parametrize("call", ["stop_io_thread", "start_replication"])
def test_each_half_of_a_reconnect_gets_five_seconds_and_the_undo_starts_it_again(call: str) -> None:
    """A replica that was left stopped would make the primary's silence look like its death."""

    async def main(rig: Rig) -> None:
        rig.tablets.tell(f"{call} {FIRST}", takes=NEVER)
        with pytest.raises(TimeoutError):
            await repairs(rig, shard(primary(dead_for=3.0), replica(FIRST))).restart_one_replica()
        assert rig.session.elapsed() == pytest.approx(5.0)
        rig.tablets.tell(f"start_replication {FIRST}", None)
        before = len(rig.calls)
        await rig.session.roll_back()
        assert rig.calls[before:] == [f"start_replication {FIRST} semi_sync=True"]
        assert P not in " ".join(rig.calls)

    in_session(main)


def test_a_replica_that_has_left_the_shard_is_named() -> None:
    """Its repair fails with its name."""

    async def main(rig: Rig) -> None:
        with pytest.raises(RecoveryFailed, match=f"{SECOND} has left the shard"):
            await repairs(rig, shard(primary())).fix_replicas({alias(SECOND): RESTART})

    in_session(main)


def test_the_demotion_of_a_former_primary_may_end_when_it_is_broken_off() -> None:
    """A tablet manager that is broken off amid it makes the former primary writable again."""

    async def main(rig: Rig) -> None:
        work = reconcile(rig)
        rig.tablets.tell(f"demote_primary {FIRST}", gtids("100:1-70"), takes=1.0)
        repairing = asyncio.create_task(work.reconcile_stale_primaries([alias(FIRST)]), name="repairing")
        await asyncio.sleep(0.1)
        repairing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await repairing
        assert rig.step("demote primary").result == "done"

    in_session(main)

"""Repairs that keep the primary: of its own state, of its replicas, and of tablets that still claim to be primary.

Semi-sync changes in the one safe order. Ackers go on before the primary waits for them, and the primary stops waiting
before ackers go off. Decisions keep that order between tablets, this file keeps it on one. Vitess' versions are in
`go/vt/vtorc/logic/topology_recovery.go`.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Set
from dataclasses import dataclass
from typing import Any

from vtorc.core.detection.problems import Code, ReplicationChange
from vtorc.core.detection.replica_evidence import ReplicaEvidence
from vtorc.core.detection.replication_errors import brief_error, lasting_error
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.fitness import fitness_of
from vtorc.core.facts.holds import Effect
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.status import ReplicationStatus, TabletStatus, ThreadState
from vtorc.core.facts.unfitness import Use
from vtorc.core.facts.views import ShardView, TabletView
from vtorc.errors import TabletError, TopoError
from vtorc.proto import topodata_pb2
from vtorc.recovery.errors import RecoveryFailed, RecoveryRefused
from vtorc.recovery.promotion import APPLY_DEADLINE, KNOWN_FOR
from vtorc.recovery.session import RecoverySession
from vtorc.tablet.sending import checked_before_sending
from vtorc.topo.records import time_from_proto, time_to_proto

APPLY_REST_DEADLINE = 1.0
"""Most seconds that a replica with a stopped IO thread gets to apply the rest of its relay log."""

SEEN_WITHIN = 1.0
"""Seconds in which a replica that was repaired is seen to work, or to fail."""

LOOK_AGAIN_AFTER = 0.05
"""Seconds between the first two looks at such a replica; doubled after each."""


@dataclass(frozen=True, slots=True)
class Repairs:
    """Repairs of the shard that `view` shows, under its lock."""

    session: RecoverySession
    view: ShardView
    policy: DurabilityPolicy

    async def fix_primary(self, codes: Set[Code]) -> None:
        """Make the primary writable, waiting for as many acknowledgements as the policy asks for.

        A primary that already takes writes without waiting is made to wait only if that was decided. It is decided once
        there are ackers, because writes would stall without them.
        """
        primary = self._primary()
        status = primary.current_status
        takes_writes = status is not None and not status.read_only and not status.semi_sync.primary_enabled
        wait = not takes_writes or Code.PRIMARY_SEMI_SYNC_MUST_BE_SET in codes
        await self.session.check_lock()
        await self.session.step(
            "make it writable",
            primary.alias,
            self.session.tablets.undo_demote_primary(
                primary.record, semi_sync=wait and self.policy.required_acks(primary.member) > 0
            ),
        )

    async def reset_primary_replication(self) -> None:
        """Reset the replication parameters of the primary, so that it is no replica any more."""
        primary = self._primary()
        await self.session.check_lock()
        await self.session.step(
            "reset replication", primary.alias, self.session.tablets.reset_replication_parameters(primary.record)
        )

    async def fix_replicas(self, codes: dict[TabletAlias, set[Code]]) -> None:
        """Repair all replicas at once; raises RecoveryFailed naming those that could not be repaired."""
        primary = self._primary()
        await self.session.check_lock()
        await self._repair_all((alias, self._fix_replica(alias, codes[alias], primary)) for alias in sorted(codes))

    async def reconcile_stale_primaries(self, aliases: Iterable[TabletAlias]) -> None:
        """Turn tablets that still claim to be primary into replicas of the present primary."""
        primary = self._primary()
        await self.session.check_lock()
        await self._repair_all((alias, self._reconcile(alias, primary)) for alias in sorted(aliases))

    async def correct_primary_record(self, alias: TabletAlias) -> None:
        """Write type and term into the record of a tablet that is primary by its own account and by the shard record.

        The term is that of the shard record, which the tablet itself has written. Raises RecoveryFailed if it is
        primary no longer.
        """
        tablet, term = self.session.tablet_in(self.view, alias), self.view.shard_record.primary_term_start
        status = await self.session.step("read tablet type", alias, self.session.tablets.full_status(tablet.record))
        if status.tablet_type is not TabletType.PRIMARY:
            raise self.session.fail(f"{alias} is no longer primary by its own account")

        def to_primary(record: topodata_pb2.Tablet) -> bool:
            self.session.lock.check_clock()
            if record.type == TabletType.PRIMARY.value:
                return False
            record.type = topodata_pb2.PRIMARY
            record.primary_term_start_time.CopyFrom(time_to_proto(term))
            return True

        await self.session.check_lock()
        await self.session.step("correct its record", alias, self.session.tools.topo.update_tablet(alias, to_primary))

    async def drain(self, alias: TabletAlias) -> None:
        """Take a replica out of the shard: it goes on to replicate, and neither acknowledges nor serves."""
        record, tablets = self.session.tablet_in(self.view, alias).record, self.session.tablets
        await self.session.check_lock()
        await self.session.step("drain it", alias, tablets.change_type(record, TabletType.DRAINED, semi_sync=False))

    async def restart_one_replica(self) -> None:
        """Make one direct replica reconnect, which shows whether the silent primary still takes connections.

        The replica is one of those that believe to be receiving. One that does not acknowledge is preferred, because an
        acker that reconnects holds up commits. One that operators keep from repairs comes last.
        """
        primary = self._primary()
        receiving = ReplicaEvidence.of(self.view, primary).receiving
        if not receiving:
            raise self.session.fail(f"no reachable replica receives from {primary.alias}")
        replica = min(receiving, key=self._to_reconnect_first)
        semi_sync = replica.status is not None and replica.status.semi_sync.replica_enabled
        tablets = self.session.tablets

        def start() -> Coroutine[Any, Any, None]:
            return tablets.start_replication(replica.record, semi_sync=semi_sync)

        await self.session.check_lock()
        # Only the IO thread is stopped, as stopping the applier takes longer. The undo is remembered before the call:
        # a replica that was left stopped would make the primary's silence look like its death.
        self.session.on_abort("stop IO thread", replica.alias, start)
        await self.session.step("stop IO thread", replica.alias, tablets.stop_io_thread(replica.record), deadline=5.0)
        await self.session.step("start replication", replica.alias, start(), deadline=5.0)

    def _to_reconnect_first(self, replica: TabletView) -> tuple[bool, bool, TabletAlias]:
        is_held = self.view.holds.forbidding(Effect.NO_REPAIR, replica.alias) is not None
        return is_held, replica.status is not None and replica.status.semi_sync.replica_enabled, replica.alias

    async def _fix_replica(self, alias: TabletAlias, codes: set[Code], primary: TabletView) -> None:
        replica = self.session.tablet_in(self.view, alias)
        tablets = self.session.tablets
        semi_sync = self._acknowledges_afterwards(replica, codes, primary)
        if Code.REPLICA_IS_WRITABLE in codes:
            await self.session.step("make it read-only", alias, tablets.set_read_only(replica.record))
        changes = {code.problem.replication for code in codes}
        if any(change.attaches for change in changes):
            await self._repoint(
                replica, primary, semi_sync=semi_sync, misconfigured=Code.REPLICA_MISCONFIGURED in codes
            )
        elif ReplicationChange.RESTART in changes:
            # Not SetReplicationSource, which would drop a relay log that may hold the last copy of a transaction
            # (https://github.com/vitessio/vitess/issues/21092). Semi-sync takes effect when the IO thread starts.
            self._restart_on_abort(replica, replica.status)
            await self.session.step("stop replication", alias, tablets.stop_replication(replica.record))
            await self.session.step(
                "start replication", alias, tablets.start_replication(replica.record, semi_sync=semi_sync)
            )
            await self._see_it_work(replica)

    def _acknowledges_afterwards(self, replica: TabletView, codes: Set[Code], primary: TabletView) -> bool:
        """Return whether the replica's side of semi-sync is on after the repair.

        A replica that the primary may count on keeps it until a decision says otherwise. One that acknowledges only for
        want of others gets it by a decision.
        """
        if Code.REPLICA_SEMI_SYNC_MUST_NOT_BE_SET in codes:
            return False
        enabled = replica.status is not None and replica.status.semi_sync.replica_enabled
        if not self.policy.may_ack(primary.member, replica.member):
            return enabled and self.view.replicates_from(replica, primary)
        asked = Code.REPLICA_SEMI_SYNC_MUST_BE_SET in codes
        return enabled or asked or not fitness_of(self.view, replica, self.policy).is_last_choice(Use.ACKNOWLEDGE)

    async def _repoint(self, replica: TabletView, primary: TabletView, *, semi_sync: bool, misconfigured: bool) -> None:
        if self.view.replicates_from(replica, primary):
            await self._apply_all_received(replica, semi_sync=semi_sync)
        net_timeout = replica.status.replica_net_timeout if replica.status is not None else None
        heartbeat_interval = net_timeout / 2 if misconfigured and net_timeout else 0.0
        await self._attach(replica, primary, semi_sync=semi_sync, heartbeat_interval=heartbeat_interval)
        await self._see_it_work(replica)

    async def _attach(
        self, replica: TabletView, primary: TabletView, *, semi_sync: bool, heartbeat_interval: float = 0.0
    ) -> None:
        """Point a replica at the primary once that loses nothing.

        The call is not sent if this process stood still after it had looked. A replica had acknowledged alone since,
        and an older vttablet dropped its relay log although the primary was gone.
        """
        looked_at = await self._prepare_to_repoint(replica, primary)

        def check_still_known() -> None:
            if (ago := self.session.elapsed() - looked_at) > KNOWN_FOR:
                raise self.session.fail(f"it is not re-pointed: it was looked at {ago:.1f} s ago, and may have moved")

        with checked_before_sending(check_still_known):
            await self.session.step(
                f"replicate from {primary.alias}",
                replica.alias,
                self.session.tablets.set_replication_source(
                    replica.record,
                    primary.alias,
                    semi_sync=semi_sync,
                    force_start=True,
                    heartbeat_interval=heartbeat_interval,
                ),
            )

    def _restart_on_abort(self, replica: TabletView, status: TabletStatus | None) -> None:
        """Remember how to start the threads that are about to be stopped, unless `status` says that neither runs.

        It is remembered before the call: a call without an answer may have stopped them all the same. Without it, a
        replica whose repair failed half-way stayed stopped, and the shard had one acker less.
        """
        threads = status.replication if status is not None else None
        if status is None or threads is None or {threads.io_state, threads.sql_state} == {ThreadState.STOPPED}:
            return
        semi_sync = status.semi_sync.replica_enabled
        self.session.on_abort(
            "stop replication",
            replica.alias,
            lambda: self.session.tablets.start_replication(replica.record, semi_sync=semi_sync),
        )

    async def _see_it_work(self, replica: TabletView) -> None:
        """Look at the replica until both of its threads run; raises RecoveryFailed with the error that they met.

        START REPLICA returns before its threads meet what they fail at. Repairs that nothing could help "succeeded" for
        ever. A replica that had an error that may come back is looked at a little longer. One that still connects in
        vain by the end is left alone: its source may be slow.
        """
        self.session.forget_undo(replica.alias)
        threads = replica.status.replication if replica.status is not None else None
        had_error = threads is not None and (bool(threads.last_sql_error) or lasting_error(threads) is not None)
        began, pause = self.session.elapsed(), LOOK_AGAIN_AFTER
        while True:
            status = await self.session.try_step(
                "look whether it replicates",
                replica.alias,
                self.session.tablets.replication_status(replica.record),
                deadline=SEEN_WITHIN,
            )
            if status is None:
                return
            self._check_threads(status)
            looked_for = self.session.elapsed() - began
            if (status.is_replicating and not had_error) or looked_for >= SEEN_WITHIN:
                return
            await asyncio.sleep(pause)
            pause *= 2.0

    def _check_threads(self, status: ReplicationStatus) -> None:
        """Raise RecoveryFailed if a thread has stopped again, or met an error that a restart cannot change."""
        text = brief_error(status.last_sql_error or status.last_io_error)
        if (error := lasting_error(status)) is not None:
            raise self.session.fail(f"it {error.meaning} (MySQL error {error.number}: {text})")
        if ThreadState.STOPPED in (status.io_state, status.sql_state):
            raise self.session.fail(f"it stopped replicating again: {text or 'its threads tell no error'}")

    async def _apply_all_received(self, replica: TabletView, *, semi_sync: bool) -> None:
        """Let the replica apply what it may have acknowledged, before its relay log is dropped.

        The primary has those transactions too, but may be lost the next moment. Most is applied while replication runs,
        because a stopped replica acknowledges nothing. Raises RecoveryRefused if the rest is not applied in time; the
        rollback then starts the IO thread again.
        """
        alias, record, tablets = replica.alias, replica.record, self.session.tablets
        status = await self.session.step("read position", alias, tablets.full_status(record))
        await self._wait_until_applied(replica, status, within=APPLY_DEADLINE)
        await self.session.check_lock()
        # Remembered before the call: a call without an answer may have stopped the thread all the same.
        self.session.on_abort("stop IO thread", alias, lambda: tablets.start_replication(record, semi_sync=semi_sync))
        await self.session.step("stop IO thread", alias, tablets.stop_io_thread(record))
        status = await self.session.step("read position", alias, tablets.full_status(record))
        await self._wait_until_applied(replica, status, within=APPLY_REST_DEADLINE)

    async def _wait_until_applied(self, replica: TabletView, status: TabletStatus, *, within: float) -> None:
        if status.executed.contains(status.received):
            return
        try:
            await self.session.step(
                "apply before re-pointing",
                replica.alias,
                self.session.tablets.wait_for_position(replica.record, status.received),
                deadline=within,
            )
        except (TabletError, TimeoutError) as error:
            waiting = status.received.difference(status.executed)
            raise RecoveryRefused(
                f"{replica.alias} is not re-pointed yet: its relay log holds {waiting.brief()}, which it may have "
                f"acknowledged and did not apply within {within:g} s",
                rule=Rule.LAST_COPY,
            ) from error

    async def _prepare_to_repoint(self, replica: TabletView, primary: TabletView) -> float:
        """Make sure that re-pointing loses nothing, and that the tablet manager can do it.

        Returns when the replica was looked at, in seconds since the recovery began. The lock comes first, as a topology
        server may take seconds for it. The tablet manager stops replication first only if a thread is healthy. MySQL
        changes no source while an IO thread connects in vain (error 3081).
        """
        await self.session.check_lock()
        looked_at, status = await self._look_at(replica)
        threads = status.replication
        if threads is not None and not threads.io_healthy and ThreadState.CONNECTING is threads.io_state:
            self._restart_on_abort(replica, status)
            await self.session.step(
                "stop replication", replica.alias, self.session.tablets.stop_replication(replica.record)
            )
            looked_at, status = await self._look_at(replica)  # it may have connected before it was stopped
        await self._check_nothing_lost(replica, primary, status)
        return looked_at

    async def _look_at(self, replica: TabletView) -> tuple[float, TabletStatus]:
        """Return the moment, in seconds since the recovery began, and the status of a replica."""
        asked_at, asking = self.session.elapsed(), self.session.tablets.full_status(replica.record)
        return asked_at, await self.session.step("read position", replica.alias, asking)

    async def _check_nothing_lost(self, replica: TabletView, primary: TabletView, status: TabletStatus) -> None:
        """Refuse unless the primary has everything in the replica's relay log, which re-pointing drops (rule 2 of the
        design).

        Both are asked now, the replica first.
        """
        waiting = status.received.difference(status.executed)
        if not waiting:
            return
        position = await self.session.step(
            "read position of the primary", primary.alias, self.session.tablets.primary_position(primary.record)
        )
        lost = waiting.difference(position)
        if lost:
            raise RecoveryRefused(
                f"{replica.alias} is not re-pointed: its relay log holds {lost.brief()}, which {primary.alias} lacks",
                rule=Rule.LAST_COPY,
            )

    async def _reconcile(self, alias: TabletAlias, primary: TabletView) -> None:
        stale = self.session.tablet_in(self.view, alias)
        await self.session.demote(stale.record, force=True)
        try:
            await self._attach(stale, primary, semi_sync=self.policy.may_ack(primary.member, stale.member))
            self.session.forget_undo(alias)
        except TabletError:
            # A tablet refuses while it has errant transactions; its record is corrected all the same.
            status = await self.session.try_step(
                "read tablet type", alias, self.session.tablets.full_status(stale.record)
            )
            if status is not None and status.tablet_type is TabletType.REPLICA:
                await self.session.step("correct its record", alias, self._correct_record(stale))
            raise
        await self.session.step("correct its record", alias, self._correct_record(stale))

    async def _correct_record(self, stale: TabletView) -> None:
        """Turn the tablet's record from PRIMARY to REPLICA.

        A tablet changes its record when it turns from primary to replica. One that already runs as replica does not.
        The record of a later term is left alone: the tablet was promoted again since it was judged.
        """

        def to_replica(record: topodata_pb2.Tablet) -> bool:
            self.session.lock.check_clock()
            later = time_from_proto(record.primary_term_start_time) != stale.record.primary_term_start
            if record.type != TabletType.PRIMARY.value or later:
                return False
            record.type = topodata_pb2.REPLICA
            record.ClearField("primary_term_start_time")
            return True

        await self.session.tools.topo.update_tablet(stale.alias, to_replica)

    async def _repair_all(self, work: Iterable[tuple[TabletAlias, Coroutine[object, object, None]]]) -> None:
        failures: list[str] = []

        async def repair(alias: TabletAlias, repairing: Coroutine[object, object, None]) -> None:
            try:
                await repairing
            except (TabletError, TopoError, TimeoutError, RecoveryRefused, RecoveryFailed) as error:
                failures.append(f"{alias}: {str(error) or 'no answer in time'}")

        async with asyncio.TaskGroup() as group:
            for alias, repairing in work:
                group.create_task(repair(alias, repairing), name=f"repair {alias}")
        if failures:
            raise self.session.fail("; ".join(sorted(failures)))

    def _primary(self) -> TabletView:
        primary = self.view.primary
        if primary is None:
            raise self.session.fail("the shard has no primary")
        return primary

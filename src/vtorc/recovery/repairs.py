"""Repairs that keep the primary: its own state, its replicas, and tablets that still think they are primary.

Semi-sync is changed in the one safe order: ackers on before the primary waits, the primary off before ackers are (the
decisions see to the order between tablets, this file to the order on one). Vitess' versions are in
`go/vt/vtorc/logic/topology_recovery.go`.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Set
from dataclasses import dataclass
from typing import Any

from vtorc.core.detection.problems import Code, ReplicationChange
from vtorc.core.detection.replica_evidence import ReplicaEvidence
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.status import TabletStatus, ThreadState
from vtorc.core.facts.views import ShardView, TabletView
from vtorc.errors import TabletError, TopoError
from vtorc.proto import topodata_pb2
from vtorc.recovery.errors import RecoveryRefused
from vtorc.recovery.promotion import APPLY_FIRST
from vtorc.recovery.session import RecoverySession

APPLY_REST = 1.0
"""Most seconds that a replica whose IO thread was stopped gets to apply what it received meanwhile."""


@dataclass(frozen=True, slots=True)
class Repairs:
    """The repairs of the shard as `view` shows it; the lock is held."""

    session: RecoverySession
    view: ShardView
    policy: DurabilityPolicy

    async def fix_primary(self, codes: Set[Code]) -> None:
        """Make the primary writable and wait for as many acknowledgements as the policy asks for.

        One that takes writes already without waiting is made to wait only if that was decided, which it is once there
        are ackers: its writes would stall.
        """
        primary = self._primary()
        status = primary.current_status
        takes_writes = status is not None and not status.read_only and not status.semi_sync.primary_enabled
        wait = not takes_writes or Code.PRIMARY_SEMI_SYNC_MUST_BE_SET in codes
        await self.session.guard()
        await self.session.step(
            "make it writable",
            primary.alias,
            self.session.tablets.undo_demote_primary(
                primary.record, semi_sync=wait and self.policy.required_acks(primary.member) > 0
            ),
        )

    async def primary_has_primary(self) -> None:
        """Make the primary nobody's replica."""
        primary = self._primary()
        await self.session.guard()
        await self.session.step(
            "forget its source", primary.alias, self.session.tablets.reset_replication_parameters(primary.record)
        )

    async def fix_replicas(self, codes: dict[TabletAlias, set[Code]]) -> None:
        """Put all replicas right at once; raises RecoveryFailed naming those that could not be."""
        primary = self._primary()
        await self.session.guard()
        await self._all((alias, self._fix_replica(alias, codes[alias], primary)) for alias in sorted(codes))

    async def reconcile_stale(self, aliases: Iterable[TabletAlias]) -> None:
        """Make tablets that still claim to be primary replicas of the present one."""
        primary = self._primary()
        await self.session.guard()
        await self._all((alias, self._reconcile(alias, primary)) for alias in sorted(aliases))

    async def restart_one_replica(self) -> None:
        """Make one direct replica connect again: whether it can tells if the silent primary still takes connections.

        One of those that believe to receive; one that does not acknowledge is preferred, because an acker that
        reconnects holds up commits.
        """
        primary = self._primary()
        receiving = ReplicaEvidence.of(self.view, primary).receiving
        if not receiving:
            raise self.session.fail(f"no replica that can be reached receives from {primary.alias}")
        replica = min(receiving, key=lambda t: (t.status is not None and t.status.semi_sync.replica_enabled, t.alias))
        semi_sync = replica.status is not None and replica.status.semi_sync.replica_enabled
        tablets = self.session.tablets

        def start() -> Coroutine[Any, Any, None]:
            return tablets.start_replication(replica.record, semi_sync=semi_sync)

        await self.session.guard()
        # Only the IO thread, as the applier would be waited for, and remembered before the call: a witness that we
        # stopped and left so would make the primary's silence look like its death.
        self.session.on_abort("stop IO thread", replica.alias, start)
        await self.session.step("stop IO thread", replica.alias, tablets.stop_io_thread(replica.record), deadline=5.0)
        await self.session.step("start replication", replica.alias, start(), deadline=5.0)

    async def _fix_replica(self, alias: TabletAlias, codes: set[Code], primary: TabletView) -> None:
        replica = self._tablet(alias)
        tablets = self.session.tablets
        semi_sync = self._acknowledges(replica, codes, primary)
        if Code.REPLICA_IS_WRITABLE in codes:
            await self.session.step("make it read-only", alias, tablets.set_read_only(replica.record))
        changes = {code.problem.replication for code in codes}
        if ReplicationChange.ATTACH in changes:
            await self._repoint(
                replica, primary, semi_sync=semi_sync, misconfigured=Code.REPLICA_MISCONFIGURED in codes
            )
        elif ReplicationChange.RESTART in changes:
            # Not SetReplicationSource, which would drop a relay log that may hold what nobody else has
            # (https://github.com/vitessio/vitess/issues/21092). The setting takes effect when the IO thread starts.
            await self.session.step("stop replication", alias, tablets.stop_replication(replica.record))
            await self.session.step(
                "start replication", alias, tablets.start_replication(replica.record, semi_sync=semi_sync)
            )

    def _acknowledges(self, replica: TabletView, codes: Set[Code], primary: TabletView) -> bool:
        """Whether it has its side of semi-sync on afterwards; one that the primary may count on keeps it until it was
        decided otherwise.
        """
        if self.policy.may_ack(primary.member, replica.member):
            return True
        enabled = replica.status is not None and replica.status.semi_sync.replica_enabled
        kept = Code.REPLICA_SEMI_SYNC_MUST_NOT_BE_SET not in codes
        return enabled and kept and self.view.replicates_from(replica, primary)

    async def _repoint(self, replica: TabletView, primary: TabletView, *, semi_sync: bool, misconfigured: bool) -> None:
        if self.view.replicates_from(replica, primary):
            await self._empty_relay_log(replica, semi_sync=semi_sync)
        await self._ready_to_repoint(replica, primary)
        net_timeout = replica.status.replica_net_timeout if replica.status is not None else None
        await self.session.step(
            f"replicate from {primary.alias}",
            replica.alias,
            self.session.tablets.set_replication_source(
                replica.record,
                primary.alias,
                semi_sync=semi_sync,
                force_start=True,
                heartbeat_interval=net_timeout / 2 if misconfigured and net_timeout else 0.0,
            ),
        )

    async def _empty_relay_log(self, replica: TabletView, *, semi_sync: bool) -> None:
        """Let it apply what it may have acknowledged before its relay log is dropped: the primary has that too, but
        may be lost in the next moment.

        While it is stopped it acknowledges nothing, so most is applied before. Raises RecoveryRefused if it does not
        get it done; it is started again then, with whatever else was changed.
        """
        alias, record, tablets = replica.alias, replica.record, self.session.tablets
        status = await self.session.step("read what it holds", alias, tablets.full_status(record))
        await self._applied(replica, status, within=APPLY_FIRST)
        await self.session.guard()
        # Remembered before the call: one that ends without an answer may have stopped the thread all the same.
        self.session.on_abort("stop IO thread", alias, lambda: tablets.start_replication(record, semi_sync=semi_sync))
        await self.session.step("stop IO thread", alias, tablets.stop_io_thread(record))
        status = await self.session.step("read what it holds", alias, tablets.full_status(record))
        await self._applied(replica, status, within=APPLY_REST)

    async def _applied(self, replica: TabletView, status: TabletStatus, *, within: float) -> None:
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
                f"{replica.alias} is not re-pointed yet: its relay log holds {waiting.brief()}, which it has "
                f"acknowledged, or may have, and did not apply within {within:g} s",
                rule=Rule.LAST_COPY,
            ) from error

    async def _ready_to_repoint(self, replica: TabletView, primary: TabletView) -> None:
        """Make sure that nothing is lost, and that the tablet manager can do it: it stops replication first only if it
        finds a thread healthy, and MySQL changes no source under an IO thread that connects in vain (error 3081).
        """
        status = await self.session.step(
            "read what it holds", replica.alias, self.session.tablets.full_status(replica.record)
        )
        await self._nothing_lost(replica, primary, status)
        threads = status.replication
        if threads is not None and not threads.io_healthy and ThreadState.CONNECTING is threads.io_state:
            await self.session.step(
                "stop replication", replica.alias, self.session.tablets.stop_replication(replica.record)
            )
        await self.session.guard()  # all that took time, in which the lock may have gone

    async def _nothing_lost(self, replica: TabletView, primary: TabletView, status: TabletStatus) -> None:
        """Rule 2: its relay log is dropped, so the primary must have everything in it; asked now, replica first."""
        waiting = status.received.difference(status.executed)
        if not waiting:
            return
        position = await self.session.step(
            "read what the primary holds", primary.alias, self.session.tablets.primary_position(primary.record)
        )
        lost = waiting.difference(position)
        if lost:
            raise RecoveryRefused(
                f"{replica.alias} is not re-pointed: its relay log holds {lost.brief()}, which {primary.alias} lacks",
                rule=Rule.LAST_COPY,
            )

    async def _reconcile(self, alias: TabletAlias, primary: TabletView) -> None:
        stale = self._tablet(alias)
        await self.session.step("demote primary", alias, self.session.tablets.demote_primary(stale.record, force=True))
        await self._ready_to_repoint(stale, primary)
        try:
            await self.session.step(
                f"replicate from {primary.alias}",
                alias,
                self.session.tablets.set_replication_source(
                    stale.record,
                    primary.alias,
                    semi_sync=self.policy.may_ack(primary.member, stale.member),
                    force_start=True,
                ),
            )
        except TabletError:
            # It refuses when it has errant transactions, which is no reason to be called a primary.
            status = await self.session.try_step(
                "read what it takes itself for", alias, self.session.tablets.full_status(stale.record)
            )
            if status is not None and status.tablet_type is TabletType.REPLICA:
                await self.session.step("correct its record", alias, self._correct_record(stale))
            raise
        await self.session.step("correct its record", alias, self._correct_record(stale))

    async def _correct_record(self, stale: TabletView) -> None:
        """A tablet changes its record when it turns from primary to replica; one that runs as replica already does
        not.
        """

        def to_replica(record: topodata_pb2.Tablet) -> bool:
            if record.type != TabletType.PRIMARY.value:
                return False
            record.type = topodata_pb2.REPLICA
            record.ClearField("primary_term_start_time")
            return True

        await self.session.tools.topo.update_tablet(stale.alias, to_replica)

    async def _all(self, work: Iterable[tuple[TabletAlias, Coroutine[object, object, None]]]) -> None:
        failures: list[str] = []

        async def one(alias: TabletAlias, doing: Coroutine[object, object, None]) -> None:
            try:
                await doing
            except (TabletError, TopoError, TimeoutError, RecoveryRefused) as error:
                failures.append(f"{alias}: {str(error) or 'no answer in time'}")

        async with asyncio.TaskGroup() as group:
            for alias, doing in work:
                group.create_task(one(alias, doing), name=f"repair {alias}")
        if failures:
            raise self.session.fail("; ".join(sorted(failures)))

    def _primary(self) -> TabletView:
        primary = self.view.primary
        if primary is None:
            raise self.session.fail("the shard has no primary")
        return primary

    def _tablet(self, alias: TabletAlias) -> TabletView:
        tablet = self.view.tablet(alias)
        if tablet is None:
            raise self.session.fail(f"{alias} has left the shard")
        return tablet

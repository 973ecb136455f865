"""Demotes a healthy primary, and spares its clients the second that MySQL may take to switch semi-sync off.

vttablet switches the source side off once the server is read-only (Vitess `rpc_replication.go`, DemotePrimary). MySQL
then waits for the thread that receives acknowledgements. That thread looks up once a second, or when an acknowledgement
comes or the connection of a replica that acknowledges closes (seen with MySQL 9.7). So one such replica is disconnected
as soon as MySQL tells that commits wait for no acknowledgements any more. From then on no commit can wait for that
replica. While MySQL switches semi-sync off, it answers most statements late, and in one move of fifteen this question,
too. So a replica that no commit needs is also disconnected without an answer. Whatever goes wrong here, the demotion
only takes as long as without it.
"""

import asyncio
from dataclasses import dataclass

from vtorc.core.election.candidates import ACKING_TYPES
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.rolled_back import rolled_back
from vtorc.core.facts.views import ShardView, TabletView
from vtorc.errors import TabletError
from vtorc.recovery.session import RecoverySession

ASK_EVERY = 0.02
"""Seconds between two questions whether semi-sync is off by now."""

ASK_AT_ONCE = 3
"""Questions that are asked at once before the demotion: of two, the second often came when the first was answered."""

ASK_DEADLINE = 1.0
"""Most seconds for an answer to that, and for the disconnection: MySQL itself takes no longer."""

SILENT_AFTER = 0.1
"""Seconds without an answer after which a replica that no commit needs is disconnected. MySQL answers within 5 ms."""

_STATUS_NAMES = ("Rpl_semi_sync_source_status", "Rpl_semi_sync_master_status")
"""The status variable by its present name, and by that of the plugins before MySQL 8.0.26."""

_ON, _OFF = "ON", "OFF"


@dataclass(frozen=True, slots=True)
class AckerToDisconnect:
    """A replica that acknowledges the primary's commits."""

    tablet: TabletView
    is_spare: bool
    """Whether commits get all their acknowledgements without it."""


def acker_to_disconnect(view: ShardView, primary: TabletView, winner: TabletAlias) -> AckerToDisconnect | None:
    """Return a replica that acknowledges the primary's commits now, None if none does.

    `winner` comes last: it must fetch again after that, and any other one is re-pointed by the promotion.
    """
    status = primary.current_status
    if status is None or not status.semi_sync.primary_active:
        return None
    ackers = [t for t in view.tablets if t.alias not in rolled_back(view) and _acknowledges(view, t, primary)]
    if not ackers:
        return None
    tablet = min(ackers, key=lambda t: (t.alias == winner, t.alias))
    return AckerToDisconnect(tablet, is_spare=0 < status.semi_sync.wait_for_replica_count < len(ackers))


def _acknowledges(view: ShardView, tablet: TabletView, primary: TabletView) -> bool:
    status = tablet.current_status
    replication = status.replication if status is not None else None
    return (
        status is not None
        and status.semi_sync.replica_active
        and replication is not None
        and replication.io_healthy
        and tablet.record.type in ACKING_TYPES
        and view.replicates_from(tablet, primary)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedDemotion:
    """The demotion of one primary that is well."""

    session: RecoverySession
    primary: TabletView
    winner: TabletAlias
    """The tablet that becomes primary; it replicates from `primary`."""
    acker: AckerToDisconnect | None
    """The replica to disconnect; None to wait for MySQL."""
    semi_sync: bool
    """Whether commits of the primary wait for acknowledgements again after a rollback."""

    async def run(self) -> GtidSet:
        """Make the primary read-only; returns its last position, and leaves `winner` receiving from it.

        Raises TabletError or TimeoutError.
        """
        acker = self.acker if self.acker is not None and await self._has_connections() else None
        # Remembered before the call: a call without an answer may have been carried out all the same.
        self.session.on_abort("demote primary", self.primary.alias, self._undo)
        if acker is None:
            return await self._demote()
        tasks = [
            demoting := asyncio.create_task(self._demote(), name=f"demote {self.primary.alias}"),
            watching := asyncio.create_task(
                self._can_disconnect(acker), name=f"ask {self.primary.alias} for semi-sync"
            ),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            is_disconnected = not demoting.done() and watching.result()
            if is_disconnected:
                tasks.append(disconnecting := asyncio.create_task(self._disconnect(acker.tablet), name="disconnect"))
                if acker.tablet.alias == self.winner:
                    await disconnecting  # any other one is re-pointed, and may take MySQL two seconds to stop
            end = await demoting
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if is_disconnected and acker.tablet.alias == self.winner:
            await self._reconnect(acker.tablet)
        return end

    async def _demote(self) -> GtidSet:
        return await self.session.demote(self.primary.record, force=False)

    async def _undo(self) -> None:
        await self.session.tablets.undo_demote_primary(self.primary.record, semi_sync=self.semi_sync)

    async def _has_connections(self) -> bool:
        """Return whether commits wait for acknowledgements, asked several times at once.

        Where questions overlap, the tablet manager opens connections to MySQL, and keeps them. It cannot open a second
        one while the first one switches semi-sync off, because MySQL accepts none then.
        """
        answers = await asyncio.gather(*(self._semi_sync_status() for _ in range(ASK_AT_ONCE)))
        return set(answers) == {_ON}

    async def _can_disconnect(self, acker: AckerToDisconnect) -> bool:
        """Return whether `acker` can be disconnected, once that is known: no commit waits, or none needs it."""
        while True:
            try:
                status = await self._ask(SILENT_AFTER if acker.is_spare else ASK_DEADLINE)
            except TimeoutError:
                return acker.is_spare
            except TabletError:
                return False
            if status != _ON:
                return status == _OFF
            await asyncio.sleep(ASK_EVERY)

    async def _semi_sync_status(self) -> str:
        """Return ON while commits wait for acknowledgements, else OFF; empty if the primary does not tell."""
        try:
            return await self._ask(ASK_DEADLINE)
        except (TabletError, TimeoutError):
            return ""

    async def _ask(self, deadline: float) -> str:
        """Return ON, OFF, or nothing where there are no plugins; raises TabletError, or TimeoutError."""
        async with self.session.tools.clock.timeout(deadline):
            values = await self.session.tablets.global_status(self.primary.record, _STATUS_NAMES)
        return next(iter(values.values()), "")

    async def _disconnect(self, acker: TabletView) -> None:
        session, record = self.session, acker.record
        session.on_abort(
            "stop IO thread", acker.alias, lambda: session.tablets.start_replication(record, semi_sync=True)
        )
        await session.try_step(
            "stop IO thread", acker.alias, session.tablets.stop_io_thread(record), deadline=ASK_DEADLINE
        )

    async def _reconnect(self, acker: TabletView) -> None:
        session = self.session
        await session.step(
            "start replication", acker.alias, session.tablets.start_replication(acker.record, semi_sync=True)
        )
        session.forget_undo(acker.alias)

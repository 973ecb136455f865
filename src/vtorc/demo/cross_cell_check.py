"""Checks, by asking the servers, that no acknowledged write is held by the primary's own cell alone."""

import asyncio
from collections.abc import Sequence

from vtorc.core.facts.durability import DurabilityPolicy, Member
from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.facts.ids import TabletType
from vtorc.demo.servers import DemoTablet
from vtorc.errors import MysqlError
from vtorc.lab import mysql_report
from vtorc.vttablet.sql_session import SqlSession

_DEADLINE = 5.0


class CrossCellWitness:
    """Records which transactions the tablets outside of the primary's cell had received when it died.

    Call `open_sessions` before the fault and `record_received` right after it. The sessions are open by then, so the
    answers come before any tablet can have been pointed at another primary.
    """

    def __init__(self, primary: DemoTablet, tablets: Sequence[DemoTablet]) -> None:
        self._others = [tablet for tablet in tablets if tablet.alias.cell != primary.alias.cell]
        self._sessions: list[SqlSession] = []
        self.held = EMPTY_GTID_SET

    async def open_sessions(self) -> None:
        """Open the sessions; raises MysqlError."""
        for tablet in self._others:
            self._sessions.append(await tablet.connect_as_dba())

    async def record_received(self) -> None:
        """Read which transactions the tablets of other cells have received; raises MysqlError or TimeoutError."""
        try:
            async with asyncio.timeout(_DEADLINE):
                self.held = EMPTY_GTID_SET.union(*await asyncio.gather(*map(_received, self._sessions)))
        finally:
            for session in self._sessions:
                session.close()


async def _received(session: SqlSession) -> GtidSet:
    report = await mysql_report.replica_report(session)
    return EMPTY_GTID_SET if report is None else report.received


async def executed(tablet: DemoTablet) -> GtidSet:
    """Read gtid_executed of a tablet's server; raises MysqlError or TimeoutError."""
    async with asyncio.timeout(_DEADLINE):
        session = await tablet.connect_as_dba()
        try:
            return GtidSet.parse(await session.value("SELECT @@global.gtid_executed"))
        finally:
            session.close()


def one_cell_writes(*, survived: GtidSet, held: GtidSet, old_uuid: str, in_doubt: int) -> int:
    """Count the writes that were acknowledged although no tablet of another cell had received them.

    `survived` are the transactions of the new primary. `held` are those that tablets outside of the old primary's cell
    had when it died. A transaction of `survived` that `held` lacks came from the old primary's own cell. That is
    allowed for as many rows as are `in_doubt`, since their writer got no answer.
    """
    return max(0, survived.only_uuid(old_uuid).difference(held).count() - in_doubt)


async def wrong_ackers(policy: DurabilityPolicy, primary: DemoTablet, tablets: Sequence[DemoTablet]) -> list[str]:
    """Name the replicas that acknowledge for `primary` against the policy, or do not although it wants them to.

    Raises MysqlError or TimeoutError.
    """

    async def ask(tablet: DemoTablet) -> bool:
        async with asyncio.timeout(_DEADLINE):
            session = await tablet.connect_as_dba()
            try:
                status = await mysql_report.semi_sync(session)
            finally:
                session.close()
        if status is None:
            raise MysqlError(f"{tablet.alias} has no semi-sync plugins", errno=0)
        return status.replica_enabled and status.replica_active

    replicas = [tablet for tablet in tablets if tablet.alias != primary.alias]
    acknowledging = await asyncio.gather(*map(ask, replicas))
    primary_member = Member(primary.alias, TabletType.PRIMARY)
    return [
        str(tablet.alias)
        for tablet, acknowledges in zip(replicas, acknowledging, strict=True)
        if acknowledges is not policy.may_ack(primary_member, Member(tablet.alias, tablet.spec.type))
    ]

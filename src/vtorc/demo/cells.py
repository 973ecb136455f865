"""Checks from outside that acknowledged writes never depend on the primary's own cell alone, by asking the servers."""

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


class CellWitness:
    """Remembers what the tablets outside of the primary's cell held when it died.

    `look` before the fault, `remember` right after it: the sessions are open by then, so that the answers come before
    anybody can have told the tablets to follow another primary.
    """

    def __init__(self, primary: DemoTablet, tablets: Sequence[DemoTablet]) -> None:
        self._others = [tablet for tablet in tablets if tablet.alias.cell != primary.alias.cell]
        self._sessions: list[SqlSession] = []
        self.held = EMPTY_GTID_SET

    async def look(self) -> None:
        """Open the sessions; raises MysqlError."""
        for tablet in self._others:
            self._sessions.append(await tablet.connect_as_dba())

    async def remember(self) -> None:
        """Ask all tablets in other cells what they have received; raises MysqlError or TimeoutError."""
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
    """Read what a tablet's server has executed; raises MysqlError or TimeoutError."""
    async with asyncio.timeout(_DEADLINE):
        session = await tablet.connect_as_dba()
        try:
            return GtidSet.parse(await session.value("SELECT @@global.gtid_executed"))
        finally:
            session.close()


def alone_in_cell(*, survived: GtidSet, held: GtidSet, old_uuid: str, unpromised: int) -> int:
    """Count the writes that were acknowledged although no tablet of another cell had received them.

    `survived` is what the new primary has, `held` what tablets outside of the old primary's cell had when it died.
    What survived beyond that came from the old primary's own cell; it may do so for the `unpromised` rows, whose
    writer got no answer.
    """
    return max(0, survived.only_uuid(old_uuid).difference(held).count() - unpromised)


async def wrong_ackers(policy: DurabilityPolicy, primary: DemoTablet, tablets: Sequence[DemoTablet]) -> list[str]:
    """Name the replicas whose servers would acknowledge for `primary` although the policy forbids it, or the reverse.

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
    chief = Member(primary.alias, TabletType.PRIMARY)
    return [
        str(tablet.alias)
        for tablet, acknowledges in zip(replicas, acknowledging, strict=True)
        if acknowledges is not policy.may_ack(chief, Member(tablet.alias, tablet.spec.type))
    ]

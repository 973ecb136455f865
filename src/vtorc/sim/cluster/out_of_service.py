"""Replicas that operators, and cron jobs, take out of service for a while by changing their type."""

import asyncio
import contextlib

from vtorc.core.facts.durability import Member, policy
from vtorc.core.facts.ids import TabletType
from vtorc.errors import VtorcError
from vtorc.sim.cluster.tablet import SimTablet
from vtorc.sim.cluster.world import World
from vtorc.vttablet.agent import TabletAgent

OUT_OF_SERVICE = (TabletType.BACKUP, TabletType.DRAINED, TabletType.SPARE)
"""Types of tablets that run and do not serve."""


class OutOfService:
    """One replica's time out of service, as a tablet of type `kind`.

    `stops` says that a backup stops its MySQL, as Vitess' built-in backup engine does.
    """

    def __init__(self, world: World, tablet: SimTablet, kind: TabletType, *, stops: bool) -> None:
        self._world = world
        self._tablet = tablet
        self._kind = kind
        self._stops = stops and kind is TabletType.BACKUP
        self._agent: TabletAgent | None = None
        self._begun = asyncio.Event()

    def begin(self) -> None:
        """Take the replica out of service now, if it has its own type."""
        self._world.spawn(self._begin(), "out of service")

    def end(self) -> None:
        """Put the replica back in service, unless a restart has given it its own type again."""
        self._world.spawn(self._end(), "back in service")

    async def _begin(self) -> None:
        agent = self._tablet.agent
        try:
            if agent is None or agent.state.type is not self._tablet.config.init_type:
                return
            self._agent = agent
            with contextlib.suppress(VtorcError):
                await agent.reparent.change_type(self._kind, semi_sync=False)
                if self._stops:
                    self._tablet.mysqld.process.crash()
        finally:
            self._begun.set()

    async def _end(self) -> None:
        # An operator undoes a change once it is over: one that hung took effect after its undoing, and stayed.
        await self._begun.wait()
        if self._stops:
            self._world.start_mysqld(self._tablet.mysqld)
        # For as long as it takes: a mysqld may take long to recover, and giving up left the tablet out of service for
        # good.
        while True:
            agent = self._tablet.agent
            if agent is None or agent is not self._agent or agent.state.is_primary:
                return
            with contextlib.suppress(VtorcError):
                await agent.reparent.change_type(self._tablet.config.init_type, semi_sync=self._acks())
                return
            await asyncio.sleep(1.0)

    def _acks(self) -> bool:
        """Whether any primary of its shard would count its acknowledgements."""
        config = self._tablet.config
        shard = self._world.shards[config.shard]
        rule, itself = policy(shard.plan.durability), Member(config.alias, config.init_type)
        return any(rule.may_ack(Member(each.config.alias, TabletType.PRIMARY), itself) for each in shard.tablets)

"""Vtorcs that ask the MySQL of a silent tablet itself: what they learn, and that nothing gets worse by it."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.unit.sim.servers import until
from tests.unit.sim.worlds import SHARD, in_world, small_plan
from vtorc.core.facts.direct_answer import DirectOutcome
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.sim.campaigns.profiles import PROFILES
from vtorc.sim.campaigns.run import run_seed
from vtorc.sim.cluster.tablet import SimTablet
from vtorc.sim.cluster.vtorc import VtorcSettings
from vtorc.sim.cluster.world import SimShard, World

ASKS = VtorcSettings(asks_mysql=True)


def _told(world: World, tablet: SimTablet) -> tuple[ProbeFailure | None, DirectOutcome | None]:
    """How the tablet fails by what the first vtorc knows, and what its MySQL told."""
    facade = world.vtorcs[0].facade
    assert facade is not None
    shard = facade.view(SHARD)
    view = shard.tablet(tablet.config.alias) if shard is not None else None
    assert view is not None
    return view.failure, view.direct.outcome if view.direct is not None else None


def _kill_vttablet(world: World, tablet: SimTablet) -> None:
    tablet.wanted = False
    tablet.process.crash()


def _kill_mysqld(world: World, tablet: SimTablet) -> None:
    tablet.mysqld.process.crash()


def _freeze_mysqld(world: World, tablet: SimTablet) -> None:
    tablet.mysqld.process.freeze()


def _fill_up(world: World, tablet: SimTablet) -> None:
    tablet.mysqld.refuses_connections = True
    _kill_vttablet(world, tablet)


def _power_off(world: World, tablet: SimTablet) -> None:
    world.power_off(tablet.host)


@pytest.mark.parametrize(
    ("harm", "failure", "outcome"),
    [
        (_kill_vttablet, ProbeFailure.REFUSED, DirectOutcome.ANSWERS),
        (_kill_mysqld, ProbeFailure.MYSQL_DOWN, DirectOutcome.REFUSED),
        (_freeze_mysqld, ProbeFailure.HUNG, DirectOutcome.NO_GREETING),
        (_fill_up, ProbeFailure.REFUSED, DirectOutcome.REFUSES_LOGIN),
        (_power_off, ProbeFailure.TIMEOUT, DirectOutcome.UNREACHABLE),
    ],
)
def test_what_is_down_is_known(
    harm: Callable[[World, SimTablet], None], failure: ProbeFailure, outcome: DirectOutcome
) -> None:
    """A dead vttablet, a dead mysqld, one that hangs, one that is full, and a dead host are told apart."""

    async def main(world: World, shard: SimShard) -> None:
        tablet = next(each for each in shard.tablets if each is not shard.primary)
        harm(world, tablet)
        await until(lambda: _told(world, tablet) == (failure, outcome))

    in_world(main, settings=ASKS)


def test_a_primary_that_lives_has_no_replica_made_to_reconnect() -> None:
    """With only its vttablet cut off, no replica is taken away to test it, and the words go when it is back."""

    async def main(world: World, shard: SimShard) -> None:
        primary = shard.primary
        assert primary is not None
        begun = len(world.vtorcs[0].records)
        primary.process.freeze()
        await until(lambda: _told(world, primary) == (ProbeFailure.TIMEOUT, DirectOutcome.ANSWERS))
        await asyncio.sleep(10.0)
        assert shard.primary is primary
        primary.process.thaw()
        await until(lambda: _told(world, primary) == (None, None))
        assert world.vtorcs[0].records[begun:] == []

    # A client that writes past vttablet, so that the streams of the replicas go on.
    in_world(main, settings=ASKS, plan=replace(small_plan(), direct_writers=1))


@pytest.mark.parametrize("harm", [_kill_mysqld, _freeze_mysqld, _power_off])
def test_a_lost_primary_is_replaced_no_later(harm: Callable[[World, SimTablet], None]) -> None:
    """Whatever takes a primary, it is replaced as soon as by a vtorc that does not ask."""
    took: dict[bool, float] = {}
    for settings in (VtorcSettings(), ASKS):

        async def main(world: World, shard: SimShard, settings: VtorcSettings = settings) -> None:
            lost, at = shard.primary, world.now
            assert lost is not None
            harm(world, lost)
            await until(lambda: shard.primary not in (None, lost))
            took[settings.asks_mysql] = world.now - at

        in_world(main, settings=settings)
    assert took[True] <= took[False] + 0.5


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_fault_breaks_an_invariant(seed: int) -> None:
    """Runs with mixed faults lose no acknowledged write, and end well."""
    result = run_seed(seed, PROFILES["asks-mysql"])
    assert result.violations == []

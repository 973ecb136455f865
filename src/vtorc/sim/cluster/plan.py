"""Plans of simulated worlds: their cells, shards, tablets, vtorcs and clients."""

import random
from dataclasses import dataclass, field, replace

from vtorc.core.facts.ids import ShardId, TabletAlias, TabletType
from vtorc.sim.cluster.tablet import TabletTraits
from vtorc.sim.mysql.settings import SimMysqlSettings

_MANY_SHARDS = 100
_FEW_SHARDS = 12
_NARROW = "narrow"
_AFTER_COMMIT_SHARE = 0.1
"""Share of the worlds in which commits wait for acknowledgements only after they are visible."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TabletPlan:
    """One tablet."""

    alias: TabletAlias
    type: TabletType = TabletType.REPLICA
    traits: TabletTraits = TabletTraits()  # noqa: RUF009 - frozen


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardPlan:
    """One shard, with the durability policy of its keyspace."""

    shard: ShardId
    durability: str
    tablets: tuple[TabletPlan, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldPlan:
    """A whole world; times in seconds.

    `vtorc_cells` has one entry for each vtorc. `write_interval` is the pause between two writes of one client,
    `write_deadline` the time that a client waits for one write. `direct_writers` is the number of clients that ignore
    vttablet and write to every mysqld that lets them.
    """

    cells: tuple[str, ...]
    shards: tuple[ShardPlan, ...]
    vtorc_cells: tuple[str, ...] = ("zone1",)
    writers: int = 2
    direct_writers: int = 0
    write_interval: float = 0.25
    write_deadline: float = 5.0
    lease_ttl: float = 30.0
    mysql: SimMysqlSettings = field(default_factory=SimMysqlSettings)


def shard_plan(
    shard: ShardId, cells: tuple[str, ...], *, durability: str, tablets: int, first_uid: int = 100, rdonly: int = 0
) -> ShardPlan:
    """Spread tablets evenly over the cells; the last `rdonly` of them are RDONLY."""
    plans = tuple(
        TabletPlan(
            alias=TabletAlias(cells[number % len(cells)], first_uid + number),
            type=TabletType.RDONLY if number >= tablets - rdonly else TabletType.REPLICA,
        )
        for number in range(tablets)
    )
    return ShardPlan(shard=shard, durability=durability, tablets=plans)


def random_plan(generator: random.Random, *, shards: int = 1) -> WorldPlan:
    """Draw a small world: three cells or fewer, three to six tablets a shard, one to three vtorcs."""
    cells = tuple(f"zone{number}" for number in range(1, generator.choice((1, 2, 3, 3)) + 1))
    policies = ["semi_sync", "semi_sync", "none"] + (["cross_cell", "cross_cell"] if len(cells) > 1 else [])
    net_timeout = generator.choice((8.0, 20.0, 60.0))
    plans = tuple(
        shard_plan(
            ShardId("commerce" if number == 0 else f"ks{number}", "0"),
            cells,
            durability=generator.choice(policies),
            tablets=generator.choice((3, 3, 3, 4, 4, 6)),
            first_uid=100 * (number + 1),
            rdonly=generator.choice((0, 0, 0, 1)),
        )
        for number in range(shards)
    )
    return WorldPlan(
        cells=cells,
        shards=plans,
        vtorc_cells=tuple(generator.choice(cells) for _ in range(generator.choice((1, 1, 2, 2, 3)))),
        writers=generator.choice((1, 2)),
        direct_writers=generator.choice((0, 0, 1)),
        write_interval=generator.choice((0.25, 0.5, 1.0)),
        lease_ttl=generator.choice((10.0, 30.0)),
        mysql=SimMysqlSettings(
            replica_net_timeout=net_timeout,
            connect_retry=generator.choice((1.0, 10.0)),
            relay_log_recovery=generator.random() < 0.8,
            wait_after_commit=generator.random() < _AFTER_COMMIT_SHARE,
        ),
    )


def fleet_plan(generator: random.Random, *, shards: int, tablets: int) -> WorldPlan:
    """Draw a fleet over three cells.

    The more shards, the fewer writes to each; beyond a hundred shards there is one vtorc instead of two. Of ten shards
    six have tablets and acknowledgements across the cells, two ask for any acknowledgement and one for none. One has
    all its tablets but one in the same cell, so that the loss of that cell may take every copy of a write.
    """
    cells = ("zone1", "zone2", "zone3")
    mixture = (
        ("commerce", "cross_cell", 6),
        ("customer", "semi_sync", 2),
        ("lookup", "none", 1),
        (_NARROW, "semi_sync", 1),
    )
    counts = [shards * share // 10 for _, _, share in mixture[1:]]
    plans: list[ShardPlan] = []
    for (keyspace, durability, _), count in zip(mixture, (shards - sum(counts), *counts), strict=True):
        for number in range(count):
            around = cells[number % 3 :] + cells[: number % 3]
            plans.append(
                shard_plan(
                    ShardId(keyspace, _key_range(number, count)),
                    (*around[:1] * (tablets - 1), around[1]) if keyspace == _NARROW else around,
                    durability=durability,
                    tablets=tablets,
                    first_uid=100 * (len(plans) + 1),
                )
            )
    return WorldPlan(
        cells=cells,
        shards=tuple(plans),
        vtorc_cells=cells[1:] if shards <= _MANY_SHARDS else cells[1:2],
        writers=2,
        write_interval=max(0.25, 0.004 * shards),
        mysql=SimMysqlSettings(replica_net_timeout=generator.choice((8.0, 20.0, 60.0))),
    )


def small_fleet_plan(generator: random.Random, *, shards: int = 1) -> WorldPlan:
    """Draw a fleet just large enough that its shards compete for a small budget."""
    return fleet_plan(generator, shards=max(shards, _FEW_SHARDS), tablets=3)


def shared_plan(generator: random.Random, *, shards: int = 1) -> WorldPlan:
    """Draw a fleet of six shards or more, which three vtorcs share, one in each cell."""
    plan = fleet_plan(generator, shards=max(shards, _FEW_SHARDS // 2), tablets=3)
    return replace(plan, vtorc_cells=plan.cells)


def _key_range(number: int, shards: int) -> str:
    if shards == 1:
        return "0"
    start = f"{number:04x}" if number else ""
    return f"{start}-{number + 1:04x}" if number + 1 < shards else f"{start}-"


def failover_plan(generator: random.Random, *, shards: int = 1) -> WorldPlan:
    """Draw a world in which a careless failover shows.

    It has enough tablets to lose two, short timeouts, a vtorc in each cell, and rapid writes, some of them past
    vttablet. Either all vttablets look for errant GTIDs or none does.
    """
    cells = tuple(f"zone{number}" for number in range(1, generator.choice((2, 3)) + 1))
    policies = ("semi_sync", "semi_sync", "cross_cell", "semi_sync_with_rdonly_ack", "cross_cell_with_rdonly_ack")
    plans = tuple(
        shard_plan(
            ShardId("commerce" if number == 0 else f"ks{number}", "0"),
            cells,
            durability=generator.choice(policies),
            tablets=generator.choice((4, 5, 6)),
            first_uid=100 * (number + 1),
            rdonly=generator.choice((0, 1)),
        )
        for number in range(shards)
    )
    traits = TabletTraits(checks_errant=generator.random() < 0.5)
    return WorldPlan(
        cells=cells,
        shards=tuple(
            replace(shard, tablets=tuple(replace(each, traits=traits) for each in shard.tablets)) for shard in plans
        ),
        vtorc_cells=cells,
        writers=2,
        direct_writers=1,
        write_interval=0.15,
        lease_ttl=10.0,
        mysql=SimMysqlSettings(
            replica_net_timeout=generator.choice((4.0, 8.0)),
            connect_retry=1.0,
            relay_log_recovery=generator.random() < 0.8,
            wait_after_commit=generator.random() < _AFTER_COMMIT_SHARE,
        ),
    )


def old_plan(generator: random.Random, *, shards: int = 1) -> WorldPlan:
    """Draw a small world in which half of the tablets are too old to report everything."""
    plan = random_plan(generator, shards=shards)

    def aged(tablet: TabletPlan) -> TabletPlan:
        return replace(tablet, traits=replace(tablet.traits, tells_all=generator.random() < 0.5, checks_errant=False))

    return replace(
        plan,
        shards=tuple(replace(shard, tablets=tuple(aged(tablet) for tablet in shard.tablets)) for shard in plan.shards),
    )

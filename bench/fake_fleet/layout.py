"""Which tablets a fake fleet has, and where each is; fleet, topology server and measurement read it from here."""

from dataclasses import dataclass

from vtorc.core.facts.ids import ShardId, TabletAlias

CELLS = ("zone1", "zone2", "zone3")
TABLETS_PER_SHARD = len(CELLS)
DURABILITY = "semi_sync"
MYSQL_PORT = 3306
"""Where the records say that MySQL listens; nothing listens there."""

_SHARDS_PER_KEYSPACE = 64
_HOSTS_PER_NET = 250


@dataclass(frozen=True, slots=True)
class Place:
    """One tablet: its name, its shard, its own address, and whether it is the shard's first primary."""

    alias: TabletAlias
    shard: ShardId
    host: str
    is_primary: bool


def places(tablets: int) -> tuple[Place, ...]:
    """List at least so many tablets: three for each shard, one in each cell, with the primaries spread over the cells.

    Each tablet has a loopback address of its own, since the daemon tells tablets apart by address and Linux answers to
    all of 127.0.0.0/8.
    """
    shards = -(-tablets // TABLETS_PER_SHARD)
    return tuple(
        Place(
            alias=TabletAlias(cell, 100 * (shard + 1) + number),
            shard=_shard(shard),
            host=_host(shard * TABLETS_PER_SHARD + number),
            is_primary=shard % TABLETS_PER_SHARD == number,
        )
        for shard in range(shards)
        for number, cell in enumerate(CELLS)
    )


def _shard(index: int) -> ShardId:
    keyspace, number = divmod(index, _SHARDS_PER_KEYSPACE)
    width = 256 // _SHARDS_PER_KEYSPACE
    start = f"{number * width:02x}" if number else ""
    end = f"{(number + 1) * width:02x}" if number + 1 < _SHARDS_PER_KEYSPACE else ""
    return ShardId(f"fleet{keyspace}", f"{start}-{end}")


def _host(index: int) -> str:
    net, host = divmod(index, _HOSTS_PER_NET)
    return f"127.{1 + net // _HOSTS_PER_NET}.{net % _HOSTS_PER_NET}.{1 + host}"

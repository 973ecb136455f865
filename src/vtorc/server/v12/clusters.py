"""What the API says of shards and tablets in v12's terms: clusters with a name, instances with a depth."""

import datetime
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from vtorc.forms.frames import AnyFrame, GoneFrame, RecoveryFrame, ShardFrame
from vtorc.forms.recovery import RecoveryForm
from vtorc.forms.shard import ShardForm
from vtorc.forms.tablet import TabletForm
from vtorc.server.memory import ServerMemory
from vtorc.server.v12.answers import V12Error

KEPT_NAMES = 10
"""How many names a cluster keeps, so that links in chats stay valid after failovers."""

DEFAULT_PORT = 3306


class Address(NamedTuple):
    """Host and port of a mysqld: what v12 calls an instance key."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read `host:port`; without a port, or with one that is no number, the port is 3306."""
        host, colon, port = text.rpartition(":")
        return cls(host, int(port)) if colon and port.isdecimal() else cls(text, DEFAULT_PORT)


@dataclass(frozen=True, slots=True)
class Server:
    """A tablet with a MySQL address."""

    tablet: TabletForm
    """What is known of it."""
    shard: ShardForm
    """What is known of its shard."""
    cluster_name: str
    """The name of its cluster."""
    depth: int
    """How many sources are above it in the shard."""
    replicas: tuple[Address, ...]
    """The addresses of the tablets of the shard that replicate from it."""

    @property
    def address(self) -> Address:
        """The address of its mysqld."""
        return Address(self.tablet.mysql_host, self.tablet.mysql_port)

    @property
    def source(self) -> Address | None:
        """The address of its source; None if it has none."""
        replication = self.tablet.replication
        return Address.parse(replication.source) if replication is not None and replication.source else None

    @property
    def is_replica(self) -> bool:
        """Whether it has a source."""
        return self.source is not None

    @property
    def is_valid(self) -> bool:
        """Whether its last question was answered."""
        return self.tablet.reach == "answers"

    @property
    def replicates(self) -> bool:
        """Whether both replication threads run."""
        replication = self.tablet.replication
        return replication is not None and replication.io_thread == replication.sql_thread == "running"

    @property
    def lag(self) -> int | None:
        """Seconds that it is behind; None where MySQL does not tell."""
        return self.tablet.replication.lag_seconds if self.tablet.replication is not None else None

    @property
    def delay(self) -> int:
        """Seconds that it stays behind on purpose."""
        return (self.tablet.replication.delay_seconds or 0) if self.tablet.replication is not None else 0

    def seconds_since(self, at: str | None) -> int | None:
        """Return how old a moment was when vtorc knew the shard so; None for None."""
        if at is None:
            return None
        age = datetime.datetime.fromisoformat(self.shard.as_of) - datetime.datetime.fromisoformat(at)
        return max(0, int(age.total_seconds()))


@dataclass(frozen=True, slots=True)
class Cluster:
    """A shard with at least one MySQL address."""

    shard: ShardForm
    """What is known of it."""
    names: tuple[str, ...]
    """The addresses of its primary and of earlier ones as `host:port`, the latest first; that one names the cluster."""
    servers: tuple[Server, ...]
    """Its tablets, the primary first, then by depth and alias."""

    @property
    def name(self) -> str:
        """The address of its primary or, while it has none, of its last one."""
        return self.names[0]

    @property
    def alias(self) -> str:
        """Keyspace and shard as v12 writes them."""
        return alias_of(self.shard.name)

    @property
    def primary(self) -> Server | None:
        """Its primary; None if it has none."""
        return next((server for server in self.servers if server.tablet.is_primary), None)

    def server(self, alias: str | None) -> Server | None:
        """Return the tablet of that alias; None if it has none or no address."""
        return next((server for server in self.servers if server.tablet.alias == alias), None)


def alias_of(shard: str) -> str:
    """Return `keyspace:shard` for the name of a shard."""
    return shard.replace("/", ":", 1)


class Clusters:
    """All clusters; keeps the names of their former primaries."""

    def __init__(self, memory: ServerMemory) -> None:
        """Follow what `memory` is told from now on."""
        self._clusters: dict[str, Cluster] = {}
        self._index: _Index | None = None
        for shard in memory.shards.values():
            self._take_shard(shard)
        for recovery in memory.recoveries.values():
            self._take_recovery(recovery)
        memory.listen(self._hear)

    def all(self) -> list[Cluster]:
        """Return all clusters, ordered by shard."""
        return [self._clusters[name] for name in sorted(self._clusters)]

    def servers(self) -> Iterator[Server]:
        """Yield all servers of all clusters."""
        for cluster in self.all():
            yield from cluster.servers

    def of_shard(self, name: str) -> Cluster | None:
        """Return the cluster of the shard `keyspace/shard`; None if it is unknown."""
        return self._clusters.get(name)

    def find_cluster(self, hint: str) -> Cluster | None:
        """Return the cluster that a hint means; None if it means none.

        A hint is the name of a cluster, one of its former names, its keyspace and shard with `:`, `/` or `.` between
        them, or a server by address or tablet alias.
        """
        index = self._indexed()
        named = index.aliases.get(hint)
        shard = named[0].shard.name if named else index.shards.get(hint) or index.shards.get(str(Address.parse(hint)))
        return self._clusters[shard] if shard is not None else None

    def cluster(self, hint: str) -> Cluster:
        """Return the cluster that a hint means; raises V12Error if it means none."""
        found = self.find_cluster(hint)
        if found is None:
            raise V12Error(
                f"no cluster is known as {hint!r}: expected host:port of a server, keyspace:shard, or a tablet alias"
            )
        return found

    def server(self, host: str, port: str) -> Server:
        """Return the server at an address, or of a tablet alias with any port; raises V12Error if there is not one."""
        if not port.isdecimal():
            raise V12Error(f"port {port!r}: expected a whole number")
        index = self._indexed()
        found = index.addresses.get(Address(host, int(port))) or index.aliases.get(host, ())
        if not found:
            raise V12Error(
                f"no tablet has its MySQL at {host}:{port}, and none is called {host}: see /api/all-instances"
            )
        if len(found) > 1:
            names = ", ".join(server.tablet.alias for server in found)
            raise V12Error(f"{host}:{port} is recorded for several tablets ({names}): give the alias as the host")
        return found[0]

    def _indexed(self) -> "_Index":
        if self._index is None:
            self._index = _index(self.all())
        return self._index

    def _hear(self, frame: AnyFrame) -> None:
        match frame:
            case ShardFrame(shard=shard):
                self._take_shard(shard)
            case GoneFrame(shard=name):
                self._clusters.pop(name, None)
                self._index = None
            case RecoveryFrame(recovery=recovery):
                self._take_recovery(recovery)
            case _:
                pass

    def _take_shard(self, shard: ShardForm) -> None:
        self._index = None
        known = self._clusters.pop(shard.name, None)
        made = _cluster(shard, known.names if known is not None else ())
        if made is not None:
            self._clusters[shard.name] = made

    def _take_recovery(self, recovery: RecoveryForm) -> None:
        """Keep the name of a tablet that was promoted once: a server that starts anew has not seen it as primary."""
        cluster = self._clusters.get(recovery.shard)
        winner = cluster.server(recovery.winner) if cluster is not None else None
        if cluster is not None and winner is not None and str(winner.address) not in cluster.names:
            names = (cluster.name, str(winner.address), *cluster.names[1:])[:KEPT_NAMES]
            self._clusters[recovery.shard] = replace(cluster, names=names)
            self._index = None


@dataclass(frozen=True, slots=True)
class _Index:
    """What hints mean."""

    shards: dict[str, str]
    """Shard by each of its names."""
    addresses: dict[Address, tuple[Server, ...]]
    aliases: dict[str, tuple[Server, ...]]


def _index(clusters: Sequence[Cluster]) -> _Index:
    made = _Index({}, {}, {})
    for cluster in clusters:
        shard = cluster.shard
        for joint in ":/.":
            made.shards[f"{shard.keyspace}{joint}{shard.shard}"] = shard.name
        for server in cluster.servers:
            made.aliases[server.tablet.alias] = (server,)
            made.addresses[server.address] = (*made.addresses.get(server.address, ()), server)
    for meanings in _names_by_rank(clusters, made):
        for name, shards in meanings.items():
            if name not in made.shards and len(shards) == 1:
                made.shards[name] = next(iter(shards))
    return made


def _names_by_rank(clusters: Sequence[Cluster], made: "_Index") -> Iterator[dict[str, set[str]]]:
    """Yield the shards that each name may mean: as a present name, as an address of a tablet, as a former name.

    A name of several shards means none of them.
    """
    present: dict[str, set[str]] = {}
    former: dict[str, set[str]] = {}
    for cluster in clusters:
        present.setdefault(cluster.name, set()).add(cluster.shard.name)
        for name in cluster.names[1:]:
            former.setdefault(name, set()).add(cluster.shard.name)
    yield present
    yield {str(address): {server.shard.name for server in found} for address, found in made.addresses.items()}
    yield former


def _cluster(shard: ShardForm, earlier_names: tuple[str, ...]) -> Cluster | None:
    tablets = [tablet for tablet in shard.tablets if tablet.mysql_host]
    if not tablets:
        return None
    by_alias = {tablet.alias: tablet for tablet in tablets}
    primary = by_alias.get(shard.primary or "")
    names = earlier_names
    if primary is not None:
        present = _name(primary)
        names = (present, *(name for name in earlier_names if name != present))[:KEPT_NAMES]
    elif not names:
        names = (_name(by_alias.get(shard.recorded_primary or "", tablets[0])),)
    servers = [
        Server(tablet, shard, names[0], _depth(tablet, by_alias), _replicas(tablet, tablets)) for tablet in tablets
    ]
    servers.sort(key=lambda server: (not server.tablet.is_primary, server.depth, server.tablet.alias))
    return Cluster(shard, names, tuple(servers))


def _name(tablet: TabletForm) -> str:
    return str(Address(tablet.mysql_host, tablet.mysql_port))


def _source_of(tablet: TabletForm) -> str | None:
    return tablet.replication.source_tablet if tablet.replication is not None else None


def _replicas(tablet: TabletForm, others: Iterable[TabletForm]) -> tuple[Address, ...]:
    return tuple(
        sorted(Address(other.mysql_host, other.mysql_port) for other in others if _source_of(other) == tablet.alias)
    )


def _depth(tablet: TabletForm, by_alias: dict[str, TabletForm]) -> int:
    """Return how many sources are above a tablet; a ring ends the count."""
    seen = {tablet.alias}
    source = _source_of(tablet)
    while source is not None and source in by_alias and source not in seen:
        seen.add(source)
        source = _source_of(by_alias[source])
    return len(seen) - 1

"""Shards and tablets in v12's terms: clusters with a name, instances with a depth."""

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from vtorc.forms.shard import ShardForm
from vtorc.forms.tablet import TabletForm
from vtorc.server.today.known import DEFAULT_LIMITS, TodayLimits
from vtorc.server.v12.answers import V12Error
from vtorc.server.v12.paths import whole_number

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
        number = whole_number(port)
        return cls(host, number) if colon and number is not None else cls(text, DEFAULT_PORT)


@dataclass(frozen=True, slots=True)
class Server:
    """A tablet with a MySQL address."""

    tablet: TabletForm
    """Its form."""
    shard: ShardForm
    """The form of its shard."""
    cluster_name: str
    """The name of its cluster."""
    depth: int
    """How many sources are above it in the shard."""
    replicas: tuple[Address, ...]
    """The addresses of the tablets of the shard that replicate from it."""
    limits: TodayLimits = DEFAULT_LIMITS
    """The settings that its answers depend on."""

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
    """Its form."""
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


@dataclass(frozen=True, slots=True)
class ClusterIndex:
    """The meaning of names, addresses and aliases; it holds while no shard changes these."""

    shards: dict[str, str]
    """The shard that each name of a cluster or address of a server means, if there is one."""
    addresses: dict[Address, tuple[str, ...]]
    """The tablets at each address."""
    aliases: dict[str, str]
    """The shard of each tablet."""

    @classmethod
    def of(cls, clusters: Sequence[Cluster]) -> Self:
        """Return the index of these clusters."""
        made = cls({}, {}, {})
        at: dict[str, set[str]] = {}
        for cluster in clusters:
            shard = cluster.shard
            for joint in ":/.":
                made.shards[f"{shard.keyspace}{joint}{shard.shard}"] = shard.name
            for server in cluster.servers:
                made.aliases[server.tablet.alias] = shard.name
                made.addresses[server.address] = (*made.addresses.get(server.address, ()), server.tablet.alias)
                at.setdefault(str(server.address), set()).add(shard.name)
        # A present name counts most, then the address of a tablet, then a former name. One of several shards is none.
        for meanings in (_names(clusters, slice(1)), at, _names(clusters, slice(1, None))):
            for name, shards in meanings.items():
                if name not in made.shards and len(shards) == 1:
                    made.shards[name] = next(iter(shards))
        return made


def _names(clusters: Sequence[Cluster], which: slice) -> dict[str, set[str]]:
    """Return the shards of each name, for some of the names of each cluster."""
    found: dict[str, set[str]] = {}
    for cluster in clusters:
        for name in cluster.names[which]:
            found.setdefault(name, set()).add(cluster.shard.name)
    return found


@dataclass(frozen=True, slots=True)
class Clusters:
    """All clusters at one moment, found by what operators call them."""

    by_shard: dict[str, Cluster]
    """The clusters by the name of their shard, in its order; not to be changed."""
    index: ClusterIndex
    """Their index."""

    def all(self) -> list[Cluster]:
        """Return all clusters, ordered by shard."""
        return list(self.by_shard.values())

    def servers(self) -> Iterator[Server]:
        """Yield all servers of all clusters."""
        for cluster in self.by_shard.values():
            yield from cluster.servers

    def of_shard(self, name: str) -> Cluster | None:
        """Return the cluster of the shard `keyspace/shard`; None if it is unknown."""
        return self.by_shard.get(name)

    def find_cluster(self, hint: str) -> Cluster | None:
        """Return the cluster that a hint means; None if it means none.

        A hint is a present or former name of a cluster, or its keyspace and shard with `:`, `/` or `.` between them. It
        may be the address or the tablet alias of a server, too.
        """
        index = self.index
        shard = index.aliases.get(hint) or index.shards.get(hint) or index.shards.get(str(Address.parse(hint)))
        return self.by_shard[shard] if shard is not None else None

    def cluster(self, hint: str) -> Cluster:
        """Return the cluster that a hint means; raises V12Error if it means none."""
        found = self.find_cluster(hint)
        if found is None:
            raise V12Error(
                f"no cluster is known as {hint!r}: expected host:port of a server, keyspace:shard, or a tablet alias"
            )
        return found

    def of_tablet(self, alias: str) -> Server:
        """Return the server of a tablet; raises V12Error if the tablet is gone."""
        shard = self.index.aliases.get(alias)
        server = self.by_shard[shard].server(alias) if shard is not None else None
        if server is None:
            raise V12Error(f"{alias} has left its shard: see /api/all-instances")
        return server

    def server(self, host: str, port: str) -> Server:
        """Return the server at an address, or of a tablet alias with any port; raises V12Error if there is not one."""
        number = whole_number(port)
        if number is None:
            raise V12Error(f"port {port!r}: expected a whole number")
        found = self.index.addresses.get(Address(host, number), ())
        if len(found) > 1:
            raise V12Error(
                f"{host}:{port} is recorded for several tablets ({', '.join(found)}): give the alias as the host"
            )
        alias = found[0] if found else host
        shard = self.index.aliases.get(alias)
        server = self.by_shard[shard].server(alias) if shard is not None else None
        if server is None:
            raise V12Error(
                f"no tablet has its MySQL at {host}:{port}, and none is called {host}: see /api/all-instances"
            )
        return server

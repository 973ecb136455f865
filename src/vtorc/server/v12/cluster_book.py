"""Keeps the clusters by what vtorc tells, with the names of their former primaries."""

from collections.abc import Iterable
from dataclasses import replace

from vtorc.forms.frames import AnyFrame, GoneFrame, RecoveryFrame, SettingsFrame, ShardFrame
from vtorc.forms.recovery import RecoveryForm
from vtorc.forms.shard import ShardForm
from vtorc.forms.tablet import TabletForm
from vtorc.server.memory import ServerMemory
from vtorc.server.today.known import TodayLimits
from vtorc.server.v12.clusters import Address, Cluster, ClusterIndex, Clusters, Server

KEPT_NAMES = 10
"""How many names a cluster keeps, so that links in chats stay valid after failovers."""


class ClusterBook:
    """All clusters as they are told."""

    def __init__(self, memory: ServerMemory) -> None:
        """Follow what `memory` is told from now on."""
        self._limits = TodayLimits.of(memory.settings)
        self._clusters: dict[str, Cluster] = {}
        self._now: Clusters | None = None
        self._index: ClusterIndex | None = None
        for shard in memory.shards.values():
            self._take_shard(shard)
        for recovery in memory.recoveries.values():
            self._take_recovery(recovery)
        memory.listen(self._hear)

    @property
    def now(self) -> Clusters:
        """The clusters of this moment, which stay as they are whatever is told later."""
        if self._now is None:
            by_shard = dict(sorted(self._clusters.items()))
            if self._index is None:
                self._index = ClusterIndex.of(list(by_shard.values()))
            self._now = Clusters(by_shard, self._index)
        return self._now

    def _hear(self, frame: AnyFrame) -> None:
        match frame:
            case ShardFrame(shard=shard):
                self._take_shard(shard)
            case GoneFrame(shard=name):
                self._put(name, None)
            case RecoveryFrame(recovery=recovery):
                self._take_recovery(recovery)
            case SettingsFrame(settings=settings):
                self._limits = TodayLimits.of({each.name: each for each in settings})
                for cluster in list(self._clusters.values()):
                    self._take_shard(cluster.shard)
            case _:
                pass

    def _take_shard(self, shard: ShardForm) -> None:
        known = self._clusters.get(shard.name)
        self._put(shard.name, _cluster(shard, known.names if known is not None else (), self._limits))

    def _take_recovery(self, recovery: RecoveryForm) -> None:
        """Keep the name of a tablet that was promoted once: a server that starts anew has not seen it as primary."""
        cluster = self._clusters.get(recovery.shard)
        winner = cluster.server(recovery.winner) if cluster is not None else None
        if cluster is not None and winner is not None and str(winner.address) not in cluster.names:
            names = (cluster.name, str(winner.address), *cluster.names[1:])[:KEPT_NAMES]
            self._put(recovery.shard, replace(cluster, names=names))

    def _put(self, shard: str, cluster: Cluster | None) -> None:
        """Replace the cluster of a shard, None for none; the index stays if all names are still the same."""
        before = self._clusters.pop(shard, None)
        if cluster is not None:
            self._clusters[shard] = cluster
        self._now = None
        if _what_it_is_called(before) != _what_it_is_called(cluster):
            self._index = None


def _what_it_is_called(cluster: Cluster | None) -> object:
    if cluster is None:
        return None
    return cluster.names, {(server.tablet.alias, server.address) for server in cluster.servers}


def _cluster(shard: ShardForm, earlier_names: tuple[str, ...], limits: TodayLimits) -> Cluster | None:
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
        Server(tablet, shard, names[0], _depth(tablet, by_alias), _replicas(tablet, tablets), limits)
        for tablet in tablets
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

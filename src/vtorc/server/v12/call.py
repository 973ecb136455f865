"""One call of a route: what it says, and all that a handler may use."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vtorc.forms.times import rfc3339
from vtorc.server.asking import Ask
from vtorc.server.memory import ServerMemory
from vtorc.server.v12.answers import V12Error
from vtorc.server.v12.cluster_book import ClusterBook
from vtorc.server.v12.clusters import Cluster, Clusters, Server
from vtorc.server.v12.paths import whole_number

DEAF_AFTER = 10.0
"""Seconds without a sign of life of vtorc after which this server is not healthy."""

STATUS_ENDPOINT = "/api/status"
"""v12's own path of the health check."""

USER_HEADER = "X-Forwarded-User"
"""The header by which proxies name a user, unless the settings name another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class V12Settings:
    """The settings of v12's listener that concern its API."""

    status_endpoint: str = STATUS_ENDPOINT
    """Another path of the health check, without the prefix (StatusEndpoint)."""
    user_header: str = USER_HEADER
    """The header by which a proxy names the user (AuthUserHeader), which `headers` does not show."""
    host: str = ""
    """The name of this machine."""
    says_master: bool = False
    """Whether problems have the names that they had before v12 (`DeadMaster`), as the web files know no others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """The tools that all calls share."""

    memory: ServerMemory
    """The server's copy of what vtorc knows."""
    book: ClusterBook
    """The same in v12's terms."""
    ask: Ask
    """Sends a request to vtorc."""
    settings: V12Settings
    """The settings."""
    clock: Callable[[], float]
    """The clock of `memory`, in seconds."""
    wall: Callable[[], float]
    """Seconds since the Unix epoch."""
    patience: float
    """Seconds that a call waits for a recovery that it asked for."""

    @property
    def silence(self) -> float:
        """Seconds since vtorc was heard last; 0 before it was heard at all."""
        heard = self.memory.heard_at
        return max(0.0, self.clock() - heard) if heard is not None else 0.0

    @property
    def is_healthy(self) -> bool:
        """Whether vtorc was heard a short while ago."""
        return self.memory.heard_at is not None and self.silence <= DEAF_AFTER


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call."""

    tools: Tools
    """The tools that all calls share."""
    clusters: Clusters
    """The clusters as they were when it came."""
    path: str
    """The path below `/api/`."""
    values: Mapping[str, str]
    """The values in the path, by name."""
    query: Mapping[str, str]
    """The values of the query."""
    headers: Mapping[str, list[str]]
    """The values of each header, by name."""
    origin: str
    """The address that the call came from."""

    @property
    def memory(self) -> ServerMemory:
        """The server's copy of what vtorc knows."""
        return self.tools.memory

    @property
    def now(self) -> str:
        """The time of the world, as RFC 3339."""
        return rfc3339(int(self.tools.wall() * 10**9))

    @property
    def silence(self) -> float:
        """Seconds since vtorc was heard last."""
        return self.tools.silence

    def server(self, host: str = "host", port: str = "port") -> Server:
        """Return the server at the address under these names; raises V12Error if there is not exactly one."""
        return self.clusters.server(self.values[host], self.values[port])

    def cluster(self) -> Cluster:
        """Return the cluster that the path means by a hint, a name, an alias or a server; raises V12Error if none."""
        if "host" in self.values:
            cluster = self.clusters.of_shard(self.server().shard.name)
            if cluster is not None:
                return cluster
        return self.clusters.cluster(self.hint)

    @property
    def hint(self) -> str:
        """The cluster as the path names it; empty if it names none."""
        return next(
            (self.values[name] for name in ("clusterHint", "clusterName", "clusterAlias") if name in self.values), ""
        )

    def known_cluster(self) -> Cluster | None:
        """Return the same cluster; None where nothing of that name is known, for lists that are empty then."""
        return self.clusters.find_cluster(self.hint)

    def number(self, name: str) -> int:
        """Return a value of the path as a whole number; raises V12Error."""
        text = self.values[name]
        number = whole_number(text)
        if number is None:
            raise V12Error(f"{name} {text!r}: expected a whole number")
        return number

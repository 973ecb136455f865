"""The topology of a cluster as text, one line a server, as `orchestrator-client -c topology` prints it."""

from collections.abc import Callable, Iterable, Sequence

from vtorc.core.facts.one_line import blanked
from vtorc.forms.notes import TagForm
from vtorc.server.v12.clusters import Address, Cluster, Server
from vtorc.server.v12.downtime import downtime_of
from vtorc.server.v12.instances import errant_gtids, is_recently_checked, lags

Describe = Callable[[Server], list[str]]


def tree(cluster: Cluster, silence: float = 0.0) -> str:
    """Return the tree with the state of each server in brackets, all brackets below each other."""
    lines = [
        (head, f"[{','.join(filter(None, tokens(server, silence)))}]") for head, server in _heads(cluster, silence)
    ]
    return _aligned(lines)


def tabulated(cluster: Cluster, silence: float = 0.0) -> str:
    """Return the tree as a table with `|` between its columns; the first two are server and lag."""
    rows = [[head, *tokens(server, silence)] for head, server in _heads(cluster, silence)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("|".join(_padded(row, widths)) for row in rows)


def tagged(cluster: Cluster, tags: Sequence[TagForm], silence: float = 0.0) -> str:
    """Return the tree with the tags of each server behind its state."""
    words: dict[str, list[str]] = {}
    for tag in tags:
        words.setdefault(tag.tablet, []).append(f"{tag.name}={tag.value}" if tag.value else tag.name)
    lines = zip(tree(cluster, silence).split("\n"), _heads(cluster, silence), strict=True)
    return "\n".join(f"{line} [{','.join(words.get(server.tablet.alias, ()))}]" for line, (_, server) in lines)


def tokens(server: Server, silence: float = 0.0) -> list[str]:
    """Return the state of a server: lag, status, version, ro or rw, binary log format, and what else it has."""
    mysql = server.tablet.mysql
    has_log = mysql is not None and mysql.binlog_enabled is True
    return [
        _lag(server, silence),
        _status(server, silence),
        blanked(server.tablet.version),
        "rw" if server.tablet.read_only is False else "ro",
        blanked(mysql.binlog_format) if mysql is not None and has_log else "nobinlog",
        ",".join(_extras(server)),
    ]


def _heads(cluster: Cluster, silence: float) -> list[tuple[str, Server]]:
    """Return the servers with indent, sign and name, each below its source."""
    by_source: dict[Address | None, list[Server]] = {}
    known = {server.address for server in cluster.servers}
    for server in cluster.servers:
        source = server.source if server.source in known else None
        by_source.setdefault(source, []).append(server)
    heads: list[tuple[str, Server]] = []
    drawn: set[str] = set()

    def draw(server: Server, depth: int) -> None:
        if server.tablet.alias in drawn:
            return
        drawn.add(server.tablet.alias)
        heads.append((_head(server, depth, silence), server))
        for replica in by_source.get(server.address, ()):
            draw(replica, depth + 1)

    # Servers that replicate from each other have no root: the first of them is drawn as one.
    for server in [*by_source.get(None, ()), *cluster.servers]:
        draw(server, 0)
    return heads


def _head(server: Server, depth: int, silence: float) -> str:
    name = blanked(f"{server.address} ({server.tablet.alias})")
    if not depth:
        return name
    is_fine = server.replicates and server.is_valid and is_recently_checked(server, silence)
    return f"{' ' * (2 * (depth - 1))}{'+' if is_fine else '-'} {name}"


def _lag(server: Server, silence: float) -> str:
    if not server.is_valid or not is_recently_checked(server, silence):
        return "unknown"
    if not server.is_replica:
        return "0s"
    return f"{server.lag}s" if server.replicates and server.lag is not None else "null"


def _status(server: Server, silence: float) -> str:
    if not server.is_valid:
        return "invalid"
    if not is_recently_checked(server, silence):
        return "unchecked"
    if server.is_replica and not server.replicates:
        return "nonreplicating"
    return "lag" if lags(server) else "ok"


def _extras(server: Server) -> list[str]:
    mysql, replication, semi_sync = server.tablet.mysql, server.tablet.replication, server.tablet.semi_sync
    uses_gtid = (replication is not None and replication.auto_position) or (
        mysql is not None and mysql.gtid_mode.upper() == "ON"
    )
    found = {
        ">>": mysql is not None and mysql.binlog_enabled is True and mysql.binlog_has_replicated is True,
        "GTID:errant" if errant_gtids(server) else "GTID": uses_gtid,
        "semi:primary": semi_sync is not None and semi_sync.is_waiting is True,
        "semi:replica": semi_sync is not None and semi_sync.is_acknowledging is True,
        "downtimed": downtime_of(server) is not None,
    }
    return [word for word, holds in found.items() if holds]


def _aligned(lines: Iterable[tuple[str, str]]) -> str:
    rows = list(lines)
    width = max(len(head) for head, _ in rows)
    return "\n".join(f"{head:<{width}} {state}" for head, state in rows)


def _padded(row: list[str], widths: list[int]) -> list[str]:
    """Return the cells in their widths: lags to the right, all others to the left."""
    return [
        cell.rjust(width) if column == 1 else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]

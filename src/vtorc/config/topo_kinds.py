"""The kinds of value that name a topology server, or what is watched in it."""

import ipaddress
import re
from collections.abc import Callable, Iterable
from typing import Any

from vtorc.config.kinds import TEXT, WORDS, ValueKind, duration
from vtorc.core.facts.watched import watched_ranges

HOST_PORTS = "host:port, or several with commas between them, each with a port from 1 to 65535"
"""The kind of address that etcd and Consul have, in words."""

ZK_SERVERS = f"{HOST_PORTS}; servers for readers alone may follow after a |"
"""The kind of address that ZooKeeper has, in words."""

_LONGEST_PORT = 5
_NO_PART_OF_A_HOST = re.compile(r"[\s:/?#@%\\\[\]|]")


def are_host_ports(text: str) -> bool:
    """Return whether all of the addresses have the form in which etcd and Consul can be called."""
    return all(_is_endpoint(each.strip()) for each in text.split(",") if each.strip())


def are_zk_servers(text: str) -> bool:
    """Return whether the addresses have the form in which ZooKeeper can be called, with a bar before observers."""
    voters, _, observers = text.partition("|")
    return bool(voters.strip(" ,")) and "://" not in text and are_host_ports(voters) and are_host_ports(observers)


def _is_endpoint(text: str) -> bool:
    scheme, separator, address = text.rpartition("://")
    host, colon, port = address.rpartition(":")
    known = scheme in ("http", "https") if separator else True
    return (
        known
        and bool(colon)
        and port.isascii()
        and port.isdecimal()
        and len(port) <= _LONGEST_PORT
        and 1 <= int(port) <= 65535
        and _is_host(host)
    )


def _is_host(host: str) -> bool:
    """Return whether a host can be looked up: empty for this one, a name, an IPv4 address, or IPv6 in brackets.

    The clients of Consul and ZooKeeper raise errors of their own for others. The record of one cell that named such a
    host ended vtorc, and with it the failovers of all shards.
    """
    if host.startswith("[") and host.endswith("]"):
        try:
            ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            return False
        return True
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return host.isprintable() and not _NO_PART_OF_A_HOST.search(host)


def _checked(kind: ValueKind[Any], expected: str, accepts: Callable[[Any], bool]) -> ValueKind[Any]:
    """Return a kind with the values of another one that are accepted, or empty."""

    def check(value: Any) -> Any:
        if value and not accepts(value):
            raise ValueError(value)
        return value

    return ValueKind(
        kind.name,
        expected,
        lambda text: check(kind.from_text(text)),
        lambda value: check(kind.from_file(value)),
        kind.show,
    )


def _are_clusters(entries: Iterable[str]) -> bool:
    for entry in entries:
        watched_ranges(entry)  # a NameParseError is a ValueError
    return True


TOPO_ROOT: ValueKind[str] = _checked(
    TEXT, "the path of the global records, such as /vitess/global", lambda text: bool(text.strip().strip("/"))
)
TOPO_ADDRESS: ValueKind[str] = _checked(
    TEXT,
    "the address of the topology server: host:port for etcd2, consul and zk2, the path of a file for local",
    lambda text: bool(text.replace(",", "").strip()),
)
CLUSTERS: ValueKind[tuple[str, ...]] = _checked(
    WORDS,
    "keyspaces, or keyspace/key range as in commerce/-80, with commas between them",
    _are_clusters,
)
CELLS: ValueKind[tuple[str, ...]] = _checked(
    WORDS,
    "cells with commas between them, such as zone1,zone2",
    lambda cells: all(cell.strip() for cell in cells),
)

_SESSION_TTLS = duration(hours=24, above_zero=True)
_SHORTEST_SESSION_TTL = 10.0
_DEFAULT_SESSION_TTL = 15.0


def _session_ttl(text: Any) -> float:
    seconds = _SESSION_TTLS.from_file(text) if text else _DEFAULT_SESSION_TTL
    if seconds < _SHORTEST_SESSION_TTL:
        raise ValueError(text)
    return seconds


SESSION_TTL: ValueKind[float] = ValueKind(
    "duration",
    "a duration from 10s to 24h, such as 15s, or nothing for Consul's default of 15s",
    _session_ttl,
    _session_ttl,
    _SESSION_TTLS.show,
)
"""Times to live that Consul accepts for sessions (Consul `agent/structs`, `SessionTTLMin` and `SessionTTLMax`)."""
ZK_SESSION: ValueKind[float] = duration(hours=596, above_zero=True)
"""Times of a session that fit into ZooKeeper's messages: milliseconds, in 31 bits."""
LOCK_DELAY: ValueKind[float] = _checked(
    duration(hours=1, above_zero=False), "a duration from 0s to 60s, such as 15s", lambda seconds: seconds <= 60.0
)
"""Lock delays that Consul accepts (Consul `agent/structs`, `MaxLockDelay`)."""

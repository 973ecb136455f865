"""Where requests come from."""

import ipaddress

from starlette.requests import HTTPConnection

ANONYMOUS = "anonymous"
"""The operator of a request that nothing tells the name of."""

_PROXIED = ("x-forwarded-for", "x-forwarded-host", "x-real-ip", "forwarded", "via")
"""Headers that proxies add."""


def origin_of(connection: HTTPConnection) -> str:
    """Return the address that a request came from; of a proxy on this host, the address that it names.

    A proxy names its client in X-Forwarded-For, at the end, after what the client itself may have put there. The word
    of any other client counts as nothing. The same is true of an address of this host. A proxy that names its clients
    elsewhere, such as in X-Real-IP, passes on an X-Forwarded-For that the client wrote.
    """
    client = connection.client.host if connection.client is not None else ""
    if not is_loopback(client) or not any(sign in connection.headers for sign in _PROXIED):
        return client
    named = ",".join(connection.headers.getlist("x-forwarded-for")).rpartition(",")[2].strip()
    return named if named and not is_loopback(named) else "a client of a proxy on this host"


def is_loopback(origin: str) -> bool:
    """Return whether a request from there was sent on this host."""
    try:
        address = ipaddress.ip_address(origin)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback

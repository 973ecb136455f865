"""The certificates of clients, as the rules of access look at them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

CERTIFICATE: Final = "certificate"
"""The key of the state of a scope under which the connection puts the client's certificate."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """The client by its certificate, which an authority of the settings has signed."""

    name: str
    """The common name of its subject; empty if it has none."""
    units: tuple[str, ...]
    """The organizational units of its subject."""


def peer_certificate(peer: object) -> Certificate | None:
    """Return what a certificate says that TLS has verified, in the form of `SSLSocket.getpeercert`; None for none."""
    if not isinstance(peer, dict) or not peer:
        return None
    pairs = [pair for part in peer.get("subject", ()) for pair in part]
    names = _values(pairs, "commonName")
    return Certificate(name=names[0] if names else "", units=tuple(_values(pairs, "organizationalUnitName")))


def _values(pairs: Iterable[tuple[str, str]], wanted: str) -> list[str]:
    return [value for name, value in pairs if name == wanted]

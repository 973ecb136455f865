"""Addresses of vtorc's HTTP server."""

import pytest

from vtorc.cli.client.address import DEFAULT_ADDRESS, ServerAddress
from vtorc.cli.client.errors import WrongWords


@pytest.mark.parametrize(
    ("text", "scheme", "host", "port", "prefix"),
    [
        (DEFAULT_ADDRESS, "http", "127.0.0.1", 3000, ""),
        ("vtorc.example:16000", "http", "vtorc.example", 16000, ""),
        ("http://h", "http", "h", 80, ""),
        ("https://h/", "https", "h", 443, ""),
        ("https://[::1]:444/orc/vt/", "https", "::1", 444, "/orc/vt"),
    ],
)
def test_reads_hosts(text: str, scheme: str, host: str, port: int, prefix: str) -> None:
    """A host has the port of its scheme unless it names one, and a path stands before those of the API."""
    address = ServerAddress.parse(text)
    assert (address.scheme, address.host, address.port, address.prefix) == (scheme, host, port, prefix)


@pytest.mark.parametrize("text", ["unix:/run/vtorc.sock", "unix:///run/vtorc.sock"])
def test_reads_sockets(text: str) -> None:
    """The path of a Unix socket is taken with and without two slashes before it."""
    assert ServerAddress.parse(text).socket_path == "/run/vtorc.sock"


@pytest.mark.parametrize(
    "text", ["unix:", "ftp://h", "http://", "h:port", "h:70000", "http://h/?q=1", "http://h/#f", "http://[::1", "[x]:1"]
)
def test_refuses_what_is_no_address(text: str) -> None:
    """Other texts are refused with the expected forms."""
    with pytest.raises(WrongWords, match=r"expected http://HOST:PORT, https://HOST:PORT or unix:/PATH"):
        ServerAddress.parse(text)


def test_refuses_a_password_without_showing_it() -> None:
    """A password in an address is refused, and the error does not repeat it."""
    with pytest.raises(WrongWords) as refused:
        ServerAddress.parse("http://user:hunter2@h")
    assert "hunter2" not in str(refused.value)

"""Where HTTP is served, by the settings."""

import socket
from collections.abc import Iterator

import pytest
import structlog
from structlog.testing import capture_logs
from structlog.typing import EventDict

from vtorc.config.http_settings import HttpSettings
from vtorc.errors import ListenError
from vtorc.server import opening
from vtorc.server.listener import Listener
from vtorc.server.opening import open_listeners, server_rules


@pytest.fixture
def logged() -> Iterator[list[EventDict]]:
    """Catch what is logged."""
    structlog.reset_defaults()
    with capture_logs() as lines:
        yield lines
    structlog.reset_defaults()


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of this host on which another program listens."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


@pytest.fixture
def free() -> int:
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port: int = other.getsockname()[1]
    return port


def opened(**settings: object) -> list[tuple[Listener, str]]:
    """Return the listeners of settings, each with its host."""
    with open_listeners(HttpSettings(**settings)) as bound:  # type: ignore[arg-type]
        return [(each.listener, each.address.rpartition(":")[0]) for each in bound]


def test_each_setting_opens_its_own_listener(free: int, logged: list[EventDict]) -> None:
    """--listen-address is v12's, --port is today's, and both may be given."""
    both = opened(listen_address="127.0.0.1:0", port=free, bind_address="127.0.0.1")
    assert both == [(Listener.V12, "127.0.0.1"), (Listener.TODAY, "127.0.0.1")]
    assert opened(port=free, bind_address="127.0.0.1") == [(Listener.TODAY, "127.0.0.1")]
    assert opened(listen_address="") == []


def test_without_a_host_all_addresses_are_served(logged: list[EventDict]) -> None:
    """A listener without a host is reached at the loopback address of IPv4."""
    with open_listeners(HttpSettings(listen_address=":0")) as (bound,):
        port = bound.sock.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port), timeout=30):
            pass


def test_the_default_is_v12s_on_this_host(free: int, logged: list[EventDict], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without settings there is a listener on the loopback address."""
    monkeypatch.setattr(opening, "DEFAULT_ADDRESS", ("127.0.0.1", free))
    assert opened() == [(Listener.V12, "127.0.0.1")]


def test_a_default_that_cannot_be_had_is_logged(
    taken: int, logged: list[EventDict], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No operator has asked for it, so vtorc starts without."""
    monkeypatch.setattr(opening, "DEFAULT_ADDRESS", ("127.0.0.1", taken))
    assert opened() == []
    (line,) = logged
    assert line["log_level"] == "warning"
    assert line["event"].startswith(f"cannot serve HTTP on 127.0.0.1, port {taken}: ")


@pytest.mark.parametrize("host", ["", "127.0.0.1", "a" * 70])
def test_an_address_that_an_operator_gave_must_be_had(host: str, taken: int, logged: list[EventDict]) -> None:
    """An explicit address that cannot be had is an error with the address in it."""
    with pytest.raises(ListenError, match=f"{host or 'all addresses'}, port {taken}"):
        opened(listen_address=f"{host}:{taken}")


def test_a_server_that_all_may_act_through_is_warned_of(logged: list[EventDict]) -> None:
    """With --allow-remote-actions, a listener beyond loopback is warned of, and no other is."""
    opened(listen_address="127.0.0.1:0", allow_remote_actions=True)
    opened(listen_address=":0")
    assert [line for line in logged if line["log_level"] == "warning"] == []
    opened(listen_address=":0", allow_remote_actions=True)
    assert "may change primaries" in logged[-1]["event"]


@pytest.mark.parametrize(
    ("settings", "warning"),
    [
        ({"authentication_method": "basic"}, "passwords of operators cross the network in clear text"),
        ({"authentication_method": "multi"}, "passwords of operators cross the network in clear text"),
        ({"authentication_method": "basic", "use_ssl": True}, None),
        ({"authentication_method": "proxy", "allow_remote_actions": True}, None),
        ({"allow_remote_actions": True, "http_read_only": True}, None),
    ],
)
def test_passwords_in_clear_text_are_warned_of(
    settings: dict[str, object], warning: str | None, logged: list[EventDict]
) -> None:
    """A listener beyond loopback that asks for passwords should have TLS."""
    opened(listen_address=":0", **settings)
    warnings = [line["event"] for line in logged if line["log_level"] == "warning"]
    assert len(warnings) == (warning is not None)
    assert all(warning in line for line in warnings if warning)


def test_a_listener_without_certificates_beside_one_with_them_is_warned_of(free: int, logged: list[EventDict]) -> None:
    """Today's listener has no TLS, so that it asks for none."""
    opened(listen_address=":0", port=free, use_ssl=True, use_mutual_tls=True)
    (warning,) = [line["event"] for line in logged if line["log_level"] == "warning"]
    assert warning.startswith("no client certificate is asked for on ")


def test_browsers_may_use_the_names_of_settings_and_machine() -> None:
    """The names are those of --allowed-hosts and of the listeners, and that of the machine."""
    settings = HttpSettings(listen_address="vtorc.example:3000", allowed_hosts=("Proxy.example",))
    wanted = {"proxy.example", "vtorc.example", socket.gethostname().lower()}
    assert set(server_rules(settings).allowed_hosts) == wanted

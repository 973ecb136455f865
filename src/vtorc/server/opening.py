"""Where the settings say that HTTP is served, and to which requests."""

import contextlib
import socket
from collections.abc import Iterator

import structlog

from vtorc.config.http_settings import HttpSettings
from vtorc.config.orchestrator import AUTO, host_and_port
from vtorc.errors import ListenError
from vtorc.server.listener import BoundListener, Listener, bind
from vtorc.server.options import ServerRules
from vtorc.server.permission import is_loopback

DEFAULT_ADDRESS = ("127.0.0.1", 3000)
"""Where HTTP is served if the settings do not say where."""

_log = structlog.get_logger(__name__)


@contextlib.contextmanager
def open_listeners(settings: HttpSettings) -> Iterator[tuple[BoundListener, ...]]:
    """Open the listeners, and close them in the end; raises ListenError for an address that cannot be had.

    The default address is no wish of an operator: if it cannot be had, that is logged, and there is no listener.
    """
    with contextlib.ExitStack() as stack:
        bound = []
        for listener, host, port in _wanted(settings):
            bound.append(bind(listener, host, port))
            stack.enter_context(bound[-1].sock)
        if settings.listen_address == AUTO and not settings.port:
            try:
                bound.append(bind(Listener.V12, *DEFAULT_ADDRESS))
                stack.enter_context(bound[-1].sock)
            except ListenError as error:
                _log.warning(f"{error}; started without HTTP, as no setting asks for it")
        for each in bound:
            _tell(each, settings)
        yield tuple(bound)


def server_rules(settings: HttpSettings) -> ServerRules:
    """Return which requests the server takes; its names are those of the settings and of this machine."""
    names = [*settings.allowed_hosts, socket.gethostname(), *(host for _, host, _ in _wanted(settings))]
    return ServerRules(
        allow_remote_actions=settings.allow_remote_actions,
        security_policy=settings.security_policy,
        allowed_hosts=tuple(sorted({name.lower() for name in names if name})),
    )


def _wanted(settings: HttpSettings) -> list[tuple[Listener, str, int]]:
    """Return the listeners that the settings ask for, each with its host and port."""
    wanted = []
    if settings.listen_address not in ("", AUTO):
        wanted.append((Listener.V12, *host_and_port(settings.listen_address)))
    if settings.port:
        wanted.append((Listener.TODAY, settings.bind_address, settings.port))
    return wanted


def _tell(bound: BoundListener, settings: HttpSettings) -> None:
    _log.info(f"serving HTTP on {bound.address}", listener=bound.listener.value, address=bound.address)
    if settings.allow_remote_actions and not is_loopback(bound.sock.getsockname()[0]):
        _log.warning(
            f"all hosts that reach {bound.address} may change primaries (--allow-remote-actions): vtorc does not know "
            "its operators yet"
        )

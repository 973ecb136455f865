"""Where the settings say that HTTP is served, and to which requests."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import structlog

from vtorc.config.http_settings import HttpSettings
from vtorc.config.orchestrator import AUTO, host_and_port
from vtorc.errors import ListenError
from vtorc.server.access.passwords import hash_password
from vtorc.server.access.rules import AccessRules, Method
from vtorc.server.access.tls import tls_context
from vtorc.server.listener import BoundListener, Listener, bind
from vtorc.server.options import ListenerTls, ServerRules, WebFiles
from vtorc.server.permission import is_loopback

DEFAULT_ADDRESS = ("127.0.0.1", 3000)
"""Where HTTP is served if the settings do not say where."""

_log = structlog.get_logger(__name__)


@contextlib.contextmanager
def open_listeners(settings: HttpSettings) -> Iterator[tuple[BoundListener, ...]]:
    """Open the listeners, and close them in the end; raises ListenError for an address that cannot be had.

    The default address was not asked for. If it cannot be had, vtorc logs that and goes on without HTTP.
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
    """Return which requests the server takes; its names are those of the settings and of this machine.

    Raises ListenerTlsError for a file that the server could not use.
    """
    tls = _tls(settings)
    if tls is not None:
        tls_context(tls)
    names = [*settings.allowed_hosts, socket.gethostname(), *(host for _, host, _ in _wanted(settings))]
    return ServerRules(
        access=_access(settings),
        tls=tls,
        url_prefix=settings.url_prefix,
        security_policy=settings.security_policy,
        web=_web_files(settings),
        allowed_hosts=tuple(sorted({name.lower() for name in names if name})),
    )


def _access(settings: HttpSettings) -> AccessRules:
    method = Method(settings.authentication_method)
    asks = method in (Method.BASIC, Method.MULTI)
    return AccessRules(
        method=method,
        password=hash_password(settings.http_auth_user, settings.http_auth_password) if asks else None,
        user_header=settings.auth_user_header,
        power_users=settings.power_auth_users,
        power_groups=settings.power_auth_groups,
        trusted_proxies=settings.trusted_proxies,
        read_only=settings.http_read_only,
        allow_remote_actions=settings.allow_remote_actions,
        units=settings.ssl_valid_ous if settings.use_mutual_tls else None,
        status_endpoint=settings.status_endpoint,
        status_needs_unit=settings.status_ou_verify,
    )


def _web_files(settings: HttpSettings) -> WebFiles | None:
    """Return the web files that the settings name; None, which is logged, if there are none in the folder."""
    if not settings.orc_web_dir:
        return None
    folder = Path(settings.orc_web_dir)
    layout = folder / "templates" / "layout.tmpl"
    without = "vtorc's own pages answer at /ui/ and /web/"
    try:
        if not layout.is_file():
            _log.warning(f"--orc-web-dir {folder}: there is no {layout}; {without}")
            return None
        says_master = any("MasterKey" in script.read_text(errors="replace") for script in folder.glob("public/js/*.js"))
    except OSError as error:
        _log.warning(f"--orc-web-dir {folder}: {error.filename} cannot be read ({error.strerror}); {without}")
        return None
    if says_master:
        _log.info(f"the web files in {folder} speak of masters: problems have their names of Vitess v11 in v12's API")
    return WebFiles(
        folder=str(folder.absolute()),
        says_master=says_master,
        message=settings.web_message,
        remove_text_from_hosts=settings.remove_text_from_hostname_display,
    )


def _tls(settings: HttpSettings) -> ListenerTls | None:
    if not settings.use_ssl:
        return None
    return ListenerTls(
        cert=settings.ssl_cert_file,
        key=settings.ssl_private_key_file,
        ca=settings.ssl_ca_file if settings.use_mutual_tls else None,
    )


def _wanted(settings: HttpSettings) -> list[tuple[Listener, str, int]]:
    """Return the listeners that the settings ask for, each with its host and port."""
    wanted = []
    if settings.listen_address not in ("", AUTO):
        wanted.append((Listener.V12, *host_and_port(settings.listen_address)))
    if settings.read_only_address:
        wanted.append((Listener.READ_ONLY, *host_and_port(settings.read_only_address)))
    if settings.port:
        wanted.append((Listener.TODAY, settings.bind_address, settings.port))
    return wanted


def _tell(bound: BoundListener, settings: HttpSettings) -> None:
    has_tls = settings.use_ssl and bound.listener.is_like_v12
    protocol = "HTTPS" if has_tls else "HTTP"
    _log.info(f"serving {protocol} on {bound.address}", listener=bound.listener.value, address=bound.address)
    if is_loopback(bound.sock.getsockname()[0]):
        return
    method = Method(settings.authentication_method)
    takes_acts = not settings.http_read_only and bound.listener is not Listener.READ_ONLY
    if settings.allow_remote_actions and method is Method.NONE and takes_acts:
        _log.warning(
            f"all hosts that reach {bound.address} may change primaries (--allow-remote-actions): "
            "--authentication-method is none"
        )
    if method in (Method.BASIC, Method.MULTI) and not has_tls:
        _log.warning(f"passwords of operators cross the network in clear text on {bound.address}: it has no TLS")
    if settings.use_mutual_tls and not has_tls:
        _log.warning(f"no client certificate is asked for on {bound.address}: --use-mutual-tls is for --listen-address")

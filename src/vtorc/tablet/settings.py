"""Settings of calls to tablets: time limits, TLS, name and password."""

import json
import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

from vtorc.errors import TabletClientMisconfigured
from vtorc.files import contents_of

Metadata = tuple[tuple[str, str], ...]

_MIB = 1024 * 1024
_BACKOFF = 0.1
"""Seconds between two attempts of gRPC itself to connect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """PEM files for TLS towards tablets; TLS is used if there is a certificate with its key, or a CA.

    `server_name` is expected in the tablet's certificate instead of the hostname of its record. Without `ca`, the
    public authorities that come with gRPC are trusted. The lowest version is gRPC's own minimum, TLS 1.2. These are the
    flags `--tablet-manager-grpc-cert`, `-key`, `-ca` and `-server-name` of Vitess (`go/vt/vttls/vttls.go`).
    """

    cert: Path | None = None
    key: Path | None = None
    ca: Path | None = None
    server_name: str = ""

    @property
    def wanted(self) -> bool:
        """Whether connections use TLS at all."""
        return self.has_client_cert or self.ca is not None

    @property
    def has_client_cert(self) -> bool:
        """Whether a client certificate is presented to tablets."""
        return self.cert is not None and self.key is not None

    def credentials(self) -> grpc.ChannelCredentials:
        """Read the files; raises TabletClientMisconfigured."""
        pair = (_read(self.key), _read(self.cert)) if self.has_client_cert else (None, None)
        authorities = _read(self.ca)
        self._check()
        return grpc.ssl_channel_credentials(authorities, *pair)

    def _check(self) -> None:
        """Refuse malformed files, which gRPC would report at each attempt to connect, without the file's name."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            if self.ca is not None:
                context.load_verify_locations(self.ca)
        except ssl.SSLError as error:
            raise TabletClientMisconfigured(f"{self.ca}: expected certificates in PEM: {error}") from error
        try:
            if self.cert is not None and self.key is not None:
                context.load_cert_chain(self.cert, self.key, password="")
        except (ssl.SSLError, ValueError) as error:
            raise TabletClientMisconfigured(
                f"{self.cert}, {self.key}: expected a certificate and its key, without password, in PEM: {error}"
            ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """Settings of the tablet client; all times are in seconds.

    `connect_timeout` bounds name lookup and connecting, so a call to a dead host takes that long. `probe_timeout`
    bounds calls that only read, `rpc_timeout` bounds commands; a caller may set shorter limits. `health_timeout` is the
    longest silence of a health stream (tablets send every 20 s). Connections that were not used for `idle_timeout` are
    closed. `credentials_file` holds a JSON object with `Username` and `Password` (Vitess'
    `--grpc-auth-static-client-creds`).

    vttablets disconnect clients that ping more often than every 10 s
    (`--grpc-server-keepalive-enforcement-policy-min-time`): do not go below with `keepalive_time`.
    """

    rpc_timeout: float = 15.0
    probe_timeout: float = 15.0
    connect_timeout: float = 1.0
    health_timeout: float = 60.0
    idle_timeout: float = 60.0
    keepalive_time: float = 10.0
    keepalive_timeout: float = 10.0
    max_message_size: int = 16 * _MIB
    tls: TlsFiles = TlsFiles()
    credentials_file: Path | None = None

    def read_credentials(self) -> Metadata:
        """Read the name and password to send with each call; none without a file.

        Raises TabletClientMisconfigured.
        """
        if self.credentials_file is None:
            return ()
        raw = _read(self.credentials_file)
        try:
            fields = json.loads(raw or b"")
            username, password = fields["Username"], fields["Password"]
        except (ValueError, KeyError, TypeError, RecursionError):
            username = password = None
        if not (isinstance(username, str) and isinstance(password, str)):
            # The error does not quote the file, which holds a password.
            raise TabletClientMisconfigured(
                f'{self.credentials_file}: expected a JSON object like {{"Username": "vtorc", "Password": "…"}}'
            )
        if not (_is_printable(username) and _is_printable(password)):
            raise TabletClientMisconfigured(
                f"{self.credentials_file}: the name or the password has a character that gRPC cannot send: expected "
                "printable ASCII"
            )
        return (("username", username), ("password", password))

    def channel_options(self) -> list[tuple[str, int | str]]:
        """Return the channel arguments for gRPC (names in grpc's `grpc_types.h`)."""
        options: list[tuple[str, int | str]] = [
            ("grpc.max_receive_message_length", self.max_message_size),
            ("grpc.max_send_message_length", self.max_message_size),
            ("grpc.keepalive_time_ms", _ms(self.keepalive_time)),
            ("grpc.keepalive_timeout_ms", _ms(self.keepalive_timeout)),
            ("grpc.keepalive_permit_without_calls", 0),
            # A health stream sends nothing for hours: without this grpc stops pinging after two pings.
            ("grpc.http2.max_pings_without_data", 0),
            # Longer than `connect_timeout`, so that the connection's own limit is always the one that passes first.
            ("grpc.min_reconnect_backoff_ms", _ms(2 * self.connect_timeout)),
            ("grpc.initial_reconnect_backoff_ms", _ms(_BACKOFF)),
            ("grpc.max_reconnect_backoff_ms", _ms(_BACKOFF)),
            # gRPC's default is a new name lookup after 30 s at the earliest: too late for a tablet that moved.
            ("grpc.dns_min_time_between_resolutions_ms", _ms(self.connect_timeout)),
            ("grpc.service_config_disable_resolution", 1),
            # Tablets are dialled directly, and the failures of one connection must not delay another.
            ("grpc.enable_http_proxy", 0),
            ("grpc.use_local_subchannel_pool", 1),
        ]
        if self.tls.wanted and self.tls.server_name:
            options.append(("grpc.ssl_target_name_override", self.tls.server_name))
        return options


def _read(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return contents_of(path)
    except OSError as error:
        raise TabletClientMisconfigured(f"{path} cannot be read: {error.strerror or error}") from error


def _is_printable(text: str) -> bool:
    """Whether a text may be the value of a header (gRPC over HTTP/2, "Custom-Metadata")."""
    return text.isascii() and text.isprintable()


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))

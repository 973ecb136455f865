"""How ZooKeeper is reached: the settings of Vitess' `zk2` topology."""

import ssl
from dataclasses import dataclass

import structlog

from vtorc.errors import TopoMisconfigured
from vtorc.files import try_files
from vtorc.topo.secrets_file import read_secret

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ZkAccess:
    """The settings of ZooKeeper by Vitess' flags; `session_timeout` is in seconds.

    As in Vitess, there is TLS only with both a client certificate and its key. `auth_file` has `<scheme>:<auth>`.
    """

    session_timeout: float = 30.0
    max_concurrency: int = 64
    auth_file: str = ""
    cert: str = ""
    key: str = ""
    ca: str = ""

    @property
    def uses_tls(self) -> bool:
        """Whether connections are made with TLS."""
        return bool(self.cert and self.key)

    def auth(self) -> tuple[str, str] | None:
        """Read the scheme and the credentials; None without a file. Raises TopoMisconfigured."""
        if not self.auth_file:
            return None
        scheme, colon, secret = read_secret("topo_zk_auth_file", self.auth_file).rstrip("\r\n").partition(":")
        if not (scheme and colon and secret):
            raise TopoMisconfigured(
                f"topo_zk_auth_file {self.auth_file!r} is malformed: expected <scheme>:<auth>, such as "
                "digest:name:password"
            )
        return scheme, secret

    def check_files(self) -> None:
        """Read all files once, as kazoo would only try them again and again; raises TopoMisconfigured."""
        self.auth()
        if not self.uses_tls:
            if self.cert or self.key or self.ca:
                log.warning(
                    "connections to ZooKeeper are made without TLS: it needs topo_zk_tls_cert and topo_zk_tls_key",
                    cert=self.cert,
                    key=self.key,
                    ca=self.ca,
                )
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            try_files(self.cert, self.key)
            context.load_cert_chain(self.cert, self.key)
        except (OSError, ValueError) as error:
            raise TopoMisconfigured(
                f"topo_zk_tls_cert {self.cert!r} and topo_zk_tls_key {self.key!r} cannot be used: {error}; expected a "
                "certificate and its key in PEM form"
            ) from error
        try:
            if self.ca:
                try_files(self.ca)
                context.load_verify_locations(self.ca)
        except (OSError, ValueError) as error:
            raise TopoMisconfigured(
                f"topo_zk_tls_ca {self.ca!r} cannot be used: {error}; expected certificates in PEM form"
            ) from error

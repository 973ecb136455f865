"""How Consul is reached: the settings of Vitess' `consul` topology, and the environment that its client reads.

Vitess has no flags for TLS with Consul. Its client takes that from the environment, as the `consul` program does
(Consul `api/api.go`, `DefaultConfig`).
"""

import json
import os
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from vtorc.errors import TopoMisconfigured
from vtorc.files import try_files
from vtorc.topo.secrets_file import read_secret

_YES = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_NO = frozenset({"0", "f", "F", "FALSE", "false", "False"})

DEFAULT_SESSION_TTL = 15.0
"""Seconds of a lock's session where the settings name none (Consul `api/lock.go`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsulAccess:
    """The settings of Consul by Vitess' flags and the environment; times in seconds.

    `auth_file` is a JSON file of tokens by cell. `lock_delay` keeps a lock closed after its holder's session ended
    without a release; 0 leaves it to Consul, which takes 15 s. `watch_wait` is the longest wait of one query.
    """

    auth_file: str = ""
    session_ttl: float = DEFAULT_SESSION_TTL
    session_checks: tuple[str, ...] = ("serfHealth",)
    lock_delay: float = 15.0
    watch_wait: float = 30.0
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def token(self, cell: str) -> str:
        """Return the ACL token for a cell, `global` for the global topology; empty if there is none.

        The file wins over CONSUL_HTTP_TOKEN_FILE, and that over CONSUL_HTTP_TOKEN. Raises TopoMisconfigured.
        """
        if self.auth_file and (found := _tokens(self.auth_file).get(cell)):
            return found
        if path := self.environ.get("CONSUL_HTTP_TOKEN_FILE"):
            return read_secret("CONSUL_HTTP_TOKEN_FILE", path).strip()
        return self.environ.get("CONSUL_HTTP_TOKEN", "")

    def try_files(self, cell: str, schemes: Iterable[str]) -> None:
        """Read all that a client of a cell reads, for addresses of these schemes; raises TopoMisconfigured."""
        self.token(cell)
        if any(map(self.uses_tls, schemes)):
            self.tls()

    def uses_tls(self, scheme: str) -> bool:
        """Whether an address of this scheme, or of none, is reached with TLS."""
        return scheme == "https" or (not scheme and self._switch("CONSUL_HTTP_SSL", default=False))

    def tls(self) -> ssl.SSLContext:
        """Load the files of the environment for connections with TLS; raises TopoMisconfigured."""
        ca, folder = self.environ.get("CONSUL_CACERT") or None, self.environ.get("CONSUL_CAPATH") or None
        try:
            try_files(ca)
            context = ssl.create_default_context(cafile=ca, capath=folder)
        except (OSError, ssl.SSLError) as error:
            raise TopoMisconfigured(
                f"CONSUL_CACERT {ca!r} or CONSUL_CAPATH {folder!r} cannot be used: {error}; expected certificates "
                "in PEM form"
            ) from error
        if not self._switch("CONSUL_HTTP_SSL_VERIFY", default=True):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        cert, key = self.environ.get("CONSUL_CLIENT_CERT"), self.environ.get("CONSUL_CLIENT_KEY")
        if bool(cert) != bool(key):
            raise TopoMisconfigured("CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY go together: set both or neither")
        if cert:
            try:
                try_files(cert, key)
                context.load_cert_chain(cert, key)
            except (OSError, ssl.SSLError) as error:
                raise TopoMisconfigured(
                    f"CONSUL_CLIENT_CERT {cert!r} and CONSUL_CLIENT_KEY {key!r} cannot be used: {error}; expected a "
                    "certificate and its key in PEM form"
                ) from error
        return context

    @property
    def tls_server_name(self) -> str | None:
        """The name that the server's certificate must have, if not that of the address."""
        return self.environ.get("CONSUL_TLS_SERVER_NAME") or None

    def _switch(self, name: str, *, default: bool) -> bool:
        text = self.environ.get(name, "")
        if text and text not in _YES | _NO:
            raise TopoMisconfigured(f"{name} is {text!r} in the environment: expected true or false")
        return text in _YES if text else default


def _tokens(path: str) -> dict[str, str]:
    text = read_secret("consul_auth_static_file", path)
    try:
        cells = json.loads(text)
        return {cell: entry["acl_token"] for cell, entry in cells.items() if entry.get("acl_token")}
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise TopoMisconfigured(
            f"consul_auth_static_file {path!r} is malformed ({error}): expected JSON such as "
            '{"global": {"acl_token": "…"}, "zone1": {"acl_token": "…"}}'
        ) from error

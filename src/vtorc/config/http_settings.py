"""The settings of the HTTP server."""

from dataclasses import dataclass

from vtorc.config.kinds import SWITCH, TEXT, WORDS, whole
from vtorc.config.orchestrator import AUTO, listen_address
from vtorc.config.setting import key, setting


@dataclass(frozen=True, kw_only=True)
class HttpSettings:
    """HTTP server"""

    listen_address: str = setting(
        listen_address(),
        AUTO,
        "Address on which HTTP is served as in Vitess v11 to v13, such as :3000; empty for none. 'auto' is "
        "127.0.0.1:3000 unless --port is given; if that cannot be had, vtorc runs without HTTP.",
        also=[key("ListenAddress", listen_address())],
    )
    port: int = setting(
        whole(0, 65535),
        0,
        "Port on which HTTP is served as since Vitess v14; 0 for none.",
    )
    bind_address: str = setting(TEXT, "", "Address for that port; empty for all addresses.")
    allow_remote_actions: bool = setting(
        SWITCH,
        False,
        "Whether what acts is taken over HTTP from other hosts, too. vtorc does not know its operators yet: with this, "
        "all hosts that reach it may change primaries.",
    )
    security_policy: str = setting(
        TEXT,
        "",
        "What is denied of the paths that Vitess' vtorc has since v14: read-only denies what acts, deny-all and any "
        "other word deny all but metrics and probes; empty denies nothing.",
    )
    allowed_hosts: tuple[str, ...] = setting(
        WORDS,
        (),
        "Names under which browsers may use the HTTP server, beside its addresses and localhost.",
        also=[key("AllowedHosts", WORDS)],
    )

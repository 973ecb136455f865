"""The settings of the HTTP server."""

from dataclasses import dataclass

from vtorc.config.http_kinds import NETWORKS, authentication_method, endpoint, url_prefix
from vtorc.config.kinds import PATTERNS, SWITCH, TEXT, WORDS, whole
from vtorc.config.orchestrator import AUTO, listen_address, other_address
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
        "Whether what acts is taken over HTTP from other hosts, too, where vtorc does not know its operators: with "
        "this, all hosts that reach it may change primaries.",
    )
    read_only_address: str = setting(
        other_address(),
        "",
        "Address of one more listener, such as :3001, on which nothing that acts exists; all else is as on "
        "--listen-address. Empty for none.",
    )
    actions_per_minute: int = setting(
        whole(0, 10000),
        10,
        "How many requests that change servers are taken over HTTP within a minute, from one operator and for one "
        "shard; 0 for any number.",
        live=True,
    )
    security_policy: str = setting(
        TEXT,
        "",
        "What is denied over HTTP: read-only denies what acts, deny-all and any other word deny all but metrics and "
        "probes; empty denies nothing.",
    )
    allowed_hosts: tuple[str, ...] = setting(
        WORDS,
        (),
        "Names under which browsers may use the HTTP server, beside its addresses and localhost.",
        also=[key("AllowedHosts", WORDS)],
    )
    authentication_method: str = setting(
        authentication_method(),
        "none",
        "How vtorc knows operators over HTTP. With none it does not: all read, and what acts is taken from its own "
        "host only. basic asks for HTTPAuthUser and HTTPAuthPassword with each request; multi as well, but the user "
        "readonly reads with any password. With proxy all read, and a proxy names the operator in AuthUserHeader. "
        "token and oauth are refused.",
        also=[key("AuthenticationMethod", authentication_method())],
    )
    http_auth_user: str = setting(
        TEXT, "", "The user of the methods basic and multi, without a colon.", also=[key("HTTPAuthUser", TEXT)]
    )
    http_auth_password: str = setting(
        TEXT, "", "The password of that user.", also=[key("HTTPAuthPassword", TEXT)], secret=True
    )
    auth_user_header: str = setting(
        TEXT,
        "X-Forwarded-User",
        "The header by which a proxy names the operator to the method proxy.",
        also=[key("AuthUserHeader", TEXT)],
    )
    trusted_proxies: tuple[str, ...] = setting(
        NETWORKS,
        ("127.0.0.0/8", "::1"),
        "Addresses and networks of proxies whose word for the operator counts.",
        also=[key("TrustedProxies", NETWORKS)],
    )
    power_auth_users: tuple[str, ...] = setting(
        WORDS,
        ("*",),
        "Operators that may act through such a proxy; * stands for all that it names.",
        also=[key("PowerAuthUsers", WORDS)],
    )
    power_auth_groups: tuple[str, ...] = setting(
        WORDS,
        (),
        "Groups of vtorc's host with operators that may act through such a proxy, beside --power-auth-users. Narrow "
        "that one, as it names all by default.",
        also=[key("PowerAuthGroups", WORDS)],
    )
    http_read_only: bool = setting(
        SWITCH,
        False,
        "Whether nothing that acts is taken over HTTP, from whatever operator and host.",
        also=[key("ReadOnly", SWITCH)],
    )
    use_ssl: bool = setting(
        SWITCH,
        False,
        "Whether --listen-address is served with TLS, version 1.2 at least; --port stays in clear text.",
        also=[key("UseSSL", SWITCH)],
    )
    ssl_cert_file: str = setting(
        TEXT, "", "PEM file of the server's certificate, for --use-ssl.", also=[key("SSLCertFile", TEXT)]
    )
    ssl_private_key_file: str = setting(
        TEXT, "", "PEM file of its key, which must have no password.", also=[key("SSLPrivateKeyFile", TEXT)]
    )
    ssl_ca_file: str = setting(
        TEXT, "", "PEM file of the authorities of clients, for --use-mutual-tls.", also=[key("SSLCAFile", TEXT)]
    )
    use_mutual_tls: bool = setting(
        SWITCH,
        False,
        "Whether clients of --listen-address need a certificate of one of --ssl-valid-ous. With the method none they "
        "may act, too.",
        also=[key("UseMutualTLS", SWITCH)],
    )
    ssl_valid_ous: tuple[str, ...] = setting(
        WORDS,
        (),
        "Organizational units of clients that may use it.",
        also=[key("SSLValidOUs", WORDS)],
    )
    url_prefix: str = setting(
        url_prefix(),
        "",
        "What stands before all paths of --listen-address, such as /orc.",
        also=[key("URLPrefix", url_prefix())],
    )
    orc_web_dir: str = setting(
        TEXT,
        "",
        "Folder of orchestrator's web files, with templates/ and public/ in it, as Vitess v11 to v14 have them; its "
        "pages are served below /web/. Empty for vtorc's own pages alone.",
    )
    web_message: str = setting(TEXT, "", "Message on top of orchestrator's pages.", also=[key("WebMessage", TEXT)])
    remove_text_from_hostname_display: str = setting(
        TEXT,
        "",
        "Text that orchestrator's pages leave out of the names of hosts.",
        also=[key("RemoveTextFromHostnameDisplay", TEXT)],
    )
    stats_drop_variables: tuple[str, ...] = setting(
        WORDS, (), "Metrics that are left out of /metrics and /debug/vars, by their names in /debug/vars.", live=True
    )
    stats_combine_dimensions: tuple[str, ...] = setting(
        WORDS, (), "Labels, such as Shard, of which all values are told as one with the name all.", live=True
    )
    problem_ignore_hostname_filters: tuple[str, ...] = setting(
        PATTERNS,
        (),
        "Regular expressions of MySQL hosts with tablets that are left out of `/api/problems`, and of v12's. Findings, "
        "metrics and alerts go on to name them.",
        also=[key("ProblemIgnoreHostnameFilters", PATTERNS)],
        live=True,
    )
    status_endpoint: str = setting(
        endpoint(),
        "/api/status",
        "The path of the health check of Vitess v11 to v13, without the prefix; it is open to all.",
        also=[key("StatusEndpoint", endpoint())],
    )
    status_ou_verify: bool = setting(
        SWITCH,
        False,
        "Whether that path needs a certificate of --ssl-valid-ous, too.",
        also=[key("StatusOUVerify", SWITCH)],
    )

"""The rules of access, as vtorc hands them to its server process through the channel."""

import enum

from vtorc.forms.base import Form


class Method(enum.Enum):
    """How the server knows an operator (`--authentication-method`)."""

    NONE = "none"
    """Not at all: all clients may read, and those on this host may act."""
    BASIC = "basic"
    """By the user and the password of the settings, which are needed for all but probes."""
    MULTI = "multi"
    """As `basic`; besides, the user `readonly` reads with any password."""
    PROXY = "proxy"
    """By the header of a proxy; all clients may read."""


class PasswordHash(Form, frozen=True, kw_only=True):
    """The user and the password that are asked for, as no more than a hash."""

    salt: bytes
    """Random bytes of this start of vtorc."""
    hash: bytes
    """The scrypt hash of user and password together."""

    def __repr__(self) -> str:
        """Show nothing of it, be it in a traceback."""
        return "PasswordHash(…)"


class AccessRules(Form, frozen=True, kw_only=True):
    """Which clients may read and act."""

    method: Method = Method.NONE
    """How an operator is known."""
    password: PasswordHash | None = None
    """The user and the password that `basic` and `multi` ask for; None for the other methods."""
    user_header: str = "X-Forwarded-User"
    """The header by which a proxy names the operator."""
    power_users: tuple[str, ...] = ("*",)
    """The operators that may act through a proxy; `*` stands for all that it names."""
    power_groups: tuple[str, ...] = ()
    """Groups of this host with operators that may act through a proxy, too."""
    trusted_proxies: tuple[str, ...] = ("127.0.0.0/8", "::1")
    """Networks of the proxies whose header counts."""
    read_only: bool = False
    """Whether nothing that acts is taken at all."""
    allow_remote_actions: bool = False
    """Whether clients on other hosts may act although they are not known."""
    units: tuple[str, ...] | None = None
    """Organizational units of which a client's certificate must name one; None if none is asked for."""
    status_endpoint: str = "/api/status"
    """The path of v12's health check, which is open to all."""
    status_needs_unit: bool = False
    """Whether a certificate is asked for there, too."""

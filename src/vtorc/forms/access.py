"""The forms of clients and of their rights, as the HTTP server tells them to vtorc."""

import enum

from vtorc.forms.base import Form
from vtorc.forms.times import rfc3339


class Role(enum.Enum):
    """The rights of a client; each role includes those before it."""

    NONE = "none"
    """It may not even read."""
    READ = "read"
    """It may read, and ask for plans."""
    OPERATE = "operate"
    """It may act on shards as well, where no acknowledged write can be lost by it."""
    ADMIN = "admin"
    """It may do all: also accept losses, stop all recoveries, read the settings anew, and make tokens."""

    def includes(self, other: "Role") -> bool:
        """Return whether a client of this role may do what another role is needed for."""
        return _RANKS[self] >= _RANKS[other]


_RANKS = {role: rank for rank, role in enumerate(Role)}


class Means(enum.Enum):
    """How the server knows a client."""

    UNKNOWN = "unknown"
    """Not at all: it only says that it comes from another host."""
    HOST = "host"
    """Not by name; its request was sent on vtorc's own host."""
    PASSWORD = "password"
    """By a user and its password."""
    PROXY = "proxy"
    """By the word of a trusted proxy."""
    CERTIFICATE = "certificate"
    """By its certificate."""
    TOKEN = "token"
    """By a bearer token."""
    VTORC = "vtorc"
    """It is vtorc itself, or a signal to its process."""


class Caller(Form, frozen=True, kw_only=True):
    """The client that asks for something."""

    actor: str
    """The operator, as the server knows it."""
    origin: str
    """Where the request came from: an address, or a socket."""
    means: Means
    """How the server knows the operator."""
    role: Role
    """Its rights."""
    keyspaces: tuple[str, ...] | None = None
    """The keyspaces that it may read and act on; None for all."""

    def may_see(self, keyspace: str) -> bool:
        """Return whether it may know of a keyspace."""
        return self.keyspaces is None or keyspace in self.keyspaces


TOKEN_PREFIX = "vtorc_"
"""The begin of each secret of a token, by which tools find one that was published by mistake."""


class TokenForm(Form, frozen=True, kw_only=True):
    """A bearer token, without the secret that it is known by."""

    name: str
    """Its name, under which its owner acts."""
    role: Role
    """The rights of its owner."""
    keyspaces: list[str] | None
    """The keyspaces that its owner may read and act on; None for all."""
    created: str
    """When it was made."""
    created_by: str
    """The operator that made it."""
    expires: str | None
    """When it ends; None if it is valid until it is revoked."""
    sentence: str
    """Its rights, in words."""


class KnownToken(Form, frozen=True, kw_only=True):
    """A bearer token as vtorc keeps it."""

    name: str
    """Its name."""
    hash: bytes
    """The SHA-256 hash of its secret."""
    role: Role
    """The rights of its owner."""
    keyspaces: tuple[str, ...] | None
    """The keyspaces that its owner may read and act on; None for all."""
    created: int
    """When it was made, in nanoseconds since the Unix epoch."""
    created_by: str
    """The operator that made it."""
    expires: int | None
    """When it ends, in nanoseconds since the Unix epoch; None if it is valid until it is revoked."""

    def __repr__(self) -> str:
        """Show no hash, be it in a traceback."""
        return f"KnownToken({self.name!r})"


def token_form(token: KnownToken) -> TokenForm:
    """Return what operators are told of a token."""
    where = f"in {', '.join(token.keyspaces)}" if token.keyspaces is not None else "in all keyspaces"
    until = f"until {rfc3339(token.expires)}" if token.expires is not None else "until it is revoked"
    return TokenForm(
        name=token.name,
        role=token.role,
        keyspaces=list(token.keyspaces) if token.keyspaces is not None else None,
        created=rfc3339(token.created),
        created_by=token.created_by,
        expires=rfc3339(token.expires) if token.expires is not None else None,
        sentence=f"{token.name} has the role {token.role.value} {where}, {until}",
    )


class NewTokenForm(Form, frozen=True, kw_only=True):
    """A bearer token that was just made."""

    token: TokenForm
    """Its rights."""
    secret: str
    """The secret that its owner sends; it is shown this once, and vtorc keeps only its digest."""
    outlives_vtorc: bool
    """Whether it is kept over a restart of vtorc."""


class RevokedTokenForm(Form, frozen=True, kw_only=True):
    """A bearer token that was just revoked."""

    token: TokenForm
    """The rights that it gave."""

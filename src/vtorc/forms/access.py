"""The forms of clients and of their rights, as the HTTP server tells them to vtorc."""

import enum

from vtorc.forms.base import Form


class Role(enum.Enum):
    """What a client may do; each role includes those before it."""

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
    """What it may do."""
    keyspaces: tuple[str, ...] | None = None
    """The keyspaces that it may read and act on; None for all."""

    def may_see(self, keyspace: str) -> bool:
        """Return whether it may know of a keyspace."""
        return self.keyspaces is None or keyspace in self.keyspaces

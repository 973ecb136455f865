"""The form of an audit entry: what an operator asked for, how the server knew the operator, and what came of it."""

from typing import Literal

from vtorc.forms.access import Means, Role
from vtorc.forms.base import Form

AuditResult = Literal["done", "begun", "refused", "failed"]
"""The result of a request: `begun` if a recovery tells the rest, `failed` after a mistake of vtorc's own."""


class AuditForm(Form, frozen=True, kw_only=True):
    """One request that acts, or several refusals of one kind to one client within a minute."""

    id: str
    """Its permanent name."""
    at: str
    """When it was answered; of several refusals the last one."""
    action: str
    """The request: "execute", "cancel" and the like."""
    shard: str | None
    """The shard that it is about, as `keyspace/shard`; None if it is about none, or about several."""
    tablet: str | None
    """Alias of the tablet that it is about; None if it is about none."""
    actor: str
    """The operator, as the server knows it."""
    means: Means
    """How the server knows the operator."""
    role: Role
    """The rights of the operator."""
    origin: str
    """Where the request came from: an address, or a socket."""
    arguments: dict[str, str]
    """The other arguments, in short; never a secret."""
    reason: str | None
    """The operator's reason; None if there is none."""
    result: AuditResult
    """Its result."""
    recovery: str | None
    """The permanent name of the recovery that it has begun; None without one."""
    sentence: str
    """Its result, in words."""
    times: int = 1
    """How often: above 1 for refusals of one kind, of which the first ones are entries of their own."""

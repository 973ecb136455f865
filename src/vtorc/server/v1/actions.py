"""The endpoints of `/api/v1` that vtorc itself answers: plans, their execution, the end of a recovery, and tokens."""

from typing import Annotated, Any, Literal

from msgspec import Meta

from vtorc.forms.access import NewTokenForm, RevokedTokenForm
from vtorc.forms.base import Form
from vtorc.forms.plan import PlanForm, PlanKind
from vtorc.forms.recovery import RunningForm
from vtorc.server.v1.endpoints import Body, ForwardEndpoint

Reason = Annotated[str, Meta(min_length=1, max_length=1000)]


class PlanBody(Body, frozen=True, kw_only=True):
    """What to plan."""

    kind: PlanKind
    to: str | None = None
    """Alias of the tablet to promote; None for the best one."""


class ExecuteBody(Body, frozen=True, kw_only=True):
    """Why to carry out a plan."""

    reason: Reason
    accept_loss: bool = False
    """Whether to go on although the plan says that writes may be lost."""


class CancelBody(Body, frozen=True, kw_only=True):
    """Why to end a recovery."""

    reason: Reason


class TokenBody(Body, frozen=True, kw_only=True):
    """The bearer token to make."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    """Its name, under which its owner acts: letters, digits, dots, dashes and underscores."""
    role: Literal["read", "operate", "admin"]
    """What its owner may do."""
    keyspaces: Annotated[list[str], Meta(min_length=1)] | None = None
    """The keyspaces that its owner may read and act on; None for all."""
    seconds: Annotated[int, Meta(ge=1)] | None = None
    """Seconds after which it ends; None if it is valid until it is revoked."""


class RevokeBody(Body, frozen=True, kw_only=True):
    """Nothing more."""


class AskedForm(Form, frozen=True, kw_only=True):
    """What an operator asked for has begun; events tell how it goes on."""

    recovery: RunningForm
    """The recovery in progress that was begun, or is being ended."""


FORWARDS: tuple[ForwardEndpoint[Any], ...] = (
    ForwardEndpoint(
        path="/shards/{keyspace}/{shard}/plans",
        summary="Plan a change of the primary; changes nothing",
        body=PlanBody,
        kind="plan",
        arguments=lambda path, body: {
            "shard": f"{path['keyspace']}/{path['shard']}",
            "kind": body.kind,
            "to": body.to,
        },
        status=200,
        answer=PlanForm,
        problems=(404, 409),
    ),
    ForwardEndpoint(
        path="/plans/{id}/execute",
        summary="Carry out a plan of the last minute, if the shard has not changed since",
        body=ExecuteBody,
        kind="execute",
        arguments=lambda path, body: {
            "plan": path["id"],
            "reason": body.reason,
            "accept_loss": body.accept_loss,
        },
        status=202,
        answer=AskedForm,
        problems=(404, 409),
    ),
    ForwardEndpoint(
        path="/shards/{keyspace}/{shard}/cancel",
        summary="End a recovery that is not past the point of no return",
        body=CancelBody,
        kind="cancel",
        arguments=lambda path, body: {"shard": f"{path['keyspace']}/{path['shard']}", "reason": body.reason},
        status=202,
        answer=AskedForm,
        problems=(404, 409),
    ),
    ForwardEndpoint(
        path="/tokens",
        summary="Make a bearer token; its secret is told once",
        body=TokenBody,
        kind="token_add",
        arguments=lambda path, body: {
            "name": body.name,
            "role": body.role,
            "keyspaces": body.keyspaces,
            "seconds": body.seconds,
        },
        status=200,
        answer=NewTokenForm,
        problems=(409,),
    ),
    ForwardEndpoint(
        path="/tokens/{name}",
        summary="Revoke a bearer token",
        body=RevokeBody,
        kind="token_revoke",
        arguments=lambda path, body: {"name": path["name"]},
        status=200,
        answer=RevokedTokenForm,
        problems=(404,),
        method="DELETE",
    ),
)

"""The endpoints of `/api/v1` that vtorc itself answers: plans, executions, holds, acknowledgements, tokens."""

from typing import Annotated, Any, Literal

from msgspec import Meta, structs

from vtorc.forms.access import NewTokenForm, RevokedTokenForm
from vtorc.forms.base import Form
from vtorc.forms.hold import HoldAnswerForm
from vtorc.forms.notes import AcknowledgedForm
from vtorc.forms.plan import PlanForm, PlanKind
from vtorc.forms.recovery import RunningForm
from vtorc.server.v1.endpoints import Body, ForwardEndpoint

Reason = Annotated[str, Meta(min_length=1, max_length=500)]
"""As long as the desk takes it."""
CommandName = Literal[
    "ReparentTablet",
    "StartReplication",
    "RestartReplication",
    "StopReplication",
    "StopReplicationNicely",
    "SetReadOnly",
    "FlushBinaryLogs",
]
RoleName = Literal["read", "operate", "admin"]
EffectName = Literal["no_failover", "no_repair", "not_promotable", "no_alert", "prefer", "prefer_not"]


class PlanBody(Body, frozen=True, kw_only=True):
    """The plan that is asked for."""

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
    role: RoleName
    """The rights of its owner."""
    keyspaces: Annotated[list[str], Meta(min_length=1)] | None = None
    """The keyspaces that its owner may read and act on; None for all."""
    seconds: Annotated[int, Meta(ge=1)] | None = None
    """Seconds after which it ends; None if it is valid until it is revoked."""


class RevokeBody(Body, frozen=True, kw_only=True):
    """An object without fields."""


class HoldBody(Body, frozen=True, kw_only=True):
    """The hold that is asked for, with its end and its reason."""

    scope: str
    """Its target: "fleet", "cell:zone1", "keyspace:commerce", "shard:commerce/-80" or "tablet:zone1-0000000101"."""
    effects: Annotated[list[EffectName], Meta(min_length=1)]
    """Its effects."""
    reason: Reason
    owner: str | None = None
    """The operator or program that it belongs to; None for the one that sends the request."""
    seconds: int | None = None
    """Seconds after which it ends by itself; None if it stays until it is lifted."""


class LiftBody(Body, frozen=True, kw_only=True):
    """Why to lift a hold."""

    reason: Reason


class CommandBody(Body, frozen=True, kw_only=True):
    """A command on tablets of a shard, and why."""

    command: CommandName
    tablets: Annotated[list[str], Meta(min_length=1, max_length=100)]
    """The aliases of the tablets."""
    reason: Reason
    seconds: int | None = None
    """Seconds for which replication that is stopped stays so; None for an hour."""


class AcknowledgeBody(Body, frozen=True, kw_only=True):
    """The operator's words about a recovery that was seen."""

    comment: Reason


class AcknowledgeSeveralBody(AcknowledgeBody, frozen=True, kw_only=True):
    """The operator's words about recoveries that were seen."""

    recoveries: Annotated[list[str], Meta(min_length=1, max_length=1000)]
    """The ids of the recoveries."""


class AskedForm(Form, frozen=True, kw_only=True):
    """A recovery that an operator asked for has begun; events tell how it goes on."""

    recovery: RunningForm
    """The recovery in progress that was begun, or is being ended."""


def _number(text: str) -> int | str:
    """Return a number of a path; a text that is none stays as it is, for the refusal to show it."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else text


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
    ForwardEndpoint(
        path="/shards/{keyspace}/{shard}/commands",
        summary="Start, stop or re-point replicas, make them read-only, or have tablets begin a new binary log",
        body=CommandBody,
        kind="command",
        arguments=lambda path, body: {
            "shard": f"{path['keyspace']}/{path['shard']}",
            "command": body.command,
            "tablets": body.tablets,
            "reason": body.reason,
            "seconds": body.seconds,
        },
        status=202,
        answer=AskedForm,
        problems=(404, 409),
    ),
    ForwardEndpoint(
        path="/holds",
        summary="Hold vtorc back, for a time or until the hold is lifted",
        body=HoldBody,
        kind="hold",
        arguments=lambda path, body: structs.asdict(body),
        status=200,
        answer=HoldAnswerForm,
        problems=(404,),
    ),
    ForwardEndpoint(
        path="/holds/{number}",
        summary="Lift a hold",
        body=LiftBody,
        kind="lift",
        arguments=lambda path, body: {"hold": _number(path["number"]), "reason": body.reason},
        status=200,
        answer=HoldAnswerForm,
        problems=(404,),
        method="DELETE",
    ),
    ForwardEndpoint(
        path="/recoveries/{id}/acknowledge",
        summary="Keep that a recovery was seen and needs no more attention",
        body=AcknowledgeBody,
        kind="acknowledge",
        arguments=lambda path, body: {"recoveries": [path["id"]], "comment": body.comment},
        status=200,
        answer=AcknowledgedForm,
        problems=(404,),
    ),
    ForwardEndpoint(
        path="/acknowledgements",
        summary="Keep that recoveries were seen and need no more attention",
        body=AcknowledgeSeveralBody,
        kind="acknowledge",
        arguments=lambda path, body: {"recoveries": body.recoveries, "comment": body.comment},
        status=200,
        answer=AcknowledgedForm,
        problems=(404,),
    ),
)

"""The endpoints of `/api/v1` that vtorc itself answers: plans, their execution, and the end of a recovery."""

from typing import Annotated, Any

from msgspec import Meta

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
)

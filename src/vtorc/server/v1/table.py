"""All endpoints of `/api/v1` but events and the description."""

from typing import Any

from vtorc.forms.access import Role, TokenForm
from vtorc.forms.audit import AuditForm
from vtorc.forms.findings import FindingForm
from vtorc.forms.fleet import ListForm, ShardRowForm, StatusForm, WhyForm
from vtorc.forms.frames import DecisionFrame
from vtorc.forms.hold import HoldForm
from vtorc.forms.recovery import RecoveryForm, RunningForm
from vtorc.forms.shard import ShardForm
from vtorc.forms.webhook_state import WebhookForm
from vtorc.server.v1 import audit, past, reads, shard_list
from vtorc.server.v1.endpoints import NoQuery, PastEndpoint, ReadEndpoint

_SHARD = "/shards/{keyspace}/{shard}"

READS: tuple[ReadEndpoint[Any] | PastEndpoint[Any], ...] = (
    ReadEndpoint(
        path="/status",
        summary="What holds for vtorc as a whole",
        query=NoQuery,
        answer=StatusForm,
        read=reads.status,
    ),
    ReadEndpoint(
        path="/shards",
        summary="The shards, one row each",
        query=shard_list.ShardsQuery,
        answer=ListForm[ShardRowForm],
        read=shard_list.shards,
    ),
    ReadEndpoint(
        path=_SHARD,
        summary="One shard with its tablets and findings",
        query=NoQuery,
        answer=ShardForm,
        read=reads.shard,
        problems=(404,),
    ),
    PastEndpoint(
        path=f"{_SHARD}/why",
        summary="Why a shard is in its state, or was at a time",
        query=past.WhyQuery,
        answer=WhyForm,
        read=past.why,
        problems=(404,),
    ),
    ReadEndpoint(
        path="/findings",
        summary="What is wrong in all shards, by name of shard",
        query=reads.FindingsQuery,
        answer=ListForm[FindingForm],
        read=reads.findings,
    ),
    PastEndpoint(
        path="/decisions",
        summary="Decisions and their ends, newest first",
        query=past.DecisionsQuery,
        answer=ListForm[DecisionFrame],
        read=past.decisions,
    ),
    PastEndpoint(
        path="/recoveries",
        summary="Recoveries that have ended, newest first",
        query=past.RecoveriesQuery,
        answer=ListForm[RecoveryForm],
        read=past.recoveries,
    ),
    PastEndpoint(
        path="/recoveries/{id}",
        summary="One recovery that has ended",
        query=NoQuery,
        answer=RecoveryForm,
        read=past.recovery,
        problems=(404,),
    ),
    ReadEndpoint(
        path="/running",
        summary="The recoveries in progress, by name of shard",
        query=NoQuery,
        answer=ListForm[RunningForm],
        read=reads.running,
    ),
    ReadEndpoint(
        path="/audit",
        summary="The last requests of operators that act, and what came of them, newest first",
        query=audit.AuditQuery,
        answer=ListForm[AuditForm],
        read=audit.audit,
    ),
    ReadEndpoint(
        path="/tokens",
        summary="The bearer tokens by name, without their secrets; needs the role admin",
        query=NoQuery,
        answer=ListForm[TokenForm],
        read=audit.tokens,
        role=Role.ADMIN,
        all_keyspaces=True,
    ),
    ReadEndpoint(
        path="/holds",
        summary="The holds of operators that are in force, by number",
        query=reads.HoldsQuery,
        answer=ListForm[HoldForm],
        read=reads.holds,
    ),
    ReadEndpoint(
        path="/webhook",
        summary="How the webhook does, and the events that were given up",
        query=NoQuery,
        answer=WebhookForm,
        read=reads.webhook,
        all_keyspaces=True,
    ),
)

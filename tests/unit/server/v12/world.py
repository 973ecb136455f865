"""A small cluster as v12's API sees it: a healthy shard, one that has lost its primary, and what happened before."""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from tests.unit.core.builders import CONNECTING, NOW, primary, replica, shard
from vtorc.core.decision.decisions import DecisionLimits, decide, next_action
from vtorc.core.detection.analysis import analyse
from vtorc.core.detection.thresholds import DetectionThresholds
from vtorc.core.facts.durability import policy
from vtorc.core.facts.ids import ShardId
from vtorc.core.facts.views import ShardView, TabletView
from vtorc.forms.frames import (
    AnyFrame,
    DecisionFrame,
    HeartbeatFrame,
    HoldsFrame,
    MetricsFrame,
    NotesFrame,
    RecoveryFrame,
    ReplyFrame,
    ShardFrame,
    StatusFrame,
)
from vtorc.forms.hold import HoldForm
from vtorc.forms.notes import TagForm
from vtorc.forms.plan import PlanForm
from vtorc.forms.recovery import RecoveryForm, RunningForm, StepForm
from vtorc.forms.shard import ShardForm, shard_form
from vtorc.forms.tablet import Moment
from vtorc.forms.times import rfc3339
from vtorc.recovery.runner import Judgement
from vtorc.server.memory import ServerMemory
from vtorc.server.v12.app import V12App
from vtorc.server.v12.call import V12Settings

WALL = 1_790_000_000
"""Now, in seconds since the Unix epoch."""

HEALTHY, LOST = "commerce/0", "customer/-80"
FIRST, SECOND, THIRD = "mysql-zone1-100:3306", "mysql-zone1-101:3306", "mysql-zone2-200:3306"
"""The primary and the replicas of the healthy shard."""
LOST_PRIMARY = "mysql-zone1-300:3306"

MYSQL: dict[str, Any] = {
    "version": "8.0.40",
    "version_comment": "MySQL Community Server - GPL",
    "gtid_mode": "ON",
    "log_bin": True,
    "log_replica_updates": True,
    "binlog_format": "ROW",
    "binlog_row_image": "FULL",
    "binlog_end": ("binlog.000007", 4711),
}


def healthy_view(**changes: Any) -> ShardView:
    """A shard with nothing wrong; `changes` are those of the view."""
    return shard(
        primary(server_id=100, **MYSQL),
        replica("zone1-101", server_id=101, **MYSQL),
        replica("zone2-200", server_id=200, **MYSQL),
        **changes,
    )


def lost_view() -> ShardView:
    """A shard that has lost its primary."""
    error = "error connecting to master"
    view = shard(
        primary("zone1-300", dead_for=3.0, server_id=300, **MYSQL),
        replica("zone1-301", of="zone1-300", io=CONNECTING, io_error=error, server_id=301, **MYSQL),
        replica("zone2-302", of="zone1-300", io=CONNECTING, io_error=error, server_id=302, **MYSQL),
        named="zone1-300",
    )
    keyspace, _, name = LOST.partition("/")
    return replace(view, shard=ShardId(keyspace, name))


def form(view: ShardView, *, running: RunningForm | None = None) -> ShardForm:
    """The form of a view as vtorc would judge it now."""
    chosen = policy("semi_sync")
    decisions = decide(view, analyse(view, chosen, DetectionThresholds(), NOW), chosen, DecisionLimits(), NOW)
    judgement = Judgement(view, chosen, decisions, next_action(decisions))
    return shard_form(judgement, Moment(NOW, WALL * 10**9), revision=1, running=running)


def with_tablet(view: ShardView, tablet: TabletView) -> ShardView:
    """The same view with another state of one tablet."""
    return replace(view, tablets=tuple(tablet if each.alias == tablet.alias else each for each in view.tablets))


def ago(seconds: float) -> str:
    """A time so many seconds before now."""
    return rfc3339(int((WALL - seconds) * 10**9))


def recovery(*, seconds_ago: float = 60.0, **changes: Any) -> RecoveryForm:
    """A recovery by which the present primary of the healthy shard replaced the tablet zone1-101."""
    made = RecoveryForm(
        id=str(int((WALL - seconds_ago) * 10**9) + 123),
        shard=HEALTHY,
        kind="RecoverDeadPrimary",
        code="DeadPrimary",
        tablet="zone1-0000000101",
        began=ago(seconds_ago),
        seconds=0.75,
        outcome="succeeded",
        rule=None,
        winner="zone1-0000000100",
        argument="every acknowledged write is on the new primary",
        removed={},
        errant={},
        data_loss=None,
        marks={"promoted": 0.5},
        steps=[
            StepForm(name="take the lock", tablet=None, started=0.01, seconds=0.02, result="done"),
            StepForm(name="promote", tablet="zone1-0000000100", started=0.3, seconds=0.2, result="done"),
        ],
        sentence=f"{HEALTHY}: zone1-0000000100 replaced zone1-0000000101",
    )
    return msgspec.structs.replace(made, **changes)


def running(**changes: Any) -> RunningForm:
    """A recovery in progress."""
    made = RunningForm(
        id="1",
        shard=LOST,
        kind="RecoverDeadPrimary",
        code="DeadPrimary",
        tablet="zone1-0000000300",
        began=ago(1.0),
        steps=[StepForm(name="take the lock", tablet=None, started=0.01, seconds=0.02, result="done")],
        sentence=f"{LOST}: the primary is lost",
    )
    return msgspec.structs.replace(made, **changes)


def plan(**changes: Any) -> PlanForm:
    """A plan that can be carried out."""
    made = PlanForm(
        id="p7",
        shard=HEALTHY,
        kind="planned",
        created=ago(0),
        expires=ago(-60),
        shard_revision=1,
        from_primary="zone1-0000000100",
        to="zone1-0000000101",
        steps=["promote"],
        candidates=[],
        argument="all has been received",
        write_gap="about 0.1 s",
        risk="",
        refusal=None,
        sentence="moves the primary",
    )
    return msgspec.structs.replace(made, **changes)


DOWNTIME = HoldForm(
    number=7,
    purpose="downtime",
    scope="tablet:zone1-0000000101",
    effects=["no_failover", "no_repair", "no_alert"],
    owner="ann",
    reason="a new disk",
    created=ago(120),
    expires=ago(-480),
    sentence="downtime 7 of ann",
)
"""The downtime of the replica zone1-101: two minutes of ten are over."""

MAINTENANCE = msgspec.structs.replace(DOWNTIME, number=8, purpose="maintenance", owner="vitess", effects=[])
"""Its maintenance."""


def held(*holds: HoldForm) -> tuple[HoldsFrame, ShardFrame]:
    """What vtorc tells of holds on the replica zone1-101 of the healthy shard."""
    shown = form(healthy_view())
    tablets = [
        msgspec.structs.replace(each, holds=list(holds)) if each.alias == "zone1-0000000101" else each
        for each in shown.tablets
    ]
    shard_now = msgspec.structs.replace(shown, tablets=tablets)
    return HoldsFrame(holds=list(holds), outlive_vtorc=True), ShardFrame(shard=shard_now)


def tagged(**tags: str) -> NotesFrame:
    """What vtorc tells of tags on the replica zone1-101."""
    made = [TagForm(tablet="zone1-0000000101", name=name, value=value) for name, value in tags.items()]
    return NotesFrame(acknowledgements=[], tags=made)


STATUS = StatusFrame(
    version="0.1.0",
    process=4242,
    started=ago(3600),
    recoveries_allowed=True,
    emergency_reparents_allowed=True,
    clusters_to_watch=[],
    topology_failures=[],
    shards_watched=2,
    announcements=[],
    history_file="",
)


@dataclass
class World:
    """A memory with an application over it, and a vtorc that answers as it is told."""

    memory: ServerMemory = field(default_factory=ServerMemory)
    replies: dict[str, tuple[int, object]] = field(default_factory=dict)
    """Status and body of the reply to each kind of request."""
    asked: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    """The requests so far."""
    ends: list[RecoveryForm] = field(default_factory=list)
    """The recoveries that end right after the next execution or command."""
    ends_with: list[AnyFrame] = field(default_factory=list)
    """What vtorc tells after these recoveries."""
    executed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by the first execution."""
    silence: float = 0.0
    """Seconds since vtorc was heard last."""

    def tell(self, *frames: AnyFrame) -> None:
        """Let the memory take frames."""
        for frame in frames:
            self.memory.take(frame, 0.0)

    def tell_all(self) -> None:
        """Let it know all that the API can tell of."""
        lost = form(lost_view(), running=running())
        self.tell(
            STATUS,
            ShardFrame(shard=form(healthy_view())),
            ShardFrame(shard=lost),
            DecisionFrame(at=ago(60.5), change="decided", finding=detected()),
            DecisionFrame(at=ago(59.0), change="cleared", finding=detected()),
            RecoveryFrame(recovery=recovery()),
            MetricsFrame(metrics=[]),
            HeartbeatFrame(at=ago(0), late_seconds=0.0),
        )

    async def ask(self, kind: str, arguments: dict[str, object], *, actor: str, origin: str) -> ReplyFrame:
        """Reply as told; vtorc's `Ask`."""
        self.asked.append((kind, arguments))
        status, body = self.replies[kind]
        if kind in ("execute", "command"):
            self.executed.set()
            for ended in self.ends:
                asyncio.get_running_loop().call_soon(self.tell, RecoveryFrame(recovery=ended))
            asyncio.get_running_loop().call_soon(self.tell, *self.ends_with)
        return ReplyFrame(id=len(self.asked), status=status, body=msgspec.Raw(msgspec.json.encode(body)))

    def app(self, **options: Any) -> V12App:
        """An application over the memory."""
        options.setdefault("settings", V12Settings(host="vtorc-1"))
        return V12App(self.memory, self.ask, clock=lambda: self.silence, wall=lambda: float(WALL), **options)


def detected() -> Any:
    """The finding of the recovery."""
    finding = next(each for each in form(lost_view()).findings if each.code == "DeadPrimary")
    return msgspec.structs.replace(finding, shard=HEALTHY, tablet="zone1-0000000101")


def full_world() -> World:
    """A world that knows all."""
    world = World()
    world.tell_all()
    return world

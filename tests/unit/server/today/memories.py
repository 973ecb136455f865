"""Memories of the server process, filled with forms of real views, for the tests of today's API."""

from typing import Any

from starlette.applications import Starlette

from tests.unit.core.builders import NOW
from tests.unit.server.told import RecordedAsk
from vtorc.config.load import Loaded
from vtorc.config.settings import Settings
from vtorc.core.decision.decisions import DecisionLimits, decide, next_action
from vtorc.core.detection.analysis import analyse
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.detection.thresholds import DetectionThresholds
from vtorc.core.facts.durability import policy
from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.core.facts.views import ShardView
from vtorc.forms.findings import finding_form
from vtorc.forms.frames import (
    AnyFrame,
    DecisionFrame,
    HeartbeatFrame,
    MetricForm,
    MetricsFrame,
    RecoveryFrame,
    SettingsFrame,
    ShardFrame,
    StatusFrame,
    decode_frame,
    encode,
)
from vtorc.forms.recovery import recovery_form
from vtorc.forms.running_settings import setting_forms
from vtorc.forms.shard import shard_form
from vtorc.forms.tablet import Moment
from vtorc.recovery.record import Outcome, RecoveryRecord, StepRecord
from vtorc.recovery.runner import Judgement
from vtorc.server.memory import ServerMemory
from vtorc.server.today.routes import today_routes

WALL = 1_700_000_000_000_000_000
"""The time of all forms: 2023-11-14 22:13:20."""
SEMI_SYNC = policy("semi_sync")


def judged(view: ShardView, *, controlled: bool = True) -> Judgement:
    """Judge a shard."""
    findings = analyse(view, SEMI_SYNC, DetectionThresholds(), NOW)
    decisions = decide(view, findings, SEMI_SYNC, DecisionLimits(controlled=controlled), NOW)
    return Judgement(view, SEMI_SYNC, decisions, next_action(decisions), controlled=controlled)


def shard_frame(view: ShardView, *, controlled: bool = True) -> ShardFrame:
    """Return what the server is told of a shard."""
    return ShardFrame(shard=shard_form(judged(view, controlled=controlled), Moment(NOW, WALL), revision=1))


def settings_frame(sources: dict[str, str] | None = None, **changes: Any) -> SettingsFrame:
    """Return what the server is told of the settings, with some that do not have their default."""
    loaded = Loaded(settings=Settings(**changes))
    return SettingsFrame(settings=list(setting_forms(loaded.settings, {**loaded.sources, **(sources or {})})))


def status_frame(*, allowed: bool = True) -> StatusFrame:
    """Return what the server is told of vtorc."""
    return StatusFrame(
        version="1.2.3",
        process=77,
        started="2023-11-14T22:12:20.000Z",
        recoveries_allowed=allowed,
        emergency_reparents_allowed=True,
        clusters_to_watch=[],
        topology_failures=[],
        announcements=[],
        history_file="",
    )


def recovery_frame(*, outcome: Outcome = Outcome.SUCCEEDED, kind: Recovery = Recovery.FIX_REPLICA) -> RecoveryFrame:
    """Return the record of a recovery with one step that took a second and a half."""
    replica = TabletAlias("zone1", 101)
    record = RecoveryRecord(
        shard=ShardId("commerce", "0"),
        recovery=kind,
        code=None,
        alias=replica,
        began=WALL,
        duration=2.0,
        outcome=outcome,
        sentence="the replica was repaired",
        steps=(StepRecord(name="start replication", target=replica, started=0.25, duration=1.5),),
        winner=TabletAlias("zone1", 102),
    )
    return RecoveryFrame(recovery=recovery_form(record))


def decision_frames(view: ShardView, *, cleared: bool = False) -> list[DecisionFrame]:
    """Return the news of each decision about a shard."""
    return [
        DecisionFrame(
            at="2023-11-14T22:13:20.000Z", change="cleared" if cleared else "decided", finding=finding_form(decision)
        )
        for decision in judged(view).decisions
    ]


def heartbeat() -> HeartbeatFrame:
    """Return a sign of life, a minute after the start."""
    return HeartbeatFrame(at="2023-11-14T22:13:20.000Z", late_seconds=0.25)


def metrics_frame(*metrics: MetricForm) -> MetricsFrame:
    """Return what the server is told of counters."""
    return MetricsFrame(metrics=list(metrics))


def memory_of(*told: AnyFrame | ShardView) -> ServerMemory:
    """Return a memory that was told this, by way of the bytes that go between the processes."""
    memory = ServerMemory()
    for each in told:
        frame = shard_frame(each) if isinstance(each, ShardView) else each
        memory.take(decode_frame(encode(frame)), 0.0)
    return memory


def app_of(memory: ServerMemory, ask: RecordedAsk | None = None) -> Starlette:
    """Return an application with today's routes alone."""
    return Starlette(routes=today_routes(memory, ask or RecordedAsk()))

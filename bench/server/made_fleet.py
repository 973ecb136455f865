"""A fleet that no tablet stands behind: its judgements are as many, and as different, as those of a real one."""

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from vtorc.core.decision.decisions import Decision, DecisionLimits, decide, next_action
from vtorc.core.detection.analysis import analyse
from vtorc.core.detection.thresholds import DetectionThresholds
from vtorc.core.facts.durability import policy
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import ShardId, TabletAlias, TabletType
from vtorc.core.facts.last_probe import LastProbe
from vtorc.core.facts.records import KeyspaceRecord, ShardRecord, TabletRecord
from vtorc.core.facts.status import ReplicationStatus, SemiSyncStatus, TabletStatus, ThreadState
from vtorc.core.facts.views import ShardView, TabletView
from vtorc.recovery.runner import Judgement

TICK = 0.005
"""Seconds between two turns in which the fleet changes: few tablets answer at the very same moment."""

ANSWERS_EVERY = 5.0
"""Seconds between two answers of a tablet, which is vtorc's default pace."""

BREAKS_EVERY = 8
"""Turns between two shards of which a replica stops: 25 a second, and as many replicas go on again."""

BROKEN = 50
"""Most replicas that are stopped at a time."""

STAMP = "made at "
"""What stands in a made error before the moment at which it was made, in microseconds since the Unix epoch."""

_CELLS = ("zone1", "zone2", "zone3")
_SHARDS_PER_KEYSPACE = 64
_POLICY = policy("semi_sync")
_NO_ACK_TIMEOUT_MS = 10**18
_TERM = 1_700_000_000_000_000_000


class Hearer(Protocol):
    """Hears of the fleet, as an observer of control does."""

    def judged(self, judgement: Judgement) -> None:
        """Called after each judgement."""
        ...

    def decided(self, decision: Decision) -> None:
        """Called when a decision is new."""
        ...

    def cleared(self, decision: Decision) -> None:
        """Called when the problem of an earlier decision is gone."""
        ...


@dataclass(slots=True)
class _MadeShard:
    """One shard as it was judged last."""

    view: ShardView
    written: int = 1000
    """How many transactions its primary has committed."""
    decisions: tuple[Decision, ...] = ()


class MadeFleet:
    """Shards that write all the time; now and then a replica of one stops, and goes on again some seconds later."""

    def __init__(self, shards: int, tablets: int, *, now: Callable[[], float]) -> None:
        """Make `shards` shards with `tablets` tablets in all; `now` returns seconds on the clock of the views."""
        self._now = now
        shares = [(index + 1) * tablets // shards - index * tablets // shards for index in range(shards)]
        self._shards = [_MadeShard(_view(index, share, now())) for index, share in enumerate(shares)]
        self._places = [
            (made, number) for number in range(max(shares)) for made in self._shards if number < len(made.view.tablets)
        ]
        self._broken: deque[_MadeShard] = deque()
        self.late = 0.0
        """How late the slowest turn was, in seconds."""

    async def run(self, hearers: Sequence[Hearer]) -> None:
        """Tell of all shards, then change them until cancelled."""
        for made in self._shards:
            self._judge(made, hearers)
            await asyncio.sleep(0)
        answering, breaking = itertools.cycle(self._places), itertools.cycle(self._shards)
        per_turn = len(self._places) * TICK / ANSWERS_EVERY
        due, at = 0.0, time.monotonic()
        for turn in itertools.count():
            if turn % BREAKS_EVERY == 0:
                self._break(next(breaking), hearers)
            due += per_turn
            while due >= 1.0:
                due -= 1.0
                self._answer(*next(answering), hearers)
            at += TICK
            self.late = max(self.late, time.monotonic() - at)
            await asyncio.sleep(at - time.monotonic())

    def _answer(self, made: _MadeShard, number: int, hearers: Iterable[Hearer]) -> None:
        """Let a tablet answer, with more transactions than before."""
        tablet = made.view.tablets[number]
        status = tablet.status
        assert status is not None
        made.written += number == 0
        executed = _written(made.view.tablets[0], made.written)
        replication = status.replication
        if replication is not None and replication.io_state is ThreadState.RUNNING:
            replication = replace(replication, executed=executed, received=executed)
        if replication is None or replication.io_state is ThreadState.RUNNING:
            status = replace(status, executed=executed, replication=replication)
        self._put(made, number, status)
        self._tell(made, hearers)

    def _break(self, made: _MadeShard, hearers: Sequence[Hearer]) -> None:
        """Stop the last replica of a shard, and let the one go on that was stopped first."""
        self._set_io(made, ThreadState.STOPPED, f"{STAMP}{time.time_ns() // 1000}")
        self._judge(made, hearers)
        self._broken.append(made)
        if len(self._broken) > min(BROKEN, len(self._shards) // 2):
            healed = self._broken.popleft()
            self._set_io(healed, ThreadState.RUNNING, "")
            self._judge(healed, hearers)

    def _set_io(self, made: _MadeShard, state: ThreadState, error: str) -> None:
        number = len(made.view.tablets) - 1
        status = made.view.tablets[number].status
        assert status is not None
        assert status.replication is not None
        self._put(
            made,
            number,
            replace(status, replication=replace(status.replication, io_state=state, last_io_error=error)),
        )

    def _put(self, made: _MadeShard, number: int, status: TabletStatus) -> None:
        now = self._now()
        tablets = list(made.view.tablets)
        tablets[number] = replace(
            tablets[number], last_probe=LastProbe.answered(status, started=now - 0.001, ended=now)
        )
        made.view = replace(made.view, tablets=tuple(tablets))

    def _judge(self, made: _MadeShard, hearers: Iterable[Hearer]) -> None:
        """Judge a shard anew, as its loop does after news."""
        before, now = made.decisions, self._now()
        findings = analyse(made.view, _POLICY, DetectionThresholds(), now)
        made.decisions = decide(made.view, findings, _POLICY, DecisionLimits(), now)
        self._tell(made, hearers)
        for hearer in hearers:
            for decision in made.decisions:
                hearer.decided(decision)
            if not made.decisions:
                for decision in before:
                    hearer.cleared(decision)

    def _tell(self, made: _MadeShard, hearers: Iterable[Hearer]) -> None:
        judgement = Judgement(made.view, _POLICY, made.decisions, next_action(made.decisions))
        for hearer in hearers:
            hearer.judged(judgement)


def _view(index: int, tablets: int, now: float) -> ShardView:
    """Return a healthy shard of so many tablets, the first of them primary."""
    keyspace, number = divmod(index, _SHARDS_PER_KEYSPACE)
    shard = ShardId(f"made{keyspace}", f"{number:02x}-{number + 1:02x}")
    aliases = [
        TabletAlias(_CELLS[(index + place) % len(_CELLS)], 1_000_000 + 100 * index + place) for place in range(tablets)
    ]
    first = TabletView(
        record=_record(aliases[0], shard, TabletType.PRIMARY),
        last_probe=LastProbe.answered(_primary(aliases[0], tablets - 1), started=now, ended=now),
    )
    views = [first]
    for alias in aliases[1:]:
        answered = LastProbe.answered(_replica(alias, first), started=now, ended=now)
        views.append(TabletView(record=_record(alias, shard, TabletType.REPLICA), last_probe=answered))
    return ShardView(
        shard=shard,
        keyspace_record=KeyspaceRecord(name=shard.keyspace, durability_policy="semi_sync"),
        shard_record=ShardRecord(shard=shard, primary_alias=aliases[0], primary_term_start=_TERM),
        tablets=tuple(views),
    )


def _record(alias: TabletAlias, shard: ShardId, type_: TabletType) -> TabletRecord:
    host = f"tablet-{alias.uid}.{alias.cell}.example.net"
    return TabletRecord(
        alias=alias,
        keyspace=shard.keyspace,
        shard=shard.shard,
        type=type_,
        hostname=host,
        grpc_port=15999,
        mysql_hostname=host,
        mysql_port=3306,
        primary_term_start=_TERM if type_ is TabletType.PRIMARY else 0,
    )


def _primary(alias: TabletAlias, replicas: int) -> TabletStatus:
    semi_sync = SemiSyncStatus(
        primary_enabled=True,
        primary_active=True,
        primary_clients=replicas,
        timeout=_NO_ACK_TIMEOUT_MS,
        wait_for_replica_count=1,
    )
    return replace(_status(alias), tablet_type=TabletType.PRIMARY, semi_sync=semi_sync)


def _replica(alias: TabletAlias, primary: TabletView) -> TabletStatus:
    assert primary.status is not None
    executed = _written(primary, 1000)
    return replace(
        _status(alias),
        read_only=True,
        super_read_only=True,
        executed=executed,
        tablet_type=TabletType.REPLICA,
        heartbeat_interval=4.0,
        replica_net_timeout=8,
        replication=ReplicationStatus(
            source_host=primary.record.mysql_hostname,
            source_port=primary.record.mysql_port,
            source_uuid=primary.status.server_uuid,
            source_user="vt_repl",
            io_state=ThreadState.RUNNING,
            sql_state=ThreadState.RUNNING,
            executed=executed,
            received=executed,
            read_to=("vt-bin.000003", 157),
            lag=0,
            auto_position=True,
            has_filters=False,
        ),
        semi_sync=SemiSyncStatus(
            replica_enabled=True, replica_active=True, timeout=_NO_ACK_TIMEOUT_MS, wait_for_replica_count=1
        ),
    )


def _status(alias: TabletAlias) -> TabletStatus:
    """Return what all servers tell."""
    return TabletStatus(
        server_id=alias.uid,
        server_uuid=_uuid(alias),
        version="8.4.6",
        version_comment="MySQL Community Server - GPL",
        super_read_only=False,
        executed=GtidSet.of(_uuid(alias), 1, 1000),
        binlog_end=("vt-bin.000003", 157),
        gtid_mode="ON",
        log_bin=True,
        log_replica_updates=True,
        binlog_format="ROW",
        binlog_row_image="full",
        semi_sync_blocked=False,
        disk_stalled=False,
    )


def _uuid(alias: TabletAlias) -> str:
    return f"{alias.uid:08x}-0000-4000-8000-000000000000"


def _written(primary: TabletView, count: int) -> GtidSet:
    """Return the first `count` transactions of a primary."""
    return GtidSet.of(_uuid(primary.alias), 1, count)

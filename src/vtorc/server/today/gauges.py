"""Metrics that can be read off the present state of the shards, worked out when they are asked for."""

import resource
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import accumulate

from vtorc.core.facts.gtid import GtidSet
from vtorc.forms.frames import DURATION_BOUNDS, AnyFrame, GoneFrame, MetricForm, ShardFrame
from vtorc.forms.shard import ShardForm
from vtorc.server.memory import ServerMemory
from vtorc.server.today.golang import seconds_between
from vtorc.server.today.known import TodayLimits, findings_by_tablet, known_of, watched_shards
from vtorc.server.today.summaries import summaries

Problem = tuple[str, str, str, str]
"""Code, tablet, keyspace and shard."""


class FleetGauges:
    """The gauges of the fleet.

    A problem that is gone, and a tablet without errant transactions, are told as 0 while the tablet is known. Alerts
    and Vitess' own tests wait for the 0.
    """

    def __init__(self, memory: ServerMemory, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Hear of each change in `memory`, of which `clock` is the clock: a problem may come and go between scrapes."""
        self._memory = memory
        self._clock = clock
        self._problems: dict[str, set[Problem]] = {}
        for shard in memory.shards.values():
            self._note(shard)
        memory.listen(self._hear)

    def metrics(self) -> Iterator[MetricForm]:
        """Yield the values of this moment."""
        shards = list(watched_shards(self._memory))
        yield from self._vtorc(shards)
        yield from self._fleet(shards)
        for shard in shards:
            yield from self._shard(shard)

    def _hear(self, frame: AnyFrame) -> None:
        match frame:
            case ShardFrame(shard=shard):
                self._note(shard)
            case GoneFrame(shard=name):
                self._problems.pop(name, None)
            case _:
                pass

    def _note(self, shard: ShardForm) -> None:
        """Add the problems that the shard has, and drop those of tablets that it has no more."""
        names = {tablet.alias for tablet in shard.tablets}
        earlier = self._problems.get(shard.name, set())
        self._problems[shard.name] = {problem for problem in earlier if problem[1] in names} | self._present(shard)

    def _present(self, shard: ShardForm) -> set[Problem]:
        """Return the problems that the shard has now."""
        return _problems(shard, TodayLimits.of(self._memory.settings))

    def _vtorc(self, shards: list[ShardForm]) -> Iterator[MetricForm]:
        """Yield what concerns vtorc itself, as far as it has told it."""
        memory = self._memory
        yield MetricForm(name="MaxFds", labels={}, value=resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        yield MetricForm(name="HttpDroppedListeners", labels={}, value=memory.dropped_listeners)
        if memory.heard_at is not None:
            silence = max(0.0, self._clock() - memory.heard_at)
            yield MetricForm(name="ControlSilenceSeconds", labels={}, value=round(silence, 3))
        if (status := memory.status) is not None:
            yield MetricForm(name="RecoveriesAllowed", labels={}, value=int(status.recoveries_allowed))
            yield MetricForm(name="TopologyFailures", labels={}, value=len(status.topology_failures))
            for rule in sorted({told.rule for told in status.announcements}):
                yield MetricForm(name="Announcements", labels={"Rule": rule}, value=1)
        if (heartbeat := memory.heartbeat) is not None:
            yield MetricForm(name="ControlLatenessSeconds", labels={}, value=heartbeat.late_seconds)
            oldest = max((seconds_between(shard.as_of, heartbeat.at) for shard in shards), default=0.0)
            yield MetricForm(name="OldestShardSeconds", labels={}, value=round(max(0.0, oldest), 3))
            if status is not None:
                up = seconds_between(status.started, heartbeat.at)
                yield MetricForm(name="Uptime", labels={}, value=round(up * 1e9))

    def _fleet(self, shards: list[ShardForm]) -> Iterator[MetricForm]:
        tablets = [tablet for shard in shards for tablet in shard.tablets]
        with_errant = sum(bool(tablet.gtid is not None and tablet.gtid.errant) for tablet in tablets)
        yield MetricForm(name="ErrantGtidTabletCount", labels={}, value=with_errant)
        for cell, count in sorted(Counter(tablet.cell for tablet in tablets).items()):
            yield MetricForm(name="TabletsWatchedByCell", labels={"Cell": cell}, value=count)
        for state, count in sorted(Counter(shard.state for shard in shards).items()):
            yield MetricForm(name="ShardStates", labels={"State": state}, value=count)
        for outcome, count in sorted(Counter(tablet.direct.outcome for tablet in tablets if tablet.direct).items()):
            yield MetricForm(name="MysqlAskedDirectly", labels={"Outcome": outcome}, value=count)
        yield _probe_ages(shards)

    def _shard(self, shard: ShardForm) -> Iterator[MetricForm]:
        labels = {"Keyspace": shard.keyspace, "Shard": shard.shard}
        yield MetricForm(name="TabletsWatchedByShard", labels=labels, value=len(shard.tablets))
        if shard.keyspace_forbids_emergency_reparent or shard.forbids_emergency_reparent:
            yield MetricForm(name="EmergencyReparentShardDisabled", labels=labels, value=1)
        if shard.acks is not None:
            yield MetricForm(name="AckHeadroom", labels=labels, value=shard.acks.have - shard.acks.needed)
        if shard.ready is not None:
            yield MetricForm(name="ShardReady", labels=labels, value=int(shard.ready.ready))
        if not shard.keyspace_is_snapshot:
            yield MetricForm(name="ShardTakesWrites", labels=labels, value=int(shard.takes_writes is True))
        if any("no_alert" in hold.effects for hold in shard.holds):
            yield MetricForm(name="ShardSilenced", labels=labels, value=1)
        told = (each for each in shard.findings if not each.acts and each.silenced is None)
        for code, rule in sorted({(each.code, each.rule) for each in told}):
            yield MetricForm(name="StandingStill", labels={"Analysis": code, **labels, "Rule": rule}, value=1)
        for tablet in shard.tablets:
            errant = GtidSet.parse(tablet.gtid.errant).count() if tablet.gtid is not None else 0
            yield MetricForm(name="CurrentErrantGTIDCount", labels={"TabletAlias": tablet.alias}, value=errant)
        present = self._present(shard)
        for problem in sorted(self._problems.get(shard.name, ())):
            code, alias, _, _ = problem
            yield MetricForm(
                name="DetectedProblems",
                labels={"Analysis": code, "TabletAlias": alias, **labels},
                value=int(problem in present),
            )


def _problems(shard: ShardForm, limits: TodayLimits) -> set[Problem]:
    codes = {alias: {each.code for each in told} for alias, told in findings_by_tablet(shard).items()}
    if shard.controlled:
        for known in known_of(shard, limits):
            own = codes.setdefault(known.tablet.alias, set())
            own |= {summary.code for summary in summaries(known, own)}
    return {(code, alias, shard.keyspace, shard.shard) for alias, own in codes.items() for code in own}


def _probe_ages(shards: list[ShardForm]) -> MetricForm:
    ages = [
        seconds_between(tablet.answered_at, shard.as_of)
        for shard in shards
        for tablet in shard.tablets
        if tablet.answered_at is not None and tablet.reach == "answers"
    ]
    counts = [0] * (len(DURATION_BOUNDS) + 1)
    for age in ages:
        counts[bisect_left(DURATION_BOUNDS, age)] += 1
    return MetricForm(name="ProbeAgeSeconds", labels={}, value=round(sum(ages), 3), counts=list(accumulate(counts)))

"""Each tablet among the others of its shard: what Vitess' vtorc works out by joins of its tables."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from vtorc.core.facts.ids import TabletType, is_replica_type
from vtorc.forms.findings import FindingForm
from vtorc.forms.mysql import MysqlForm
from vtorc.forms.settings import SettingForm
from vtorc.forms.shard import ShardForm
from vtorc.forms.tablet import GtidForm, ReplicationForm, SemiSyncForm, TabletForm
from vtorc.server.memory import ServerMemory
from vtorc.server.today.golang import seconds_between

NO_REPLICATION = ReplicationForm(
    source="",
    source_tablet=None,
    source_uuid="",
    has_user=False,
    auto_position=False,
    has_filters=None,
    read_file=None,
    read_position=None,
    io_thread="",
    sql_thread="",
    io_error="",
    sql_error="",
    lag_seconds=None,
    delay_seconds=None,
)
NO_SEMI_SYNC = SemiSyncForm(
    waits=None,
    acknowledges=None,
    is_waiting=None,
    is_acknowledging=None,
    timeout_ms=None,
    clients=None,
    wait_for_replica_count=None,
)
NO_GTIDS = GtidForm(executed="", to_apply="", missing="", not_on_primary="", errant="")
RECENT_POLLS = 5
"""Polls after which a tablet counts as not checked recently."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TodayLimits:
    """The settings that today's answers depend on."""

    poll: float = 5.0
    """Seconds between two probes (`--instance-poll-time`)."""
    lag: float = 10.0
    """Seconds of lag above which a replica counts as lagging (`--reasonable-replication-lag`)."""
    ignored_hosts: tuple[re.Pattern[str], ...] = ()
    """Hosts that fit one are in no list of problems (`--problem-ignore-hostname-filters`)."""

    @classmethod
    def of(cls, settings: dict[str, SettingForm]) -> "TodayLimits":
        """Read them from the settings that were told; the defaults until then."""
        return cls(
            poll=_seconds(settings.get("instance-poll-time"), cls().poll),
            lag=_seconds(settings.get("reasonable-replication-lag"), cls().lag),
            ignored_hosts=tuple(map(re.compile, _words(settings.get("problem-ignore-hostname-filters")))),
        )


def _seconds(setting: SettingForm | None, default: float) -> float:
    return setting.value if setting is not None and isinstance(setting.value, float) else default


DEFAULT_LIMITS = TodayLimits()


def _words(setting: SettingForm | None) -> list[str]:
    return setting.value if setting is not None and isinstance(setting.value, list) else []


@dataclass(frozen=True)
class KnownTablet:
    """One tablet with its shard."""

    shard: ShardForm
    tablet: TabletForm
    limits: TodayLimits

    @property
    def replication(self) -> ReplicationForm:
        """Its replication, with nothing in it if it has none."""
        return self.tablet.replication or NO_REPLICATION

    @property
    def semi_sync(self) -> SemiSyncForm:
        """Its semi-sync, with nothing in it if it told none."""
        return self.tablet.semi_sync or NO_SEMI_SYNC

    @property
    def gtid(self) -> GtidForm:
        """Its transactions, none if it never answered."""
        return self.tablet.gtid or NO_GTIDS

    @property
    def mysql(self) -> MysqlForm | None:
        """How its MySQL is set up; None if it never answered, and Vitess' vtorc has no row of it then."""
        return self.tablet.mysql

    @property
    def is_replica_type(self) -> bool:
        """Whether its record makes it one of the replicas."""
        return is_replica_type(TabletType[self.tablet.type])

    @property
    def is_analysed(self) -> bool:
        """Whether Vitess looks at the tablet: by its type, and because its shard has a policy and is no snapshot."""
        has_role = self.tablet.type == TabletType.PRIMARY.name or self.is_replica_type
        return has_role and self.shard.durability is not None and not self.shard.keyspace_is_snapshot

    @property
    def is_valid(self) -> bool:
        """Whether the last probe was answered."""
        return self.tablet.reach == "answers"

    @property
    def is_ignored(self) -> bool:
        """Whether the settings leave its host out of lists of problems."""
        return any(pattern.search(self.tablet.mysql_host) for pattern in self.limits.ignored_hosts)

    @property
    def has_source(self) -> bool:
        """Whether it replicates from another server."""
        return bool(self.replication.source)

    @property
    def is_replicating(self) -> bool:
        """Whether both threads run."""
        return self.replication.io_thread == self.replication.sql_thread == "running"

    @property
    def is_lagging(self) -> bool:
        """Whether it is further behind than it is meant to be."""
        lag, delay = self.replication.lag_seconds, self.replication.delay_seconds or 0
        return lag is not None and abs(lag - delay) > self.limits.lag

    @property
    def seen_at(self) -> str | None:
        """When it answered last; None if it never did."""
        return self.tablet.asked_at if self.is_valid else self.tablet.answered_at

    @property
    def seconds_since_check(self) -> float | None:
        """Seconds since the last question was over; None before the first one is."""
        asked = self.tablet.asked_at
        return None if asked is None else seconds_between(asked, self.shard.as_of)

    @property
    def seconds_since_seen(self) -> float | None:
        """Seconds since it answered last; None if it never did."""
        return None if self.seen_at is None else seconds_between(self.seen_at, self.shard.as_of)

    def was_checked_within(self, seconds: float) -> bool:
        """Return whether the last question was over so short a time ago."""
        since = self.seconds_since_check
        return since is not None and since <= seconds

    @cached_property
    def source(self) -> "KnownTablet | None":
        """The tablet that it replicates from; None without one."""
        name = self.replication.source_tablet
        return next((other for other in self._others if other.tablet.alias == name), None)

    @cached_property
    def replicas(self) -> "tuple[KnownTablet, ...]":
        """The tablets that replicate from it by their last answers."""
        return tuple(other for other in self._others if other.replication.source_tablet == self.tablet.alias)

    @property
    def valid_replicas(self) -> "tuple[KnownTablet, ...]":
        """Those of them that answer."""
        return tuple(replica for replica in self.replicas if replica.is_valid)

    @property
    def is_co_primary(self) -> bool:
        """Whether its source replicates from it."""
        return self.source is not None and self.source.replication.source_tablet == self.tablet.alias

    @property
    def sources(self) -> "list[KnownTablet]":
        """Its source, the source of that, and so on, up to the first that is in the list already."""
        found: list[KnownTablet] = []
        seen = {self.tablet.alias}
        at = self.source
        while at is not None and at.tablet.alias not in seen:
            seen.add(at.tablet.alias)
            found.append(at)
            at = at.source
        return found

    @property
    def _others(self) -> "Iterator[KnownTablet]":
        own = self.tablet.alias
        return (KnownTablet(self.shard, other, self.limits) for other in self.shard.tablets if other.alias != own)


def watched_shards(memory: ServerMemory, keyspace: str = "", shard: str = "") -> Iterator[ShardForm]:
    """Yield the shards that vtorc acts on, those of one keyspace or one shard where that is given.

    Vitess' vtorc knows of no others (`--clusters-to-watch`).
    """
    for form in list(memory.shards.values()):
        if form.controlled and keyspace in ("", form.keyspace) and shard in ("", form.shard):
            yield form


def known_tablets(memory: ServerMemory, keyspace: str = "", shard: str = "") -> Iterator[KnownTablet]:
    """Yield the tablets of these shards."""
    limits = TodayLimits.of(memory.settings)
    for form in watched_shards(memory, keyspace, shard):
        yield from known_of(form, limits)


def known_of(shard: ShardForm, limits: TodayLimits) -> Iterator[KnownTablet]:
    """Yield the tablets of one shard."""
    return (KnownTablet(shard, tablet, limits) for tablet in shard.tablets)


def findings_by_tablet(shard: ShardForm) -> dict[str, list[FindingForm]]:
    """Return the findings of a shard by the tablet that today's answers tell them at, most urgent first.

    One about the whole shard, or about a tablet that is not known, is told at the first replica, as in Vitess. The
    findings of a shard without tablets are left out: no row could have them.
    """
    names = {tablet.alias for tablet in shard.tablets}
    replicas = [tablet.alias for tablet in shard.tablets if is_replica_type(TabletType[tablet.type])]
    first = next(iter([*replicas, *sorted(names)]), None)
    told: dict[str, list[FindingForm]] = {}
    for finding in shard.findings:
        alias = finding.tablet if finding.tablet in names else first
        if alias is not None:
            told.setdefault(alias, []).append(finding)
    return told

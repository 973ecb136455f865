"""The catalogue of metrics: those of Vitess' vtorc and those that only vtorc has, with type, labels and help text.

The names are those of `/debug/vars`. Prometheus gets them with `vtorc_` in front and in snake case, and without the
`_total` that its own library would add.
"""

import enum
from dataclasses import dataclass

OF_SHARD = ("Keyspace", "Shard")
OF_RECOVERY = ("RecoveryType", *OF_SHARD)
OF_TOPO = ("Operation", "Cell")


class MetricKind(enum.Enum):
    """The type of a metric, as Prometheus names it."""

    COUNTER = "counter"
    GAUGE = "gauge"
    DURATIONS = "histogram"


COUNTER, GAUGE, DURATIONS = MetricKind.COUNTER, MetricKind.GAUGE, MetricKind.DURATIONS


@dataclass(frozen=True, slots=True)
class MetricTraits:
    """One row of the catalogue."""

    kind: MetricKind
    """The type."""
    labels: tuple[str, ...]
    """The labels, in the order in which `/debug/vars` joins their values; empty for a single value."""
    help: str
    """The meaning, in a sentence without a full stop."""


def _row(kind: MetricKind, help_: str, labels: tuple[str, ...] = ()) -> MetricTraits:
    return MetricTraits(kind, labels, help_)


METRICS: dict[str, MetricTraits] = {
    # Those of Vitess' vtorc. A metric without labels that vtorc never sets is 0, as it lacks that queue or cache.
    "AnalysisChangeWrite": _row(COUNTER, "Changes of findings and of what is decided about them"),
    "AuditWrite": _row(COUNTER, "Audit entries written"),
    "BuildNumber": _row(GAUGE, "Number of the build"),
    "BuildTimestamp": _row(GAUGE, "Time of the build in seconds since the Unix epoch"),
    "CurrentErrantGTIDCount": _row(GAUGE, "Errant transactions of a tablet", ("TabletAlias",)),
    "DetectedProblems": _row(GAUGE, "1 while a tablet has the problem, else 0", ("Analysis", "TabletAlias", *OF_SHARD)),
    "DiscoveriesAttempt": _row(COUNTER, "Probes of tablets"),
    "DiscoveriesFail": _row(COUNTER, "Probes that brought no status"),
    "DiscoveriesInstancePollSecondsExceeded": _row(COUNTER, "Probes without an answer within the interval of probes"),
    "DiscoveriesQueueLength": _row(GAUGE, "Probes that wait for their turn"),
    "DiscoveriesRecentCount": _row(GAUGE, "Tablets that were probed so recently that they are passed over"),
    "DiscoveryInstanceTimings": _row(DURATIONS, "Duration of probes", ("Action",)),
    "DiscoveryWorkers": _row(GAUGE, "Probes that may be on their way at a time"),
    "DiscoveryWorkersActive": _row(GAUGE, "Probes on their way that count against the limit"),
    "EmergencyReparentCounts": _row(COUNTER, "Emergency reparents that ended", (*OF_SHARD, "Result")),
    "EmergencyReparentShardDisabled": _row(
        GAUGE, "1 for a shard with emergency reparents switched off in the topology server", OF_SHARD
    ),
    "ErrantGtidTabletCount": _row(GAUGE, "Tablets with errant transactions"),
    "FailedRecoveries": _row(COUNTER, "Recoveries that failed or were refused", OF_RECOVERY),
    "InstanceRead": _row(COUNTER, "Rows of tablets read from a database"),
    "InstanceReadTopology": _row(COUNTER, "Probes that brought a status"),
    "MaxFds": _row(GAUGE, "Most files that the process may have open"),
    "PendingRecoveries": _row(GAUGE, "Recoveries in progress"),
    "PlannedReparentCounts": _row(COUNTER, "Planned reparents that ended", (*OF_SHARD, "Result")),
    "RecoveriesCount": _row(COUNTER, "Recoveries that ended", OF_RECOVERY),
    "ReparentShardOperationTimings": _row(DURATIONS, "Duration of reparents", ("Operation",)),
    "ShardLockTimings": _row(DURATIONS, "Wait for the lock of a shard", ("Action",)),
    "ShardLocksActive": _row(GAUGE, "Recoveries that hold or take the lock of their shard"),
    "SkippedRecoveries": _row(COUNTER, "Decisions not to begin a recovery", (*OF_RECOVERY, "Reason")),
    "SuccessfulRecoveries": _row(COUNTER, "Recoveries that succeeded", OF_RECOVERY),
    "TabletsWatchedByCell": _row(GAUGE, "Tablets that are watched in a cell", ("Cell",)),
    "TabletsWatchedByShard": _row(GAUGE, "Tablets that are watched in a shard", OF_SHARD),
    "TopologyConnErrors": _row(COUNTER, "Failed calls to topology servers", OF_TOPO),
    "TopologyConnOperations": _row(DURATIONS, "Duration of calls to topology servers", OF_TOPO),
    "TopologyConnReadWaits": _row(DURATIONS, "Wait of reads from topology servers for their turn", OF_TOPO),
    "Uptime": _row(GAUGE, "Nanoseconds since the start"),
    "tabletmanagerclient_cachedconn_dial_timeouts": _row(GAUGE, "Cached connections that could not be made in time"),
    "tabletmanagerclient_cachedconn_dial_timings": _row(DURATIONS, "Wait for a cached connection", ("path",)),
    "tabletmanagerclient_cachedconn_new": _row(GAUGE, "Cached connections that were made"),
    "tabletmanagerclient_cachedconn_reuse": _row(GAUGE, "Cached connections that were used again"),
    # Those that only vtorc has.
    "AckHeadroom": _row(GAUGE, "Acknowledgements that a primary has beyond those that it needs", OF_SHARD),
    "Announcements": _row(GAUGE, "1 while something holds for the whole fleet, by its rule", ("Rule",)),
    "ControlLatenessSeconds": _row(COUNTER, "Seconds by which vtorc itself was late, which count against no server"),
    "ControlSilenceSeconds": _row(GAUGE, "Seconds since the HTTP server last heard of vtorc"),
    "DetectionSeconds": _row(DURATIONS, "From the first probe that failed to the begin of the replacement", ("Class",)),
    "HookRuns": _row(COUNTER, "Commands of hooks that ended beside recoveries", ("Hook", "Result")),
    "HttpDroppedListeners": _row(COUNTER, "Listeners to events that the HTTP server dropped because they took nothing"),
    "HttpServerStarts": _row(COUNTER, "Starts of the HTTP server process, the first one included"),
    "LockWaitSeconds": _row(DURATIONS, "Wait of recoveries for the lock of their shard"),
    "MysqlAskedDirectly": _row(
        GAUGE, "Tablets that do not answer, by what their MySQL told vtorc itself", ("Outcome",)
    ),
    "OldestShardSeconds": _row(GAUGE, "Seconds since vtorc judged the shard that it judged the longest ago"),
    "OwnErrors": _row(COUNTER, "Failures of vtorc itself in a shard, each with a traceback in the log"),
    "ProbeAgeSeconds": _row(DURATIONS, "Age of the last answer of each tablet that answers, at this moment"),
    "RecoveriesAllowed": _row(GAUGE, "Whether recoveries may begin: 1 or 0"),
    "RecoveriesEnded": _row(COUNTER, "Recoveries that ended, by kind and result", ("RecoveryType", "Result")),
    "RecoveryPhaseSeconds": _row(DURATIONS, "Duration of the phases of reparents", ("Phase",)),
    "RefusedDecisions": _row(COUNTER, "Decisions to stand still, by their rule", ("Rule",)),
    "ShardReady": _row(GAUGE, "Whether the primary would be replaced if it died now: 1 or 0", OF_SHARD),
    "ShardRecoveriesFailed": _row(
        COUNTER, "Recoveries that failed or were refused; 0 for a shard without any", OF_SHARD
    ),
    "ShardSilenced": _row(GAUGE, "1 while a hold of an operator silences the alerts on the shard", OF_SHARD),
    "ShardStates": _row(GAUGE, "Shards by their state", ("State",)),
    "ShardTakesWrites": _row(GAUGE, "Whether the primary takes writes beyond doubt: 1 or 0", OF_SHARD),
    "StandingStill": _row(
        GAUGE,
        "1 while vtorc does nothing about a problem that no hold silences, by its rule",
        ("Analysis", *OF_SHARD, "Rule"),
    ),
    "TopologyFailures": _row(GAUGE, "Parts of the topology that could not be read the last time"),
    "WebhookDeadLetters": _row(GAUGE, "Events for the webhook that were given up, of those that are kept"),
    "WebhookDelivered": _row(COUNTER, "Events that the webhook's receiver has taken"),
    "WebhookDropped": _row(COUNTER, "Events for the webhook that vtorc dropped, as its notifier was away for long"),
    "WebhookFailedTries": _row(COUNTER, "Tries to deliver an event to the webhook that failed"),
    "WebhookWaiting": _row(GAUGE, "Events for the webhook that are not delivered yet"),
}
"""All metrics by name, in alphabetical order within each part."""

"""The table of v12's routes: path, handler, style of the answer, and whether it acts."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from vtorc.server.v12 import acts, audits, holds, info, meta, notes, tablet_acts
from vtorc.server.v12.answers import Style
from vtorc.server.v12.call import Call
from vtorc.server.v12.refusals import refusal

Handler = Callable[[Call], object | Awaitable[object]]
"""Returns what is answered, `Told` for an envelope, or raises V12Error."""


@dataclass(frozen=True, slots=True)
class V12Route:
    """One route."""

    path: str
    """Its path below `/api/`; a segment with `:` is a value."""
    handler: Handler
    """The function that answers it."""
    style: Style
    """How it is answered."""
    acts: bool = False
    """Whether it asks vtorc to change something."""
    is_supported: bool = True
    """Whether vtorc does it at all; if not, its handler always refuses."""
    is_large: bool = False
    """Whether it tells about many tablets, so that a thread makes the answer; it must not await anything then."""
    needs_all: bool = True
    """Whether it may be answered only once all shards are known."""


def _raw(path: str, handler: Handler) -> V12Route:
    return V12Route(path, handler, Style.RAW)


def _told(path: str, handler: Handler) -> V12Route:
    return V12Route(path, handler, Style.ENVELOPE)


def _large(path: str, handler: Handler, style: Style = Style.RAW) -> V12Route:
    return V12Route(path, handler, style, is_large=True)


def _about_node(path: str, handler: Handler, style: Style = Style.RAW) -> V12Route:
    return V12Route(path, handler, style, needs_all=False)


def _acts(path: str, handler: Handler) -> V12Route:
    return V12Route(path, handler, Style.ENVELOPE, acts=True)


def _refused(path: str, style: Style = Style.ENVELOPE) -> V12Route:
    return V12Route(path, refusal(path.partition("/")[0]), style, is_supported=False, needs_all=False)


RELOCATION = (
    _acts("relocate/:host/:port/:belowHost/:belowPort", tablet_acts.relocate),
    _acts("relocate-below/:host/:port/:belowHost/:belowPort", tablet_acts.relocate),
    _acts("relocate-replicas/:host/:port/:belowHost/:belowPort", tablet_acts.relocate_replicas),
    _refused("regroup-replicas/:host/:port"),
    _refused("regroup-replicas-gtid/:host/:port"),
    _refused("regroup-replicas-bls/:host/:port"),
    _refused("move-up/:host/:port"),
    _refused("move-up-replicas/:host/:port"),
    _refused("move-below/:host/:port/:siblingHost/:siblingPort"),
    _acts("move-below-gtid/:host/:port/:belowHost/:belowPort", tablet_acts.relocate),
    _acts("move-replicas-gtid/:host/:port/:belowHost/:belowPort", tablet_acts.relocate_replicas),
    _acts("repoint/:host/:port/:belowHost/:belowPort", tablet_acts.relocate),
    _acts("repoint-replicas/:host/:port", tablet_acts.repoint_replicas),
    _refused("make-co-primary/:host/:port"),
    _refused("take-siblings/:host/:port"),
    _refused("take-primary/:host/:port"),
)

REPLICATION = (
    _refused("enable-gtid/:host/:port"),
    _refused("disable-gtid/:host/:port"),
    _refused("locate-gtid-errant/:host/:port"),
    _refused("gtid-errant-reset-primary/:host/:port"),
    _refused("gtid-errant-inject-empty/:host/:port"),
    _refused("skip-query/:host/:port"),
    _acts("start-replica/:host/:port", tablet_acts.start_replica),
    _acts("restart-replica/:host/:port", tablet_acts.restart_replica),
    _acts("stop-replica/:host/:port", tablet_acts.stop_replica),
    _acts("stop-replica-nice/:host/:port", tablet_acts.stop_replica_nicely),
    _refused("reset-replica/:host/:port"),
    _refused("detach-replica/:host/:port"),
    _refused("detach-replica-primary-host/:host/:port"),
    _refused("reattach-replica/:host/:port"),
    _refused("reattach-replica-primary-host/:host/:port"),
    _acts("flush-binary-logs/:host/:port", tablet_acts.flush_binary_logs),
    _refused("purge-binary-logs/:host/:port/:logFile"),
    _told("restart-replica-statements/:host/:port", info.restart_replica_statements),
    _told("can-replicate-from/:host/:port/:belowHost/:belowPort", info.can_replicate_from),
    _told("can-replicate-from-gtid/:host/:port/:belowHost/:belowPort", info.can_replicate_from_gtid),
    _acts("set-read-only/:host/:port", tablet_acts.set_read_only),
    _refused("set-writeable/:host/:port"),
    _refused("kill-query/:host/:port/:process"),
)

POOLS = (
    _refused("submit-pool-instances/:pool"),
    _told("cluster-pool-instances/:clusterName", info.no_pools),
    _told("cluster-pool-instances/:clusterName/:pool", info.no_pools),
    _refused("heuristic-cluster-pool-instances/:clusterName"),
    _refused("heuristic-cluster-pool-instances/:clusterName/:pool"),
    _refused("heuristic-cluster-pool-lag/:clusterName"),
    _refused("heuristic-cluster-pool-lag/:clusterName/:pool"),
)

INFORMATION = (
    _large("search/:searchString", info.search),
    _large("search", info.search),
    _large("all-instances", info.all_instances),
    _raw("instance/:host/:port", info.one_instance),
    _raw("instance-replicas/:host/:port", info.instance_replicas),
    _raw("cluster/:clusterHint", info.cluster),
    _raw("cluster/alias/:clusterAlias", info.cluster),
    _raw("cluster/instance/:host/:port", info.cluster),
    _raw("cluster-info/:clusterHint", info.one_cluster_info),
    _raw("cluster-info/alias/:clusterAlias", info.one_cluster_info),
    _raw("cluster-osc-replicas/:clusterHint", info.cluster_osc_replicas),
    _raw("clusters", info.clusters),
    _large("clusters-info", info.clusters_info),
    _large("primaries", info.primaries),
    _raw("primary/:clusterHint", info.primary),
    _raw("downtimed", holds.downtimed),
    _raw("downtimed/:clusterHint", holds.downtimed),
    _large("problems", info.with_problems),
    _large("problems/:clusterName", info.with_problems),
    _told("topology/:clusterHint", info.topology),
    _told("topology/:host/:port", info.topology),
    _told("topology-tabulated/:clusterHint", info.topology_tabulated),
    _told("topology-tabulated/:host/:port", info.topology_tabulated),
    _told("topology-tags/:clusterHint", info.topology_tags),
    _told("topology-tags/:host/:port", info.topology_tags),
    _refused("snapshot-topologies"),
    _refused("set-cluster-alias/:clusterName"),
    _told("resolve/:host/:port", info.resolve),
    _large("bulk-instances", info.bulk_instances),
    _large("bulk-promotion-rules", info.bulk_promotion_rules),
)

TAGS = (
    _raw("tagged", notes.tagged),
    _raw("tags/:host/:port", notes.tags),
    _raw("tag-value/:host/:port", notes.tag_value),
    _raw("tag-value/:host/:port/:tagName", notes.tag_value),
    _acts("tag/:host/:port", notes.tag),
    _acts("tag/:host/:port/:tagName/:tagValue", notes.tag),
    _acts("untag/:host/:port", notes.untag),
    _acts("untag/:host/:port/:tagName", notes.untag),
    _acts("untag-all", notes.untag_all),
    _acts("untag-all/:tagName/:tagValue", notes.untag_all),
)

KEY_VALUE = (
    _refused("submit-primaries-to-kv-stores"),
    _refused("submit-primaries-to-kv-stores/:clusterHint"),
)

# vtorc asks all tablets all the time; the first three have it ask one at once.
INSTANCES = (
    _acts("discover/:host/:port", tablet_acts.discover),
    _acts("async-discover/:host/:port", tablet_acts.discover_asynchronously),
    _acts("refresh/:host/:port", tablet_acts.refresh),
    _refused("forget/:host/:port"),
    _refused("forget-cluster/:clusterHint"),
    _acts("begin-maintenance/:host/:port/:owner/:reason", holds.begin_maintenance),
    _acts("end-maintenance/:host/:port", holds.end_maintenance),
    _acts("end-maintenance/:maintenanceKey", holds.end_maintenance_by_number),
    _told("in-maintenance/:host/:port", holds.in_maintenance),
    _raw("maintenance", holds.maintenance),
    _acts("begin-downtime/:host/:port/:owner/:reason", holds.begin_downtime),
    _acts("begin-downtime/:host/:port/:owner/:reason/:duration", holds.begin_downtime),
    _acts("end-downtime/:host/:port", holds.end_downtime),
)

RECOVERY = (
    _large("replication-analysis", info.replication_analysis, Style.ENVELOPE),
    _large("replication-analysis/:clusterName", info.replication_analysis, Style.ENVELOPE),
    _told("replication-analysis/instance/:host/:port", info.replication_analysis_of_instance),
    _acts("recover/:host/:port", acts.recover),
    _acts("recover/:host/:port/:candidateHost/:candidatePort", acts.recover),
    _acts("recover-lite/:host/:port", acts.recover),
    _acts("recover-lite/:host/:port/:candidateHost/:candidatePort", acts.recover),
    _acts("graceful-primary-takeover/:host/:port", acts.graceful_takeover),
    _acts("graceful-primary-takeover/:host/:port/:designatedHost/:designatedPort", acts.graceful_takeover),
    _acts("graceful-primary-takeover/:clusterHint", acts.graceful_takeover),
    _acts("graceful-primary-takeover/:clusterHint/:designatedHost/:designatedPort", acts.graceful_takeover),
    _acts("graceful-primary-takeover-auto/:host/:port", acts.graceful_takeover_auto),
    _acts("graceful-primary-takeover-auto/:host/:port/:designatedHost/:designatedPort", acts.graceful_takeover_auto),
    _acts("graceful-primary-takeover-auto/:clusterHint", acts.graceful_takeover_auto),
    _acts("graceful-primary-takeover-auto/:clusterHint/:designatedHost/:designatedPort", acts.graceful_takeover_auto),
    _acts("force-primary-failover/:host/:port", acts.force_failover),
    _acts("force-primary-failover/:clusterHint", acts.force_failover),
    _acts("force-primary-takeover/:clusterHint/:designatedHost/:designatedPort", acts.force_takeover),
    _acts("force-primary-takeover/:host/:port/:designatedHost/:designatedPort", acts.force_takeover),
    _acts("register-candidate/:host/:port/:promotionRule", holds.register_candidate),
    _told("automated-recovery-filters", meta.automated_recovery_filters),
    _raw("audit-failure-detection", audits.audit_failure_detection),
    _raw("audit-failure-detection/:page", audits.audit_failure_detection),
    _raw("audit-failure-detection/id/:id", audits.detection_by_number),
    _raw("audit-failure-detection/alias/:clusterAlias", audits.audit_failure_detection),
    _raw("audit-failure-detection/alias/:clusterAlias/:page", audits.audit_failure_detection),
    _raw("replication-analysis-changelog", audits.replication_analysis_changelog),
    _raw("audit-recovery", audits.audit_recovery),
    _raw("audit-recovery/:page", audits.audit_recovery),
    _raw("audit-recovery/id/:id", audits.recovery_by_number),
    _raw("audit-recovery/uid/:uid", audits.recovery_by_uid),
    _raw("audit-recovery/cluster/:clusterName", audits.audit_recovery),
    _raw("audit-recovery/cluster/:clusterName/:page", audits.audit_recovery),
    _raw("audit-recovery/alias/:clusterAlias", audits.audit_recovery),
    _raw("audit-recovery/alias/:clusterAlias/:page", audits.audit_recovery),
    _raw("audit-recovery-steps/:uid", audits.recovery_steps),
    _raw("active-cluster-recovery/:clusterName", audits.active_cluster_recovery),
    _raw("recently-active-cluster-recovery/:clusterName", audits.recently_active_cluster_recovery),
    _raw("recently-active-instance-recovery/:host/:port", audits.recently_active_instance_recovery),
    _acts("ack-recovery/:recoveryId", notes.acknowledge_by_number),
    _acts("ack-recovery/uid/:uid", notes.acknowledge_by_uid),
    _acts("ack-recovery/cluster/:clusterHint", notes.acknowledge_cluster),
    _acts("ack-recovery/cluster/alias/:clusterAlias", notes.acknowledge_cluster),
    _acts("ack-recovery/instance/:host/:port", notes.acknowledge_instance),
    _acts("ack-all-recoveries", notes.acknowledge_all),
    _raw("blocked-recoveries", audits.blocked_recoveries),
    _raw("blocked-recoveries/cluster/:clusterName", audits.blocked_recoveries),
    _acts("disable-global-recoveries", acts.disable_recoveries),
    _acts("enable-global-recoveries", acts.enable_recoveries),
    _told("check-global-recoveries", meta.check_global_recoveries),
)

AUDIT = (
    _raw("audit", audits.audit),
    _raw("audit/:page", audits.audit),
    _raw("audit/instance/:host/:port", audits.audit),
    _raw("audit/instance/:host/:port/:page", audits.audit),
)

HEALTH = (
    _about_node("status", meta.health, Style.ENVELOPE),
    _about_node("health", meta.health, Style.ENVELOPE),
    _about_node("lb-check", meta.alive),
    _about_node("_ping", meta.alive),
    _about_node("leader-check", meta.leader),
    _about_node("leader-check/:errorStatusCode", meta.leader),
    _about_node("routed-leader-check", meta.leader),
    _about_node("headers", meta.headers),
    _refused("grab-election"),
    _refused("reelect"),
    _acts("reload-configuration", acts.reload_configuration),
    _told("hostname-resolve-cache", meta.hostname_resolve_cache),
    _told("reset-hostname-resolve-cache", meta.reset_hostname_resolve_cache),
    _refused("reload-cluster-alias"),
    _refused("register-hostname-unresolve/:host/:port/:virtualname"),
    _refused("deregister-hostname-unresolve/:host/:port"),
)

MONITORING = tuple(
    _refused(f"{name}-{kind}/:seconds", Style.RAW)
    for name in ("discovery-metrics", "discovery-queue-metrics", "backend-query-metrics", "write-buffer-metrics")
    for kind in ("raw", "aggregated")
)

ROUTES: tuple[V12Route, ...] = (
    *RELOCATION,
    *REPLICATION,
    *POOLS,
    *INFORMATION,
    *TAGS,
    *KEY_VALUE,
    *INSTANCES,
    *RECOVERY,
    *AUDIT,
    *HEALTH,
    *MONITORING,
)
"""All 179 of them."""

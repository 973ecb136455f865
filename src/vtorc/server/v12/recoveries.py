"""v12's TopologyRecovery and what belongs to it: recoveries, their steps, what was detected, what was blocked."""

import bisect
import datetime
from collections.abc import Iterable, Iterator, Sequence

from vtorc.core.facts.rules import Rule
from vtorc.forms.frames import DecisionFrame
from vtorc.forms.recovery import HookRunForm, RecoveryForm, RunningForm, StepForm
from vtorc.server.today.analyses import NO_PROBLEM
from vtorc.server.v12.analyses import analysis_entry, cluster_details
from vtorc.server.v12.answers import GoObject, go_time, key_of
from vtorc.server.v12.clusters import Address, Cluster, Clusters, alias_of

BLOCKING_RULES = frozenset(rule.value for rule in (Rule.COOLDOWN, Rule.BACKOFF))
"""The rules by which an earlier recovery holds a later one back."""


def ended(recovery: RecoveryForm, clusters: Clusters, detections: "Detections") -> GoObject:
    """Return the TopologyRecovery of a recovery that ended."""
    cluster = clusters.of_shard(recovery.shard)
    successor = cluster.server(recovery.winner) if cluster is not None else None
    succeeded = recovery.succeeded
    return {
        **_common(recovery, clusters),
        "Id": recovery_number(recovery),
        "UID": recovery.id,
        "SuccessorKey": key_of(successor.address if successor is not None and succeeded else None),
        "SuccessorAlias": (recovery.winner or "") if succeeded else "",
        "IsActive": False,
        "IsSuccessful": succeeded,
        "AllErrors": [""] if succeeded else [recovery.sentence],
        "RecoveryEndTimestamp": go_time(_end(recovery).isoformat()),
        "LastDetectionId": detections.before(recovery),
        **_acknowledged(recovery),
        "RecoveryType": "NotPrimaryRecovery" if recovery.winner is None else "PrimaryRecoveryGTID",
    }


def _acknowledged(recovery: RecoveryForm) -> GoObject:
    acknowledgement = recovery.acknowledgement
    if acknowledgement is None:
        return {}
    return {
        "Acknowledged": True,
        "AcknowledgedAt": go_time(acknowledgement.at),
        "AcknowledgedBy": acknowledgement.actor,
        "AcknowledgedComment": acknowledgement.comment,
    }


def running(recovery: RunningForm, clusters: Clusters) -> GoObject:
    """Return the TopologyRecovery of a recovery in progress."""
    number = _microseconds(recovery.began)
    return {
        **_common(recovery, clusters),
        "Id": number,
        "UID": running_uid(recovery),
        "SuccessorKey": key_of(None),
        "SuccessorAlias": "",
        "IsActive": True,
        "IsSuccessful": False,
        "AllErrors": [""],
        "RecoveryEndTimestamp": "",
        "LastDetectionId": 0,
        "RecoveryType": "NotPrimaryRecovery",
    }


def running_uid(recovery: RunningForm) -> str:
    """Return a name for a recovery that has no permanent one yet."""
    return f"running:{alias_of(recovery.shard)}:{recovery.began}"


def recovery_number(recovery: RecoveryForm) -> int:
    """Return a number for a recovery that JavaScript can hold: its begin in microseconds."""
    return int(recovery.id) // 1000


def recently_ended(recovery: RecoveryForm, now: float) -> bool:
    """Return whether a recovery ended at most five minutes before `now`, in seconds since the Unix epoch."""
    return now - _end(recovery).timestamp() <= 300.0


def steps(uid: str, done: Sequence[StepForm], began: str, hooks: Sequence[HookRunForm] = ()) -> list[GoObject]:
    """Return the TopologyRecoverySteps of a recovery that began then, with the commands that ran after it."""
    start = datetime.datetime.fromisoformat(began)
    told = [((start + datetime.timedelta(seconds=step.started)).isoformat(), _step_message(step)) for step in done]
    told += [(run.at, f"{run.hook} {run.number}: {_ended(run)}") for run in hooks]
    return [
        {"Id": number, "RecoveryUID": uid, "AuditAt": go_time(at), "Message": message}
        for number, (at, message) in enumerate(told, 1)
    ]


def _step_message(step: StepForm) -> str:
    place = f" on {step.tablet}" if step.tablet is not None else ""
    return f"{step.name}{place}: {_ended(step)}"


def _ended(done: StepForm | HookRunForm) -> str:
    output = f": {done.output}" if done.output else ""
    return f"{done.result} ({done.seconds:.3f} s){output}"


def blocked(cluster: Cluster, recoveries: Iterable[RecoveryForm]) -> list[GoObject]:
    """Return a BlockedTopologyRecovery for each finding that an earlier recovery of the shard holds back."""
    earlier = [recovery_number(recovery) for recovery in recoveries if recovery.shard == cluster.shard.name]
    return [
        {
            "FailedInstanceKey": key_of(_address(cluster, finding.tablet)),
            "ClusterName": cluster.name,
            "Analysis": finding.code,
            "LastBlockedTimestamp": go_time(cluster.shard.as_of),
            "BlockingRecoveryId": max(earlier, default=0),
        }
        for finding in cluster.shard.findings
        if finding.rule in BLOCKING_RULES
    ]


class Detections:
    """The problems that vtorc decided about, each with a number and with the recovery that it led to."""

    def __init__(self, decisions: Iterable[DecisionFrame], recoveries: Iterable[RecoveryForm]) -> None:
        """Number these decisions, oldest first; those that tell the end of a problem are left out."""
        self._frames: dict[int, DecisionFrame] = {}
        by_problem: dict[tuple[str, str | None, str | None], list[int]] = {}
        for frame in decisions:
            if frame.change == "decided":
                number = _microseconds(frame.at)
                while number in self._frames:
                    number += 1
                self._frames[number] = frame
                finding = frame.finding
                by_problem.setdefault((finding.shard, finding.code, finding.tablet), []).append(number)
        self._before: dict[str, int] = {}
        self._recovery_after: dict[int, int] = {}
        for recovery in recoveries:
            numbers = by_problem.get((recovery.shard, recovery.code, recovery.tablet), [])
            earlier = bisect.bisect_right(numbers, _microseconds(recovery.began) + 999)
            if earlier:
                self._before[recovery.id] = numbers[earlier - 1]
                self._recovery_after.setdefault(numbers[earlier - 1], recovery_number(recovery))

    def items(self) -> Iterator[tuple[int, DecisionFrame]]:
        """Yield them with their numbers, newest first."""
        return reversed(self._frames.items())

    def before(self, recovery: RecoveryForm) -> int:
        """Return the number of the problem that called for a recovery; 0 if it is not known."""
        return self._before.get(recovery.id, 0)

    def recovery_after(self, number: int) -> int:
        """Return the number of the first recovery that a problem led to; 0 if there is none."""
        return self._recovery_after.get(number, 0)


def detection(number: int, frame: DecisionFrame, clusters: Clusters, detections: Detections) -> GoObject:
    """Return the TopologyRecovery by which v12 tells a detection."""
    finding = frame.finding
    cluster = clusters.of_shard(finding.shard)
    return {
        **_SAME_FOR_ALL,
        "Id": number,
        "UID": "",
        "AnalysisEntry": _entry(cluster, finding.shard, finding.tablet, finding.code, finding.problem),
        "SuccessorKey": None,
        "SuccessorAlias": "",
        "IsActive": False,
        "IsSuccessful": False,
        "ParticipatingInstanceKeys": [],
        "AllErrors": [""],
        "RecoveryStartTimestamp": go_time(frame.at),
        "RecoveryEndTimestamp": "",
        "LastDetectionId": 0,
        "RelatedRecoveryId": detections.recovery_after(number),
        "RecoveryType": "NotPrimaryRecovery",
    }


def changelog(decisions: Iterable[DecisionFrame], clusters: Clusters) -> list[GoObject]:
    """Return a ReplicationAnalysisChangelog for each server with decisions."""
    told: dict[Address, list[str]] = {}
    for frame in decisions:
        cluster = clusters.of_shard(frame.finding.shard)
        if cluster is not None:
            code = frame.finding.code if frame.change == "decided" else NO_PROBLEM
            told.setdefault(_address(cluster, frame.finding.tablet), []).append(f"{go_time(frame.at)};{code},")
    return [{"AnalyzedInstanceKey": key_of(address), "Changelog": lines} for address, lines in told.items()]


def _common(recovery: RecoveryForm | RunningForm, clusters: Clusters) -> GoObject:
    cluster = clusters.of_shard(recovery.shard)
    touched = sorted({step.tablet for step in recovery.steps if step.tablet is not None})
    code = recovery.code or recovery.kind
    return {
        **_SAME_FOR_ALL,
        "AnalysisEntry": _entry(cluster, recovery.shard, recovery.tablet, code, recovery.sentence),
        "ParticipatingInstanceKeys": [
            key_of(server.address)
            for alias in touched
            if cluster is not None and (server := cluster.server(alias)) is not None
        ],
        "RecoveryStartTimestamp": go_time(recovery.began),
        "RelatedRecoveryId": 0,
    }


_SAME_FOR_ALL: GoObject = {
    "LostReplicas": [],
    "ProcessingNodeHostname": "",
    "ProcessingNodeToken": "",
    "Acknowledged": False,
    "AcknowledgedAt": "",
    "AcknowledgedBy": "",
    "AcknowledgedComment": "",
    "Type": "PrimaryRecovery",
}


def _entry(cluster: Cluster | None, shard: str, tablet: str | None, code: str, description: str) -> GoObject:
    """Return the AnalysisEntry: the analysis of then, with the fields that v12 kept of it."""
    alias = alias_of(shard)
    replicas: tuple[Address, ...] = ()
    if cluster is None:
        # No name of a cluster would lead anywhere, as the shard is gone.
        address, details = Address("", 0), cluster_details("", alias)
    else:
        address = _address(cluster, tablet)
        details = cluster_details(cluster.name, alias, len(cluster.servers))
        server = cluster.server(tablet) if tablet is not None else cluster.primary
        replicas = server.replicas if server is not None else ()
    return analysis_entry(
        address=address,
        code=code,
        description=description,
        cluster=details,
        alias=alias,
        details={"CountReplicas": len(replicas), "Replicas": [key_of(replica) for replica in replicas]},
    )


def _address(cluster: Cluster, tablet: str | None) -> Address:
    """Return the address of a tablet, or for the shard as a whole that in the cluster's name."""
    server = cluster.server(tablet)
    return server.address if server is not None else Address.parse(cluster.name)


def _end(recovery: RecoveryForm) -> datetime.datetime:
    return datetime.datetime.fromisoformat(recovery.began) + datetime.timedelta(seconds=recovery.seconds)


def _microseconds(at: str) -> int:
    return round(datetime.datetime.fromisoformat(at).timestamp() * 1000) * 1000

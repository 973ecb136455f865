"""Whether a primary is lost, on evidence newer than its failure: the verdicts that replace it."""

import math
from collections.abc import Iterator

from vtorc.core.detection.findings import Finding
from vtorc.core.detection.problems import Code
from vtorc.core.detection.replica_evidence import ReplicaEvidence, names
from vtorc.core.detection.shard_check import ShardCheck
from vtorc.core.facts.views import ProbeFailure, TabletView

RECONNECTS_WITHIN = 5.0
"""Seconds that a replica gets to connect again, to a host that is slow to greet too, before it is a witness against its
primary: we make replicas reconnect to learn whether that lives, and so does every other vtorc.
"""


class LostPrimary(ShardCheck):
    """Looks at one primary that may be lost."""

    def findings(self, primary: TabletView) -> Iterator[Finding]:
        """Say in which way it is lost, or may be, if it is."""
        if not primary.probed:
            return
        if primary.status is None and not self.view.replicas_of(primary) and not self._successors(primary):
            return  # it is an InvalidPrimary
        if primary.status is not None and primary.failure is None:
            if primary.status.disk_stalled:
                yield self._stalled_primary(primary)
            elif self._semi_sync_blocked(primary):
                yield self.found(
                    Code.PRIMARY_SEMI_SYNC_BLOCKED, primary, "reports commits that wait for acknowledgements in vain"
                )
            return
        yield self._silent_primary(primary)

    def _stalled_primary(self, primary: TabletView) -> Finding:
        """A tablet manager that finds the disk stalled asks its MySQL nothing any more, and goes on saying so when that
        has ended (Vitess `rpc_replication.go`, FullStatus): MySQL aborts when it cannot write its binary log
        (`binlog_error_action`). While replicas receive it lives; once none does and it lets none in, it is dead.
        """
        what = "reports that its disk is stalled"
        evidence = ReplicaEvidence.of(self.view, primary, heard_since=self.thresholds.heard_since)
        since = primary.disk_stalled_since
        lasts = since is not None and self.now - since >= self.thresholds.silent_after
        shut_out = evidence.shut_out
        if (
            not lasts
            or not shut_out
            or evidence.receiving
            or evidence.unheard
            or evidence.hopeful(self.now, within=RECONNECTS_WITHIN)
            or self.self_declared_primaries
            or not self.everybody_probed
        ):
            return self.found(Code.PRIMARY_DISK_STALLED, primary, what, may_be_load=True)
        all_answer = len(evidence.valid) == len(evidence.replicas)
        code = Code.DEAD_PRIMARY if all_answer else Code.DEAD_PRIMARY_AND_SOME_REPLICAS
        told = evidence.as_text()
        what += f" and nothing else, none of its replicas receives from it, and {names(shut_out)} cannot connect to it"
        return self.found(code, primary, what, may_be_load=True, confirmed=True, **told)

    def _semi_sync_blocked(self, primary: TabletView) -> bool:
        """Blocked although enough replicas are there to acknowledge: somewhere acknowledgements get lost (Vitess
        `PrimarySemiSyncBlocked`).

        Stricter than Vitess: replicas that are gone or were stopped do not count, because another primary would have
        as few, and what helps is to bring them back.
        """
        status = primary.status
        if status is None or not status.semi_sync_blocked or status.has_source:
            return False
        ready = sum(1 for tablet in self.view.replicas_of(primary) if tablet.would_acknowledge)
        return ready >= max(1, status.semi_sync.wait_for_replica_count)

    def _silent_primary(self, primary: TabletView) -> Finding:
        evidence = ReplicaEvidence.of(self.view, primary, heard_since=self.thresholds.heard_since)
        told = evidence.as_text() | {"primary_failure": str(primary.failure), "failed_probes": str(primary.failures)}
        how, hangs = primary.failure_phrase, primary.failure is ProbeFailure.HUNG
        if self.self_declared_primaries:
            told["primary_by_its_own_account"] = names(self.self_declared_primaries)
        if evidence.receiving:
            yielding = names(evidence.receiving)
            code = Code.UNREACHABLE_PRIMARY_WITH_BROKEN_REPLICAS if evidence.are_broken else Code.UNREACHABLE_PRIMARY
            confirmed = self._condemnable(primary) and not evidence.unheard
            what = f"{how}, but {yielding} still receives from it"
            return self.found(code, primary, what, confirmed=confirmed, may_be_load=hangs, **told)
        if not evidence.replicas and (others := self._successors(primary)):
            return self._left_alone(primary, others, told)
        if not evidence.replicas:
            return self.found(
                Code.DEAD_PRIMARY_WITHOUT_REPLICAS,
                primary,
                f"{how} and no tablet is known to replicate from it",
                confirmed=self._condemnable(primary),
                may_be_load=hangs,
                **told,
            )
        if not evidence.valid:
            what = f"{how}, nor does any of its {len(evidence.replicas)} replicas; it may be we who are cut off"
            return self.found(
                Code.DEAD_PRIMARY_AND_REPLICAS,
                primary,
                what,
                confirmed=self._condemnable(primary),
                may_be_load=hangs,
                **told,
            )
        code = (
            Code.DEAD_PRIMARY if len(evidence.valid) == len(evidence.replicas) else Code.DEAD_PRIMARY_AND_SOME_REPLICAS
        )
        heard = (
            f"none of its {len(evidence.replicas)} replicas"
            if code is Code.DEAD_PRIMARY
            else f"none of the {len(evidence.valid)} reachable of its {len(evidence.replicas)} replicas"
        )
        confirmed = self._condemnable(primary) and not evidence.unheard and self._vouched(primary, evidence)
        what = f"{how} and {heard} receives from it{self.yet}"
        if self._may_come_round(primary):
            confirmed, what = False, f"{what}; it gets {self.thresholds.hung_after:g} s to come round"
        return self.found(code, primary, what, confirmed=confirmed, may_be_load=hangs, **told)

    def _successors(self, primary: TabletView) -> list[TabletView]:
        """Tablets that answer and could acknowledge for a primary without replicas, if they are enough to go on without
        it: one may be promoted, and have the acknowledgements that it needs from the rest.
        """
        if self.policy is None or not (needed := self.policy.required_acks(primary.member)):
            return []
        ready = [t for t in self.view.tablets if t.is_current and self.policy.may_ack(primary.member, t.member)]
        return ready if len(ready) > needed else []

    def _left_alone(self, primary: TabletView, others: list[TabletView], told: dict[str, str]) -> Finding:
        """A primary that nobody replicates from: one that died when it had written its record and before anybody was
        pointed at it, such as an heir that was being promoted. Nobody else can bear witness against it, so that
        it takes the word of its own tablet manager or a long silence; and it gets no acknowledgement in the meantime.
        """
        how, hangs = primary.failure_phrase, primary.failure is ProbeFailure.HUNG
        since = max(
            self.thresholds.heard_since, primary.failing_since if primary.failing_since is not None else math.inf
        )
        heard = all(t.status_at is not None and t.status_at >= since for t in others)
        silent = primary.failing_since is not None and self.now - primary.failing_since >= self.thresholds.silent_after
        vouched = primary.failure is ProbeFailure.MYSQL_DOWN or silent
        what = f"{how} and no tablet replicates from it, but {names(others)} could{self.yet}"
        confirmed = self._condemnable(primary) and heard and vouched
        if self._may_come_round(primary):
            confirmed, what = False, f"{what}; it gets {self.thresholds.hung_after:g} s to come round"
        told = told | {"could_replicate": names(others)}
        return self.found(Code.DEAD_PRIMARY, primary, what, confirmed=confirmed, may_be_load=hangs, **told)

    def _condemnable(self, primary: TabletView) -> bool:
        return (
            primary.failures >= self.thresholds.confirmations
            and self.everybody_probed
            and not self.self_declared_primaries
        )

    def _may_come_round(self, primary: TabletView) -> bool:
        if primary.failure is not ProbeFailure.HUNG or primary.failing_since is None:
            return False
        return self.now - primary.failing_since < self.thresholds.hung_after

    def _vouched(self, primary: TabletView, evidence: ReplicaEvidence) -> bool:
        """Whether somebody besides us saw the primary fail: its own tablet, or a replica that tries to reach it and
        cannot.

        Replicas whose IO thread was stopped by hand see nothing; then only a long silence condemns. One that received a
        moment ago and has not failed to connect since proves nothing: it may just have been made to reconnect.
        """
        if primary.failure is ProbeFailure.MYSQL_DOWN:
            return True
        if evidence.hopeful(self.now, within=RECONNECTS_WITHIN):
            return False
        if evidence.trying:
            return True
        return primary.failing_since is not None and self.now - primary.failing_since >= self.thresholds.silent_after

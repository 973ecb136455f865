"""Whether a primary is lost, on evidence newer than its failure: the findings that lead to its replacement."""

import math
from collections.abc import Iterator

from vtorc.core.detection.acknowledgements import Acknowledgements
from vtorc.core.detection.findings import Finding
from vtorc.core.detection.problems import Code
from vtorc.core.detection.replica_evidence import ReplicaEvidence, names
from vtorc.core.detection.shard_check import ShardCheck
from vtorc.core.detection.thresholds import (
    GREETS_WITHIN,
    HUNG_AND_QUIET_AFTER,
    QUIET_FOR,
    RECONNECTS_WITHIN,
    SHOWS_LIFE_FOR,
    STEADY_FOR,
)
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.tablet_memory import STEADY_GAP
from vtorc.core.facts.views import TabletView


class LostPrimary(ShardCheck):
    """The checks of one primary that may be lost."""

    def findings(self, primary: TabletView) -> Iterator[Finding]:
        """Yield how it is lost, or may be lost; nothing while it is well."""
        if not primary.probed:
            return
        if primary.status is None and not self.view.replicas_of(primary) and not self._successors(primary):
            return  # that is an InvalidPrimary
        if primary.status is not None and primary.failure is None:
            if primary.status.disk_stalled:
                yield self._stalled_primary(primary)
            else:
                yield from self._unacknowledged(primary)
            return
        yield self._silent_primary(primary)

    def _stalled_primary(self, primary: TabletView) -> Finding:
        """Return that its disk is stalled, or that it is dead behind that.

        A tablet manager that finds the disk stalled asks its MySQL nothing more, and still says so after MySQL has
        ended (Vitess `rpc_replication.go`, FullStatus). MySQL aborts when it cannot write its binary log
        (`binlog_error_action`). While replicas receive from it, it lives. Once none receives and none can connect, it
        is dead.
        """
        what = "reports that its disk is stalled"
        evidence = ReplicaEvidence.of(self.view, primary, heard_since=self.thresholds.heard_since)
        since = primary.memory.disk_stalled_since
        lasts = since is not None and self.now - since >= self.thresholds.silent_after
        refused = evidence.failed_to_connect
        if (
            not lasts
            or not refused
            or evidence.receiving
            or evidence.outdated
            or evidence.may_reconnect(self.now, within=RECONNECTS_WITHIN)
            or self.self_declared_primaries
            or not self.all_probed
        ):
            return self.found(Code.PRIMARY_DISK_STALLED, primary, what, may_be_load=True)
        text = evidence.as_text()
        what += f", none of its replicas receives from it, and {names(refused)} cannot connect to it"
        return self.found(self._dead(evidence), primary, what, may_be_load=True, confirmed=True, **text)

    def _unacknowledged(self, primary: TabletView) -> Iterator[Finding]:
        """Yield that the primary's commits get no acknowledgements, and whether another primary would get them.

        Stricter than Vitess (`PrimarySemiSyncBlocked`): replicas that are gone or stopped do not count, because another
        primary would have as few of them. Then the shard takes no writes until one of them is back.
        """
        status = primary.current_status
        if status is None or status.has_source:
            return
        acks, since = Acknowledgements.of(self.view, primary, self.policy), self.thresholds.heard_since
        if acks.get_lost:
            tells = "reports" if status.semi_sync_blocked else "has"
            what = f"{tells} commits that wait for acknowledgements and get none"
            certain = acks.get_lost_for_certain(heard_since=since)
            yield self.found(Code.PRIMARY_SEMI_SYNC_BLOCKED, primary, what, confirmed=certain)
        elif acks.is_short(self.now) and acks.are_cut_off and not status.read_only:
            what = f"gets no acknowledgements: {names(acks.cut_off)} cannot connect to it"
            certain = acks.are_cut_off_for_certain(heard_since=since)
            yield self.found(Code.PRIMARY_SEMI_SYNC_BLOCKED, primary, what, confirmed=certain)
        elif not status.read_only and (acks.is_short(self.now) or acks.is_blocked):
            yield self._takes_no_writes(primary, acks)

    def _takes_no_writes(self, primary: TabletView, acks: Acknowledgements) -> Finding:
        count = "1 acknowledgement" if acks.needed <= 1 else f"{acks.needed} acknowledgements"
        gives = "gives" if len(acks.open) == 1 else "give"
        given = f"only {names(acks.open)} {gives} any" if acks.open else "no replica gives any"
        what = f"takes no writes, because its commits wait for {count} and {given}: {acks.reasons()}"
        return self.found(
            Code.SHARD_TAKES_NO_WRITES,
            primary,
            what,
            waits_for=acks.needed,
            acknowledge=names(acks.open),
            cannot_connect=names(acks.cut_off),
            unknown=names(acks.unknown),
        )

    def _silent_primary(self, primary: TabletView) -> Finding:
        evidence = ReplicaEvidence.of(self.view, primary, heard_since=self.thresholds.heard_since)
        text = evidence.as_text() | {
            "primary_failure": str(primary.failure),
            "failed_probes": str(primary.failures_in_row),
        }
        how, hangs = primary.failure_phrase, primary.failure is ProbeFailure.HUNG
        if self.self_declared_primaries:
            text["primary_by_its_own_account"] = names(self.self_declared_primaries)
        if primary.direct is not None:
            text["asked_directly"] = primary.direct.outcome.value
        if shut_out := self._shut_out(primary, evidence):
            what = f"{how}, and {names(shut_out)} cannot connect to it any more{self.late_record_note}"
            confirmed = self._may_count_as_lost(primary) and not evidence.outdated
            return self.found(self._dead(evidence), primary, what, confirmed=confirmed, may_be_load=False, **text)
        if self._has_stopped(primary, evidence):
            what = f"{how}, and none of its replicas gets anything from it any more, though it had committed all the "
            what += f"time{self.late_record_note}"
            confirmed = self._may_count_as_lost(primary) and not evidence.outdated
            return self.found(self._dead(evidence), primary, what, confirmed=confirmed, may_be_load=hangs, **text)
        if evidence.receiving:
            code = Code.UNREACHABLE_PRIMARY_WITH_BROKEN_REPLICAS if evidence.are_broken else Code.UNREACHABLE_PRIMARY
            confirmed = self._may_count_as_lost(primary) and not evidence.outdated
            confirmed = confirmed and not self._may_fall_quiet(primary, evidence)
            receive = "receives" if len(evidence.receiving) == 1 else "receive"
            what = f"{how}, but {names(evidence.receiving)} still {receive} from it"
            return self.found(code, primary, what, confirmed=confirmed, may_be_load=hangs, **text)
        if not evidence.replicas and (others := self._successors(primary)):
            return self._without_replicas(primary, others, text)
        if not evidence.replicas:
            return self.found(
                Code.DEAD_PRIMARY_WITHOUT_REPLICAS,
                primary,
                f"{how}, and no known tablet replicates from it",
                confirmed=self._may_count_as_lost(primary),
                may_be_load=hangs,
                **text,
            )
        total = len(evidence.replicas)
        if not evidence.answering:
            silent = "its only replica" if total == 1 else f"any of its {total} replicas"
            what = f"{how}, nor does {silent}: vtorc itself may be cut off"
            return self.found(
                Code.DEAD_PRIMARY_AND_REPLICAS,
                primary,
                what,
                confirmed=self._may_count_as_lost(primary),
                may_be_load=hangs,
                **text,
            )
        code = self._dead(evidence)
        if total == 1:
            heard = "its only replica does not receive"
        elif code is Code.DEAD_PRIMARY:
            heard = f"none of its {total} replicas receives"
        else:
            heard = f"none of the {len(evidence.answering)} reachable of its {total} replicas receives"
        confirmed = (
            self._may_count_as_lost(primary) and not evidence.outdated and self._failed_for_others(primary, evidence)
        )
        what = f"{how} and {heard} from it{self.late_record_note}"
        if self._may_recover(primary):
            confirmed, what = False, f"{what}; it gets {self.thresholds.hung_after:g} s to recover"
        return self.found(code, primary, what, confirmed=confirmed, may_be_load=hangs, **text)

    def _dead(self, evidence: ReplicaEvidence) -> Code:
        """Return the code of a primary that is dead, by whether all of its replicas answer."""
        all_answer = len(evidence.answering) == len(evidence.replicas)
        return Code.DEAD_PRIMARY if all_answer else Code.DEAD_PRIMARY_AND_SOME_REPLICAS

    def _shut_out(self, primary: TabletView, evidence: ReplicaEvidence) -> tuple[TabletView, ...]:
        """Return the replicas that prove the end of a MySQL with connections of replicas that are still open.

        A MySQL that shuts down takes no connection and no statement any more. It closes the connections of replicas
        last, after many seconds (seen with MySQL 9.7). Its tablet manager says that it is down.
        """
        if primary.failure is not ProbeFailure.MYSQL_DOWN or primary.failing_since is None or not evidence.receiving:
            return ()
        return evidence.shut_out_since(primary.failing_since)

    def _has_stopped(self, primary: TabletView, evidence: ReplicaEvidence) -> bool:
        """Whether the streams of its replicas show that a primary has stopped which committed all the time.

        Its commits wait for acknowledgements, and no replica gets any commit to acknowledge. So it takes no writes any
        more, whatever is the matter with it, and no client gains by waiting. A cut between vtorc and the primary alone
        leaves the streams at work. A busy server is slow, but its events come. With its disk stalled none come either,
        but it still greets new connections. So one that hangs must leave a replica, or vtorc itself, without a greeting
        as well, and gets some time.
        """
        without_greeting = evidence.without_greeting(within=GREETS_WITHIN)
        if (
            not self._committed_steadily(primary)
            or evidence.outdated
            or self._outlives_its_failure(primary, evidence)
            or len(evidence.quiet(within=QUIET_FOR)) < len(evidence.receiving)
            or len(without_greeting) < len(evidence.reconnecting)
        ):
            return False
        if primary.failure is ProbeFailure.HUNG:
            greets_no_one = bool(without_greeting) or primary.leaves_vtorc_ungreeted
            return greets_no_one and self._is_silent_for(primary, HUNG_AND_QUIET_AFTER)
        is_silent = primary.failure in (ProbeFailure.TIMEOUT, ProbeFailure.UNREACHABLE)
        return is_silent and bool(evidence.receiving or without_greeting) and self._is_silent_for(primary, QUIET_FOR)

    def _may_fall_quiet(self, primary: TabletView, evidence: ReplicaEvidence) -> bool:
        """Whether the streams will soon tell whether a silent primary has stopped.

        No replica is made to reconnect until then: MySQL takes two seconds to stop one that waits for a greeting.
        """
        if primary.failure is ProbeFailure.HUNG:
            soon, is_told_by_then = HUNG_AND_QUIET_AFTER + QUIET_FOR, primary.may_leave_vtorc_ungreeted
        else:
            soon = 2 * QUIET_FOR
            is_told_by_then = primary.failure in (ProbeFailure.TIMEOUT, ProbeFailure.UNREACHABLE)
        return (
            is_told_by_then
            and self._committed_steadily(primary)
            and not self._is_silent_for(primary, soon)
            and not evidence.reconnecting
            and not self._outlives_its_failure(primary, evidence)
        )

    def _outlives_its_failure(self, primary: TabletView, evidence: ReplicaEvidence) -> bool:
        """Whether a replica got something from it after vtorc had lost it: then it is vtorc that is cut off from it.

        An event that a replica had got just before is found by the first answer to a question about that.
        """
        since = primary.failing_since if primary.failing_since is not None else math.inf
        reads = (t.memory.last_read_at for t in evidence.replicas)
        return any(read_at is not None and read_at > since + QUIET_FOR for read_at in reads)

    def _committed_steadily(self, primary: TabletView) -> bool:
        """Whether it committed without a pause until it failed, and each commit waited for an acknowledgement.

        Seconds in which vtorc was late count as a pause. A primary that waits for none commits on while its replicas
        are gone.
        """
        memory, failing_since, told = primary.memory, primary.failing_since, primary.told
        began, last = memory.commits_steadily_since, memory.last_commit_at
        if began is None or last is None or failing_since is None or told is None:
            return False
        waits = self.policy is not None and self.policy.required_acks(primary.member) > 0
        pause = failing_since - last + primary.last_probe.late_before_failure
        return waits and told.semi_sync.primary_active and last - began >= STEADY_FOR and pause <= STEADY_GAP

    def _lives(self, primary: TabletView) -> bool:
        """Whether its MySQL has just taken a connection of vtorc itself.

        That contradicts each witness of a death, so that only a long silence of the tablet manager counts.
        """
        return primary.has_shown_life(since=self.now - SHOWS_LIFE_FOR)

    def _is_silent_for(self, primary: TabletView, seconds: float) -> bool:
        return primary.silent_since is not None and self.now - primary.silent_since >= seconds

    def _successors(self, primary: TabletView) -> list[TabletView]:
        """Return the tablets that answer and could take over from a primary without replicas; empty if too few.

        One of them may be promoted, and the rest can give it the acknowledgements that it needs. A silent primary that
        needs none may take writes, so its own tablet manager must say that its MySQL is down.
        """
        if self.policy is None:
            return []
        if not (needed := self.policy.required_acks(primary.member)):
            is_down = primary.failure is ProbeFailure.MYSQL_DOWN
            return [t for t in self.view.tablets if is_down and t.is_current and t.is_replica_type]
        ready = [t for t in self.view.tablets if t.is_current and self.policy.may_ack(primary.member, t.member)]
        return ready if len(ready) > needed else []

    def _without_replicas(self, primary: TabletView, others: list[TabletView], text: dict[str, str]) -> Finding:
        """Return the finding about a primary that no tablet replicates from.

        Such a primary died after it had written its record and before replicas were pointed at it, as one that was
        just being promoted. No replica can tell of it. So its own tablet manager must say that MySQL is down, or it
        must be silent for long; it gets no acknowledgements in the meantime.
        """
        how, hangs = primary.failure_phrase, primary.failure is ProbeFailure.HUNG
        since = max(
            self.thresholds.heard_since, primary.failing_since if primary.failing_since is not None else math.inf
        )
        heard = all(t.status_at is not None and t.status_at >= since for t in others)
        silent = self._is_silent_for(primary, self.thresholds.silent_after)
        certain = primary.failure is ProbeFailure.MYSQL_DOWN or silent
        what = f"{how} and no tablet replicates from it, but {names(others)} could{self.late_record_note}"
        confirmed = self._may_count_as_lost(primary) and heard and certain
        if self._may_recover(primary):
            confirmed, what = False, f"{what}; it gets {self.thresholds.hung_after:g} s to recover"
        text = text | {"could_replicate": names(others)}
        return self.found(Code.DEAD_PRIMARY, primary, what, confirmed=confirmed, may_be_load=hangs, **text)

    def _may_count_as_lost(self, primary: TabletView) -> bool:
        return (
            primary.failures_in_row >= self.thresholds.confirmations
            and self.all_probed
            and not self.self_declared_primaries
        )

    def _may_recover(self, primary: TabletView) -> bool:
        if primary.failure is not ProbeFailure.HUNG or primary.silent_since is None:
            return False
        return self.now - primary.silent_since < self.thresholds.hung_after

    def _failed_for_others(self, primary: TabletView, evidence: ReplicaEvidence) -> bool:
        """Whether another server than vtorc saw the primary fail: its own tablet, or a replica that cannot connect.

        A replica with an IO thread that was stopped by hand sees nothing; then it takes a long silence. A replica that
        received a moment ago proves nothing until it fails to connect: it may just have been told to reconnect. Nor
        does one that the primary refused: a server that does not accept the account lives. While MySQL takes
        connections of vtorc, no witness counts.
        """
        lives = self._lives(primary)
        if primary.failure is ProbeFailure.MYSQL_DOWN and not lives:
            return True
        if evidence.may_reconnect(self.now, within=RECONNECTS_WITHIN):
            return False
        if evidence.unanswered and not lives:
            return True
        return self._is_silent_for(primary, self.thresholds.silent_after)

"""Whether the commits of a primary that answers can be acknowledged, by evidence of one time.

A primary reports that its commits wait in vain, and its replicas tell whether they acknowledge. The two answers are
seconds apart. At the moment when an acker returned, the flag was from before and the acker from now, and a well primary
was replaced. So a replica counts only if it could acknowledge long before the answer that still reports the block.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vtorc.core.detection.replica_evidence import got_no_answer, names
from vtorc.core.detection.thresholds import (
    BLOCKED_AFTER,
    LONG_EVENT_WITHIN,
    NO_COMMIT_FOR,
    RETRIES_WITHIN,
    SHORT_OF_ACKS_FOR,
)
from vtorc.core.facts.ack_path import ACKS_ARRIVE_WITHIN, AckPathState
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.status import ThreadState
from vtorc.core.facts.views import ShardView, TabletView

_ALWAYS = float("-inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgements:
    """The tablets that might acknowledge the commits of one primary, sorted by what each can do for them.

    Times are seconds on the clock of the view.
    """

    primary: TabletView
    """The primary, which answers."""
    needed: int
    """How many acknowledgements each of its commits waits for; 0 if it waits for none."""
    open: tuple[TabletView, ...]
    """They receive from it with semi-sync at work."""
    cut_off: tuple[TabletView, ...]
    """They try to reach it, and no server answers them."""
    unable: tuple[tuple[TabletView, str], ...]
    """They cannot acknowledge for another reason, which is the end of a sentence about the tablet."""
    unknown: tuple[TabletView, ...]
    """They do not tell."""

    @classmethod
    def of(cls, view: ShardView, primary: TabletView, policy: DurabilityPolicy | None) -> "Acknowledgements":
        """Sort the tablets that may acknowledge for `primary` by the policy or by their own settings."""
        open_: list[TabletView] = []
        cut_off: list[TabletView] = []
        unable: list[tuple[TabletView, str]] = []
        unknown: list[TabletView] = []
        for tablet in view.tablets:
            if tablet.alias == primary.alias or not _might_acknowledge(view, primary, tablet, policy):
                continue
            reason = _why_unable(view, primary, tablet)
            if reason:
                unable.append((tablet, reason))
            elif tablet.memory.ack_path is None or tablet.current_status is None:
                unknown.append(tablet)
            elif tablet.memory.ack_path.state is AckPathState.OPEN:
                open_.append(tablet)
            else:
                cut_off.append(tablet)
        return cls(
            primary=primary,
            needed=_needed(primary),
            open=tuple(open_),
            cut_off=tuple(cut_off),
            unable=tuple(unable),
            unknown=tuple(unknown),
        )

    @property
    def is_blocked(self) -> bool:
        """Whether commits wait for acknowledgements and get none, by the primary's last answer.

        Its tablet manager says so, or its binary log has grown and no transaction of that was executed for long.
        """
        status, at, since = self.primary.current_status, self.primary.status_at, self.primary.memory.commits_wait_since
        if status is None or status.semi_sync_blocked:
            return status is not None
        return bool(self.needed) and since is not None and at is not None and at - since >= BLOCKED_AFTER

    @property
    def get_lost(self) -> bool:
        """Whether enough replicas could acknowledge and the primary is blocked: acknowledgements get lost."""
        return self.is_blocked and len(self.open) + len(self.cut_off) >= max(1, self.needed)

    def get_lost_for_certain(self, *, heard_since: float) -> bool:
        """Whether `get_lost` is shown by answers of one time, and by those after `heard_since` alone.

        So many replicas as a commit waits for could acknowledge all the time for which it takes. The block was still
        reported by an answer that was asked for after that.
        """
        at = self.primary.status_at
        if not self.get_lost or at is None or at < heard_since:
            return False
        since = sorted(self._could_acknowledge_since(t) for t in _heard(self.open + self.cut_off, heard_since))
        needed = max(1, self.needed)
        return len(since) >= needed and since[needed - 1] <= at

    def _could_acknowledge_since(self, tablet: TabletView) -> float:
        """Return from when on an answer of the primary tells that this replica's acknowledgements do not arrive.

        A replica that was away first fetches what it lacks, and acknowledges the last transactions last. One that was
        cut off connects again by itself within `RETRIES_WITHIN`. One that is receiving a long transaction acknowledges
        it at its end, and all commits wait behind it, although the primary is well.
        """
        path, status = tablet.memory.ack_path, self.primary.current_status
        if path is None or status is None:
            return float("inf")
        if path.state is AckPathState.TRYING:
            return path.since + RETRIES_WITHIN
        if not path.held.contains(status.executed):
            return float("inf")
        return max(path.held_at + ACKS_ARRIVE_WITHIN, path.amid_transaction_at + LONG_EVENT_WITHIN)

    @property
    def short_since(self) -> float | None:
        """Since when too few replicas can acknowledge, whatever the primary says; None if that is not certain.

        A tablet that does not tell may acknowledge. So may a server without a record: the primary counts it among its
        semi-sync clients.
        """
        status = self.primary.current_status
        may = len(self.open) + len(self.unknown)
        if status is None or not self.needed or may >= self.needed:
            return None
        if status.semi_sync.primary_clients > may + len(self.cut_off) + len(self.unable):
            return None
        ended = sorted(_unable_since(t) for t in (*self.cut_off, *(tablet for tablet, _ in self.unable)))
        too_few = may + len(ended) - self.needed
        return ended[too_few] if too_few >= 0 else _ALWAYS

    def is_short(self, now: float) -> bool:
        """Whether too few replicas can acknowledge, for longer than a replica takes to connect again."""
        since = self.short_since
        return since is not None and now - since >= SHORT_OF_ACKS_FOR

    @property
    def are_cut_off(self) -> bool:
        """Whether replicas that only fail to reach the primary would be enough for another one and its ackers."""
        return bool(self.cut_off) and len(self.open) + len(self.cut_off) > self.needed

    def are_cut_off_for_certain(self, *, heard_since: float) -> bool:
        """Whether the replicas have tried for long to reach the primary, and it has committed nothing meanwhile.

        The semi-sync monitor of the primary's tablet may fail, and say nothing of a block (vttablet v24, with a
        deadline). So this goes by the replicas' own state, and by answers after `heard_since` alone.
        """
        at, last = self.primary.status_at, self.primary.memory.last_commit_at
        if self.short_since is None or at is None or at < heard_since:
            return False
        if last is not None and at - last < NO_COMMIT_FOR:
            return False
        trying = [t for t in _heard(self.cut_off, heard_since) if _has_tried_for(t, RETRIES_WITHIN)]
        return len(_heard(self.open, heard_since)) + len(trying) > self.needed

    def reasons(self) -> str:
        """Return which replicas are missing and why, as the end of a sentence."""
        why = [f"{tablet.alias} {reason}" for tablet, reason in self.unable]
        if self.cut_off:
            why.append(f"{names(self.cut_off)} cannot connect to it")
        why += [f"{t.alias} {t.failure_phrase if t.failure else 'does not tell'}" for t in self.unknown]
        return "; ".join(why) or "there is no other tablet that may acknowledge"


def _needed(primary: TabletView) -> int:
    """Return for how many acknowledgements a commit waits; a server that does not tell the number waits for one."""
    status = primary.current_status
    if status is None or not status.semi_sync.primary_enabled or not status.semi_sync.primary_active:
        return 0
    return max(1, status.semi_sync.wait_for_replica_count)


def _might_acknowledge(
    view: ShardView, primary: TabletView, tablet: TabletView, policy: DurabilityPolicy | None
) -> bool:
    if policy is not None and policy.may_ack(primary.member, tablet.member):
        return True
    return (
        tablet.status is not None and tablet.status.semi_sync.replica_enabled and view.replicates_from(tablet, primary)
    )


def _why_unable(view: ShardView, primary: TabletView, tablet: TabletView) -> str:
    """Return why this tablet acknowledges nothing to the primary for certain; empty if it may."""
    if tablet.failure is ProbeFailure.MYSQL_DOWN:
        return tablet.failure_phrase
    status = tablet.current_status
    if status is None or status.disk_stalled:
        return ""
    replication = status.replication
    if replication is None or not replication.has_source:
        return "has no replication source"
    if not view.replicates_from(tablet, primary):
        return "replicates from another server"
    if replication.io_state is ThreadState.STOPPED:
        return "has stopped receiving" + (f" ({replication.last_io_error})" if replication.last_io_error else "")
    if status.semi_sync.is_reported and not status.semi_sync.replica_enabled:
        return "has semi-sync off"
    if tablet.receives_without_acknowledging:
        return "receives without acknowledging"
    if replication.io_state is ThreadState.CONNECTING and not got_no_answer(tablet):
        return f"is refused by it ({replication.last_io_error})"
    return ""


def _unable_since(tablet: TabletView) -> float:
    """Return since when it acknowledges nothing; minus infinity where nothing tells.

    A replica that receives from another server, as all do amid a planned reparent, has done so since that way began.
    """
    probe, memory = tablet.last_probe, tablet.memory
    if probe.failure is not None:
        since = probe.same_failure_since
    elif memory.not_receiving_since is not None:
        since = memory.not_receiving_since
    elif memory.ack_path is not None:
        since = memory.ack_path.since
    else:
        since = memory.may_ack_until
    return _ALWAYS if since is None or math.isinf(since) else since


def _heard(tablets: Sequence[TabletView], since: float) -> list[TabletView]:
    return [t for t in tablets if t.status_at is not None and t.status_at >= since]


def _has_tried_for(tablet: TabletView, seconds: float) -> bool:
    path = tablet.memory.ack_path
    return path is not None and tablet.status_at is not None and tablet.status_at - path.since >= seconds

"""Vitess' codes that sum up a primary and its replicas, for dashboards and alerts that match on them.

vtorc itself decides by findings about each tablet. A code here is told beside them, and no decision depends on it.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from vtorc.core.detection.problems import Code
from vtorc.server.today.known import KnownTablet

_NO_ACKS = {Code.SHARD_TAKES_NO_WRITES.value, Code.PRIMARY_SEMI_SYNC_BLOCKED.value}
"""Findings that say that commits wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One of these codes, as it holds for a tablet."""

    code: str
    """The code in Vitess' spelling."""
    priority: int
    """Its number in Vitess: 0 concerns the whole shard, 4 is low."""
    description: str
    """The evidence, in words."""


def summaries(known: KnownTablet, codes: Collection[str]) -> list[Summary]:
    """Return the codes that hold for a tablet without a source; `codes` are those of vtorc's findings about it."""
    if known.mysql is None or known.has_source:
        return []
    return [
        Summary(code=code, priority=priority, description=f"{known.tablet.alias} {phrase}")
        for code, (priority, phrase, holds) in SUMMARIES.items()
        if holds(known, codes)
    ]


def _is_incapacitated(known: KnownTablet, codes: Collection[str]) -> bool:
    return known.tablet.is_primary and not known.is_valid and Code.UNSTABLE_TABLET.value in codes


def _lags_unreached(known: KnownTablet, codes: Collection[str]) -> bool:
    del codes
    delayed = sum(bool(replica.replication.delay_seconds) for replica in known.replicas)
    return (
        not known.is_valid
        and any(replica.is_replicating for replica in known.valid_replicas)
        and all(replica.is_lagging for replica in known.replicas)
        and delayed < len(known.replicas)
    )


def _lacks_acks(known: KnownTablet) -> bool:
    told = known.semi_sync
    needed = told.wait_for_replica_count or 0
    return known.is_valid and bool(told.waits) and bool(told.is_waiting) and (told.clients or 0) < needed


def _is_locked(known: KnownTablet, codes: Collection[str]) -> bool:
    return _lacks_acks(known) and not _NO_ACKS.isdisjoint(codes)


def _may_be_locked(known: KnownTablet, codes: Collection[str]) -> bool:
    return _lacks_acks(known) and _NO_ACKS.isdisjoint(codes)


def _none_replicates(
    *, one: bool, all_answer: bool, some_answer: bool
) -> Callable[[KnownTablet, Collection[str]], bool]:
    """Return the condition that no replica of a primary that answers replicates, by how many replicas there are and
    answer."""

    def holds(known: KnownTablet, codes: Collection[str]) -> bool:
        del codes
        count, valid = len(known.replicas), known.valid_replicas
        if not known.is_valid or not count or (count == 1) != one or any(each.is_replicating for each in valid):
            return False
        return (len(valid) == count) == all_answer and bool(valid) == some_answer

    return holds


SUMMARIES: dict[str, tuple[int, str, Callable[[KnownTablet, Collection[str]], bool]]] = {
    "IncapacitatedPrimary": (0, "is the primary, comes and goes, and does not answer now", _is_incapacitated),
    "UnreachablePrimaryWithLaggingReplicas": (3, "does not answer, and all its replicas lag", _lags_unreached),
    "LockedSemiSyncPrimary": (3, "has commits that wait for more replicas than acknowledge", _is_locked),
    "LockedSemiSyncPrimaryHypothesis": (3, "waits for more replicas than acknowledge", _may_be_locked),
    "PrimarySingleReplicaNotReplicating": (
        3,
        "has one replica, which does not replicate",
        _none_replicates(one=True, all_answer=True, some_answer=True),
    ),
    "PrimarySingleReplicaDead": (
        3,
        "has one replica, which does not answer",
        _none_replicates(one=True, all_answer=False, some_answer=False),
    ),
    "AllPrimaryReplicasNotReplicating": (
        4,
        "has replicas that all answer, and none replicates",
        _none_replicates(one=False, all_answer=True, some_answer=True),
    ),
    "AllPrimaryReplicasNotReplicatingOrDead": (
        4,
        "has replicas of which some answer, and none replicates",
        _none_replicates(one=False, all_answer=False, some_answer=True),
    ),
}
"""Each code with its number, the end of its sentence, and its condition; in the order of Vitess."""
